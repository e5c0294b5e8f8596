import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'
import { after, describe, it } from 'node:test'
import type { CodeFlowOptions, OidcTokens } from '../../src/oidc/oidc-client.ts'
import { Secret } from '../../src/secret.ts'
import { type BrowserEnd, startOidcIssuer } from '../rigs/oidc-issuer.ts'
import { freePorts } from '../support/rigs.ts'
import { clientOf, rejects } from './support.ts'

const issuer = await startOidcIssuer()
after(() => issuer[Symbol.asyncDispose]())

/** A flow under way: the address that was shown, and what it comes to. */
async function begin(options: Partial<CodeFlowOptions> = {}, client = clientOf(issuer)) {
  const { promise: shown, resolve } = Promise.withResolvers<URL>()
  const tokens = client.authorizationCode({ show: (url) => resolve(new URL(url)), ...options })
  tokens.catch(() => {}) // looked at by each test
  return { url: await shown, tokens }
}

/** The answer of the issuer, on its way back to the loopback page. */
async function answerFor(url: URL, account = 'alice'): Promise<URL> {
  return (await issuer.logInAtBrowser(url.href, account, { visit: false })).location
}

async function visit(url: URL): Promise<number> {
  return (await fetch(url, { redirect: 'manual' })).status
}

function redirectUri(url: URL): URL {
  return new URL(url.searchParams.get('redirect_uri') ?? '')
}

async function isClosed(url: URL): Promise<boolean> {
  return await fetch(redirectUri(url)).then(
    () => false,
    () => true,
  )
}

/** The token endpoint, asked by somebody else. */
async function redeem(parameters: Record<string, string>): Promise<{ status: number; error: unknown }> {
  const body = new URLSearchParams({ grant_type: 'authorization_code', client_id: 'terminal', ...parameters })
  const answer = await fetch(`${issuer.issuer}/token`, { method: 'POST', body, headers: { connection: 'close' } })
  const said: unknown = await answer.json()
  return { status: answer.status, error: typeof said === 'object' && said !== null && 'error' in said && said.error }
}

describe('authorization code flow', () => {
  it('T-S12 logs in with PKCE S256, state and nonce, and leaves nothing listening', async () => {
    let end: BrowserEnd | undefined
    let shown = ''
    const show = async (url: string) => {
      shown = url
      end = await issuer.logInAtBrowser(url, 'alice')
    }
    const tokens = await clientOf(issuer).authorizationCode({ show })
    const { searchParams } = new URL(shown)
    assert.equal(searchParams.get('code_challenge_method'), 'S256')
    assert.equal(searchParams.get('code_challenge')?.length, 43)
    assert.equal(searchParams.get('response_type'), 'code')
    assert.equal(searchParams.get('state')?.length, 43)
    assert.equal(searchParams.get('nonce')?.length, 43)
    assert.equal(searchParams.get('prompt'), null)
    assert.match(searchParams.get('redirect_uri') ?? '', /^http:\/\/127\.0\.0\.1:\d+\/callback$/)
    assert.equal(tokens.claims?.['sub'], 'alice')
    assert.equal(tokens.claims?.['nonce'], searchParams.get('nonce'))
    assert.equal(tokens.refreshToken, undefined)
    assert.ok(await isClosed(new URL(shown)))

    assert.equal(end?.page?.status, 200)
    const { headers = {}, body = '' } = end?.page ?? {}
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['referrer-policy'], 'no-referrer')
    assert.match(String(headers['content-security-policy']), /default-src 'none'.*frame-ancestors 'none'/)
    assert.match(body, /Go on at the terminal/)
    assert.doesNotMatch(body, /<script|https?:/)
    for (const value of end?.location.searchParams.values() ?? []) assert.ok(!body.includes(value))
  })

  it('asks for consent and offline_access when the login is to be refreshable', async () => {
    const { url, tokens } = await begin({}, clientOf(issuer, { refreshable: true }))
    assert.equal(url.searchParams.get('prompt'), 'consent')
    assert.equal(url.searchParams.get('scope'), 'openid email profile groups offline_access')
    await issuer.logInAtBrowser(url.href, 'bob')
    assert.ok((await tokens).refreshToken instanceof Secret)
  })

  it('leaves offline_access out where the issuer lists its scopes without it', async () => {
    const stop = issuer.tamper('discovery', { after: (body) => ({ ...body, scopes_supported: ['openid'] }) })
    const { url, tokens } = await begin({}, clientOf(issuer, { refreshable: true }))
    stop()
    assert.equal(url.searchParams.get('scope'), 'openid email profile groups')
    assert.equal(url.searchParams.get('prompt'), null)
    await issuer.logInAtBrowser(url.href, 'bob')
    assert.equal((await tokens).refreshToken, undefined)
  })

  it('asks for no consent where offline_access is no more than one of the scopes', async () => {
    const { url, tokens } = await begin({}, clientOf(issuer, { scopes: ['openid', 'offline_access'] }))
    assert.equal(url.searchParams.get('prompt'), null)
    assert.equal(url.searchParams.get('scope'), 'openid offline_access')
    await issuer.logInAtBrowser(url.href, 'bob')
    await tokens
  })

  it('sends the audience, and works without openid', async () => {
    const client = clientOf(issuer, { audience: 'https://k8s.example', scopes: ['email'] })
    const { url, tokens } = await begin({}, client)
    assert.equal(url.searchParams.get('nonce'), null)
    await issuer.logInAtBrowser(url.href, 'carol')
    const { accessToken, idToken } = await tokens
    const claims = JSON.parse(Buffer.from(accessToken.reveal().split('.')[1] ?? '', 'base64url').toString())
    assert.equal(claims.aud, 'https://k8s.example')
    assert.equal(idToken, undefined)
  })

  it('comes back to localhost, and to the path that is registered, where that is wanted', async () => {
    const { url, tokens } = await begin({ redirectHost: 'localhost', redirectPath: '/' })
    assert.match(redirectUri(url).href, /^http:\/\/localhost:\d+\/$/)
    const answer = await answerFor(url)
    assert.equal(answer.hostname, 'localhost')
    // What the browser does once it knows that localhost is 127.0.0.1, whatever this machine's resolver says.
    const page = await fetchAs(answer, `localhost:${answer.port}`)
    assert.match(page, /^HTTP\/1\.1 200 /)
    assert.equal((await tokens).claims?.['sub'], 'alice')
  })

  it('takes the first port that is free, and says so when none is', async () => {
    const first = await freePorts(2)
    const blocker = createServer().listen(first, '127.0.0.1')
    await new Promise((resolve) => blocker.once('listening', resolve))
    const { url, tokens } = await begin({ ports: [first, first + 1] })
    assert.equal(redirectUri(url).port, String(first + 1))
    await issuer.logInAtBrowser(url.href, 'alice')
    await tokens
    const flow = clientOf(issuer).authorizationCode({ ports: [first], show: () => {} })
    await rejects(flow, 'credential_settings_invalid', /^ports: .*no port is free.*EADDRINUSE/)
    await new Promise((resolve) => blocker.close(resolve))
  })

  it('refuses ports, paths and waits that cannot be meant', async () => {
    const client = clientOf(issuer)
    const show = () => {}
    await rejects(client.authorizationCode({ show, ports: [70_000] }), 'credential_settings_invalid', /^ports: 70000/)
    await rejects(client.authorizationCode({ show, waitMs: Number.NaN }), 'credential_settings_invalid', /^waitMs: /)
    for (const redirectPath of ['callback', '/a?b', '/a#b', '//evil.example/', '/a b']) {
      await rejects(client.authorizationCode({ show, redirectPath }), 'credential_settings_invalid', /^redirectPath: /)
    }
  })

  it('T-S12 a wrong state neither ends the wait nor spoils it', async () => {
    const { url, tokens } = await begin()
    const answer = await answerFor(url)
    for (const state of ['', 'x', `${url.searchParams.get('state')}x`]) {
      const forged = new URL(answer)
      forged.searchParams.set('state', state)
      assert.equal(await visit(forged), 403)
    }
    const without = new URL(answer)
    without.searchParams.delete('state')
    assert.equal(await visit(without), 403)
    const refusal = new URL(redirectUri(url))
    refusal.search = 'error=access_denied&state=forged'
    assert.equal(await visit(refusal), 403)
    assert.equal(await visit(answer), 200)
    assert.equal((await tokens).claims?.['sub'], 'alice')
  })

  it('T-S12 two logins at once do not take each other’s answers', async () => {
    const one = await begin()
    const two = await begin()
    const [answerOne, answerTwo] = [await answerFor(one.url, 'alice'), await answerFor(two.url, 'bob')]
    const crossed = new URL(answerOne)
    crossed.port = answerTwo.port
    assert.equal(await visit(crossed), 403)
    assert.equal(await visit(answerTwo), 200)
    assert.equal(await visit(answerOne), 200)
    assert.equal((await one.tokens).claims?.['sub'], 'alice')
    assert.equal((await two.tokens).claims?.['sub'], 'bob')
  })

  it('T-S12 a stolen code is worth nothing without the verifier, which never leaves but for the token endpoint', async () => {
    const { url, tokens } = await begin()
    const answer = await answerFor(url)
    const code = answer.searchParams.get('code') ?? ''
    const redirect_uri = redirectUri(url).href
    assert.deepEqual(await redeem({ code, redirect_uri }), { status: 400, error: 'invalid_grant' })
    const guess = { code, redirect_uri, code_verifier: url.searchParams.get('code_challenge') ?? '' }
    assert.deepEqual(await redeem(guess), { status: 400, error: 'invalid_grant' })
    await visit(answer)
    assert.equal((await tokens).claims?.['sub'], 'alice')
  })

  it('T-S12 a code that was used already is refused, and not repeated in the message', async () => {
    const { url, tokens } = await begin()
    const answer = await answerFor(url)
    await visit(answer)
    await tokens
    const again = await begin()
    const replayed = new URL(await answerFor(again.url))
    replayed.searchParams.set('code', answer.searchParams.get('code') ?? '')
    await visit(replayed)
    const error = await rejects(again.tokens, 'oidc_refused', /invalid_grant/)
    assert.ok(!error.message.includes(answer.searchParams.get('code') ?? '-'))
  })

  it('ends when the person refuses, with a page that does not say why', async () => {
    const { url, tokens } = await begin()
    const { page } = await issuer.refuseAtBrowser(url.href)
    assert.match(page?.body ?? '', /The login was refused/)
    assert.doesNotMatch(page?.body ?? '', /access_denied|the person/)
    await rejects(tokens, 'oidc_refused', /access_denied: the person refused/)
    assert.ok(await isClosed(url))
  })

  it('an issuer that says it is out of order did not refuse', async () => {
    const { url, tokens } = await begin()
    const answer = new URL(redirectUri(url))
    answer.search = String(
      new URLSearchParams({
        error: 'temporarily_unavailable',
        error_description: 'later\u001b[31m please',
        state: url.searchParams.get('state') ?? '',
        iss: issuer.issuer,
      }),
    )
    await visit(answer)
    const error = await rejects(tokens, 'oidc_unreachable', /temporarily_unavailable: later \[31m please/)
    assert.ok(!error.message.includes('\u001b'))
  })

  it('T-S12 an answer of another issuer, or one that does not say of whom it is, is not taken (RFC 9207)', async () => {
    for (const change of [
      (answer: URL) => answer.searchParams.set('iss', 'https://evil.example'),
      (answer: URL) => answer.searchParams.delete('iss'),
    ]) {
      const before = issuer.requests('token')
      const { url, tokens } = await begin()
      const answer = await answerFor(url)
      change(answer)
      await visit(answer)
      await rejects(tokens, 'oidc_answer_invalid', /iss/)
      assert.equal(issuer.requests('token'), before)
    }
  })

  it('ends when nobody comes back in time', async () => {
    const { url, tokens } = await begin({ waitMs: 1 })
    await rejects(tokens, 'oidc_timeout', /did not come back within 1 s/)
    assert.ok(await isClosed(url))
  })

  it('waits as long as it is told, also where no timer is that long', async () => {
    const { url, tokens } = await begin({ waitMs: 2 ** 40 })
    await issuer.logInAtBrowser(url.href, 'alice')
    assert.equal((await tokens).claims?.['sub'], 'alice')
  })

  it('ends when it is broken off, and leaves nothing listening', async () => {
    const controller = new AbortController()
    const { url, tokens } = await begin({ signal: controller.signal })
    controller.abort()
    await rejects(tokens, 'credential_interrupted', /broken off/)
    assert.ok(await isClosed(url))
  })

  it('ends with the error of what shows the address, and leaves nothing listening', async () => {
    const broken = new Error('no screen')
    let shown = ''
    const show = (url: string): Promise<void> => {
      shown = url
      return Promise.reject(broken)
    }
    await assert.rejects(clientOf(issuer).authorizationCode({ show }), (error) => error === broken)
    assert.ok(await isClosed(new URL(shown)))
  })

  it('does not wait for what shows the address', async () => {
    const { promise: shown, resolve } = Promise.withResolvers<string>()
    const show = (url: string): Promise<void> => {
      resolve(url)
      return new Promise(() => {})
    }
    const tokens: Promise<OidcTokens> = clientOf(issuer).authorizationCode({ show })
    await issuer.logInAtBrowser(await shown, 'alice')
    assert.equal((await tokens).claims?.['sub'], 'alice')
  })

  it('sends nobody to an address without TLS', async () => {
    for (const authorization_endpoint of ['http://issuer.example/auth', 'javascript:alert(1)', 'file:///etc/passwd']) {
      const stop = issuer.tamper('discovery', { after: (body) => ({ ...body, authorization_endpoint }) })
      const show = () => assert.fail('shown')
      await rejects(clientOf(issuer).authorizationCode({ show }), 'oidc_answer_invalid', /authorization_endpoint|HTTP/)
      stop()
    }
  })

  it('names another way where the issuer has no login with a browser', async () => {
    const stop = issuer.tamper('discovery', { after: ({ authorization_endpoint: _, ...body }) => body })
    const flow = clientOf(issuer).authorizationCode({ show: () => {} })
    await rejects(flow, 'oidc_answer_invalid', /no login with a browser.*device code/)
    stop()
  })
})

/** The whole answer, as it came. */
async function fetchAs(url: URL, host: string): Promise<string> {
  const socket = connect(Number(url.port), '127.0.0.1')
  socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}
