import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, test } from 'node:test'
import { editFile, readEditable, readText } from '../../../src/authn/password-file/edit-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'archway-edit-'))
after(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'users')
const lock = `${path}.archway-new`
const isRoot = process.geteuid?.() === 0

beforeEach(() => {
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true })
})

describe('editing a file', () => {
  test('T-S14 a file that is not there is made 0600, whatever the umask, and nothing is left beside it', async () => {
    const umask = process.umask(0)
    try {
      await editFile(path, (text) => `${text}one\n`)
    } finally {
      process.umask(umask)
    }
    assert.equal(readFileSync(path, 'utf8'), 'one\n')
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.deepEqual(readdirSync(folder), ['users'])
  })

  test('T-S14 mode stays, and the file is another one: whoever reads the old one reads it whole', async () => {
    writeFileSync(path, 'one\n')
    chmodSync(path, 0o640)
    linkSync(path, join(folder, 'old'))
    await editFile(path, (text) => `${text}two\n`)
    assert.equal(readFileSync(path, 'utf8'), 'one\ntwo\n')
    assert.equal(readFileSync(join(folder, 'old'), 'utf8'), 'one\n')
    assert.equal(statSync(path).mode & 0o777, 0o640)
  })

  test('T-S14 the owner stays when root changes it', { skip: !isRoot && 'needs root' }, async () => {
    writeFileSync(path, 'one\n', { mode: 0o600 })
    chownSync(path, 4711, 4712)
    await editFile(path, () => 'two\n')
    const { uid, gid, mode } = statSync(path)
    assert.deepEqual([uid, gid, mode & 0o777], [4711, 4712, 0o600])
  })

  test('T-S14 links, folders and bytes that are no text are refused, and stay as they are', async () => {
    const target = join(folder, 'target')
    writeFileSync(target, 'one\n')
    symlinkSync(target, path)
    await assert.rejects(
      editFile(path, () => 'x'),
      { code: 'file_invalid', message: /is a symbolic link/ },
    )
    assert.equal(readFileSync(target, 'utf8'), 'one\n')
    assert.equal(readText(path), 'one\n')
    await assert.rejects(
      editFile(folder, () => 'x'),
      { code: 'file_invalid', message: /is not a regular file/ },
    )
    rmSync(`${folder}.archway-new`, { force: true })
    writeFileSync(target, Buffer.from([0xff]))
    await assert.rejects(
      editFile(target, () => 'x'),
      { code: 'file_invalid', message: /is not UTF-8/ },
    )
    await assert.rejects(
      editFile(join(folder, 'no', 'where'), () => 'x'),
      { code: 'file_invalid', message: /ENOENT/ },
    )
    assert.deepEqual(readdirSync(folder).sort(), ['target', 'users'])
  })

  test('a dangling link is refused, not followed to a new file', async () => {
    symlinkSync(join(folder, 'target'), path)
    await assert.rejects(
      editFile(path, () => 'x'),
      { code: 'file_invalid' },
    )
    assert.equal(existsSync(join(folder, 'target')), false)
  })

  test('what is thrown while changing leaves the file, and no lock', async () => {
    writeFileSync(path, 'one\n')
    await assert.rejects(
      editFile(path, () => {
        throw new TypeError('no')
      }),
      TypeError,
    )
    assert.equal(readFileSync(path, 'utf8'), 'one\n')
    assert.deepEqual(readdirSync(folder), ['users'])
  })

  test('no change writes nothing', async () => {
    writeFileSync(path, 'one\n')
    const before = statSync(path)
    await editFile(path, (text) => text)
    assert.equal(statSync(path).ino, before.ino)
    await editFile(join(folder, 'other'), (text) => text)
    assert.deepEqual(readdirSync(folder), ['users'])
    assert.equal(readEditable(join(folder, 'other')), undefined)
  })

  test('a lock that stays is told, with what to do, and not taken away', async () => {
    writeFileSync(path, 'one\n')
    writeFileSync(lock, '')
    await assert.rejects(
      editFile(path, () => 'x', { waitMs: 0 }),
      {
        code: 'file_invalid',
        message: `${path}: is being changed by somebody else, or that was broken off. If nobody is at it, remove ${lock}`,
      },
    )
    assert.equal(existsSync(lock), true)
    assert.equal(readFileSync(path, 'utf8'), 'one\n')
  })

  test('T-S12 several processes at once lose no change', async () => {
    const source = new URL('../../../src/authn/password-file/edit-file.ts', import.meta.url).href
    const program = `
      const { editFile } = await import(${JSON.stringify(source)})
      for (let i = 0; i < 20; i++) {
        await editFile(process.argv[1], (text) => text + process.argv[2] + '-' + i + '\\n', { waitMs: 60_000 })
      }`
    const workers = ['a', 'b', 'c'].map(async (name) => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', program, path, name], { stdio: 'inherit' })
      const [status] = await once(child, 'exit')
      assert.equal(status, 0)
    })
    await Promise.all(workers)
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    const all = ['a', 'b', 'c'].flatMap((name) => Array.from({ length: 20 }, (_, i) => `${name}-${i}`))
    assert.deepEqual(lines.sort(), all.sort())
    assert.deepEqual(readdirSync(folder), ['users'])
  })
})
