import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DEFAULT_POLICY } from '../../src/authn/protection/counters.ts'
import { loginProtection, protectionPolicy, protectionSlots, protectionValkey } from '../../src/config/protection.ts'
import { Secret } from '../../src/secret.ts'

const VALKEY = { url: 'rediss://redis.example', keyFile: 'counters.key' }

describe('the configuration of login protection', () => {
  test('is on by default, with the numbers of the policy', () => {
    const parsed = loginProtection.parse({})
    assert.deepEqual(protectionPolicy(parsed), DEFAULT_POLICY)
    assert.equal(parsed.valkey, undefined)
    assert.equal(parsed.tell, false)
  })

  test('checks as many passwords at once as there are cores, and leaves a thread to others', () => {
    const parsed = loginProtection.parse({})
    assert.equal(protectionSlots(parsed, { cores: 2, threads: 4 }).slots, 2)
    assert.equal(protectionSlots(parsed, { cores: 16, threads: 4 }).slots, 3)
    assert.equal(protectionSlots(parsed, { cores: 16, threads: 32 }).slots, 16)
    assert.equal(protectionSlots(parsed, { cores: 1, threads: 1 }).slots, 1)
    assert.deepEqual(protectionSlots(loginProtection.parse({ checks: 40, queue: 7 }), { cores: 2, threads: 4 }), {
      slots: 40,
      queue: 7,
    })
  })

  test('gives the connection what it needs', () => {
    const { valkey } = loginProtection.parse({ valkey: { ...VALKEY, username: 'archway', passwordFile: 'pw' } })
    assert.ok(valkey !== undefined)
    const password = (): Secret => new Secret('x')
    assert.deepEqual(protectionValkey(valkey, { ca: 'PEM', password }), {
      url: VALKEY.url,
      allowPlain: false,
      timeoutMs: 250,
      username: 'archway',
      password,
      ca: 'PEM',
    })
  })

  for (const [what, document, path, message] of [
    ['a lock that comes with the free failures', { pair: { free: 5, lockAfter: 5 } }, 'pair.lockAfter', /more than/],
    ['a wait that shrinks', { pair: { firstDelay: '10m' } }, 'pair.longestDelay', /shorter/],
    ['waits that outlast the memory', { pair: { forgetAfter: '1m' } }, 'pair.forgetAfter', /shorter/],
    ['an interval longer than its window', { user: { interval: '2h' } }, 'user.interval', /longer/],
    ['a user slowed down at once', { user: { slowAfter: 5 } }, 'user.slowAfter', /more than/],
    ['an address locked at once', { address: { lockAfter: 5 } }, 'address.lockAfter', /more than/],
    ['no failures at all', { pair: { free: 0 } }, 'pair.free', /./],
    ['a lock for ever', { pair: { lockFor: '596h' } }, 'pair.lockFor', /out of range/],
    ['half an IPv6 address', { ipv6Prefix: 65 }, 'ipv6Prefix', /./],
    ['no check at all', { checks: 0 }, 'checks', /./],
    ['shared counters without a key', { valkey: { url: VALKEY.url } }, 'valkey.keyFile', /./],
    ['a server without TLS', { valkey: { ...VALKEY, url: 'redis://10.0.0.1' } }, 'valkey.url', /rediss/],
    ['a user without a password', { valkey: { ...VALKEY, username: 'a' } }, 'valkey.passwordFile', /username/],
    ['a key it does not know', { lock: true }, '', /lock/],
  ] as const) {
    test(`refuses ${what}`, () => {
      const issues = loginProtection.safeParse(document).error?.issues ?? []
      const found = issues.find((issue) => issue.path.join('.') === path)
      assert.ok(found !== undefined, JSON.stringify(issues))
      assert.match(found.message, message)
    })
  }
})
