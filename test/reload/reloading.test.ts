import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { ArchwayError, InvalidDocumentError } from '../../src/errors.ts'
import { MAX_FILE_BYTES } from '../../src/reload/file-set.ts'
import { type ReloadingOptions, reloading } from '../../src/reload/reloading.ts'
import { LATER, memoryFiles, type RecordingLog, recordingLog } from './support.ts'

const joined = (files: ReadonlyMap<string, Buffer>): string => [...files.values()].map(String).join('+')

/** The text of all files, following them only when told to. */
function following(
  files: ReturnType<typeof memoryFiles>,
  log: RecordingLog,
  over: Partial<ReloadingOptions<string>> = {},
) {
  const base = { name: 'things', paths: ['/a'], load: joined, log, intervalMs: 0, now: () => LATER, reads: files }
  return reloading<string>({ ...base, ...over })
}

/** Accepts a pair only when both end in the same digit, as a certificate and its key belong together. */
function pair(files: ReadonlyMap<string, Buffer>): string {
  const [cert, key] = [String(files.get('/crt')), String(files.get('/key'))]
  if (cert.at(-1) !== key.at(-1)) throw new Error('the key is not that of the certificate')
  return `${cert} ${key}`
}

describe('the first load', () => {
  test('gives the value of all files and their status', async () => {
    const log = recordingLog()
    const files = memoryFiles({ '/a': 'one', '/b': 'two' })
    const followed = await following(files, log, { paths: ['/a', '/b'] })
    assert.equal(followed.current(), 'one+two')
    const { digest, ...status } = followed.status()
    assert.deepEqual(status, { name: 'things', ok: true, loadedAt: LATER, reloads: 0, failures: 0 })
    assert.match(digest, /^[0-9a-f]{64}$/)
    assert.deepEqual(log.lines, [])
  })

  test('the digest of one file is what sha256sum prints', async () => {
    const followed = await following(memoryFiles({ '/a': 'abc' }), recordingLog())
    assert.equal(followed.status().digest, 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  })

  const refused: readonly [string, Partial<ReloadingOptions<string>>, RegExp][] = [
    ['a file that is not there', { paths: ['/none'] }, /^\/none: is not there\. Check the path/],
    ['a folder', { paths: ['/dir'] }, /^\/dir: is not a regular file\./],
    [
      'a file that is too large',
      { paths: ['/huge'] },
      /^\/huge: is 16777217 bytes long, more than the 16777216 allowed/,
    ],
    ['a load that throws', { load: () => assert.fail('it is bent') }, /^\/a: it is bent$/],
    ['a load that rejects', { load: () => Promise.reject(new Error('it is bent')) }, /^\/a: it is bent$/],
    ['a load that throws no error', { load: () => Promise.reject('bent') }, /^\/a: bent$/],
  ]
  for (const [title, over, message] of refused) {
    test(`${title} is file_invalid, naming path and cause`, async () => {
      const files = memoryFiles({ '/a': 'one' })
      files.write('/dir', '', { isFile: false })
      files.write('/huge', '', { size: MAX_FILE_BYTES + 1 })
      await assert.rejects(following(files, recordingLog(), over), (thrown) => {
        assert.ok(thrown instanceof ArchwayError)
        assert.equal(thrown.code, 'file_invalid')
        assert.match(thrown.message, message)
        return true
      })
    })
  }

  test('an error that names its file already is passed on whole', async () => {
    const mine = new InvalidDocumentError('file_invalid', '/a', [{ path: '', line: 3, message: 'is bent' }])
    const load = () => Promise.reject(mine)
    await assert.rejects(following(memoryFiles({ '/a': 'one' }), recordingLog(), { load }), mine)
  })

  for (const [text, message] of [
    ['{"k": canary', '/a: cannot be parsed'],
    ['{"canary" 1}', '/a: cannot be parsed at position 10'],
  ] as const) {
    test(`T-S1 an error of JSON.parse loses the text it quotes: ${message}`, async () => {
      const load = (files: ReadonlyMap<string, Buffer>) => JSON.parse(joined(files))
      await assert.rejects(following(memoryFiles({ '/a': text }), recordingLog(), { load }), (thrown) => {
        assert.ok(thrown instanceof ArchwayError)
        assert.equal(thrown.message, message)
        assert.equal(thrown.cause, undefined)
        return true
      })
    })
  }
})

describe('a look', () => {
  test('does not read files whose facts are the same', async () => {
    const files = memoryFiles({ '/a': 'one' })
    const followed = await following(files, recordingLog())
    files.read.length = 0
    assert.equal(await followed.check(), 'unchanged')
    assert.deepEqual(files.read, [])
  })

  test('a touched file with the same content is unchanged, loaded not again and not logged', async () => {
    const files = memoryFiles({ '/a': 'one' })
    const log = recordingLog()
    let loads = 0
    const followed = await following(files, log, { load: () => `load ${++loads}` })
    files.write('/a', 'one')
    assert.equal(await followed.check(), 'unchanged')
    files.read.length = 0
    assert.equal(await followed.check(), 'unchanged')
    assert.deepEqual(files.read, [], 'the new facts are trusted from then on')
    assert.equal(loads, 1)
    assert.deepEqual(log.lines, [])
  })

  test('changed content is put in force, counted, logged and announced', async () => {
    const files = memoryFiles({ '/a': 'one' })
    const log = recordingLog()
    const announced: string[] = []
    const followed = await following(files, log, { onChange: (value) => announced.push(value) })
    const before = followed.status().digest
    files.write('/a', 'two')
    assert.equal(await followed.check(), 'reloaded')
    assert.equal(followed.current(), 'two')
    assert.deepEqual(announced, ['two'])
    const status = followed.status()
    assert.notEqual(status.digest, before)
    assert.equal(status.reloads, 1)
    assert.deepEqual(log.lines, [
      { level: 'info', fields: { file: 'things', paths: ['/a'], digest: status.digest }, message: 'files reloaded' },
    ])
  })

  test('a file that has not rested is read again, since a write within one clock tick leaves its facts alone', async () => {
    const files = memoryFiles()
    const facts = { stamp: 'same', changedAt: LATER.getTime() - 1000 }
    files.write('/a', 'one', facts)
    const followed = await following(files, recordingLog())
    files.write('/a', 'two', facts)
    assert.equal(await followed.check(), 'reloaded')
  })

  test('T-S9 a set that changes while it is read is read again, so that halves are never loaded', async () => {
    const files = memoryFiles({ '/crt': 'crt1', '/key': 'key1' })
    const followed = await following(files, recordingLog(), { paths: ['/crt', '/key'], load: joined })
    files.write('/crt', 'crt2')
    files.beforeContent = (path) => {
      if (path !== '/key') return
      files.beforeContent = () => undefined
      files.write('/crt', 'crt3')
      files.write('/key', 'key3')
    }
    assert.equal(await followed.check(), 'reloaded')
    assert.equal(followed.current(), 'crt3+key3')
  })

  test('T-S9 a set that never comes to rest is a failure', async () => {
    const files = memoryFiles({ '/a': 'one' })
    const followed = await following(files, recordingLog())
    files.write('/a', 'two')
    files.beforeContent = () => files.write('/a', 'three')
    assert.equal(await followed.check(), 'failed')
    assert.match(followed.status().error ?? '', /^\/a: changes while it is being read\./)
    assert.equal(followed.current(), 'one')
  })

  test('concurrent calls share one look', async () => {
    const files = memoryFiles({ '/a': 'one' })
    const followed = await following(files, recordingLog())
    files.write('/a', 'two')
    files.read.length = 0
    assert.deepEqual(await Promise.all([followed.check(), followed.check()]), ['reloaded', 'reloaded'])
    assert.deepEqual(files.read, ['/a'])
    assert.equal(await followed.check(), 'unchanged')
  })
})

describe('a failing look', () => {
  test('T-S9 a half-written pair keeps the old one until its other half is there', async () => {
    const files = memoryFiles({ '/crt': 'crt1', '/key': 'key1' })
    const log = recordingLog()
    const followed = await following(files, log, { paths: ['/crt', '/key'], load: pair })
    files.write('/crt', 'crt2')
    assert.equal(await followed.check(), 'failed')
    assert.equal(followed.current(), 'crt1 key1')
    const { ok, error, failures } = followed.status()
    assert.deepEqual(
      { ok, error, failures },
      {
        ok: false,
        error: '/crt, /key: the key is not that of the certificate',
        failures: 1,
      },
    )
    assert.deepEqual(
      log.lines.map(({ level, message }) => [level, message]),
      [['error', 'reload failed, the last good content stays in force']],
    )
    files.write('/key', 'key2')
    assert.equal(await followed.check(), 'reloaded')
    assert.equal(followed.current(), 'crt2 key2')
    assert.equal(followed.status().ok, true)
    assert.equal('error' in followed.status(), false)
  })

  test('is repeated while it lasts and logged once for each cause and content', async () => {
    const files = memoryFiles({ '/a': 'good' })
    const log = recordingLog()
    let loads = 0
    const load = (all: ReadonlyMap<string, Buffer>) => {
      loads += 1
      if (joined(all).startsWith('bad')) throw new Error('it is bent')
      return joined(all)
    }
    const followed = await following(files, log, { load })
    files.write('/a', 'bad 1')
    for (const outcome of [await followed.check(), await followed.check(), await followed.check()]) {
      assert.equal(outcome, 'failed')
    }
    assert.equal(loads, 4)
    assert.equal(followed.status().failures, 3)
    assert.equal(log.lines.length, 1)
    files.write('/a', 'bad 2')
    await followed.check()
    await followed.check()
    assert.equal(log.lines.length, 2, 'other content, the same cause')
    files.remove('/a')
    await followed.check()
    await followed.check()
    assert.equal(log.lines.length, 3, 'another cause')
  })

  test('a fault outside the files heals without a change of them', async () => {
    const files = memoryFiles({ '/a': 'one' })
    let fault = false
    const load = (all: ReadonlyMap<string, Buffer>) => (fault ? assert.fail('not now') : joined(all))
    const followed = await following(files, recordingLog(), { load })
    fault = true
    files.write('/a', 'two')
    assert.equal(await followed.check(), 'failed')
    fault = false
    assert.equal(await followed.check(), 'reloaded')
    assert.equal(followed.current(), 'two')
  })

  test('a file that vanishes keeps the last good content; its return is recovery, not reload', async () => {
    const files = memoryFiles({ '/a': 'one' })
    const log = recordingLog()
    const followed = await following(files, log)
    files.remove('/a')
    assert.equal(await followed.check(), 'failed')
    assert.equal(followed.current(), 'one')
    assert.match(followed.status().error ?? '', /^\/a: is not there\./)
    files.write('/a', 'one')
    assert.equal(await followed.check(), 'unchanged')
    assert.equal(followed.status().ok, true)
    assert.deepEqual(
      log.lines.map(({ level }) => level),
      ['error', 'info'],
    )
  })

  test('a file that grows too large keeps the last good content', async () => {
    const files = memoryFiles({ '/a': 'one' })
    const followed = await following(files, recordingLog())
    files.write('/a', '', { size: MAX_FILE_BYTES + 1 })
    files.read.length = 0
    assert.equal(await followed.check(), 'failed')
    assert.deepEqual(files.read, [])
    assert.equal(followed.current(), 'one')
  })
})

describe('what follows a swap', () => {
  const listeners: readonly [string, (value: string) => void][] = [
    ['throws', () => assert.fail('listener')],
    ['rejects', () => Promise.reject(new Error('listener'))],
  ]
  for (const [title, onChange] of listeners) {
    test(`a listener that ${title} is logged and changes nothing`, async () => {
      const files = memoryFiles({ '/a': 'one' })
      const log = recordingLog()
      const followed = await following(files, log, { onChange })
      files.write('/a', 'two')
      assert.equal(await followed.check(), 'reloaded')
      await setImmediate()
      assert.equal(followed.current(), 'two')
      assert.deepEqual(log.lines.at(-1), {
        level: 'error',
        fields: { file: 'things', paths: ['/a'], error: 'listener' },
        message: 'what follows a reload failed',
      })
    })
  }

  test('T-S14 files with secrets that are open to others are warned of once a load', async () => {
    const files = memoryFiles()
    files.write('/a', 'one', { mode: 0o100644 })
    const log = recordingLog()
    const followed = await following(files, log, { secret: true })
    const warnings = () => log.lines.filter(({ level }) => level === 'warn').length
    assert.equal(warnings(), 1)
    await followed.check()
    files.write('/a', 'one', { mode: 0o100666 })
    await followed.check()
    assert.equal(warnings(), 1)
    files.write('/a', 'two', { mode: 0o100644 })
    await followed.check()
    assert.equal(warnings(), 2)
    files.write('/a', 'three', { mode: 0o100640 })
    await followed.check()
    assert.equal(warnings(), 2)
  })

  test('files without secrets may be read by everybody', async () => {
    const files = memoryFiles()
    files.write('/a', 'one', { mode: 0o100644 })
    const log = recordingLog()
    await following(files, log)
    assert.deepEqual(log.lines, [])
  })
})

describe('the timer', () => {
  test('looks every interval, one look at a time', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const started = t.mock.method(globalThis, 'setInterval')
    const files = memoryFiles({ '/a': 'one' })
    const followed = await following(files, recordingLog(), { intervalMs: 500 })
    assert.equal(started.mock.calls[0]?.arguments[1], 500)
    files.write('/a', 'two')
    files.read.length = 0
    t.mock.timers.tick(1000)
    await followed.check()
    assert.deepEqual(files.read, ['/a'], 'the second tick and the call joined the look of the first')
    assert.equal(followed.current(), 'two')
    followed.close()
  })

  test('is not waited for when the process ends', async (t) => {
    const started = t.mock.method(globalThis, 'setInterval')
    const followed = await following(memoryFiles({ '/a': 'one' }), recordingLog(), { intervalMs: 60_000 })
    const timer = started.mock.calls[0]?.result
    assert.equal(timer?.hasRef(), false)
    followed.close()
  })

  test('after close nothing is looked at, and a look under way changes nothing', async () => {
    const files = memoryFiles({ '/a': 'one' })
    const log = recordingLog()
    const followed = await following(files, log)
    files.write('/a', 'two')
    const underWay = followed.check()
    followed.close()
    assert.equal(await underWay, 'unchanged')
    assert.equal(await followed.check(), 'unchanged')
    assert.equal(followed.current(), 'one')
    assert.deepEqual(log.lines, [])
  })
})
