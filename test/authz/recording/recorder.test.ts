/** The recorder: what goes into the file, how long it grows, and that nothing about it touches a decision. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { recorded } from '../../../src/authz/recording/recorded.ts'
import { MIN_RECORDING_BYTES, openRecorder, type RecorderOptions } from '../../../src/authz/recording/recorder.ts'
import { callContext, recordingLog } from '../../support/context.ts'
import { ALLOW, authorizer, IDENTITY, linesIn, memoryRecordings, NO_OPINION, NOON, review } from './support.ts'

const folder = await mkdtemp(join(tmpdir(), 'recorder-'))
after(() => rm(folder, { recursive: true }))

async function open(over: Partial<RecorderOptions> = {}) {
  const files = memoryRecordings()
  const log = recordingLog()
  const recorder = await openRecorder({ path: 'r', maxBytes: 1e6, log, now: () => NOON, files, ...over })
  return { recorder, files, log }
}

describe('a recorded review', () => {
  test('has who, what and the decision; no uid, no other key of extra', async () => {
    const { recorder, files } = await open()
    recorder.record(review('web'), ALLOW)
    await recorder.close()
    const text = files.content.get('r') ?? ''
    assert.deepEqual(linesIn(text), [
      { recording: 'archway/v1', startedAt: NOON.toISOString(), users: 'plain' },
      {
        at: NOON.toISOString(),
        user: 'jane',
        groups: ['p-1', 'system:authenticated'],
        extra: { [`${IDENTITY}/roles`]: ['member'], [`${IDENTITY}/project/id`]: ['p-1'] },
        verb: 'get',
        group: 'apps',
        resource: 'deployments',
        subresource: 'scale',
        namespace: 'default',
        name: 'web',
        decision: 'allow',
        reason: ALLOW.reason,
      },
    ])
    assert.equal(text.includes('canary'), false)
  })

  test('tells no extra from an empty one', async () => {
    const { recorder, files } = await open()
    const user = { username: 'jane', uid: '', groups: [], extra: new Map() }
    recorder.record(review('', { user, extraPresent: false }), NO_OPINION)
    recorder.record(review('', { user, extraPresent: true }), NO_OPINION)
    await recorder.close()
    const [, without, empty] = linesIn(files.content.get('r'))
    assert.equal(without !== undefined && 'extra' in without, false)
    assert.deepEqual(empty?.['extra'], {})
  })

  test('is written once; a line at the end has the number of those that followed', async () => {
    const { recorder, files } = await open()
    for (let i = 0; i < 5; i++) recorder.record(review('web'), ALLOW)
    recorder.record(review('web'), NO_OPINION)
    assert.deepEqual({ ...recorder.status() }, { reviews: 6, repeated: 4, dropped: 0, failures: 0, state: 'recording' })
    await recorder.close()
    const lines = linesIn(files.content.get('r')).slice(1)
    assert.deepEqual(
      lines.map(({ decision, count }) => [decision, count]),
      [
        ['allow', undefined],
        ['no-opinion', undefined],
        ['allow', 4],
      ],
    )
  })

  test('that is very long is dropped', async () => {
    const { recorder } = await open()
    const groups = Array.from({ length: 2000 }, (_, i) => `group-${i}`)
    recorder.record(review('', { user: { username: 'jane', uid: '', groups, extra: new Map() } }), ALLOW)
    assert.equal(recorder.status().dropped, 1)
    await recorder.close()
  })

  test('may have a stand-in for the name, another one in each file; the reason does not tell the name either', async () => {
    const recordings = await Promise.all(
      [1, 2].map(async (byte) => {
        const { recorder, files } = await open({ hashUsers: true, randomKey: () => Buffer.alloc(32, byte) })
        recorder.record(review(), { kind: 'allow', reason: 'RBAC: allowed by … to User "jane"' })
        recorder.record(review('b'), ALLOW)
        const node = { username: 'system:node:a', uid: '', groups: [], extra: new Map() }
        recorder.record(review('', { user: node }), ALLOW)
        await recorder.close()
        return files.content.get('r') ?? ''
      }),
    )
    assert.ok(recordings.every((text) => !text.includes('jane')))
    const names = recordings.map((text) => linesIn(text).map(({ user }) => user))
    assert.match(String(names[0]?.[1]), /^user-[\w-]{16}$/)
    assert.equal(names[0]?.[1], names[0]?.[2], 'the same in one file')
    assert.notEqual(names[0]?.[1], names[1]?.[1])
    assert.equal(names[0]?.[3], 'system:node:a')
    assert.equal(linesIn(recordings[0])[0]?.['users'], 'hashed')
  })
})

describe('the length of a recording', () => {
  const fill = (recorder: { record: (...args: [ReturnType<typeof review>, typeof ALLOW]) => void }, count: number) => {
    for (let i = 0; i < count; i++) {
      recorder.record(review(`web-${i}`), ALLOW)
      recorder.record(review(`web-${i % 50}`), ALLOW)
    }
  }

  test('ends at the limit, counts included, and that is said once', async () => {
    const { recorder, files, log } = await open({ maxBytes: MIN_RECORDING_BYTES })
    fill(recorder, 1000)
    const status = recorder.status()
    assert.equal(status.state, 'full')
    assert.equal(status.reviews + status.dropped, 2000)
    await recorder.close()
    const text = files.content.get('r') ?? ''
    assert.ok(text.length <= MIN_RECORDING_BYTES && text.length > MIN_RECORDING_BYTES * 0.9, `${text.length}`)
    assert.equal(
      linesIn(text)
        .slice(1)
        .reduce((sum, { count }) => sum + Number(count ?? 1), 0),
      status.reviews,
    )
    assert.deepEqual(
      log.lines.map(({ level, message }) => [level, message]),
      [['warn', 'recording is full and has stopped']],
    )
  })

  test('goes on in the next file where several are allowed, and the oldest goes', async () => {
    const { recorder, files, log } = await open({ maxBytes: MIN_RECORDING_BYTES, maxFiles: 3 })
    fill(recorder, 2000)
    await recorder.close()
    assert.deepEqual([...files.content.keys()].sort(), ['r', 'r.1', 'r.2'])
    for (const text of files.content.values()) {
      assert.ok(text.length <= MIN_RECORDING_BYTES)
      assert.equal(linesIn(text)[0]?.['recording'], 'archway/v1')
    }
    assert.ok(linesIn(files.content.get('r')).some(({ name }) => name === 'web-1999'))
    assert.equal(recorder.status().dropped, 0)
    assert.deepEqual(log.lines, [])
  })

  test('is at least so much that a review fits', async () => {
    await assert.rejects(open({ maxBytes: 10 }), { code: 'config_invalid' })
  })
})

describe('a recording that cannot be written', () => {
  test('changes no decision; it is said once and counted', async () => {
    const { recorder, files, log } = await open()
    await recorder.flush()
    files.failWrites = new Error('no space left on device')
    const subject = recorded(
      authorizer(() => ALLOW),
      recorder,
    )
    for (const name of ['a', 'b']) {
      assert.deepEqual(await subject.authorize(review(name), callContext()), ALLOW)
      await recorder.flush()
    }
    assert.deepEqual({ ...recorder.status() }, { reviews: 0, repeated: 0, dropped: 2, failures: 2, state: 'recording' })
    assert.deepEqual(
      log.lines.map(({ level, message }) => [level, message]),
      [['error', 'recording cannot be written; decisions go on']],
    )
    files.failWrites = undefined
    recorder.record(review('c'), ALLOW)
    await recorder.close()
    const last = linesIn(files.content.get('r')).at(-1)
    assert.equal(last?.['name'], 'c', 'goes on when it can, on a line of its own')
  })

  test('stops where the next file cannot be made', async () => {
    const { recorder, files, log } = await open({ maxBytes: MIN_RECORDING_BYTES, maxFiles: 2 })
    await recorder.flush()
    files.failCreates = new Error('read-only file system')
    for (let i = 0; i < 1000; i++) recorder.record(review(`web-${i}`), ALLOW)
    await recorder.flush()
    assert.equal(recorder.status().state, 'failed')
    assert.match(log.lines[0]?.message ?? '', /next file cannot be made/)
    await recorder.close()
  })

  test('keeps no more waiting than a few megabytes', async () => {
    const { recorder, log } = await open({ maxBytes: 1e9 })
    for (let i = 0; i < 20_000; i++) recorder.record(review(`web-${i}`), ALLOW)
    const { reviews, dropped } = recorder.status()
    assert.equal(reviews + dropped, 20_000)
    assert.ok(dropped > 0)
    assert.equal(log.lines.length, 1)
    await recorder.close()
  })
})

describe('the file', () => {
  const options = { maxBytes: 1e6, log: recordingLog(), now: () => NOON }

  test('T-S14 is for its owner alone', async () => {
    const path = join(folder, 'mode')
    const recorder = await openRecorder({ ...options, path })
    recorder.record(review(), ALLOW)
    await recorder.close()
    await recorder.close()
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.equal(linesIn(await readFile(path, 'utf8')).length, 2)
  })

  test('T-S14 is never one that was there, nor behind a link', async () => {
    const target = join(folder, 'target')
    await writeFile(target, 'precious', { mode: 0o644 })
    await symlink(target, join(folder, 'link'))
    await symlink(join(folder, 'nowhere'), join(folder, 'dangling'))
    for (const name of ['target', 'link', 'dangling']) {
      await assert.rejects(openRecorder({ ...options, path: join(folder, name) }), {
        code: 'file_invalid',
        message: /is there already.*Move it away/,
      })
    }
    assert.equal(await readFile(target, 'utf8'), 'precious')
    await assert.rejects(openRecorder({ ...options, path: join(folder, 'none/r') }), /its folder is not there/)
  })

  test('of an earlier run moves on where several are allowed', async () => {
    const path = join(folder, 'again')
    for (let run = 0; run < 4; run++) {
      const recorder = await openRecorder({ ...options, path, maxFiles: 3 })
      recorder.record(review(`run-${run}`), ALLOW)
      await recorder.close()
    }
    const names = await Promise.all(
      ['', '.1', '.2'].map(async (end) => linesIn(await readFile(`${path}${end}`, 'utf8'))[1]?.['name']),
    )
    assert.deepEqual(names, ['run-3', 'run-2', 'run-1'])
    await assert.rejects(stat(`${path}.3`))
  })
})

describe('recorded', () => {
  test('is the authorizer it wraps: name, decision and failure', async () => {
    const seen: unknown[] = []
    const sink = { record: (...args: unknown[]) => void seen.push(args) }
    const subject = recorded(
      authorizer(() => ALLOW),
      sink,
    )
    assert.equal(subject.name, 'fake')
    const attributes = review()
    assert.equal(await subject.authorize(attributes, callContext()), ALLOW)
    assert.deepEqual(seen, [[attributes, ALLOW]])
    const failing = recorded(
      authorizer(() => Promise.reject(new Error('broken'))),
      sink,
    )
    await assert.rejects(failing.authorize(attributes, callContext()), /broken/)
    assert.equal(seen.length, 1)
  })

  test('decides all the same with a sink that throws', async () => {
    const ctx = callContext()
    const sink = {
      record() {
        throw new Error('no')
      },
    }
    const subject = recorded(
      authorizer(() => ALLOW),
      sink,
    )
    assert.equal(await subject.authorize(review(), ctx), ALLOW)
    assert.equal(ctx.log.lines[0]?.level, 'error')
  })
})
