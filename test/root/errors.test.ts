import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ArchwayError, ERROR_CODES, type ErrorCode, InvalidDocumentError, messageOf } from '../../src/errors.ts'

const codes = Object.keys(ERROR_CODES) as ErrorCode[]

/** Codes that were released once and are gone. None of them may come back with another meaning. */
const RETIRED: readonly string[] = []

describe('the table', () => {
  test('is sorted, so that a code is found and never stands twice', () => assert.deepEqual(codes, [...codes].sort()))

  test('has codes that can stand in a label, a field and a heading', () => {
    for (const code of codes) assert.match(code, /^[a-z]+(_[a-z]+)*$/)
  })

  test('has no retired code', () => {
    for (const code of RETIRED) assert.ok(!(code in ERROR_CODES), code)
  })

  for (const code of codes) {
    test(`${code} says what it means, in sentences, and has a status of an error`, () => {
      const row: { status?: number; meaning: string } = ERROR_CODES[code]
      assert.match(row.meaning, /^\S.{15,}\.$/)
      if (row.status !== undefined) assert.ok(row.status >= 400 && row.status <= 599)
    })
  }
})

describe('ArchwayError', () => {
  test('is an Error with name, code, message and status', () => {
    const error = new ArchwayError('body_invalid', 'the body is empty')
    assert.ok(error instanceof Error)
    assert.equal(error.name, 'ArchwayError')
    assert.equal(error.code, 'body_invalid')
    assert.equal(error.message, 'the body is empty')
    assert.equal(error.status, 400)
    assert.equal(error.retryAfter, undefined)
    assert.ok(!('cause' in error))
  })

  test('keeps its cause and the time to wait', () => {
    const cause = new Error('reset')
    const error = new ArchwayError('keystone_unreachable', 'lost', { cause, retryAfter: 0 })
    assert.equal(error.cause, cause)
    assert.equal(error.retryAfter, 0)
  })

  for (const code of codes) {
    test(`T-W5 ${code}: the asker reads the message only where the table lets it`, () => {
      const row: { status?: number; exposed: boolean } = ERROR_CODES[code]
      const error = new ArchwayError(code, 'the message')
      assert.equal(error.status, row.status ?? 500)
      const open = row.exposed && row.status !== undefined
      assert.equal(error.publicMessage, open ? 'the message' : `could not decide (${code})`)
    })
  }

  test('T-W5 nothing that is an outage or a fault behind us is told in words', () => {
    const silent = [
      'authorizers_failed',
      'internal',
      'keystone_answer_invalid',
      'keystone_busy',
      'keystone_timeout',
      'keystone_unreachable',
      'sources_failed',
      'file_invalid',
      'config_invalid',
    ] as const
    for (const code of silent) {
      assert.equal(new ArchwayError(code, 'x').publicMessage, `could not decide (${code})`)
    }
  })
})

describe('InvalidDocumentError', () => {
  test('tells every problem with its place', () => {
    const problems = [
      { path: 'server.listen', message: 'expected host:port', line: 3, column: 5 },
      { path: '', message: 'not YAML', line: 1 },
      { path: 'cache.ttl', message: 'missing' },
      { path: '', message: 'empty' },
    ]
    const error = new InvalidDocumentError('config_invalid', 'archway.yaml', problems)
    assert.ok(error instanceof ArchwayError)
    assert.equal(error.name, 'InvalidDocumentError')
    assert.equal(error.where, 'archway.yaml')
    assert.deepEqual(error.problems, problems)
    assert.equal(
      error.message,
      'archway.yaml: line 3: server.listen: expected host:port\nline 1: not YAML\ncache.ttl: missing\nempty',
    )
  })
})

test('anything that was thrown has a message', () => {
  for (const [thrown, message] of [
    [new ArchwayError('internal', 'fault'), 'fault'],
    [new DOMException('gone', 'AbortError'), 'gone'],
    ['text', 'text'],
    [undefined, 'undefined'],
    [null, 'null'],
    [7, '7'],
    [Symbol('s'), 'Symbol(s)'],
    [Object.create(null), 'something was thrown that cannot be printed'],
    [
      {
        toString() {
          throw new Error('no')
        },
      },
      'something was thrown that cannot be printed',
    ],
  ] as const) {
    assert.equal(messageOf(thrown), message)
  }
})
