import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createHygiene } from '../../../src/proxy/hygiene/create.ts'
import type { HeadLimits } from '../../../src/proxy/hygiene/hygiene.ts'
import type { HeaderLines } from '../../../src/proxy/wire.ts'
import type { UserInfo } from '../../../src/user.ts'
import { clean, HOST, ORIGIN } from './support.ts'

const ALICE: UserInfo = { username: 'alice', uid: '7', groups: ['devs'], extra: new Map([['scopes', ['a', 'b']]]) }
const AS_ALICE = [
  ['X-Remote-User', 'alice'],
  ['X-Remote-Uid', '7'],
  ['X-Remote-Group', 'devs'],
  ['X-Remote-Extra-scopes', 'a'],
  ['X-Remote-Extra-scopes', 'b'],
]

function lines(given: HeaderLines, user = ALICE, origin = ORIGIN, limits: Partial<HeadLimits> = {}): HeaderLines {
  const result = createHygiene({ impersonation: 'refuse', limits }).upstreamHeaders(clean(given), user, origin)
  assert.ok(result.kind === 'lines')
  return result.lines
}

describe('a head for the API server', () => {
  test('T-H1 has who asks behind everything the client sent', () => {
    const written = lines([
      ['Accept', '*/*'],
      ['X-Remote-User', 'admin'],
    ])
    assert.deepEqual(written.slice(-AS_ALICE.length), AS_ALICE)
    assert.deepEqual(written.slice(0, 2), [['Accept', '*/*'], HOST])
    assert.equal(written.filter(([name]) => /remote.user/i.test(name)).length, 1)
  })

  test('T-H4 says where it came from as the socket says, whatever the client says', () => {
    const written = lines([
      ['X-Forwarded-For', '127.0.0.1'],
      ['Forwarded', 'for=127.0.0.1'],
    ])
    const forwarded = written.filter(([name]) => /forwarded/i.test(name))
    assert.deepEqual(forwarded, [
      ['X-Forwarded-For', '192.0.2.7'],
      ['X-Forwarded-Proto', 'https'],
      ['X-Forwarded-Host', 'proxy.example:6443'],
    ])
  })

  test('has the trace of the proxy in place of that of the client', () => {
    const given = [
      ['TraceParent', 'theirs'],
      ['X-Other', 'x'],
    ] as const
    const written = lines(given, ALICE, { ...ORIGIN, trace: [['traceparent', 'ours']] })
    assert.deepEqual(
      written.filter(([name]) => /^traceparent$/i.test(name)),
      [['traceparent', 'ours']],
    )
    assert.ok(lines(given).some(([, value]) => value === 'theirs'))
  })

  test('has the credential and nobody of ours where the API server is to judge', () => {
    const hygiene = createHygiene({ impersonation: 'refuse' })
    const head = clean([
      ['Authorization', 'Bearer abc'],
      ['X-Remote-User', 'admin'],
    ])
    const result = hygiene.credentialHeaders(head, 'Bearer abc', ORIGIN)
    assert.ok(result.kind === 'lines')
    assert.ok(!result.lines.some(([name]) => /remote/i.test(name)))
    assert.deepEqual(
      result.lines.filter(([name]) => /authorization/i.test(name)),
      [['Authorization', 'Bearer abc']],
    )
  })

  test('T-H14 has names in UTF-8, a byte a character', () => {
    const written = lines([], { username: '김철수', uid: '', groups: ['개발팀'], extra: new Map([['팀', ['가']]]) })
    const text = (value: string) => Buffer.from(value, 'latin1').toString('utf8')
    assert.deepEqual(
      written.slice(-3).map(([name, value]) => [name, text(value)]),
      [
        ['X-Remote-User', '김철수'],
        ['X-Remote-Group', '개발팀'],
        ['X-Remote-Extra-%ED%8C%80', '가'],
      ],
    )
  })

  test('an identity without a name is a fault, never a head', () => {
    assert.throws(() => lines([], { ...ALICE, username: '' }), { code: 'internal' })
  })
})

describe('an identity that is too large', () => {
  const refusalOf = (user: UserInfo, limits: Partial<HeadLimits> = {}) => {
    const hygiene = createHygiene({ impersonation: 'refuse', limits })
    const results = [1, 2].map(() => hygiene.upstreamHeaders(clean([]), user, ORIGIN))
    assert.deepEqual(results[0], results[1])
    return results[0]
  }
  const member = (count: number, length = 1) => ({
    ...ALICE,
    groups: Array.from({ length: count }, (_, at) => `${at}`.padStart(length, 'g')),
  })

  test('T-H16 in lines is refused and the limit named, never cut', () => {
    const refused = refusalOf(member(2_000))
    assert.ok(refused?.kind === 'refused')
    assert.deepEqual([refused.status, refused.threat], [431, 'H16'])
    assert.match(refused.message, /2004 headers, and the limit is 1024/)
    assert.equal(lines([], member(1_020)).filter(([name]) => name === 'X-Remote-Group').length, 1_020)
  })

  test('T-H16 in bytes is refused and the limit named, never cut', () => {
    const refused = refusalOf(member(1_000, 200))
    assert.match(refused?.kind === 'refused' ? refused.message : '', /2\d{5} bytes of headers, and the limit is 131072/)
    assert.equal(refusalOf(member(3), { identityBytes: 10 })?.kind, 'refused')
  })
})
