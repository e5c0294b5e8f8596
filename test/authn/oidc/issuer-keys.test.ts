import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readKeySet } from '../../../src/authn/oidc/key-set.ts'
import { ArchwayError } from '../../../src/errors.ts'
import { ISSUER, KEYS, type KeysSetup, keysOf, NOW, newKey, rounds, testIssuer, unreachable } from './support.ts'

const signal = new AbortController().signal
const RS256 = { keyId: 'RS256', algorithm: 'RS256' } as const

function find({ keys }: KeysSetup, keyId = 'RS256', issuedAt: number | undefined = NOW.getTime()): Promise<number> {
  return keys.find({ keyId, algorithm: 'RS256' }, issuedAt, signal).then((found) => found.length)
}

describe('when the issuer is asked', () => {
  test('not before the first token, and then once for all who wait', async () => {
    const given = keysOf()
    assert.deepEqual(given.keys.status(), { ok: false, keys: 0 })
    assert.deepEqual(given.issuer.asked, [])
    const counts = await Promise.all(Array.from({ length: 50 }, () => find(given)))
    assert.ok(counts.every((count) => count === 1))
    assert.deepEqual(given.issuer.asked, [`${ISSUER}/.well-known/openid-configuration`, `${ISSUER}/jwks`])
    assert.deepEqual(given.keys.status(), { ok: true, keys: 3, fetchedAt: NOW })
  })

  test('a slash at the end of the issuer is no part of the address', async () => {
    const issuer = testIssuer()
    issuer.discovery = { issuer: `${ISSUER}/` }
    await keysOf(issuer, { issuer: `${ISSUER}/` }).keys.find(RS256, undefined, signal)
    assert.equal(issuer.asked[0], `${ISSUER}/.well-known/openid-configuration`)
  })

  test('at another address where one is set, which has to name the issuer all the same', async () => {
    const given = keysOf(testIssuer(), { discoveryUrl: 'https://inside.example/.well-known/oidc' })
    assert.equal(await find(given), 1)
    assert.equal(given.issuer.asked[0], 'https://inside.example/.well-known/oidc')
  })

  test('again after the refresh time, behind the token that found it due', async () => {
    const given = keysOf(testIssuer(), { refreshMs: 60_000 })
    await find(given)
    given.clock.ms += 59_999
    await find(given)
    assert.equal(rounds(given.issuer), 1)
    given.clock.ms += 1
    const hold = Promise.withResolvers<void>()
    given.issuer.hold = hold.promise
    assert.equal(await find(given), 1, 'nobody waits for it')
    assert.equal(rounds(given.issuer), 2)
    given.issuer.keys = [newKey('RS256', 'new')]
    hold.resolve()
    await given.keys.check(signal) // joins what is under way
    assert.equal(given.keys.status().keys, 1)
  })

  test('a key that was withdrawn is gone with the refresh', async () => {
    const given = keysOf(testIssuer(), { refreshMs: 60_000 })
    await find(given)
    given.issuer.keys = [newKey('RS256', 'new')]
    given.clock.ms += 60_000
    await given.keys.check(signal)
    assert.equal(await find(given, 'RS256', NOW.getTime() - 120_000), 0)
  })
})

describe('T-S7 a key that is not known', () => {
  test('is asked for, and found where the issuer has a new one', async () => {
    const given = keysOf()
    await find(given)
    given.issuer.keys = [...given.issuer.keys, newKey('RS256', 'new')]
    given.clock.ms += 10_000
    assert.equal(await find(given, 'new', given.clock.ms), 1)
    assert.equal(rounds(given.issuer), 2)
  })

  test('is nobody’s when the issuer was asked just now', async () => {
    const given = keysOf()
    await find(given)
    given.clock.ms += 10_000
    assert.equal(await find(given, 'other', undefined), 0)
    assert.equal(rounds(given.issuer), 2)
  })

  test('of a token from before the last asking is nobody’s, without asking', async () => {
    const given = keysOf()
    await find(given)
    given.clock.ms += 1
    assert.equal(await find(given, 'other', NOW.getTime() - 60_001), 0)
    assert.equal(rounds(given.issuer), 1)
  })

  test('T-W3 of a newer token cannot be told in the cool-down, and is told after it', async () => {
    const given = keysOf(testIssuer(), { cooldownMs: 10_000 })
    await find(given)
    given.issuer.keys = [newKey('RS256', 'new')]
    given.clock.ms += 4000
    for (const issuedAt of [undefined, given.clock.ms]) {
      await assert.rejects(given.keys.find({ keyId: 'new', algorithm: 'RS256' }, issuedAt, signal), {
        code: 'oidc_unreachable',
        retryAfter: 6,
      })
    }
    assert.equal(rounds(given.issuer), 1)
    given.clock.ms += 6000
    assert.equal(await find(given, 'new', given.clock.ms), 1)
  })

  test('a storm of them is one round of asking in each cool-down', async () => {
    const given = keysOf(testIssuer(), { cooldownMs: 10_000 })
    await find(given)
    for (let second = 1; second <= 60; second++) {
      given.clock.ms += 1000
      await Promise.allSettled(
        Array.from({ length: 20 }, (_, index) => find(given, `k${second}-${index}`, given.clock.ms)),
      )
    }
    assert.equal(rounds(given.issuer), 1 + 6)
  })

  test('cannot be told while the issuer does not answer', async () => {
    const given = keysOf()
    await find(given)
    given.issuer.failure = unreachable()
    given.clock.ms += 10_000
    await assert.rejects(find(given, 'other', NOW.getTime() - 600_000), { code: 'oidc_unreachable' })
    assert.equal(await find(given), 1, 'the keys that are there go on')
  })
})

describe('an issuer that fails', () => {
  test('is asked once in a cool-down, whoever comes, and the cause is logged once', async () => {
    const given = keysOf()
    given.issuer.failure = unreachable()
    for (let round = 0; round < 3; round++) {
      await Promise.allSettled(Array.from({ length: 20 }, () => find(given)))
      await assert.rejects(find(given), { code: 'oidc_unreachable', message: 'the issuer is down' })
      assert.equal(rounds(given.issuer), round + 1)
      given.clock.ms += 10_000
    }
    assert.deepEqual(
      given.log.lines.map(({ level, message }) => [level, message]),
      [['warn', 'the keys cannot be asked for']],
    )
    assert.deepEqual(given.keys.status(), { ok: false, keys: 0, error: 'the issuer is down' })
    given.issuer.failure = undefined
    assert.equal(await find(given), 1)
    assert.equal(given.log.lines.at(-1)?.message, 'the issuer answers again')
  })

  test('keys go on working for the time that is set, and no longer', async () => {
    const given = keysOf(testIssuer(), { refreshMs: 60_000, staleMs: 3_600_000 })
    await find(given)
    given.issuer.failure = unreachable()
    given.clock.ms += 3_599_999
    assert.equal(await find(given), 1)
    await assert.doesNotReject(given.keys.check(signal))
    given.clock.ms += 10_001
    await assert.rejects(find(given), { code: 'oidc_unreachable' })
    await assert.rejects(given.keys.check(signal), { code: 'oidc_unreachable' })
  })

  test('a clock that was set back makes no key younger', async () => {
    const given = keysOf()
    await find(given)
    given.clock.ms -= 3_600_000
    await find(given)
    assert.equal(rounds(given.issuer), 2)
  })

  test('who waits is let go at its own deadline, and the asking goes on', async () => {
    const given = keysOf()
    const hold = Promise.withResolvers<void>()
    given.issuer.hold = hold.promise
    const leaving = new AbortController()
    const left = given.keys.find(RS256, undefined, leaving.signal)
    const stayed = find(given)
    leaving.abort()
    await assert.rejects(left, { code: 'oidc_timeout', status: 503 })
    await assert.rejects(given.keys.find(RS256, undefined, leaving.signal), { code: 'oidc_timeout' })
    hold.resolve()
    assert.equal(await stayed, 1)
    assert.equal(rounds(given.issuer), 1)
  })

  test('the asking has a deadline of its own', async () => {
    const given = keysOf(testIssuer(), { timeoutMs: 1 })
    given.issuer.hold = new Promise(() => {})
    await assert.rejects(find(given), (thrown) => thrown instanceof ArchwayError && thrown.status === 503)
  })

  test('close gives up what is under way', async () => {
    const given = keysOf()
    given.issuer.hold = new Promise(() => {})
    const waiting = find(given)
    given.keys.close()
    await assert.rejects(waiting, { code: 'stopping' })
  })
})

describe('what an issuer says', () => {
  const wrong: readonly [title: string, discovery: Record<string, unknown>][] = [
    ['another issuer', { issuer: 'https://other.example' }],
    ['the issuer with a slash', { issuer: `${ISSUER}/` }],
    ['the issuer in capitals', { issuer: ISSUER.toUpperCase() }],
    ['no issuer', { issuer: undefined }],
    ['no address of keys', { jwks_uri: undefined }],
    ['plain http', { jwks_uri: 'http://issuer.example/jwks' }],
    ['plain http at loopback, unasked', { jwks_uri: 'http://127.0.0.1/jwks' }],
    ['a file', { jwks_uri: 'file:///etc/passwd' }],
    ['credentials in the address', { jwks_uri: 'https://a:b@issuer.example/jwks' }],
    ['no address', { jwks_uri: '/jwks' }],
  ]
  for (const [title, discovery] of wrong) {
    test(`is not used: ${title}`, async () => {
      const issuer = testIssuer()
      issuer.discovery = discovery
      await assert.rejects(find(keysOf(issuer)), { code: 'oidc_answer_invalid', status: 503 })
      assert.equal(issuer.asked.length, 1)
    })
  }

  for (const keySet of [null, [], {}, { keys: {} }, { keys: [] }, { keys: [{ kty: 'oct', k: 'AAAA' }] }, 'x']) {
    test(`is no key set: ${JSON.stringify(keySet)}`, async () => {
      const issuer = testIssuer()
      issuer.keySet = keySet ?? { keys: null }
      await assert.rejects(find(keysOf(issuer)), { code: 'oidc_answer_invalid' })
    })
  }

  test('T-H11 an address that may not be configured ends the start', () => {
    for (const issuer of [
      'http://issuer.example',
      'http://127.0.0.1:1',
      'ftp://x',
      'issuer',
      'https://a:b@x',
      'https://x?y',
      'https://x#y',
    ]) {
      assert.throws(() => keysOf(testIssuer(), { issuer }), TypeError, issuer)
    }
    assert.throws(
      () => keysOf(testIssuer(), { issuer: 'http://192.0.2.1', allowHttpLoopback: true }),
      /another machine/,
    )
    assert.throws(
      () => keysOf(testIssuer(), { issuer: 'http://127.0.0.1.example', allowHttpLoopback: true }),
      TypeError,
    )
    for (const issuer of ['http://127.0.0.1:1', 'http://localhost:1', 'http://[::1]:1/x']) {
      assert.doesNotThrow(() => keysOf(testIssuer(), { issuer, allowHttpLoopback: true }))
    }
  })
})

describe('the keys of a set', () => {
  const count = (over: Record<string, unknown>, algorithm: 'RS256' | 'PS256' | 'ES256' = 'RS256') =>
    readKeySet({ keys: [{ ...KEYS.RS256.jwk, ...over }] })?.find({ keyId: 'RS256', algorithm }).length

  test('T-S7 are used for what they are meant for, and nothing else', () => {
    assert.equal(count({}), 1)
    assert.equal(count({ use: undefined, alg: undefined, key_ops: ['verify'] }), 1)
    assert.equal(count({ use: 'enc' }), 0)
    assert.equal(count({ key_ops: ['encrypt'] }), 0)
    assert.equal(count({ alg: 'RS512' }), 0)
    assert.equal(count({}, 'PS256'), 0)
    assert.equal(count({ alg: undefined }, 'PS256'), 1)
    assert.equal(count({ alg: undefined }, 'ES256'), 0)
    assert.equal(count({ kid: 'other' }), 0)
    assert.equal(count({ kid: undefined }), 0)
    assert.equal(count({ kid: 7 }), 0)
    assert.equal(count({ n: 'AQAB' }), 0, 'a modulus of a few bits')
    assert.equal(count({ kty: 'oct', k: 'AAAA' }), 0)
  })

  test('that cannot be read keep the others from nothing', () => {
    const broken = [
      null,
      1,
      {},
      { kty: 'EC' },
      { kty: 'XX' },
      { kty: 'RSA', n: '!', e: '!' },
      { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' },
    ]
    const set = readKeySet({ keys: [...broken, KEYS.ES256.jwk] })
    assert.equal(set?.size, 1)
  })

  test('of one id are all tried', () => {
    const set = readKeySet({
      keys: [newKey('RS256', 'same').jwk, newKey('ES256', 'same').jwk, newKey('RS256', 'same').jwk],
    })
    assert.equal(set?.find({ keyId: 'same', algorithm: 'RS256' }).length, 2)
  })
})
