/** bin/: the three programs start from a checkout and from the package, under any Node, and say so where they cannot. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, it } from 'node:test'

const BIN = join(dirname(dirname(import.meta.dirname)), 'bin')
const base = mkdtempSync(join(tmpdir(), 'launch-'))
after(() => rmSync(base, { recursive: true }))

const MAIN = `
export async function main({ program, argv }: { program: string; argv: readonly string[] }): Promise<number> {
  console.log(JSON.stringify({ program, argv, version: process.versions.node, asker: process.env.ARCHWAY_ASKER_PID }))
  if (argv[0] === 'fail') return 5
  if (argv[0] === 'throw') throw new Error('a surprise')
  if (argv[0] === 'wait') return new Promise((resolve) => {
    const timer = setInterval(() => {}, 1000)
    process.once('SIGTERM', () => { clearInterval(timer); resolve(4) })
    console.log('waiting')
  })
  return 0
}
`
/** Preloaded, it makes Node look like Debian 12's. */
const OLD = join(base, 'old.cjs')
writeFileSync(OLD, "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } })\n")

function layout(name: string, files: Readonly<Record<string, string>>): string {
  const root = join(base, name)
  cpSync(BIN, join(root, 'bin'), { recursive: true })
  for (const [file, text] of Object.entries({ 'package.json': '{ "type": "module" }', ...files })) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), text)
  }
  return root
}

function start(root: string, program: string, args: readonly string[] = [], node: readonly string[] = []) {
  return spawnSync(process.execPath, [...node, join(root, 'bin', program), ...args], { encoding: 'utf8' })
}

const checkout = layout('checkout', { 'src/cli/main.ts': MAIN })
const published = layout('published', {
  'dist/cli/main.js': MAIN.replaceAll(/: (\{.*\}|Promise<number>)(?=[) ])/g, ''),
})
/** With a pinned Node that says so and is, for the rest, this one. */
const pinned = layout('pinned', { 'src/cli/main.ts': MAIN })
const pinnedNode = join(pinned, `tools/runtime/node_modules/node-${process.platform}-${process.arch}/bin/node`)
mkdirSync(dirname(pinnedNode), { recursive: true })
writeFileSync(pinnedNode, `#!/bin/sh\necho pinned\nexec '${process.execPath}' "$@"\n`)
chmodSync(pinnedNode, 0o755)

describe('a program of bin/', () => {
  for (const [where, root] of Object.entries({ 'a checkout': checkout, 'the package': published })) {
    for (const program of ['archway', 'k8s-keystone-auth', 'client-keystone-auth']) {
      it(`starts from ${where} as ${program}, with its arguments`, () => {
        const { status, stdout, stderr } = start(root, program, ['--a', 'b c'])
        assert.equal(stderr, '')
        assert.equal(status, 0)
        assert.deepEqual(JSON.parse(stdout), { program, argv: ['--a', 'b c'], version: process.versions.node })
      })
    }

    it(`keeps the status of main in ${where}`, () => {
      assert.equal(start(root, 'archway', ['fail']).status, 5)
    })
  }

  it("starts through the links of npm's .bin", () => {
    const link = join(base, 'linked')
    symlinkSync(join(checkout, 'bin/k8s-keystone-auth'), link)
    const { stdout } = spawnSync(process.execPath, [link], { encoding: 'utf8' })
    assert.equal(JSON.parse(stdout).program, 'k8s-keystone-auth')
  })

  it('shows a surprise with its stack and fails', () => {
    const { status, stderr } = start(checkout, 'archway', ['throw'])
    assert.match(stderr, /^archway: Error: a surprise\n {4}at main/)
    assert.equal(status, 1)
  })

  it('goes over to the pinned Node under an old one, keeping arguments and status', () => {
    const { status, stdout } = start(pinned, 'archway', ['fail', 'x'], ['--require', OLD])
    const [first, second = ''] = stdout.split('\n')
    assert.equal(first, 'pinned')
    assert.deepEqual(JSON.parse(second).argv, ['fail', 'x'])
    assert.equal(status, 5)
  })

  it('tells the pinned Node who has asked, and one that it did not start nothing', () => {
    const { pid, stdout } = start(pinned, 'archway', [], ['--require', OLD])
    assert.equal(JSON.parse(stdout.split('\n')[1] ?? '').asker, `${pid}:${process.pid}`)
    assert.equal(JSON.parse(start(checkout, 'archway').stdout).asker, undefined)
  })

  it('passes SIGTERM on to the pinned Node', async () => {
    const child = spawn(process.execPath, ['--require', OLD, join(pinned, 'bin/archway'), 'wait'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('waiting')) child.kill('SIGTERM')
    })
    assert.deepEqual(await once(child, 'close'), [4, null])
  })

  it('says in a checkout how to come by a recent Node', () => {
    const { status, stderr } = start(checkout, 'archway', [], ['--require', OLD])
    assert.match(stderr, /^archway: needs Node 22\.19 or newer, and this is v.*: run "npm start" once/)
    assert.equal(status, 1)
  })

  it('says in the package that a recent Node is needed', () => {
    const { status, stderr } = start(published, 'client-keystone-auth', [], ['--require', OLD])
    assert.match(stderr, /^client-keystone-auth: needs Node 22\.19 or newer, and this is v.*: install a newer Node\n$/)
    assert.equal(status, 1)
  })

  it('says what is missing where nothing was built', () => {
    const { status, stderr } = start(layout('empty', {}), 'archway')
    assert.match(stderr, /^archway: .*dist\/cli\/main\.js is missing: install the package again/)
    assert.equal(status, 1)
  })
})
