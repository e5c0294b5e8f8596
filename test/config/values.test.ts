import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { duration, filePath, listenAddress } from '../../src/config/values.ts'

/** Milliseconds, or undefined where it is no duration. */
const parseDuration = (text: string): number | undefined => duration().safeParse(text).data

describe('durations', () => {
  const good: readonly [text: string, ms: number][] = [
    ['0', 0],
    ['0s', 0],
    ['500ms', 500],
    ['30s', 30_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['1m30s', 90_000],
    ['1h2m3s4ms', 3_723_004],
    ['1.5s', 1_500],
    ['0.5ms', 1],
    ['90m', 5_400_000],
    ['1s1s', 2_000],
  ]
  for (const [text, ms] of good) test(`${text} is ${ms} ms`, () => assert.equal(parseDuration(text), ms))

  const bad = [
    '',
    '5',
    '30',
    '-1s',
    '+1s',
    '1',
    's',
    'ms',
    '1S',
    '1M',
    '1d',
    '1 s',
    ' 1s',
    '1s ',
    '1.s',
    '.5s',
    '1e3s',
    '1s2',
    '∞',
    '١s',
    '1,5s',
    '0x1s',
    '1s\n',
  ]
  for (const text of bad) test(`${JSON.stringify(text)} is none`, () => assert.equal(parseDuration(text), undefined))

  test('written in any units, the parts add up', () => {
    const part = fc.nat({ max: 1000 })
    fc.assert(
      fc.property(fc.nat({ max: 500 }), part, part, part, (h, m, s, ms) => {
        assert.equal(parseDuration(`${h}h${m}m${s}s${ms}ms`), h * 3_600_000 + m * 60_000 + s * 1000 + ms)
      }),
    )
  })

  test('any text gives whole milliseconds or nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('1', '9', '.', 'm', 's', 'h', 'x') }), (text) => {
        const ms = parseDuration(text)
        assert.ok(ms === undefined || (Number.isInteger(ms) && ms >= 0), `${text}: ${ms}`)
      }),
    )
  })
})

describe('a duration in the configuration', () => {
  const messageOf = (schema: ReturnType<typeof duration>, value: unknown): string | undefined =>
    schema
      .safeParse(value)
      .error?.issues.map(({ message }) => message)
      .join()

  test('is milliseconds', () => assert.equal(duration().parse('1m30s'), 90_000))

  test('has bounds that belong to it', () => {
    const schema = duration({ min: '1s', max: '28s' })
    assert.equal(schema.parse('1s'), 1_000)
    assert.equal(schema.parse('28s'), 28_000)
    for (const text of ['999ms', '28001ms', '0', '1h']) {
      assert.equal(messageOf(schema, text), 'out of range: expected from 1s to 28s')
    }
  })

  test('is never longer than a timer can be: 596 h', () => {
    assert.equal(duration().parse('596h'), 2_145_600_000)
    assert.ok(duration().parse('596h') < 2 ** 31)
    for (const text of ['597h', '100000h', `${'9'.repeat(400)}s`]) {
      assert.equal(messageOf(duration(), text), 'out of range: expected from 0s to 596h')
    }
    assert.equal(messageOf(duration({ min: '1s' }), '0s'), 'out of range: expected from 1s to 596h')
  })

  test('says what it expects', () => {
    for (const value of ['5', '', 'soon', 5, null, undefined, ['1s']]) {
      assert.equal(messageOf(duration(), value), 'expected a duration such as 30s, 500ms or 1m30s')
    }
  })
})

describe('an address to listen on', () => {
  const good = [
    '0.0.0.0:8443',
    '127.0.0.1:0',
    ':8443',
    'localhost:65535',
    '[::1]:8443',
    '[::ffff:127.0.0.1]:1',
    'a-b.example:1',
  ]
  for (const text of good) test(`${text} is one`, () => assert.equal(listenAddress().parse(text), text))

  const bad: readonly [text: string, message: RegExp][] = [
    ...[
      '',
      '8443',
      'host',
      'host:',
      ':',
      '::1:8443',
      '[::1]',
      '[::1]8443',
      'a b:1',
      'host:-1',
      'host:1.5',
      'host:x',
      'http://host:1',
      'host:1/',
      '[x]:1',
      'host:1\n',
      'host:123456',
    ].map((text): [string, RegExp] => [text, /^expected host:port, such as 0\.0\.0\.0:8443 or \[::1\]:8443$/]),
    ['host:65536', /^a port is at most 65535$/],
    ['[::1]:99999', /^a port is at most 65535$/],
  ]
  for (const [text, message] of bad) {
    test(`${JSON.stringify(text)} is none`, () => {
      assert.match(
        listenAddress()
          .safeParse(text)
          .error?.issues.map((issue) => issue.message)
          .join() ?? '',
        message,
      )
    })
  }
})

test('a path of a file is any text but none', () => {
  assert.equal(filePath().parse(' ../a b '), ' ../a b ')
  assert.equal(filePath().safeParse('').error?.issues[0]?.message, 'expected the path of a file')
})
