import assert from 'node:assert/strict'
import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import { describe, it } from 'node:test'
import { type OidcIssuer, startOidcIssuer } from '../rigs/oidc-issuer.ts'
import { createAuthority } from '../support/tls.ts'

interface Jwt {
  readonly header: Record<string, unknown>
  readonly claims: Record<string, unknown>
}

function decode(jwt = ''): Jwt {
  const [header = '', claims = ''] = jwt.split('.').map((part) => Buffer.from(part, 'base64url').toString())
  return { header: JSON.parse(header), claims: JSON.parse(claims) }
}

async function keysOf(issuer: OidcIssuer): Promise<(JsonWebKey & { kid: string })[]> {
  const answer = await fetch(`${issuer.issuer}/jwks`, { headers: { connection: 'close' } })
  return JSON.parse(await answer.text()).keys
}

async function ask(issuer: OidcIssuer, path: string, form: Record<string, string>) {
  const body = new URLSearchParams(form)
  const answer = await fetch(`${issuer.issuer}${path}`, { method: 'POST', body, headers: { connection: 'close' } })
  const text = await answer.text()
  return { status: answer.status, said: text === '' ? {} : JSON.parse(text) }
}

describe('rig: OpenID Connect issuer', () => {
  it('puts claims of accounts into ID tokens by scope, and others always', async () => {
    await using issuer = await startOidcIssuer({
      accounts: [
        { name: 'dora', password: 'dora-pw', claims: { email: 'd@example.org', groups: ['a'], tenant: 'blue' } },
      ],
    })
    const all = decode((await issuer.issueTokens({ account: 'dora' })).id_token).claims
    assert.deepEqual([all['sub'], all['email'], all['groups'], all['tenant']], ['dora', 'd@example.org', ['a'], 'blue'])
    const few = decode((await issuer.issueTokens({ account: 'dora', scope: 'openid' })).id_token).claims
    assert.deepEqual([few['sub'], few['email'], few['groups'], few['tenant']], ['dora', undefined, undefined, 'blue'])
    issuer.setAccount({ name: 'dora', password: 'new-pw', claims: { groups: ['b'] } })
    const changed = decode((await issuer.issueTokens({ account: 'dora' })).id_token).claims
    assert.deepEqual(changed['groups'], ['b'])
  })

  it('makes access tokens JWTs for a resource', async () => {
    await using issuer = await startOidcIssuer({ resource: 'https://api.example' })
    const { header, claims } = decode((await issuer.issueTokens({ account: 'alice' })).access_token)
    assert.equal(header['typ'], 'at+jwt')
    assert.equal(claims['aud'], 'https://api.example')
    assert.deepEqual(claims['groups'], ['k8s-devs'])
  })

  it('gives the lifetimes it was told, also at run time', async () => {
    await using issuer = await startOidcIssuer({ lifetimes: { idToken: 7, accessToken: 8 } })
    const life = ({ claims }: Jwt): number => Number(claims['exp']) - Number(claims['iat'])
    const first = await issuer.issueTokens({ account: 'alice' })
    assert.deepEqual([life(decode(first.id_token)), first.expires_in], [7, 8])
    issuer.setLifetimes({ idToken: 9 })
    assert.equal(life(decode((await issuer.issueTokens({ account: 'alice' })).id_token)), 9)
  })

  it('signs with a new key after rotation, and keeps the old one published when told to', async () => {
    await using issuer = await startOidcIssuer()
    const old = decode((await issuer.issueTokens({ account: 'alice' })).id_token).header['kid']
    issuer.rotateKeys({ keepOld: true })
    const kids = (await keysOf(issuer)).map(({ kid }) => kid)
    assert.equal(kids.length, 2)
    assert.ok(kids.includes(String(old)))
    const now = decode((await issuer.issueTokens({ account: 'alice' })).id_token).header['kid']
    assert.notEqual(now, old)
    issuer.rotateKeys()
    const last = (await keysOf(issuer)).map(({ kid }) => kid)
    assert.equal(last.length, 1)
    assert.ok(!last.includes(String(now)))
    const jwt = issuer.signJwt({ any: 'thing' })
    const [head = '', body = '', signature = ''] = jwt.split('.')
    const [jwk] = await keysOf(issuer)
    assert.ok(jwk !== undefined)
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    assert.ok(verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url')))
  })

  it('introspects and revokes, and counts what it is asked', async () => {
    await using issuer = await startOidcIssuer()
    const { access_token, refresh_token = '' } = await issuer.issueTokens({
      account: 'alice',
      scope: 'openid offline_access',
    })
    const client_id = 'terminal'
    const before = await ask(issuer, '/token/introspection', { token: access_token, client_id })
    assert.deepEqual([before.said.active, before.said.sub], [true, 'alice'])
    assert.equal((await ask(issuer, '/token/revocation', { token: refresh_token, client_id })).status, 200)
    const after = await ask(issuer, '/token/introspection', { token: access_token, client_id })
    assert.equal(after.said.active, false)
    assert.deepEqual(
      [issuer.requests('introspection'), issuer.requests('revocation'), issuer.requests('token')],
      [2, 1, 1],
    )
    assert.equal(issuer.requests(), 4)
  })

  it('keeps what it issued over a stop, and its port', async () => {
    await using issuer = await startOidcIssuer({ tls: await (await createAuthority()).server() })
    const before = await issuer.issueTokens({ account: 'alice' })
    await issuer.stop()
    await assert.rejects(issuer.issueTokens({ account: 'alice' }))
    await issuer.start()
    const after = await issuer.issueTokens({ account: 'alice' })
    assert.equal(decode(after.id_token).claims['iss'], decode(before.id_token).claims['iss'])
  })

  it('knows nobody by a wrong password, and no foreign redirect address', async () => {
    await using issuer = await startOidcIssuer()
    const grant = { grant_type: 'password', username: 'alice', password: 'x', client_id: 'terminal' }
    assert.equal((await ask(issuer, '/token', grant)).said.error, 'invalid_grant')
    const query = {
      client_id: 'terminal',
      response_type: 'code',
      scope: 'openid',
      redirect_uri: 'https://evil.example/',
    }
    const url = `${issuer.issuer}/auth?${new URLSearchParams(query)}`
    await assert.rejects(issuer.logInAtBrowser(url, 'alice', { visit: false }), /redirect_uri/)
  })

  it('wants PKCE of a public client', async () => {
    await using issuer = await startOidcIssuer()
    const redirect_uri = 'http://127.0.0.1:1/callback'
    const query = { client_id: 'terminal', response_type: 'code', scope: 'openid', redirect_uri }
    const { location } = await issuer.logInAtBrowser(`${issuer.issuer}/auth?${new URLSearchParams(query)}`, 'alice', {
      visit: false,
    })
    assert.equal(location.searchParams.get('error'), 'invalid_request')
  })
})
