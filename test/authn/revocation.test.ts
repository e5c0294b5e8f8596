import assert from 'node:assert/strict'
import { test } from 'node:test'
import { APISERVER_TOKEN_CACHE_MS, describeRevocation, revocationBudget } from '../../src/authn/revocation.ts'

test('T-W8 the time is the sum of its parts, kube-apiserver’s own 10 s included', () => {
  const budget = revocationBudget({ archwayMs: 30_000, apiserverWebhookMs: 120_000 })
  assert.deepEqual(budget, {
    parts: { archway: 30_000, apiserverWebhook: 120_000, apiserverTokens: 10_000 },
    totalMs: 160_000,
    judgesJwts: false,
  })
  assert.equal(
    Object.values(budget.parts).reduce((sum, ms) => sum + ms),
    budget.totalMs,
  )
})

test('T-W8 with every cache off that can be, 10 s are left', () => {
  assert.equal(revocationBudget({ archwayMs: 0, apiserverWebhookMs: 0 }).totalMs, APISERVER_TOKEN_CACHE_MS)
  assert.equal(APISERVER_TOKEN_CACHE_MS, 10_000)
})

test('T-W8 the sentence says the sum, the parts and what is not in it', () => {
  assert.equal(
    describeRevocation(revocationBudget({ archwayMs: 1_500, apiserverWebhookMs: 120_000 })),
    'a revoked token stops working after at most 131.5 s: 1.5 s (cache.ttl) + ' +
      "120 s (kube-apiserver's webhook cache) + 10 s (kube-apiserver's token cache), plus whatever Keystone itself caches",
  )
})

test('T-W8 the sentence says that JWTs of an issuer cannot be taken back, where there is one', () => {
  const parts = { archwayMs: 0, apiserverWebhookMs: 0 }
  assert.match(
    describeRevocation(revocationBudget({ ...parts, judgesJwts: true })),
    /; a JWT of an OIDC issuer cannot be taken back: it works until it expires$/,
  )
  assert.doesNotMatch(describeRevocation(revocationBudget(parts)), /JWT/)
})
