/** Replacing kubeconfig files: locks, modes, links, and programs that die midway. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, link, lstat, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ArchwayError } from '../../../src/errors.ts'
import {
  readKubeconfigFile,
  replaceKubeconfigFile,
  withKubeconfigLocks,
} from '../../../src/kube/kubeconfig-file/replace-file.ts'
import { createFolder, type TestFolder } from '../../support/tls.ts'

const NOW = new Date('2026-01-02T03:04:05.678Z')
const isRoot = process.getuid?.() === 0

let folder: TestFolder
let path: string
beforeEach(async () => {
  folder = await createFolder()
  path = folder.path('config')
})
afterEach(() => folder.remove())

function replace(content: string, previous: string | undefined, backup = false): string | undefined {
  return replaceKubeconfigFile({ path, content, previous, backup, now: NOW })
}

function is(code: string, message: RegExp): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof ArchwayError && thrown.code === code && message.test(thrown.message)
}

async function mode(file: string): Promise<string> {
  return ((await stat(file)).mode & 0o777).toString(8)
}

describe('replacing a kubeconfig', () => {
  test('T-S14 a new file is for nobody else, one that is there keeps its mode', async () => {
    replace('new', undefined)
    assert.equal(await mode(path), '600')
    await chmod(path, 0o640)
    replace('newer', 'new')
    assert.equal(await mode(path), '640')
    assert.equal(await readFile(path, 'utf8'), 'newer')
    assert.deepEqual(await readdir(folder.path('.')), ['config'])
  })

  test('T-S14 the owner stays', { skip: isRoot ? false : 'needs root' }, async () => {
    await writeFile(path, 'old')
    await chown(path, 12345, 23456)
    replace('new', 'old')
    const { uid, gid } = await stat(path)
    assert.deepEqual({ uid, gid }, { uid: 12345, gid: 23456 })
  })

  test('a link stays a link, and its target is replaced', async () => {
    await mkdir(folder.path('dotfiles'))
    const target = folder.path('dotfiles/config')
    await writeFile(target, 'old', { mode: 0o644 })
    await symlink('dotfiles/config', path)
    replace('new', 'old')
    assert.ok((await lstat(path)).isSymbolicLink())
    assert.equal(await readFile(target, 'utf8'), 'new')
    assert.deepEqual(await readdir(folder.path('dotfiles')), ['config'])
  })

  test('a link that leads nowhere is refused', async () => {
    await symlink('gone', path)
    assert.throws(() => replace('new', undefined), is('kubeconfig_unwritable', /is a link to a file that is not there/))
    assert.ok((await lstat(path)).isSymbolicLink())
  })

  test('what somebody else has changed since it was read is not overwritten', async () => {
    await writeFile(path, 'theirs')
    for (const previous of ['old', undefined]) {
      assert.throws(() => replace('new', previous), is('kubeconfig_unwritable', /somebody else has just changed it/))
    }
    await rm(path)
    assert.throws(() => replace('new', 'theirs'), is('kubeconfig_unwritable', /config/))
    assert.deepEqual(await readdir(folder.path('.')), [])
  })

  test('a backup is made where it is asked for, and never over another one', async () => {
    await writeFile(path, 'old', { mode: 0o600 })
    const kept = replace('new', 'old', true)
    assert.equal(kept, `${path}.bak-20260102T030405Z`)
    assert.equal(await readFile(kept ?? '', 'utf8'), 'old')
    assert.equal(await mode(kept ?? ''), '600')
    assert.throws(() => replace('newer', 'new', true), is('kubeconfig_unwritable', /bak-/))
    assert.equal(await readFile(path, 'utf8'), 'new')
    assert.deepEqual((await readdir(folder.path('.'))).length, 2)
  })

  test('another name of the file (a hard link) keeps the old content', async () => {
    await writeFile(path, 'old')
    await link(path, folder.path('other'))
    replace('new', 'old')
    assert.equal(await readFile(folder.path('other'), 'utf8'), 'old')
  })

  test('what is no file is not read, and a pipe keeps nobody waiting', async () => {
    await mkdir(path)
    assert.throws(() => readKubeconfigFile(path), is('file_invalid', /is not a file|EISDIR/))
    assert.throws(() => readKubeconfigFile('/dev/null'), is('file_invalid', /is not a file/))
    const child = spawn('mkfifo', [folder.path('pipe')])
    await once(child, 'close')
    assert.throws(() => readKubeconfigFile(folder.path('pipe')), is('file_invalid', /is not a file/))
    await writeFile(folder.path('long'), Buffer.alloc(4 * 1024 * 1024 + 1))
    assert.throws(() => readKubeconfigFile(folder.path('long')), is('file_invalid', /longer than 4 MiB/))
    assert.equal(readKubeconfigFile(folder.path('none')), undefined)
  })

  test('T-S12 a program killed at any moment leaves the old file or the new one, whole', async () => {
    const program = fileURLToPath(new URL('rewrite-forever.ts', import.meta.url))
    const contents = ['a', 'b'].map((letter) => `${letter.repeat(300_000)}\n`)
    await writeFile(path, contents[0] ?? '')
    for (let round = 0; round < 12; round++) {
      const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] })
      let turns = 0
      // After some replacements, and then somewhere within the next.
      for await (const chunk of child.stdout) {
        turns += chunk.length
        if (turns > round * 3) child.kill('SIGKILL')
      }
      assert.ok(contents.includes(await readFile(path, 'utf8')))
    }
  })
})

describe('locks', () => {
  test("kubectl's lock is respected: nothing is done while it is there", async () => {
    await writeFile(`${path}.lock`, '')
    let ran = false
    const attempt = withKubeconfigLocks({ paths: [path], waitMs: 120 }, () => {
      ran = true
    })
    await assert.rejects(attempt, is('kubeconfig_locked', /config\.lock is there.*rm /s))
    assert.equal(ran, false)
    assert.deepEqual(await readdir(folder.path('.')), ['config.lock'])
  })

  test('is waited for, and the waiting can be ended', async () => {
    await writeFile(`${path}.lock`, '')
    const work = withKubeconfigLocks({ paths: [path], waitMs: 60_000 }, () => 'done')
    await rm(`${path}.lock`)
    assert.equal(await work, 'done')

    await writeFile(`${path}.lock`, '')
    const interruption = new AbortController()
    const waiting = withKubeconfigLocks({ paths: [path], waitMs: 60_000, signal: interruption.signal }, () => 'done')
    interruption.abort()
    await assert.rejects(waiting, is('credential_interrupted', /nothing was written/))
  })

  test('are held during the work, for the name and for what a link leads to, and are gone afterwards', async () => {
    await mkdir(folder.path('dotfiles'))
    await writeFile(folder.path('dotfiles/real'), '')
    await symlink('dotfiles/real', path)
    const during = await withKubeconfigLocks({ paths: [path], waitMs: 0 }, () => [
      readKubeconfigFile(`${path}.lock`) !== undefined,
      readKubeconfigFile(folder.path('dotfiles/real.lock')) !== undefined,
    ])
    assert.deepEqual(during, [true, true])
    const failing = withKubeconfigLocks({ paths: [path], waitMs: 0 }, () => {
      throw new Error('of the work')
    })
    await assert.rejects(failing, /of the work/)
    assert.deepEqual((await readdir(folder.path('.'))).sort(), ['config', 'dotfiles'])
    assert.deepEqual(await readdir(folder.path('dotfiles')), ['real'])
  })

  test('of several, none is kept where one is taken', async () => {
    await writeFile(folder.path('b.lock'), '')
    const paths = [folder.path('c'), folder.path('b'), folder.path('a')]
    await assert.rejects(
      withKubeconfigLocks({ paths, waitMs: 0 }, () => undefined),
      is('kubeconfig_locked', /b\.lock/),
    )
    assert.deepEqual(await readdir(folder.path('.')), ['b.lock'])
  })

  test('T-S14 a folder that is missing is made, for nobody else', async () => {
    const file = join(folder.path('.'), '.kube', 'config')
    await withKubeconfigLocks({ paths: [file], waitMs: 0 }, () => undefined)
    assert.equal(await mode(folder.path('.kube')), '700')
  })

  test('a folder that cannot be made is told', async () => {
    await writeFile(path, '')
    const attempt = withKubeconfigLocks({ paths: [`${path}/inside`], waitMs: 0 }, () => undefined)
    await assert.rejects(attempt, is('kubeconfig_unwritable', /cannot be written.*--kubeconfig/))
  })
})
