/** Reading a recording, and deciding on it once more. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { linesOf } from '../../../src/authz/recording/json-lines.ts'
import { type RecordedLine, readRecording } from '../../../src/authz/recording/reader.ts'
import { headerText, lineText, reviewText } from '../../../src/authz/recording/record.ts'
import { replay } from '../../../src/authz/recording/replay.ts'
import { callContext } from '../../support/context.ts'
import { ALLOW, authorizer, chunks, NO_OPINION, NOON, review } from './support.ts'

const HEADER = headerText({ startedAt: NOON.toISOString(), users: 'plain' })
const plain = (name: string): string => name
const line = (...args: Parameters<typeof review>): string => lineText(reviewText(review(...args), ALLOW, plain), NOON)

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

async function read(...parts: readonly string[]): Promise<RecordedLine[]> {
  const { reviews } = await readRecording(chunks(...parts), 'r.jsonl')
  return collected(reviews)
}

describe('lines of a stream', () => {
  test('are the same however it is cut', async () => {
    const text = `one\n\ntwo ü\r\n${'x'.repeat(50)}\nlast`
    const whole = await collected(linesOf(chunks(text), { maxBytes: 20 }))
    const bytes = Array.from(Buffer.from(text), (byte) => Buffer.of(byte))
    const cut = (await collected(linesOf(stream(bytes), { maxBytes: 20 }))).flat()
    assert.deepEqual(cut, whole.flat())
    assert.deepEqual(
      cut.map((one) => (one.kind === 'line' ? one.bytes.toString() : one.kind)),
      ['one', '', 'two ü\r', 'too-long', 'last'],
    )
  })

  async function* stream(parts: readonly Buffer[]): AsyncGenerator<Buffer> {
    yield* parts
  }
})

describe('a recording that is read', () => {
  test('gives back what a policy decides by', async () => {
    const [first, second] = await read(
      HEADER,
      line('web'),
      lineText('{"verb":"get","path":"/healthz","decision":"deny"}', NOON, 7),
    )
    assert.ok(first?.kind === 'review' && second?.kind === 'review')
    const { user } = review()
    const extra = new Map([...user.extra].filter(([key]) => key.startsWith('alpha.')))
    assert.deepEqual(first.review, {
      at: NOON.toISOString(),
      count: 1,
      attributes: { ...review('web'), version: '', user: { ...user, uid: '', extra } },
      decision: 'allow',
      reason: ALLOW.reason,
    })
    assert.equal(second.review.count, 7)
    assert.equal(second.review.decision, 'deny')
    assert.deepEqual(second.review.attributes, {
      kind: 'non-resource',
      verb: 'get',
      path: '/healthz',
      extraPresent: false,
      user: { username: '', uid: '', groups: [], extra: new Map() },
    })
  })

  test('passes over lines that are none, and says which and why', async () => {
    const bad = ['nonsense', '{"at":"x"}', '{"decision":"perhaps"}', '[]', '{"a":1,"a":2}', 'x'.repeat(70_000)]
    const counts = ['0', '-1', '1.5', '"2"'].map(
      (count) => `{"at":"t","count":${count},"decision":"allow","resource":"p"}`,
    )
    const lines = await read(HEADER, [...bad, ...counts, ''].join('\n'), line())
    assert.deepEqual(
      lines.map(({ kind, line: number }) => [kind, number]),
      [...[...bad, ...counts].map((_, i) => ['unreadable', i + 2]), ['review', bad.length + counts.length + 2]],
    )
  })

  test('is refused where it is none', async () => {
    for (const text of [
      '',
      'nonsense\n',
      '{}\n',
      '{"recording":"other/v9"}\n',
      '{"recording":"archway/v1"}\n',
      line(),
    ]) {
      await assert.rejects(read(text), { code: 'file_invalid', message: /^r\.jsonl/ }, text)
    }
  })
})

describe('replay', () => {
  test('counts the reviews a candidate would decide otherwise, and shows each request once', async () => {
    const deleted = lineText(reviewText(review('', { verb: 'delete' }), NO_OPINION, plain), NOON)
    const more = lineText(reviewText(review('a'), ALLOW, plain), NOON, 10)
    const recording = await readRecording(chunks(HEADER, line('a'), line('b'), more, deleted, 'torn'), 'r')
    const candidate = authorizer(({ verb, ...rest }) =>
      verb === 'delete' || ('name' in rest && rest.name === 'b') ? { kind: 'allow', reason: 'new' } : NO_OPINION,
    )
    const report = await replay(recording, candidate, callContext(), { examples: 10 })
    assert.equal(report.reviews, 13)
    assert.equal(report.changedReviews, 12)
    assert.deepEqual(
      [...report.changes],
      [
        ['allow → no-opinion', 11],
        ['no-opinion → allow', 1],
      ],
    )
    assert.deepEqual(
      report.examples.map(({ before, after, reasons, reviews }) => [before, after, reasons, reviews]),
      [
        ['allow', 'no-opinion', { before: ALLOW.reason, after: NO_OPINION.reason }, 11],
        ['no-opinion', 'allow', { before: NO_OPINION.reason, after: 'new' }, 1],
      ],
    )
    assert.equal(report.unreadable.count, 1)
    assert.equal(report.from, NOON.toISOString())
  })

  test('keeps as many examples as were asked for, and counts all', async () => {
    const recording = await readRecording(chunks(HEADER, ...Array.from({ length: 30 }, (_, i) => line(`${i}`))), 'r')
    const report = await replay(
      recording,
      authorizer(() => NO_OPINION),
      callContext(),
      { examples: 3 },
    )
    assert.deepEqual([report.examples.length, report.changedReviews], [3, 30])
  })
})
