import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { reloading } from '../../src/reload/reloading.ts'
import { type RecordingLog, recordingLog } from './support.ts'

let dir: string
let log: RecordingLog
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'archway-reload-'))
  log = recordingLog()
})
afterEach(() => rm(dir, { recursive: true }))

function follow(names: readonly string[]) {
  const load = (files: ReadonlyMap<string, Buffer>) => [...files.values()].map(String).join('+')
  return reloading({ name: 'disk', paths: names.map((name) => join(dir, name)), load, log, intervalMs: 0 })
}

/** What the kubelet does: a new folder, and `..data` renamed over to it. */
async function project(version: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(join(dir, version))
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, version, name), content)
  await symlink(version, join(dir, '..data_tmp'))
  await rename(join(dir, '..data_tmp'), join(dir, '..data'))
}

test('T-S9 a volume of a Secret is followed through its swapped link, all files at once', async () => {
  await project('v1', { crt: 'crt1', key: 'key1' })
  for (const name of ['crt', 'key']) await symlink(join('..data', name), join(dir, name))
  const followed = await follow(['crt', 'key'])
  await project('v2', { crt: 'crt2', key: 'key2' })
  assert.equal(await followed.check(), 'reloaded')
  assert.equal(followed.current(), 'crt2+key2')
})

test('a rewritten file of the same length is seen at once', async () => {
  await writeFile(join(dir, 'a'), 'one')
  const followed = await follow(['a'])
  for (const content of ['two', 'six', 'ten']) {
    await writeFile(join(dir, 'a'), content)
    assert.equal(await followed.check(), 'reloaded')
    assert.equal(followed.current(), content)
  }
})

test('a touched file is unchanged', async () => {
  await writeFile(join(dir, 'a'), 'one')
  const followed = await follow(['a'])
  await utimes(join(dir, 'a'), 1, 1)
  assert.equal(await followed.check(), 'unchanged')
  await chmod(join(dir, 'a'), 0o600)
  assert.equal(await followed.check(), 'unchanged')
})

test('an empty file and one of several read sizes come whole', async () => {
  await writeFile(join(dir, 'a'), '')
  await writeFile(join(dir, 'b'), 'b'.repeat(3_000_001))
  const followed = await follow(['a', 'b'])
  assert.equal(followed.current(), `+${'b'.repeat(3_000_001)}`)
})

test('what is no regular file is refused and never waited for', async () => {
  execFileSync('mkfifo', [join(dir, 'pipe')])
  await symlink('loop', join(dir, 'loop'))
  await mkdir(join(dir, 'folder'))
  await assert.rejects(follow(['pipe']), { code: 'file_invalid', message: /pipe: is not a regular file/ })
  await assert.rejects(follow(['folder']), { code: 'file_invalid', message: /folder: is not a regular file/ })
  await assert.rejects(follow(['loop']), { code: 'file_invalid', message: /loop: is a symbolic link that leads back/ })
  await assert.rejects(follow(['none']), { code: 'file_invalid', message: /none: is not there/ })
  await assert.rejects(follow(['pipe/below']), { code: 'file_invalid', message: /below: is not there/ })
})

test('a removed file is a failure, and its return a recovery', async () => {
  await writeFile(join(dir, 'a'), 'one')
  const followed = await follow(['a'])
  await rm(join(dir, 'a'))
  assert.equal(await followed.check(), 'failed')
  assert.equal(followed.current(), 'one')
  await writeFile(join(dir, 'a'), 'two')
  assert.equal(await followed.check(), 'reloaded')
  assert.equal(followed.status().ok, true)
})
