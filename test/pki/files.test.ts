import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { after, beforeEach, describe, test } from 'node:test'
import { makeFolder, readFile, replaceFile, writeNewFile } from '../../src/pki/files.ts'
import { Secret } from '../../src/secret.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'

let folder: TestFolder
const made: TestFolder[] = []
beforeEach(async () => {
  folder = await createFolder()
  made.push(folder)
})
after(() => Promise.all(made.map((one) => one.remove())))

function modeOf(path: string): string {
  return (lstatSync(path).mode & 0o777).toString(8)
}

describe('T-S14 files of keys', () => {
  test('a secret is for nobody but us, whatever the umask; so are the folders made for it', () => {
    const before = process.umask(0)
    try {
      writeNewFile({ path: folder.path('a/b/key'), content: new Secret('s') })
      writeNewFile({ path: folder.path('a/b/crt'), content: 'c' })
      replaceFile({ path: folder.path('a/b/key'), content: new Secret('t') })
    } finally {
      process.umask(before)
    }
    const modes = ['a', 'a/b', 'a/b/key', 'a/b/crt'].map((name) => modeOf(folder.path(name)))
    assert.deepEqual(modes, ['700', '700', '600', '644'])
    assert.equal(readFileSync(folder.path('a/b/key'), 'utf8'), 't')
  })

  test('nothing is written over a file that is there', () => {
    writeFileSync(folder.path('key'), 'old')
    assert.throws(() => writeNewFile({ path: folder.path('key'), content: new Secret('new') }), {
      code: 'file_unwritable',
      message: /there is a file of that name/,
    })
    assert.equal(readFileSync(folder.path('key'), 'utf8'), 'old')
  })

  for (const target of ['there', 'nowhere']) {
    test(`nothing is written through a link to ${target}`, () => {
      writeFileSync(folder.path('there'), 'old')
      symlinkSync(folder.path(target), folder.path('link'))
      for (const write of [writeNewFile, replaceFile]) {
        assert.throws(() => write({ path: folder.path('link'), content: new Secret('new') }), {
          code: 'file_unwritable',
        })
      }
      assert.equal(readFileSync(folder.path('there'), 'utf8'), 'old')
      assert.equal(existsSync(folder.path('nowhere')), false)
      assert.ok(lstatSync(folder.path('link')).isSymbolicLink())
    })
  }

  test('a folder that is a link, or that others may write in, is refused', () => {
    mkdirSync(folder.path('real'), { mode: 0o700 })
    symlinkSync(folder.path('real'), folder.path('link'))
    assert.throws(() => makeFolder(folder.path('link')), { code: 'file_unwritable', message: /is a link/ })
    mkdirSync(folder.path('open'))
    chmodSync(folder.path('open'), 0o770)
    assert.throws(() => makeFolder(folder.path('open')), { code: 'file_unwritable', message: /chmod go-w/ })
  })

  test('a replaced key keeps its owner and who of its group may read it, and is for nobody else', () => {
    for (const [before, after] of [
      [0o600, '600'],
      [0o640, '640'],
      [0o666, '640'],
    ] as const) {
      writeFileSync(folder.path('key'), 'old')
      chmodSync(folder.path('key'), before)
      if (process.getuid?.() === 0) chownSync(folder.path('key'), 65_534, 65_534)
      const { uid, gid } = lstatSync(folder.path('key'))
      replaceFile({ path: folder.path('key'), content: new Secret('new') })
      const now = lstatSync(folder.path('key'))
      assert.deepEqual([now.uid, now.gid, modeOf(folder.path('key'))], [uid, gid, after])
    }
  })

  test('what cannot be replaced stays, and nothing is left beside it', () => {
    mkdirSync(folder.path('busy/inside'), { recursive: true })
    assert.throws(() => replaceFile({ path: folder.path('busy'), content: 'x' }), { code: 'file_unwritable' })
    assert.deepEqual(lstatSync(folder.path('busy')).isDirectory(), true)
    assert.throws(() => readFile(folder.path('busy')), { code: 'file_invalid' })
  })
})
