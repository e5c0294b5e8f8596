import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { ArchwayError, InvalidDocumentError } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import {
  createLogger,
  LOG_LEVELS,
  type Logger,
  type LoggerOptions,
  type LogLevel,
  redact,
} from '../../src/telemetry/logger.ts'

type Fields = Readonly<Record<string, unknown>>

async function logging(
  options: Partial<LoggerOptions> = {},
): Promise<{ readonly log: Logger; readonly lines: string[] }> {
  const lines: string[] = []
  const log = await createLogger({ level: 'debug', format: 'json', write: (line) => lines.push(line), ...options })
  return { log, lines }
}

/** The one line that `work` writes, as it is parsed. */
async function logged(work: (log: Logger) => void, options: Partial<LoggerOptions> = {}): Promise<Fields> {
  const { log, lines } = await logging(options)
  work(log)
  assert.equal(lines.length, 1)
  return JSON.parse(lines[0] ?? '') as Fields
}

describe('a line', () => {
  test('is one JSON object with level, time, fields and message, and ends with a line break', async () => {
    const { log, lines } = await logging()
    log.info({ requestId: 'r-1', count: 2 }, 'something\nhappened')
    assert.equal(lines.length, 1)
    assert.match(lines[0] ?? '', /^\{[^\n]*\}\n$/)
    const { time, ...rest } = JSON.parse(lines[0] ?? '') as Fields
    assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.deepEqual(rest, { level: 'info', requestId: 'r-1', count: 2, message: 'something\nhappened' })
  })

  test('carries the fields of the loggers it comes from', async () => {
    const line = await logged((log) => log.child({ file: 'a' }).child({ part: 1 }).warn({ part: 2, x: null }, 'm'))
    assert.deepEqual([line['file'], line['part'], line['x'], line['level']], ['a', 2, null, 'warn'])
  })

  test('bears whatever a field holds', async () => {
    const circular: Record<string, unknown> = { a: 1 }
    circular['self'] = circular
    const line = await logged((log) => log.info({ circular, big: 12n, none: undefined, fn() {}, map: new Map() }, 'm'))
    assert.deepEqual(line['circular'], { a: 1, self: '[Circular]' })
    assert.equal(line['big'], 12)
    assert.ok(!('none' in line) && !('fn' in line))
  })
})

describe('levels', () => {
  const written = async (level: LogLevel, format: 'json' | 'human'): Promise<string[]> => {
    const { log, lines } = await logging({ level, format })
    for (const each of LOG_LEVELS) log[each]({}, `at ${each}`)
    return lines.map((line) => /at (\w+)/.exec(line)?.[1] ?? line)
  }

  for (const [index, level] of LOG_LEVELS.entries()) {
    test(`${level} shows itself and what is graver`, async () => {
      const expected = LOG_LEVELS.slice(0, index + 1)
      for (const format of ['json', 'human'] as const) assert.deepEqual(await written(level, format), expected)
    })
  }

  test('the record of reviews is shown at `decision` and hidden at `info`', async () => {
    const { log, lines } = await logging({ level: 'decision' })
    log.decision({ outcome: 'authenticated' }, 'review')
    assert.equal((JSON.parse(lines[0] ?? '') as Fields)['level'], 'decision')
    const quiet = await logging({ level: 'info' })
    quiet.log.decision({}, 'review')
    quiet.log.child({}).decision({}, 'review')
    assert.deepEqual(quiet.lines, [])
  })
})

describe('for people', () => {
  test('a line is time, level, message and the fields in short', async () => {
    const { log, lines } = await logging({ format: 'human' })
    log.decision({ requestId: 'r-1', user: 'jane' }, 'review')
    log.error({ error: new ArchwayError('keystone_timeout', 'slow\nagain') }, 'review could not be decided')
    assert.match(lines[0] ?? '', /^\[\d\d:\d\d:\d\d\.\d{3}\] DECISION: review \{"requestId":"r-1","user":"jane"\}\n$/)
    assert.match(lines[1] ?? '', /ERROR: review could not be decided \{"error":.*"slow\\nagain".*\}\n$/)
    assert.equal(lines.length, 2)
  })

  test('a line is out as soon as it is written: the end of the process loses none', async () => {
    const { log, lines } = await logging({ format: 'human' })
    log.info({}, 'last words')
    assert.equal(lines.length, 1)
    log.flush()
    assert.equal(lines.length, 1)
  })
})

describe('T-S1 a line that a stranger had a hand in cannot deceive a terminal', () => {
  const text = 'a\x1b[2J\r\n\u009b2J\u202eb\u2066c\u200d\u2028d\ufeff\u{e0041}\u007f김'
  for (const format of ['json', 'human'] as const) {
    test(format, async () => {
      const { log, lines } = await logging({ format })
      log.decision({ user: text }, 'review')
      assert.equal(lines.length, 1)
      assert.ok(!/[\p{Cc}\p{Cf}\u2028\u2029]/u.test((lines[0] ?? '').slice(0, -1)), inspect(lines[0]))
      assert.ok(lines[0]?.includes('김'), 'letters stay')
      if (format === 'json') assert.equal((JSON.parse(lines[0] ?? '') as Fields)['user'], text)
    })
  }
})

describe('errors', () => {
  const describe_ = async (error: unknown): Promise<unknown> =>
    (await logged((log) => log.error({ error }, 'm')))['error']

  test('of the table have type, message and code, and no stack', async () => {
    assert.deepEqual(await describe_(new ArchwayError('keystone_timeout', 'slow')), {
      type: 'ArchwayError',
      message: 'slow',
      code: 'keystone_timeout',
    })
    const invalid = new InvalidDocumentError('file_invalid', 'f', [{ path: 'a', message: 'b' }])
    assert.equal(((await describe_(invalid)) as Fields)['type'], 'InvalidDocumentError')
  })

  test('of the system too', async () => {
    const error = Object.assign(new Error('refused'), { code: 'ECONNREFUSED', errno: -111 })
    assert.deepEqual(await describe_(error), { type: 'Error', message: 'refused', code: 'ECONNREFUSED' })
  })

  test('without a code are faults of ours, and have their stack', async () => {
    const fault = (await describe_(new TypeError('x is not a function'))) as Fields
    assert.deepEqual([fault['type'], fault['message']], ['TypeError', 'x is not a function'])
    assert.match(String(fault['stack']), /^TypeError: x is not a function\n {4}at .*logger\.test\.ts/)
    // The code of a DOMException is a number, and says nothing.
    assert.ok('stack' in ((await describe_(new DOMException('gone', 'AbortError'))) as Fields))
  })

  test('keep their causes, to the bottom', async () => {
    const bottom = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
    const middle = new ArchwayError('keystone_unreachable', 'lost', { cause: bottom })
    assert.deepEqual(await describe_(new ArchwayError('sources_failed', 'all', { cause: middle })), {
      type: 'ArchwayError',
      message: 'all',
      code: 'sources_failed',
      cause: {
        type: 'ArchwayError',
        message: 'lost',
        code: 'keystone_unreachable',
        cause: { type: 'Error', message: 'reset', code: 'ECONNRESET' },
      },
    })
    assert.deepEqual(await describe_(new ArchwayError('internal', 'fault', { cause: 'text' })), {
      type: 'ArchwayError',
      message: 'fault',
      code: 'internal',
      cause: 'text',
    })
  })

  test('that are several are all told', async () => {
    const all = new AggregateError([new ArchwayError('overloaded', 'one'), 'two'], 'both')
    const told = (await describe_(all)) as Fields
    assert.deepEqual(told['errors'], [{ type: 'ArchwayError', message: 'one', code: 'overloaded' }, 'two'])
  })

  test('that lead back to themselves end somewhere', async () => {
    const error = new ArchwayError('internal', 'fault')
    Object.assign(error, { cause: error })
    assert.ok(JSON.stringify(await describe_(error)).length < 2000)
    const all = new AggregateError([], 'both')
    all.errors.push(all)
    assert.ok(JSON.stringify(await describe_(all)).length < 20_000)
  })

  test('may be anything', async () => {
    for (const [thrown, text] of [
      ['text', 'text'],
      [null, 'null'],
      [5, '5'],
      [Symbol('s'), 'Symbol(s)'],
      [{ token: 't' }, '[object Object]'],
      [Object.create(null), 'something was thrown that cannot be printed'],
    ] as const) {
      assert.equal(await describe_(thrown), text)
    }
  })

  test('are told the same as `err`', async () => {
    const line = await logged((log) => log.warn({ err: new ArchwayError('overloaded', 'm') }, 'm'))
    assert.deepEqual(line['err'], { type: 'ArchwayError', message: 'm', code: 'overloaded' })
  })
})

describe('T-S1 a Secret prints itself nowhere', () => {
  for (const format of ['json', 'human'] as const) {
    test(format, async () => {
      const { log, lines } = await logging({ format })
      const secret = new Secret('canary-5ca1ab1e')
      log
        .child({ secret })
        .error({ secret, deep: { list: [secret] }, text: `${secret}`, error: new Error(`${secret}`) }, 'm')
      assert.ok(lines[0]?.includes('[redacted]'))
      assert.ok(!lines.join('').includes('5ca1ab1e'))
    })
  }
})

describe('T-S1 what looks like a token is cut out of the line', () => {
  const fernet = 'gAAAAABl_4mQ1rC0fWmVYfJ8Zx3n2kq7tTqv5bW9cXo-pLr0sUvE1yHgDzKiMnJaBcQwRtYu'
  const jwt = 'eyJhbGciOiJFUzI1NiJ9.eyJvcGVuc3RhY2tfbWV0aG9kcyI6W119.c2ln-bmF0_dXJl'
  const opaque = '0123456789abcdef0123456789abcdef'
  const redacted: readonly [text: string, result: string][] = [
    [fernet, '[redacted]'],
    [`${fernet}==`, '[redacted]'],
    [`token ${fernet}, and ${fernet}.`, 'token [redacted], and [redacted].'],
    [`https://keystone/v3/auth/tokens?t=${fernet}&x=1`, 'https://keystone/v3/auth/tokens?t=[redacted]&x=1'],
    [jwt, '[redacted]'],
    [`a ${jwt} b`, 'a [redacted] b'],
    [`eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.`, '[redacted]'],
    [`Bearer ${opaque}`, 'Bearer [redacted]'],
    [`bearer  ${opaque}`, 'bearer  [redacted]'],
    [`Authorization: Basic dXNlcjpwYXNz`, 'Authorization: Basic [redacted]'],
    [`X-Auth-Token: ${opaque}`, 'X-Auth-Token: [redacted]'],
    [`x-subject-token=${opaque}`, 'x-subject-token=[redacted]'],
    [`X-Service-Token: ${opaque}\r\nHost: h`, 'X-Service-Token: [redacted]\r\nHost: h'],
    [JSON.stringify({ 'x-auth-token': opaque, b: 1 }), '{"x-auth-token":"[redacted]","b":1}'],
    [JSON.stringify({ 'x-auth-token': [opaque] }), '{"x-auth-token":["[redacted]"]}'],
    [JSON.stringify(['X-Auth-Token', opaque]), '["X-Auth-Token","[redacted]"]'],
    [
      JSON.stringify({ body: JSON.stringify({ 'X-Auth-Token': opaque }) }),
      '{"body":"{\\"X-Auth-Token\\":\\"[redacted]\\"}"}',
    ],
    [inspect({ 'X-Subject-Token': opaque }), "{ 'X-Subject-Token': '[redacted]' }"],
  ]
  for (const [text, result] of redacted) {
    test(JSON.stringify(text).slice(0, 60), () => assert.equal(redact(text), result))
  }

  const kept = [
    'a revoked token stops working after at most 160 s',
    'no Bearer token',
    'x-auth-token is missing',
    'gAAAA',
    'eyJ',
    'keystone-token',
    '{"source":"token-file","code":"token_unknown"}',
    '{"requestId":"0123456789abcdef0123456789abcdef"}',
    'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
  ]
  for (const text of kept) test(`and nothing else: ${text}`, () => assert.equal(redact(text), text))

  for (const format of ['json', 'human'] as const) {
    for (const level of LOG_LEVELS) {
      test(`wherever in a line it stands (${format}, ${level})`, async () => {
        const { log, lines } = await logging({ format })
        const error = new ArchwayError('keystone_answer_invalid', `got ${fernet}`, {
          cause: new Error(`Bearer ${opaque}`, { cause: new Error(`{"X-Auth-Token":"${opaque}"}`) }),
        })
        const fields = { a: fernet, deep: [{ b: jwt }], [jwt]: 1, error, err: `x-subject-token: ${opaque}` }
        log.child({ c: fernet })[level](fields, `the message has ${fernet}`)
        for (const token of [fernet, jwt, opaque]) {
          assert.ok(!lines.join('').includes(token.slice(0, 30)), lines.join(''))
        }
      })
    }
  }

  test('and what is left is still JSON', async () => {
    const line = await logged((log) =>
      log.info({ a: `"${fernet}"`, b: [`Bearer ${opaque}"`], c: `x-auth-token\\${opaque}` }, 'm'),
    )
    assert.deepEqual(line['a'], '"[redacted]"')
  })
})
