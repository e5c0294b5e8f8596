import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { audienceBound } from '../../src/authn/audiences.ts'
import { type AuthnResult, SKIPPED } from '../../src/authn/authenticator.ts'
import { callContext } from '../support/context.ts'
import { authenticated, fakeAuthenticator } from './support.ts'

interface Case {
  readonly asked: readonly string[]
  /** Of the configuration. */
  readonly bound: readonly string[]
  /** Of the source; absent: it knows none. */
  readonly own?: readonly string[]
}

async function check({
  asked,
  bound,
  own,
}: Case): Promise<{ readonly inner: AuthnResult; readonly outer: AuthnResult }> {
  const inner = authenticated(own === undefined ? {} : { audiences: own })
  const outer = await audienceBound(
    fakeAuthenticator(() => inner),
    bound,
  ).authenticate('t', callContext({ audiences: asked }))
  return { inner, outer }
}

/** `unsaid`: good, and the answer names no audiences; a list: good for these; `refused`. */
type Outcome = 'unsaid' | 'refused' | readonly string[]

const matrix: readonly (Case & { readonly outcome: Outcome })[] = [
  // Nobody asks: nothing is compared.
  { asked: [], bound: [], outcome: 'unsaid' },
  { asked: [], bound: ['a'], outcome: 'unsaid' },
  { asked: [], bound: [], own: [], outcome: [] },
  { asked: [], bound: ['a'], own: ['b'], outcome: ['b'] },
  // Not audience-aware: kube-apiserver assumes its own audiences and nobody else's.
  { asked: ['a'], bound: [], outcome: 'unsaid' },
  { asked: ['a', 'b'], bound: [], outcome: 'unsaid' },
  // Bound by configuration.
  { asked: ['a'], bound: ['a'], outcome: ['a'] },
  { asked: ['a', 'b'], bound: ['b'], outcome: ['b'] },
  { asked: ['b', 'a'], bound: ['a', 'b', 'c'], outcome: ['b', 'a'] },
  { asked: ['a'], bound: ['b'], outcome: 'refused' },
  { asked: ['a'], bound: ['A', 'a ', 'aa', ''], outcome: 'refused' },
  { asked: [''], bound: ['a'], outcome: 'refused' },
  // The source's own word counts, whatever the configuration says.
  { asked: ['a'], bound: [], own: ['a', 'b'], outcome: ['a'] },
  { asked: ['a'], bound: [], own: ['b'], outcome: 'refused' },
  { asked: ['a'], bound: ['a'], own: ['b'], outcome: 'refused' },
  { asked: ['a', 'b'], bound: ['a'], own: ['b'], outcome: ['b'] },
  // Good for nobody is something else than knowing none.
  { asked: ['a'], bound: [], own: [], outcome: 'refused' },
  { asked: ['a'], bound: ['a'], own: [], outcome: 'refused' },
  // T-H13
  { asked: ['__proto__', 'constructor'], bound: ['a'], outcome: 'refused' },
  { asked: ['__proto__'], bound: ['__proto__'], outcome: ['__proto__'] },
]

describe('T-W1 asked × bound × the source’s own', () => {
  for (const { outcome, ...given } of matrix) {
    const { asked, bound, own } = given
    test(`asked ${list(asked)}, bound ${list(bound)}, own ${list(own)}: ${list(outcome)}`, async () => {
      const { inner, outer } = await check(given)
      if (outcome === 'refused') {
        assert.deepEqual(outer, { kind: 'rejected', code: 'audience_mismatch', source: 'fake' })
      } else if (outcome === 'unsaid') {
        assert.equal(outer, inner)
      } else {
        assert.deepEqual(outer, { ...inner, audiences: outcome })
      }
    })
  }
})

function list(audiences: Outcome | undefined): string {
  return typeof audiences === 'string' ? audiences : JSON.stringify(audiences ?? 'unknown')
}

test('T-W1 an answer names only what was asked and bound, and never nothing where something was asked', async () => {
  const names = fc.array(fc.constantFrom('a', 'b', 'c', 'd', '', '__proto__'), { maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(names, names, fc.option(names, { nil: undefined }), async (asked, bound, own) => {
      const { outer } = await check({ asked, bound, ...(own === undefined ? {} : { own }) })
      const good = own ?? bound
      const common = asked.filter((audience) => good.includes(audience))
      if (asked.length === 0 || (own === undefined && bound.length === 0)) {
        assert.equal(outer.kind, 'authenticated')
        assert.deepEqual(outer.kind === 'authenticated' && outer.audiences, own)
      } else if (common.length === 0) {
        assert.equal(outer.kind, 'rejected')
      } else {
        assert.deepEqual(outer.kind === 'authenticated' && outer.audiences, common)
      }
    }),
  )
})

test('identity, source and expiry pass as they are', async () => {
  const inner = authenticated({ expiresAt: new Date(5) })
  const outer = await audienceBound(
    fakeAuthenticator(() => inner),
    ['a'],
  ).authenticate('t', callContext({ audiences: ['a'] }))
  assert.ok(outer.kind === 'authenticated')
  assert.equal(outer.user, inner.user)
  assert.equal(outer.expiresAt, inner.expiresAt)
  assert.ok(!('audiences' in inner), 'the shared result is not changed')
})

test('what is no proof passes as it is', async () => {
  const rejected: AuthnResult = { kind: 'rejected', code: 'token_expired', source: 'x' }
  for (const result of [rejected, SKIPPED]) {
    const bound = audienceBound(
      fakeAuthenticator(() => result),
      ['a'],
    )
    assert.equal(await bound.authenticate('t', callContext({ audiences: ['b'] })), result)
  }
  const outage = new Error('outage')
  const failing = fakeAuthenticator(() => {
    throw outage
  })
  await assert.rejects(audienceBound(failing, ['a']).authenticate('t', callContext()), outage)
  assert.equal(audienceBound(failing, []).name, 'fake')
})

test('T-W1 what is recalled is bound as what is asked', async () => {
  for (const { outcome: _, asked, bound, own } of matrix) {
    const result = authenticated(own === undefined ? {} : { audiences: own })
    const inner = { ...fakeAuthenticator(() => result), recall: () => result }
    const outer = audienceBound(inner, bound)
    const ctx = callContext({ audiences: asked })
    assert.deepEqual(outer.recall?.('t', ctx), await outer.authenticate('t', ctx))
  }
  assert.equal(
    audienceBound(
      fakeAuthenticator(() => SKIPPED),
      ['a'],
    ).recall?.('t', callContext()),
    undefined,
  )
})
