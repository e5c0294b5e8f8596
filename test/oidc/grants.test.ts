import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { Secret } from '../../src/secret.ts'
import { startOidcIssuer } from '../rigs/oidc-issuer.ts'
import { clientOf, rejects } from './support.ts'

const issuer = await startOidcIssuer({
  clients: [
    { id: 'terminal' },
    { id: 'service', secret: 'service-secret' },
    { id: 'poster', secret: 'poster-secret', authMethod: 'client_secret_post' },
    { id: 'odd', secret: 'a+b%20 c&d=e' },
  ],
})
after(() => issuer[Symbol.asyncDispose]())

const PASSWORD = new Secret('alice-pw')

describe('password grant', () => {
  it('gets tokens, with the scopes that were asked for', async () => {
    const tokens = await clientOf(issuer, { scopes: ['openid', 'email'] }).password('alice', PASSWORD)
    assert.equal(tokens.claims?.['email'], 'alice@example.org')
    assert.equal(tokens.claims?.['groups'], undefined)
    assert.equal(tokens.refreshToken, undefined)
  })

  it('T-S1 a wrong password is refused, and not repeated, even where the issuer quotes it', async () => {
    const wrong = new Secret('wrong-pw-&=%')
    const login = clientOf(issuer).password('alice', wrong)
    await rejects(login, 'oidc_refused', /invalid_grant: .*wrong credentials/)
    const stop = issuer.tamper('token', {
      after: () => ({
        error: 'invalid_grant',
        error_description: `no: wrong-pw-&=% or ${encodeURIComponent('wrong-pw-&=%')}`,
      }),
    })
    const error = await rejects(
      clientOf(issuer).password('alice', wrong),
      'oidc_refused',
      /\[redacted\] or \[redacted\]/,
    )
    stop()
    assert.doesNotMatch(error.message, /wrong-pw/)
  })

  it('works for a confidential client, in whichever way the issuer takes its secret', async () => {
    const clients: readonly (readonly [string, string, string[] | undefined])[] = [
      ['service', 'service-secret', ['client_secret_basic', 'client_secret_post']],
      ['service', 'service-secret', undefined],
      ['odd', 'a+b%20 c&d=e', ['client_secret_basic']],
      ['poster', 'poster-secret', ['client_secret_post', 'private_key_jwt']],
    ]
    for (const [clientId, secret, methods] of clients) {
      const stop = issuer.tamper('discovery', {
        after: (body) => ({ ...body, token_endpoint_auth_methods_supported: methods }),
      })
      const options = { clientId, clientSecret: new Secret(secret) }
      const { claims } = await clientOf(issuer, options).password('alice', PASSWORD)
      assert.equal(claims?.['aud'], clientId)
      stop()
    }
  })

  it('a client that is unknown, or lacks its secret, is refused with what to look at', async () => {
    for (const clientId of ['unknown', 'service']) {
      const login = clientOf(issuer, { clientId }).password('alice', PASSWORD)
      await rejects(login, 'oidc_refused', /invalid_client.*look at the client id/)
    }
  })

  it('takes the reason from the body where the issuer also sends a challenge', async () => {
    const challenge = { 'www-authenticate': 'Basic realm="issuer"', 'content-type': 'application/json' }
    for (const [body, message] of [
      [
        '{"error":"unauthorized_client","error_description":"not you"}',
        /unauthorized_client: not you \(allow this way/,
      ],
      ['nothing', /invalid_client/],
    ] as const) {
      const stop = issuer.tamper('token', {
        before: (_request, response) => Boolean(response.writeHead(401, challenge).end(body)),
      })
      await rejects(clientOf(issuer).password('alice', PASSWORD), 'oidc_refused', message)
      stop()
    }
  })
})

describe('refresh', () => {
  it('gives new tokens and the new refresh token where the issuer rotates', async () => {
    const client = clientOf(issuer, { refreshable: true })
    const first = await client.password('alice', PASSWORD)
    assert.ok(first.refreshToken !== undefined)
    const second = await client.refresh(first.refreshToken)
    assert.notEqual(second.refreshToken?.reveal(), first.refreshToken.reveal())
    assert.notEqual(second.accessToken.reveal(), first.accessToken.reveal())
    assert.equal(second.claims?.['sub'], 'alice')
  })

  it('T-S12 a refresh token that was used already is refused, and ends the new one too', async () => {
    const client = clientOf(issuer, { refreshable: true })
    const { refreshToken: first } = await client.password('alice', PASSWORD)
    assert.ok(first !== undefined)
    const { refreshToken: second } = await client.refresh(first)
    assert.ok(second !== undefined)
    const error = await rejects(client.refresh(first), 'oidc_refused', /invalid_grant.*log in again/)
    assert.ok(!error.message.includes(first.reveal()))
    await rejects(client.refresh(second), 'oidc_refused', /invalid_grant/)
  })

  it('keeps the old refresh token where the issuer gives no new one', async () => {
    const client = clientOf(issuer, { refreshable: true })
    const { refreshToken } = await client.password('alice', PASSWORD)
    assert.ok(refreshToken !== undefined)
    const stop = issuer.tamper('token', { after: ({ refresh_token: _, ...body }) => body })
    const renewed = await client.refresh(refreshToken)
    stop()
    assert.equal(renewed.refreshToken, refreshToken)
  })

  it('an expired refresh token is refused', async (t) => {
    const client = clientOf(issuer, { refreshable: true })
    const { refreshToken } = await client.password('alice', PASSWORD)
    assert.ok(refreshToken !== undefined)
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 2 * 86_400_000 })
    await rejects(client.refresh(refreshToken), 'oidc_refused', /invalid_grant/)
  })

  it('could not tell, while the issuer is down; afterwards the same token is good', async () => {
    const client = clientOf(issuer, { refreshable: true })
    const { refreshToken } = await client.password('alice', PASSWORD)
    assert.ok(refreshToken !== undefined)
    await issuer.stop()
    await rejects(client.refresh(refreshToken), 'oidc_unreachable', /ECONNREFUSED/)
    await issuer.start()
    assert.equal((await client.refresh(refreshToken)).claims?.['sub'], 'alice')
  })
})

describe('revocation (RFC 7009)', () => {
  it('ends a refresh token', async () => {
    const client = clientOf(issuer, { refreshable: true })
    const { refreshToken } = await client.password('alice', PASSWORD)
    assert.ok(refreshToken !== undefined)
    assert.equal(await client.revoke(refreshToken), true)
    await rejects(client.refresh(refreshToken), 'oidc_refused', /invalid_grant/)
  })

  it('is as good for a token the issuer does not know', async () => {
    assert.equal(await clientOf(issuer).revoke(new Secret('nothing-of-mine')), true)
  })

  it('is false where the issuer cannot, in general or for this kind of token', async () => {
    const token = new Secret('some-token')
    const stopDiscovery = issuer.tamper('discovery', { after: ({ revocation_endpoint: _, ...body }) => body })
    assert.equal(await clientOf(issuer).revoke(token), false)
    stopDiscovery()
    const stop = issuer.tamper('revocation', {
      before: (_request, response) =>
        Boolean(
          response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"unsupported_token_type"}'),
        ),
    })
    assert.equal(await clientOf(issuer).revoke(token), false)
    stop()
  })

  it('is an error where it could not be told', async () => {
    const stop = issuer.tamper('revocation', { before: (_request, response) => Boolean(response.writeHead(503).end()) })
    await rejects(clientOf(issuer).revoke(new Secret('some-token')), 'oidc_unreachable', /HTTP 503/)
    stop()
  })
})
