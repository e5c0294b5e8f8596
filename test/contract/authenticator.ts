/**
 * The contract of a token authenticator as tests: what every one must keep, whatever it asks and whatever it wraps.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { type AuthnResult, REJECTION_CODES, type TokenAuthenticator } from '../../src/authn/authenticator.ts'
import { ArchwayError } from '../../src/errors.ts'
import { callContext } from '../support/context.ts'

/** An authenticator, and what is needed to put it to the test. */
export interface AuthenticatorUnderTest {
  readonly authenticator: TokenAuthenticator
  /** Tokens that are good, at least two, with the user names that come out. */
  readonly good: ReadonlyMap<string, string>
  /** A token of the kind it judges that nobody has; one of Keystone's form when absent. */
  readonly unknown?: string
  /** Makes everything that is asked fail from now on. */
  readonly breakDown?: () => void
  readonly close?: () => unknown
}

/** Tokens that nobody has, some of them hard to handle. */
const UNKNOWN: readonly string[] = [
  '',
  ' ',
  'unknown',
  '\0',
  '\n',
  'a\r\nX-Auth-Token: b',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'größe-团队',
  '\u{1f600}',
  '\ud800',
  '\udc00\ud800',
  '\ufffd',
  '\ufeff',
  '../../etc/passwd',
  '%00',
  '"\\',
  'eyJhbGciOiJub25lIn0.e30.',
  'abcdef.0123456789abcdef',
  'gAAAAA',
  'x'.repeat(8193),
  'é'.repeat(70_000),
  'x'.repeat(1_000_000),
]

/** Runs the suite over what `make` gives, anew for every test. One that asks nobody needs no `breakDown`. */
export function authenticatorContract(
  name: string,
  make: () => AuthenticatorUnderTest | Promise<AuthenticatorUnderTest>,
  { asksNobody = false } = {},
): void {
  describe(`contract of an authenticator: ${name}`, () => {
    rule('has a name', ({ authenticator }) => assert.match(authenticator.name, /^\S.*$/))

    rule('a good token is authenticated, with a name, a source and nothing undefined', async (given) => {
      assert.ok(given.good.size > 1)
      for (const [token, username] of given.good) {
        const result = await ask(given, token)
        assert.ok(result.kind === 'authenticated')
        assert.equal(result.user.username, username)
        assert.notEqual(result.user.username, '')
        assert.equal(typeof result.user.uid, 'string')
        assert.ok(Array.isArray(result.user.groups) && result.user.extra instanceof Map)
        assert.notEqual(result.source, '')
        for (const key of ['audiences', 'expiresAt'] as const) assert.ok(!(key in result) || result[key] !== undefined)
      }
    })

    rule('T-W2 an unknown token is never authenticated, nor what looks like a good one', async (given) => {
      const near = [...given.good.keys()].flatMap((token) => [
        token.slice(0, -1),
        `${token}x`,
        `${token} `,
        ` ${token}`,
        `${token}\0`,
        `${token}\ufffd`,
        `${token}\ud800`,
        `Bearer ${token}`,
        ...[token.toUpperCase(), token.toLowerCase(), token.replaceAll('\ufffd', '\ud800')].filter(
          (other) => !given.good.has(other),
        ),
      ])
      for (const token of given.good.keys()) await ask(given, token) // what is remembered must not help
      for (const token of [...UNKNOWN, ...near, ...given.good.values()]) {
        const result = await decided(given, token)
        assert.notEqual(result?.kind, 'authenticated', JSON.stringify(token.slice(0, 40)))
      }
    })

    rule('T-W15 any token gives a result or an ArchwayError, and no other throw', async (given) => {
      for (const token of UNKNOWN) checkShape(await decided(given, token))
      await fc.assert(
        fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 40 }), async (token) => {
          fc.pre(!given.good.has(token))
          checkShape(await decided(given, token))
        }),
        { numRuns: 200 },
      )
    })

    rule('a result that was handed out does not change', async (given) => {
      const [token = ''] = given.good.keys()
      const first = await ask(given, token)
      const before = structuredClone(first)
      const second = await ask(given, token)
      for (const other of [...given.good.keys(), 'unknown']) await decided(given, other)
      assert.ok(isDeepStrictEqual(structuredClone(first), before))
      assert.ok(isDeepStrictEqual(structuredClone(second), before), 'asked again, the same comes out')
    })

    rule('T-W2 what is recalled is what asking comes to, and is never a proof for an unknown token', async (given) => {
      const { authenticator, good } = given
      for (const token of [...good.keys(), ...UNKNOWN]) {
        const recall = (): AuthnResult | undefined => authenticator.recall?.(token, callContext())
        const before = recall()
        const asked = await decided(given, token)
        for (const recalled of [before, recall()]) {
          if (recalled === undefined) continue
          assert.deepEqual(recalled, asked)
          assert.equal(recalled.kind === 'authenticated', good.has(token))
        }
      }
    })

    rule('checks at the same time keep apart', async (given) => {
      const tokens = [...given.good.keys(), 'unknown', ...given.good.keys(), '__proto__', ...given.good.keys()]
      const results = await Promise.all(tokens.map((token) => decided(given, token)))
      for (const [index, token] of tokens.entries()) {
        const result = results[index]
        assert.equal(result?.kind === 'authenticated' ? result.user.username : undefined, given.good.get(token))
      }
    })

    if (!asksNobody) {
      rule('T-W3 an outage is thrown: it is neither a no, nor somebody else’s', async (given) => {
        assert.ok(given.breakDown !== undefined)
        given.breakDown()
        for (const token of [...given.good.keys(), given.unknown ?? 'gAAAAAbcdef-unknown']) {
          assert.equal(given.authenticator.recall?.(token, callContext()), undefined, 'nothing is known of it')
          await assert.rejects(ask(given, token))
        }
      })
    }

    function rule(title: string, check: (given: AuthenticatorUnderTest) => unknown): void {
      test(title, async () => {
        const given = await make()
        try {
          await check(given)
        } finally {
          await given.close?.()
        }
      })
    }
  })
}

function ask({ authenticator }: AuthenticatorUnderTest, token: string): Promise<AuthnResult> {
  return authenticator.authenticate(token, callContext())
}

/** What was decided; `undefined` where it could not be told, which is an ArchwayError. */
async function decided(given: AuthenticatorUnderTest, token: string): Promise<AuthnResult | undefined> {
  try {
    return await ask(given, token)
  } catch (thrown) {
    assert.ok(thrown instanceof ArchwayError, `${String(thrown)} for ${JSON.stringify(token.slice(0, 40))}`)
    return undefined
  }
}

function checkShape(result: AuthnResult | undefined): void {
  if (result === undefined) return
  switch (result.kind) {
    case 'skipped':
      assert.deepEqual(Object.keys(result), ['kind'])
      return
    case 'rejected':
      assert.deepEqual(Object.keys(result).sort(), ['code', 'kind', 'source'])
      assert.ok(REJECTION_CODES.includes(result.code))
      assert.notEqual(result.source, '')
      return
    case 'authenticated':
      assert.fail('an unknown token was authenticated')
  }
}
