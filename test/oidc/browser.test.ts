import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { openBrowser } from '../../src/oidc/browser.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'

const URL_TO_OPEN = 'https://issuer.example/auth?scope=openid%20email&state=a;b&x=$(id)`id`|id&y=%PATH%'
/** A command that ends is judged by how it ends, however slow this machine is. */
const graceMs = 30_000
const PATH = process.env['PATH'] ?? ''

describe('openBrowser', { skip: process.platform === 'win32' }, () => {
  let folder: TestFolder
  before(async () => {
    folder = await createFolder()
  })
  after(() => folder.remove())

  /** A program that writes its arguments down, one a line, and ends with a status. */
  async function program(name: string, status = 0): Promise<string> {
    const script = `#!/bin/sh\nfor argument in "$@"; do printf '%s\\n' "$argument"; done > "${folder.path(`${name}.args`)}"\nexit ${status}\n`
    const path = await folder.write(name, script)
    await chmod(path, 0o700)
    return path
  }

  async function argumentsOf(name: string): Promise<string[]> {
    return (await readFile(folder.path(`${name}.args`), 'utf8')).split('\n').slice(0, -1)
  }

  const onLinux = (env: NodeJS.ProcessEnv) => ({ env: { PATH, ...env }, platform: 'linux' as const, graceMs })

  it('hands the address over as one argument, without a shell', async () => {
    const browser = await program('plain')
    assert.equal(await openBrowser(URL_TO_OPEN, onLinux({ BROWSER: browser })), true)
    assert.deepEqual(await argumentsOf('plain'), [new URL(URL_TO_OPEN).href])
  })

  it('honours the arguments in $BROWSER, and %s', async () => {
    const browser = await program('arguments')
    await openBrowser(URL_TO_OPEN, onLinux({ BROWSER: `${browser} --new-window` }))
    assert.deepEqual(await argumentsOf('arguments'), ['--new-window', new URL(URL_TO_OPEN).href])
    await openBrowser(URL_TO_OPEN, onLinux({ BROWSER: `${browser} --app=%s --quiet` }))
    assert.deepEqual(await argumentsOf('arguments'), [`--app=${new URL(URL_TO_OPEN).href}`, '--quiet'])
  })

  it('goes through $BROWSER until one starts, and then through the desktop', async () => {
    const failing = await program('failing', 3)
    const good = await program('good')
    assert.equal(await openBrowser(URL_TO_OPEN, onLinux({ BROWSER: `/nonexistent:${failing}:${good}` })), true)
    assert.equal((await argumentsOf('good')).length, 1)
    const desktop = await createFolder()
    const opener = await desktop.write('xdg-open', `#!/bin/sh\nprintf '%s\\n' "$@" > "${folder.path('xdg.args')}"\n`)
    await chmod(opener, 0o700)
    const path = `${desktop.path('.')}:${PATH}`
    for (const display of [{ DISPLAY: ':0' }, { WAYLAND_DISPLAY: 'wayland-0' }]) {
      assert.equal(await openBrowser(URL_TO_OPEN, onLinux({ ...display, BROWSER: failing, PATH: path })), true)
      assert.deepEqual(await argumentsOf('xdg'), [new URL(URL_TO_OPEN).href])
    }
    await desktop.remove()
  })

  it('is false where there is no display, no command, or none that works', async () => {
    const failing = await program('failing', 3)
    assert.equal(await openBrowser(URL_TO_OPEN, onLinux({})), false)
    assert.equal(await openBrowser(URL_TO_OPEN, onLinux({ DISPLAY: '', WAYLAND_DISPLAY: '', BROWSER: '' })), false)
    assert.equal(await openBrowser(URL_TO_OPEN, onLinux({ DISPLAY: ':0', PATH: '/nonexistent' })), false)
    assert.equal(await openBrowser(URL_TO_OPEN, onLinux({ BROWSER: failing })), false)
    assert.equal(await openBrowser(URL_TO_OPEN, { env: {}, platform: 'darwin', graceMs }), false)
    assert.equal(await openBrowser(URL_TO_OPEN, { env: {}, platform: 'win32', graceMs }), false)
  })

  it('does not wait for a browser that stays open', async () => {
    const door = folder.path('door')
    await promisify(execFile)('mkfifo', [door])
    const path = await folder.write('open', `#!/bin/sh\nread word < "${door}"\n`)
    await chmod(path, 0o700)
    assert.equal(await openBrowser(URL_TO_OPEN, { ...onLinux({ BROWSER: path }), graceMs: 1 }), true)
    await writeFile(door, 'enough\n') // waits for the program to be there, and ends it
  })

  it('T-S12 opens nothing but http to this machine and https', async () => {
    const browser = await program('never')
    for (const url of [
      'file:///etc/passwd',
      'javascript:alert(1)',
      '--help',
      '-x',
      '',
      'http://issuer.example/',
      'ms-calculator:',
    ]) {
      assert.equal(await openBrowser(url, onLinux({ BROWSER: browser })), false, url)
    }
    await assert.rejects(argumentsOf('never'))
    assert.equal(await openBrowser('http://127.0.0.1:8000/', onLinux({ BROWSER: browser })), true)
    assert.deepEqual(await argumentsOf('never'), ['http://127.0.0.1:8000/'])
  })
})
