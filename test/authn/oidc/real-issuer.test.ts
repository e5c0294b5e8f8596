import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { authenticationConfigurationFile } from '../../../src/authn/oidc/authentication-configuration-file.ts'
import { flagRules } from '../../../src/authn/oidc/flag-rules.ts'
import { type IssuerKeysOptions, issuerKeys } from '../../../src/authn/oidc/issuer-keys.ts'
import { oidcToken } from '../../../src/authn/oidc/oidc-token.ts'
import { memoryFiles } from '../../reload/support.ts'
import { type OidcIssuer, startOidcIssuer } from '../../rigs/oidc-issuer.ts'
import { callContext, recordingLog } from '../../support/context.ts'
import { createAuthority, type TestAuthority } from '../../support/tls.ts'
import { mappingOf, outcome } from './support.ts'

/** A real one: oidc-provider, over TLS on loopback. */
let issuer: OidcIssuer
let authority: TestAuthority

before(async () => {
  authority = await createAuthority()
  issuer = await startOidcIssuer({ tls: await authority.server(), clients: [{ id: 'terminal' }, { id: 'other' }] })
})
after(() => issuer[Symbol.asyncDispose]())

interface Setup {
  ask(token: string | undefined): Promise<string>
  /** Lets time go by for the cool-down. */
  later(): void
}

function setUp({
  audiences = ['terminal'],
  usernameClaim = 'sub',
  ...over
}: { audiences?: string[]; usernameClaim?: string } & Partial<IssuerKeysOptions> = {}): Setup {
  let passed = 0
  const keys = issuerKeys({
    issuer: issuer.issuer,
    ca: () => authority.cert,
    log: recordingLog(),
    now: () => Date.now() + passed,
    timeoutMs: 20_000,
    ...over,
  })
  const rules = flagRules({ issuer: issuer.issuer, usernameClaim, usernamePrefix: 'oidc:', groupsClaim: 'groups' })
  const authenticator = oidcToken({ keys, audiences, mapping: mappingOf(rules) })
  return {
    ask: (token) => outcome(authenticator.authenticate(token ?? '', callContext())),
    later: () => {
      passed += 10_000
    },
  }
}

async function idTokenOf(account: string, client = 'terminal'): Promise<string> {
  const { id_token: token } = await issuer.issueTokens({ account, client })
  assert.ok(token !== undefined)
  return token
}

function claims(over: Record<string, unknown> = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000)
  return { iss: issuer.issuer, aud: 'terminal', sub: 'alice', iat: now, exp: now + 600, ...over }
}

describe('against oidc-provider', () => {
  test('an ID token is accepted, with its groups', async () => {
    const keys = issuerKeys({ issuer: issuer.issuer, ca: () => authority.cert, log: recordingLog(), timeoutMs: 20_000 })
    const rules = flagRules({ issuer: issuer.issuer, usernamePrefix: '-', groupsClaim: 'groups' })
    const result = await oidcToken({ keys, audiences: ['terminal'], mapping: mappingOf(rules) }).authenticate(
      await idTokenOf('carol'),
      callContext(),
    )
    assert.ok(result.kind === 'authenticated')
    assert.deepEqual([result.user.username, result.user.groups], ['carol', ['k8s-ops', 'k8s-devs']])
    assert.ok(result.expiresAt !== undefined && result.expiresAt.getTime() > Date.now())
  })

  test('one for another client is refused', async () => {
    assert.equal(await setUp().ask(await idTokenOf('alice', 'other')), '!audience_mismatch')
    assert.equal(await setUp({ audiences: ['terminal', 'other'] }).ask(await idTokenOf('alice', 'other')), 'oidc:alice')
  })

  test('an access token that is opaque is not ours', async () => {
    const { access_token: opaque } = await issuer.issueTokens({ account: 'alice' })
    assert.equal(await setUp().ask(opaque), 'skipped')
  })

  test('an access token that is a JWT is judged like any other', async () => {
    const { access_token: token } = await issuer.issueTokens({
      account: 'alice',
      audience: 'https://kubernetes.example',
    })
    assert.equal(await setUp().ask(token), '!audience_mismatch')
    assert.equal(await setUp({ audiences: ['https://kubernetes.example'] }).ask(token), 'oidc:alice')
  })

  test('T-S7 an address that is not verified is no user name', async () => {
    const given = setUp({ usernameClaim: 'email' })
    assert.equal(await given.ask(await idTokenOf('alice')), 'oidc:alice@example.org')
    assert.equal(await given.ask(await idTokenOf('bob')), '!email_not_verified')
  })

  test('T-S7 expired, not yet valid, unsigned, and changed tokens are refused', async () => {
    const { ask } = setUp()
    const now = Math.floor(Date.now() / 1000)
    assert.equal(await ask(issuer.signJwt(claims())), 'oidc:alice')
    assert.equal(await ask(issuer.signJwt(claims({ exp: now - 1 }))), '!token_expired')
    assert.equal(await ask(issuer.signJwt(claims({ nbf: now + 600 }))), '!token_not_yet_valid')
    assert.equal(await ask(issuer.signJwt(claims(), { alg: 'none' })), '!algorithm_not_allowed')
    assert.equal(await ask(issuer.signJwt(claims(), { alg: 'HS256' })), '!algorithm_not_allowed')
    const [header, , signature] = issuer.signJwt(claims()).split('.')
    const other = Buffer.from(JSON.stringify(claims({ sub: 'root' }))).toString('base64url')
    assert.equal(await ask(`${header}.${other}.${signature}`), '!signature_invalid')
  })

  test('T-S7 the issuer rotates: new tokens are good after the cool-down, old ones as long as their key is published', async () => {
    const { ask, later } = setUp()
    const before = await idTokenOf('alice')
    assert.equal(await ask(before), 'oidc:alice')
    issuer.rotateKeys({ keepOld: true })
    const after = await idTokenOf('alice')
    await assert.rejects(ask(after), { code: 'oidc_unreachable' }, 'within the cool-down it cannot be told')
    later()
    assert.equal(await ask(after), 'oidc:alice')
    assert.equal(await ask(before), 'oidc:alice')
    issuer.rotateKeys()
    later()
    assert.equal(await ask(await idTokenOf('alice')), 'oidc:alice')
    assert.equal(
      await ask(before).catch(({ code }: { code: string }) => code),
      'oidc_unreachable',
      'it may be newer than what we have',
    )
    later()
    assert.equal(await ask(before), '!key_unknown')
  })

  test('T-S7 unknown-kid storm: the issuer is asked once', async () => {
    const { ask } = setUp()
    assert.equal(await ask(await idTokenOf('alice')), 'oidc:alice')
    const before = [issuer.requests('discovery'), issuer.requests('jwks')]
    const storm = Array.from({ length: 200 }, (_, index) => ask(issuer.signJwt(claims(), { kid: `k${index}` })))
    for (const result of await Promise.allSettled(storm))
      assert.notEqual(result.status === 'fulfilled' && result.value, 'oidc:alice')
    assert.deepEqual([issuer.requests('discovery'), issuer.requests('jwks')], before)
  })

  test('T-W3 it is down: tokens are good while their keys are known, cannot be told without, and are good when it is back', async () => {
    const known = setUp()
    const token = await idTokenOf('alice')
    assert.equal(await known.ask(token), 'oidc:alice')
    const fresh = setUp()
    await issuer.stop()
    try {
      assert.equal(await known.ask(token), 'oidc:alice')
      await assert.rejects(fresh.ask(token), { code: 'oidc_unreachable', status: 503 })
    } finally {
      await issuer.start()
    }
    fresh.later()
    assert.equal(await fresh.ask(token), 'oidc:alice')
  })

  test('with a certificate of an authority that is not ours it is not believed', async () => {
    const other = await createAuthority('Other CA')
    await assert.rejects(setUp({ ca: () => other.cert }).ask(await idTokenOf('alice')), { code: 'oidc_unreachable' })
  })

  test('a discovery document that names another issuer is not used', async () => {
    const undo = issuer.tamper('discovery', { after: (body) => ({ ...body, issuer: 'https://other.example' }) })
    try {
      await assert.rejects(setUp().ask(await idTokenOf('alice')), { code: 'oidc_answer_invalid' })
    } finally {
      undo()
    }
  })

  test('by an AuthenticationConfiguration file with expressions', async () => {
    const content = JSON.stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'AuthenticationConfiguration',
      jwt: [
        {
          issuer: { url: issuer.issuer, audiences: ['terminal'], certificateAuthority: authority.cert },
          claimValidationRules: [
            { expression: 'claims.?email_verified.orValue(true) == true', message: 'not verified' },
          ],
          claimMappings: {
            username: { expression: 'claims.email.split("@")[0] + ":" + claims.sub' },
            groups: { expression: 'claims.groups.filter(g, g.matches("^k8s-")).map(g, g.substring(4))' },
            extra: [{ key: 'example.org/name', valueExpression: 'claims.preferred_username' }],
          },
          userValidationRules: [{ expression: 'user.groups.size() > 0', message: 'nobody without groups' }],
        },
      ],
    })
    const file = await authenticationConfigurationFile({
      path: '/etc/authn.json',
      log: recordingLog(),
      intervalMs: 0,
      reads: memoryFiles({ '/etc/authn.json': content }),
      keys: { timeoutMs: 20_000 },
    })
    const result = await file.authenticate(await idTokenOf('carol'), callContext())
    assert.ok(result.kind === 'authenticated')
    assert.deepEqual(result.user, {
      username: 'carol:carol',
      uid: '',
      groups: ['ops', 'devs'],
      extra: new Map([['example.org/name', ['carol']]]),
    })
    assert.equal(await outcome(file.authenticate(await idTokenOf('bob'), callContext())), '!claim_rule_failed')
    file.close()
  })
})
