import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, describe, it } from 'node:test'
import type { ErrorCode } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import { startOidcIssuer } from '../rigs/oidc-issuer.ts'
import { clientOf, rejects } from './support.ts'

const issuer = await startOidcIssuer()
after(() => issuer[Symbol.asyncDispose]())

const PASSWORD = new Secret('alice-pw')

function claims(changes: object = {}): object {
  const now = Math.floor(Date.now() / 1000)
  return { iss: issuer.issuer, aud: 'terminal', sub: 'alice', iat: now, exp: now + 600, ...changes }
}

/** Logs in while the token endpoint answers with another ID token. */
async function logIn(changed: (idToken: string) => unknown): Promise<unknown> {
  const stop = issuer.tamper('token', { after: (body) => ({ ...body, id_token: changed(String(body['id_token'])) }) })
  try {
    return await clientOf(issuer).password('alice', PASSWORD)
  } finally {
    stop()
  }
}

const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')

describe('ID tokens (T-S7)', () => {
  it('takes one that the rig signs itself, so that the ones below are refused for what is wrong with them', async () => {
    await logIn(() => issuer.signJwt(claims()))
  })

  const now = Math.floor(Date.now() / 1000)
  const hostile: readonly (readonly [string, (idToken: string) => unknown])[] = [
    ['alg none', () => `${encode({ alg: 'none' })}.${encode(claims())}.`],
    ['alg none with a signature', (token) => `${encode({ alg: 'none' })}.${token.split('.').slice(1).join('.')}`],
    ['HS256', () => issuer.signJwt(claims(), { alg: 'HS256' })],
    ['another audience', () => issuer.signJwt(claims({ aud: 'service' }))],
    ['no audience', () => issuer.signJwt(claims({ aud: undefined }))],
    [
      'several audiences and another authorized party',
      () => issuer.signJwt(claims({ aud: ['terminal', 'service'], azp: 'service' })),
    ],
    ['another issuer', () => issuer.signJwt(claims({ iss: 'https://evil.example' }))],
    ['no subject', () => issuer.signJwt(claims({ sub: undefined }))],
    ['its time over', () => issuer.signJwt(claims({ exp: now - 600 }))],
    ['no end', () => issuer.signJwt(claims({ exp: undefined }))],
    ['its time to come', () => issuer.signJwt(claims({ nbf: now + 6000 }))],
    ['a changed claim', (token) => token.replace(/\.[^.]+\./, `.${encode(claims({ sub: 'admin' }))}.`)],
    ['no signature', (token) => token.replace(/\.[^.]+$/, '.')],
    ['a key nobody publishes', () => issuer.signJwt(claims(), { kid: 'unknown' })],
    [
      'a key of its own',
      () =>
        issuer.signJwt(claims(), {
          kid: 'own',
          jwk: generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }),
        }),
    ],
    ['a critical extension', () => issuer.signJwt(claims(), { crit: ['exp'] })],
    ['no form', () => 'not.a.token'],
    ['no text', () => ({ sub: 'alice' })],
  ]
  for (const [what, change] of hostile) {
    it(`refuses one with ${what}`, async () => {
      await rejects(logIn(change), 'oidc_answer_invalid', /token request/)
    })
  }

  it('refuses alg none also where the issuer says that it uses it', async () => {
    for (const alg of ['none', 'HS256']) {
      const stop = issuer.tamper('discovery', {
        after: (body) => ({ ...body, id_token_signing_alg_values_supported: ['RS256', alg] }),
      })
      await rejects(
        logIn(() => `${encode({ alg })}.${encode(claims())}.${alg === 'none' ? '' : 'AAAA'}`),
        'oidc_answer_invalid',
        /token request/,
      )
      stop()
    }
  })

  it('refuses a nonce that is not the one of this login, and a missing one', async () => {
    for (const nonce of ['another', undefined]) {
      const stop = issuer.tamper('token', {
        after: (body) => ({ ...body, id_token: issuer.signJwt(claims({ nonce })) }),
      })
      const show = async (url: string) => void (await issuer.logInAtBrowser(url, 'alice'))
      await rejects(clientOf(issuer).authorizationCode({ show }), 'oidc_answer_invalid', /nonce|claim/)
      stop()
    }
  })

  it('refuses a login with a browser that gives no ID token, though one was asked for', async () => {
    const stop = issuer.tamper('token', { after: ({ id_token: _, ...body }) => body })
    const show = async (url: string) => void (await issuer.logInAtBrowser(url, 'alice'))
    await rejects(clientOf(issuer).authorizationCode({ show }), 'oidc_answer_invalid', /id_token/)
    stop()
  })

  it('takes tokens of a new key at once, and none of the old', async () => {
    const client = clientOf(issuer)
    await client.password('alice', PASSWORD)
    const old = issuer.signJwt(claims())
    issuer.rotateKeys()
    const renewed = await client.password('alice', PASSWORD)
    assert.equal(renewed.claims?.['sub'], 'alice')
    await rejects(
      logIn(() => old),
      'oidc_answer_invalid',
      /token request/,
    )
  })

  it('could not tell, where the keys cannot be had', async () => {
    const stop = issuer.tamper('jwks', { before: (_request, response) => Boolean(response.writeHead(503).end()) })
    await rejects(clientOf(issuer).password('alice', PASSWORD), 'oidc_unreachable', /HTTP 503/)
    stop()
  })
})

describe('answers of the token endpoint', () => {
  it('keeps dates a date can hold', async () => {
    const stop = issuer.tamper('token', { after: (body) => ({ ...body, expires_in: 1e300 }) })
    const { expiresAt } = await clientOf(issuer).password('alice', PASSWORD)
    stop()
    assert.ok(expiresAt !== undefined && !Number.isNaN(expiresAt.getTime()))
  })

  it('counts the life of a token from before it was asked for', async () => {
    const before = Date.now()
    const { expiresAt } = await clientOf(issuer).password('alice', PASSWORD)
    assert.ok(expiresAt !== undefined && expiresAt.getTime() >= before + 3_600_000)
    assert.ok(expiresAt.getTime() <= Date.now() + 3_600_000)
  })

  const bodies: readonly (readonly [string, number, string, string, ErrorCode])[] = [
    ['no JSON', 200, 'application/json', 'SECRET-CANARY not json', 'oidc_answer_invalid'],
    ['HTML', 200, 'text/html', '<p>SECRET-CANARY', 'oidc_answer_invalid'],
    ['a list', 200, 'application/json', '["SECRET-CANARY"]', 'oidc_answer_invalid'],
    ['no access token', 200, 'application/json', '{"token_type":"Bearer","x":"SECRET-CANARY"}', 'oidc_answer_invalid'],
    [
      'a strange kind of token',
      200,
      'application/json',
      '{"access_token":"SECRET-CANARY","token_type":"odd"}',
      'oidc_answer_invalid',
    ],
    ['a redirect', 307, 'text/plain', 'SECRET-CANARY', 'oidc_answer_invalid'],
    ['403 of something in between', 403, 'text/html', '<p>SECRET-CANARY', 'oidc_answer_invalid'],
    ['404', 404, 'application/json', '{}', 'oidc_answer_invalid'],
    ['429', 429, 'application/json', '{"error":"rate_limited"}', 'oidc_unreachable'],
    ['500 with an OAuth error', 500, 'application/json', '{"error":"invalid_grant"}', 'oidc_unreachable'],
    ['502', 502, 'text/html', '<p>SECRET-CANARY', 'oidc_unreachable'],
    ['server_error', 400, 'application/json', '{"error":"server_error"}', 'oidc_unreachable'],
    ['invalid_scope', 400, 'application/json', '{"error":"invalid_scope"}', 'oidc_refused'],
  ]
  for (const [what, status, type, body, code] of bodies) {
    it(`T-S1 ${what}: ${code}, and nothing of it in the message`, async () => {
      const stop = issuer.tamper('token', {
        before: (_request, response) => Boolean(response.writeHead(status, { 'content-type': type }).end(body)),
      })
      const error = await rejects(clientOf(issuer).password('alice', PASSWORD), code, /token request/)
      stop()
      assert.doesNotMatch(error.message, /SECRET/)
      assert.doesNotMatch(String(error.cause), /SECRET/)
    })
  }
})
