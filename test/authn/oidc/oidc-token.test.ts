import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { cached } from '../../../src/authn/cached.ts'
import { identityGate } from '../../../src/authn/identity-gate.ts'
import { SIGNING_ALGORITHMS } from '../../../src/authn/oidc/algorithms.ts'
import { union } from '../../../src/authn/union.ts'
import { hasForbiddenCharacters, isReservedName } from '../../../src/user.ts'
import { type AuthenticatorUnderTest, authenticatorContract } from '../../contract/authenticator.ts'
import { callContext } from '../../support/context.ts'
import { fakeAuthenticator } from '../support.ts'
import {
  AUDIENCE,
  encode,
  goodClaims,
  ISSUER,
  KEYS,
  NOW,
  NOW_S,
  newKey,
  outcome,
  rounds,
  setUp,
  signature,
  signed,
  testIssuer,
  unreachable,
  withHmac,
} from './support.ts'

describe('a token of the issuer', () => {
  test('is authenticated, with what its claims say and until it expires', async () => {
    const { ask } = setUp({ name: 'people' })
    const result = await ask(signed({ groups: ['dev', '개발팀'] }))
    assert.deepEqual(result, {
      kind: 'authenticated',
      source: 'people',
      user: { username: 'jane', uid: '', groups: ['dev', '개발팀'], extra: new Map() },
      expiresAt: new Date((NOW_S + 3600) * 1000),
    })
  })

  test('knows no audiences of the cluster: as in kube-apiserver, those are configured for all sources', async () => {
    assert.ok(!('audiences' in (await setUp().ask(signed()))))
  })

  for (const alg of SIGNING_ALGORITHMS) {
    test(`T-S7 ${alg} is verified, and not with another key of its kind`, async () => {
      const key = newKey(alg, 'mine')
      const { ask } = setUp({ issuer: testIssuer([key]) })
      assert.equal(await outcome(ask(signed({}, { key }))), 'jane')
      const foreign = { ...newKey(alg, 'mine') }
      assert.equal(await outcome(ask(signed({}, { key: foreign }))), '!signature_invalid')
    })
  }

  test('of a key without `kid` is tried with the keys that fit, and with a bounded number of them', async () => {
    const issuer = testIssuer([KEYS.ES256, newKey('RS256', 'other'), KEYS.RS256])
    const withoutKeyId = (key = KEYS.RS256) => signed({}, { key, header: { kid: undefined } })
    assert.equal(await outcome(setUp({ issuer }).ask(withoutKeyId())), 'jane')
    const many = testIssuer([...Array.from({ length: 10 }, (_, index) => newKey('ES256', `${index}`)), KEYS.ES256])
    assert.equal(await outcome(setUp({ issuer: many }).ask(withoutKeyId(KEYS.ES256))), '!signature_invalid')
  })

  test('several audiences: one that is ours is enough, in the token and in the settings', async () => {
    const { ask } = setUp({ audiences: ['web', AUDIENCE] })
    for (const aud of [AUDIENCE, 'web', ['x', 'web'], [AUDIENCE]])
      assert.equal(await outcome(ask(signed({ aud }))), 'jane')
  })

  test('is accepted until the very second of its expiry, which has no leeway', async () => {
    const { ask, clock } = setUp({ leewayMs: 60_000 })
    const token = signed()
    clock.ms = (NOW_S + 3600) * 1000 - 1
    assert.equal(await outcome(ask(token)), 'jane')
    clock.ms += 1
    assert.equal(await outcome(ask(token)), '!token_expired')
  })

  test('nbf and iat have the leeway that is set, and no more', async () => {
    const { ask } = setUp({ leewayMs: 10_000 })
    for (const claim of ['nbf', 'iat']) {
      assert.equal(await outcome(ask(signed({ [claim]: NOW_S + 10 }))), 'jane')
      assert.equal(await outcome(ask(signed({ [claim]: NOW_S + 11 }))), '!token_not_yet_valid')
    }
  })

  test('that expires while its key is fetched is not handed out', async () => {
    const issuer = testIssuer()
    const held = Promise.withResolvers<void>()
    issuer.hold = held.promise
    const { ask, clock } = setUp({ issuer })
    const asked = ask(signed())
    clock.ms += 3_600_000
    held.resolve()
    assert.equal(await outcome(asked), '!token_expired')
  })
})

describe('T-S7 hostile tokens', () => {
  const publicPem = KEYS.RS256.publicKey.export({ type: 'spki', format: 'pem' })
  const [header = '', payload = '', mark = ''] = signed().split('.')
  const claimsOf = (over: Record<string, unknown>) => encode(goodClaims(over))
  const es = signed({}, { key: KEYS.ES256 }).split('.')
  /** Another last character that decodes to the same bytes. */
  const respelt = (part: string) => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    return part.slice(0, -1) + alphabet[alphabet.indexOf(part.slice(-1)) + 1]
  }

  const refused: readonly [title: string, token: string, code: string][] = [
    ['none', `${encode({ alg: 'none' })}.${payload}.`, 'algorithm_not_allowed'],
    ['None', `${encode({ alg: 'None', kid: 'RS256' })}.${payload}.${mark}`, 'algorithm_not_allowed'],
    [
      'none with the signature of a good token',
      `${encode({ alg: 'none' })}.${payload}.${mark}`,
      'algorithm_not_allowed',
    ],
    ['an empty signature', `${header}.${payload}.`, 'signature_invalid'],
    ['HS256 with the public key as secret', withHmac('HS256', publicPem, 'RS256'), 'algorithm_not_allowed'],
    ['HS512 with the public key as secret', withHmac('HS512', publicPem, 'RS256'), 'algorithm_not_allowed'],
    ['HS256 with an empty secret', withHmac('HS256', '', 'RS256'), 'algorithm_not_allowed'],
    ['RS256 of the right key, said to be PS256', replacedHeader({ alg: 'PS256', kid: 'RS256' }), 'key_unknown'],
    ['an RSA key asked to verify ES256', replacedHeader({ alg: 'ES256', kid: 'RS256' }), 'key_unknown'],
    ['an algorithm that is no text', `${encode({ alg: ['RS256'] })}.${payload}.${mark}`, 'algorithm_not_allowed'],
    ['other claims under a good signature', `${header}.${claimsOf({ sub: 'root' })}.${mark}`, 'signature_invalid'],
    ['a good signature of another key', `${header}.${payload}.${es[2]}`, 'signature_invalid'],
    ['an all-zero ECDSA signature', `${es[0]}.${es[1]}.${Buffer.alloc(64).toString('base64url')}`, 'signature_invalid'],
    ['a key that comes with the token (jwk)', withOwnKey(), 'signature_invalid'],
    [
      'an address of keys (jku)',
      replacedHeader({ alg: 'RS256', kid: 'x', jku: 'https://evil.example/jwks' }),
      'key_unknown',
    ],
    ['a crit header', signed({}, { header: { crit: ['exp'] } }), 'token_malformed'],
    ['an unencoded payload', signed({}, { header: { b64: false, crit: ['b64'] } }), 'token_malformed'],
    ['a kid that is no text', signed({}, { header: { kid: 7 } }), 'token_malformed'],
    ['a kid that is a path', signed({}, { header: { kid: '../../../dev/null' } }), 'key_unknown'],
    ['a kid of Object.prototype', signed({}, { header: { kid: '__proto__' } }), 'key_unknown'],
    ['expired', signed({ exp: NOW_S - 1 }), 'token_expired'],
    ['expired now', signed({ exp: NOW_S }), 'token_expired'],
    ['no exp', signed({ exp: undefined }), 'token_malformed'],
    ['exp as text', signed({ exp: `${NOW_S + 60}` }), 'token_malformed'],
    ['exp beyond the calendar', signed({ exp: 1e300 }), 'token_malformed'],
    ['exp null', signed({ exp: null }), 'token_malformed'],
    ['not yet valid', signed({ nbf: NOW_S + 31 }), 'token_not_yet_valid'],
    ['issued in the future', signed({ iat: NOW_S + 31 }), 'token_not_yet_valid'],
    ['nbf as text', signed({ nbf: '0' }), 'token_malformed'],
    ['another audience', signed({ aud: 'other' }), 'audience_mismatch'],
    ['an audience that begins like ours', signed({ aud: `${AUDIENCE}x` }), 'audience_mismatch'],
    ['no audience', signed({ aud: undefined }), 'audience_mismatch'],
    ['audiences that are no texts', signed({ aud: [AUDIENCE, 1] }), 'audience_mismatch'],
    ['an audience within an object', signed({ aud: { 0: AUDIENCE } }), 'audience_mismatch'],
    ['azp alone', signed({ aud: 'other', azp: AUDIENCE }), 'audience_mismatch'],
    ['no sub', signed({ sub: undefined }), 'claim_invalid'],
    ['an empty sub', signed({ sub: '' }), 'identity_invalid'],
    ['a sub that is no text', signed({ sub: 42 }), 'claim_invalid'],
    ['a list as sub', signed({ sub: ['jane'] }), 'claim_invalid'],
    ['T-W11 the same claim twice', duplicated('"sub":"root"'), 'token_malformed'],
    ['T-W11 the same claim twice, one spelt with an escape', duplicated('"\\u0073ub":"root"'), 'token_malformed'],
    ['T-W15 claims nested deeply', signed({ x: JSON.parse(`${'['.repeat(40)}${']'.repeat(40)}`) }), 'token_malformed'],
    ['another spelling of the same signature', `${header}.${payload}.${respelt(mark)}`, 'token_malformed'],
    ['T-W2 too long', signed({ x: 'x'.repeat(20_000) }), 'credential_too_large'],
  ]
  for (const [title, token, code] of refused) {
    test(title, async () =>
      assert.equal(await outcome(setUp({ issuer: testIssuer([KEYS.RS256, KEYS.ES256]) }).ask(token)), `!${code}`),
    )
  }

  function replacedHeader(over: Record<string, unknown>): string {
    const text = `${encode(over)}.${payload}`
    return `${text}.${signature('RS256', text, KEYS.RS256.privateKey).toString('base64url')}`
  }

  function duplicated(member: string): string {
    return signed({}, { payload: JSON.stringify(goodClaims()).replace(/}$/, `,${member}}`) })
  }

  /** Signed with the attacker's key, which the header carries. */
  function withOwnKey(): string {
    const key = newKey('RS256', 'RS256')
    return signed({}, { key, header: { jwk: key.jwk } })
  }

  const foreign: readonly [title: string, token: string][] = [
    ['another issuer', signed({ iss: 'https://other.example' })],
    ['the issuer with a slash', signed({ iss: `${ISSUER}/` })],
    ['the issuer in capitals', signed({ iss: ISSUER.toUpperCase() })],
    ['no issuer', signed({ iss: undefined })],
    ['an issuer in a list', signed({ iss: [ISSUER] })],
    ['a JWE of five parts', `${header}.${payload}.${payload}.${payload}.${payload}`],
    ['two parts', `${header}.${payload}`],
    ['four parts', `${header}.${payload}.${mark}.x`],
    ['padding', `${header}.${payload}.${mark}==`],
    ['a blank before', ` ${signed()}`],
    ['a payload that is a list', signed({}, { payload: '[]' })],
    ['a payload that is no JSON', signed({}, { payload: '{' })],
    ['a payload that is not UTF-8', `${header}.${Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url')}.${mark}`],
    ['a payload with a byte order mark', signed({}, { payload: `\ufeff${JSON.stringify(goodClaims())}` })],
    ['a header without alg', `${encode({ kid: 'RS256' })}.${payload}.${mark}`],
    ['a Fernet token', 'gAAAAABmZ3Vlc3Mtd2hhdA'],
    ['JSON', JSON.stringify(goodClaims())],
  ]
  for (const [title, token] of foreign) {
    test(`is not ours and asks nobody: ${title}`, async () => {
      const { ask, issuer } = setUp()
      assert.equal(await outcome(ask(token)), 'skipped')
      assert.deepEqual(issuer.asked, [])
    })
  }

  test('an algorithm that is not in the list is refused, with a good signature', async () => {
    const { ask } = setUp({ algorithms: ['ES256'] })
    assert.equal(await outcome(ask(signed())), '!algorithm_not_allowed')
    assert.equal(await outcome(ask(signed({}, { key: KEYS.ES256 }))), 'jane')
  })

  test('T-S7 unknown-kid storm: one round of asking, however many tokens come at once', async () => {
    const { ask, issuer } = setUp()
    await ask(signed())
    assert.equal(rounds(issuer), 1)
    const storm = Array.from({ length: 500 }, (_, index) => signed({}, { header: { kid: `k${index}` } }))
    const results = await Promise.allSettled(storm.map(ask))
    assert.equal(rounds(issuer), 1, 'the cool-down of the first round is not over')
    assert.ok(results.every((result) => result.status === 'rejected' || result.value.kind === 'rejected'))
    assert.equal(await outcome(ask(signed())), 'jane', 'good tokens go on')
  })

  test('T-S1 nothing of a refused token is in the log or in the result', async () => {
    const { ask, ctx, log } = setUp({
      rules: { claimMappings: { username: { expression: 'claims.secret.lowerAscii() + claims.missing' } } },
    })
    const canary = 'c4n4ry'
    const shown: unknown[] = [log.lines, ctx.log.lines]
    for (const over of [{ secret: canary }, { secret: [canary] }, { secret: { [canary]: 1 } }]) {
      const result = await ask(signed(over))
      assert.equal(result.kind, 'rejected')
      shown.push(result)
    }
    shown.push(await ask(signed({ aud: canary })), await ask(signed({}, { header: { alg: canary } })))
    const text = inspect(shown, { depth: Infinity })
    assert.match(text, /its claims do not fit/)
    assert.ok(!text.includes(canary))
  })
})

describe('an issuer that does not answer', () => {
  test('T-W3 its tokens cannot be told, and those of others go on', async () => {
    const issuer = testIssuer()
    issuer.failure = unreachable()
    const { authenticator, ctx } = setUp({ issuer })
    const other = fakeAuthenticator((token) =>
      token === 'known'
        ? { kind: 'authenticated', source: 'fake', user: { username: 'joe', uid: '', groups: [], extra: new Map() } }
        : { kind: 'skipped' },
    )
    const both = union([authenticator, other])
    await assert.rejects(both.authenticate(signed(), ctx), { code: 'oidc_unreachable' })
    assert.equal(await outcome(both.authenticate('known', ctx)), 'joe')
  })

  test('T-W3 it answers again: the tokens that could not be told are good', async () => {
    const issuer = testIssuer()
    issuer.failure = unreachable()
    const { ask, clock } = setUp({ issuer })
    await assert.rejects(ask(signed()), { code: 'oidc_unreachable', status: 503 })
    issuer.failure = undefined
    clock.ms += 10_000
    assert.equal(await outcome(ask(signed())), 'jane')
  })

  test('what needs no key is refused all the same', async () => {
    const issuer = testIssuer()
    issuer.failure = unreachable()
    const { ask } = setUp({ issuer })
    for (const over of [{ exp: NOW_S - 1 }, { aud: 'other' }]) assert.equal((await ask(signed(over))).kind, 'rejected')
    assert.deepEqual(issuer.asked, [])
  })
})

describe('with a cache in front', () => {
  test('T-W7 a token is remembered no longer than it is good', async () => {
    const { authenticator, clock, ctx } = setUp()
    const cache = cached(authenticator, {
      ttlMs: 600_000,
      negativeTtlMs: 0,
      entries: 10,
      lookupTimeoutMs: 1000,
      now: () => clock.ms,
    })
    const token = signed({ exp: NOW_S + 60 })
    assert.equal(await outcome(cache.authenticate(token, ctx)), 'jane')
    clock.ms += 59_999
    assert.equal(await outcome(cache.authenticate(token, ctx)), 'jane')
    clock.ms += 1
    assert.equal(cache.recall?.(token, ctx), undefined)
    assert.equal(await outcome(cache.authenticate(token, ctx)), '!token_expired')
  })
})

const good = new Map([
  [signed(), 'jane'],
  [signed({ sub: 'joe' }, { key: KEYS.ES256 }), 'joe'],
  [signed({ sub: 'ann' }, { key: KEYS.EdDSA }), 'ann'],
])

authenticatorContract('oidcToken', (): AuthenticatorUnderTest => ({ authenticator: setUp().authenticator, good }), {
  // What an outage comes to is above: keys that are there go on working, and what is no JWT asks nobody.
  asksNobody: true,
})

authenticatorContract(
  'oidcToken, remembered and behind the gate',
  (): AuthenticatorUnderTest => {
    const inner = cached(setUp().authenticator, {
      ttlMs: 60_000,
      negativeTtlMs: 60_000,
      entries: 100,
      lookupTimeoutMs: 5000,
      now: () => NOW.getTime(),
    })
    const rules = { usernamePrefix: '', groupPrefix: '', reservedGroups: 'drop', allowReserved: [] } as const
    return { authenticator: identityGate(inner, rules), good }
  },
  { asksNobody: true },
)

describe('properties', () => {
  const { authenticator } = setUp()
  const gate = identityGate(authenticator, {
    usernamePrefix: '',
    groupPrefix: '',
    reservedGroups: 'drop',
    allowReserved: [],
  })

  test('T-S7 no text and no JSON is a token, whatever its parts', async () => {
    const part = fc.oneof(
      fc.string(),
      fc.json().map(encode),
      fc.constantFrom(...signed().split('.')),
      fc.base64String(),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 5 }), async (parts) => {
        const token = parts.join('.')
        fc.pre(token !== signed())
        assert.notEqual((await authenticator.authenticate(token, callContext())).kind, 'authenticated')
      }),
      { numRuns: 300 },
    )
  })

  test('T-S7 a change of any character of a token is no token', async () => {
    const token = signed()
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.base64String({ minLength: 4 }), async (at, other) => {
        const changed = token.slice(0, at) + other.charAt(0).replace('+', '-').replace('/', '_') + token.slice(at + 1)
        fc.pre(changed !== token)
        assert.notEqual((await authenticator.authenticate(changed, callContext())).kind, 'authenticated')
      }),
      { numRuns: 300 },
    )
  })

  test('T-W6 claims of any shape give names that are texts, and none that the gate keeps back', async () => {
    const anything = fc.oneof(
      fc.jsonValue(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('system:masters', 'ＳＹＳＴＥＭ:x'),
    )
    await fc.assert(
      fc.asyncProperty(anything, fc.oneof(anything, fc.array(fc.string())), async (sub, groups) => {
        const result = await gate.authenticate(signed({ sub, groups }, { key: KEYS.EdDSA }), callContext())
        if (result.kind !== 'authenticated') return
        const names = [result.user.username, ...result.user.groups]
        assert.equal(result.user.username, sub)
        for (const name of names) {
          assert.ok(typeof name === 'string' && name !== '')
          assert.ok(!isReservedName(name) && !hasForbiddenCharacters(name))
        }
      }),
      { numRuns: 300 },
    )
  })

  test('T-H13 claims called like members of Object.prototype are claims like any other', async () => {
    const payload = JSON.stringify(goodClaims()).replace(
      /}$/,
      ',"__proto__":{"sub":"root"},"constructor":1,"toString":[]}',
    )
    assert.equal(await outcome(setUp().ask(signed({}, { payload }))), 'jane')
    const rules = { claimMappings: { username: { claim: '__proto__', prefix: '' } } }
    assert.equal(await outcome(setUp({ rules }).ask(signed())), '!claim_invalid')
  })
})
