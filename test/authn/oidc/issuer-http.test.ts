import assert from 'node:assert/strict'
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { checkAuthorities, getDocument } from '../../../src/authn/oidc/issuer-http.ts'
import { createAuthority, type TestAuthority } from '../../support/tls.ts'

let authority: TestAuthority
let server: Server
let base: string
/** Set by each test. */
let answer: RequestListener = (_, response) => response.end('{}')

before(async () => {
  authority = await createAuthority()
  const { cert, key } = await authority.server()
  server = createHttpsServer({ cert, key }, (request, response) => answer(request, response))
  base = `https://127.0.0.1:${await listen(server)}`
})
after(() => close(server))

function listen(listening: Server): Promise<number> {
  return new Promise((resolve) => {
    listening.listen(0, '127.0.0.1', () => resolve((listening.address() as AddressInfo).port))
  })
}

function close(closing: Server): Promise<void> {
  closing.closeAllConnections()
  return new Promise((resolve) => closing.close(() => resolve()))
}

function get(over: { readonly url?: string; readonly ca?: string | undefined; readonly signal?: AbortSignal } = {}) {
  const { url = `${base}/x`, ca = authority.cert, signal = new AbortController().signal } = over
  return getDocument({ url: new URL(url), ca, signal })
}

describe('a document', () => {
  test('comes over TLS that the given authority vouches for', async () => {
    answer = (request, response) => {
      assert.equal(request.headers.authorization, undefined)
      response.end('{"a":[1]}')
    }
    assert.deepEqual(await get(), { a: [1] })
  })

  test('over TLS of another authority is not taken', async () => {
    const other = await createAuthority('Other CA')
    await assert.rejects(get({ ca: other.cert }), { code: 'oidc_unreachable', message: /caFile/ })
  })

  test('over TLS of nobody whom the system trusts is not taken', async () => {
    await assert.rejects(getDocument({ url: new URL(base), ca: undefined, signal: new AbortController().signal }), {
      code: 'oidc_unreachable',
      message: /caFile/,
    })
  })

  test('T-H10 is not looked for where a redirect leads', async () => {
    let asked = 0
    answer = (request, response) => {
      asked += 1
      if (request.url === '/x') response.writeHead(302, { location: '/y' }).end()
      else response.end('{}')
    }
    for (const status of [301, 302, 303, 307, 308]) {
      answer = (_, response) => {
        asked += 1
        response.writeHead(status, { location: `${base}/y` }).end('{}')
      }
      asked = 0
      await assert.rejects(get(), { code: 'oidc_answer_invalid', message: /redirects, which is not followed/ })
      assert.equal(asked, 1)
    }
  })

  const bad: readonly [title: string, status: number, body: string | Buffer, code: string][] = [
    ['is no JSON', 200, '<html>', 'oidc_answer_invalid'],
    ['is empty', 200, '', 'oidc_answer_invalid'],
    ['is not UTF-8', 200, Buffer.from([0x22, 0xff, 0x22]), 'oidc_answer_invalid'],
    ['has a key twice', 200, '{"issuer":"a","issuer":"b"}', 'oidc_answer_invalid'],
    ['is nested deeply', 200, `${'['.repeat(50)}${']'.repeat(50)}`, 'oidc_answer_invalid'],
    ['is too long', 200, `"${'x'.repeat(600_000)}"`, 'oidc_answer_invalid'],
    ['is not there', 404, '{}', 'oidc_answer_invalid'],
    ['is not for us', 403, '{}', 'oidc_answer_invalid'],
    ['is 201', 201, '{}', 'oidc_answer_invalid'],
    ['failed', 500, '{}', 'oidc_unreachable'],
    ['is limited', 429, '{}', 'oidc_unreachable'],
  ]
  for (const [title, status, body, code] of bad) {
    test(`T-W15 that ${title} is none`, async () => {
      answer = (_, response) => response.writeHead(status).end(body)
      await assert.rejects(get(), { code, status: 503 })
    })
  }

  test('T-S1 that is none is not quoted', async () => {
    answer = (_, response) => response.end('c4n4ry')
    await assert.rejects(get(), (thrown: Error) => !thrown.message.includes('c4n4ry') && thrown.cause === undefined)
  })

  test('that does not come is given up at the deadline', async () => {
    const started = Promise.withResolvers<void>()
    answer = () => started.resolve()
    const deadline = new AbortController()
    const asked = get({ signal: deadline.signal })
    await started.promise
    deadline.abort(new Error('the deadline'))
    await assert.rejects(asked, { code: 'oidc_timeout', message: /no answer in time \(the deadline\)/ })
  })

  test('that breaks off in the middle is an outage', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': 100 })
      response.write('{"a"', () => response.destroy())
    }
    await assert.rejects(get(), { code: 'oidc_unreachable' })
  })

  test('from where nobody listens is an outage', async () => {
    const gone = createHttpServer()
    const port = await listen(gone)
    await close(gone)
    await assert.rejects(get({ url: `https://127.0.0.1:${port}/` }), {
      code: 'oidc_unreachable',
      message: /ECONNREFUSED/,
    })
  })

  test('T-S9 over TLS 1.1 is not taken', async (t) => {
    const { cert, key } = await authority.server()
    const old = createHttpsServer(
      { cert, key, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
      (_, response) => response.end('{}'),
    )
    t.after(() => close(old))
    const port = await listen(old)
    await assert.rejects(get({ url: `https://127.0.0.1:${port}/` }), { code: 'oidc_unreachable' })
  })
})

test('authorities are certificates in PEM', () => {
  assert.doesNotThrow(() => checkAuthorities(authority.cert))
  for (const text of ['', 'x', authority.key, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----']) {
    assert.throws(() => checkAuthorities(text), TypeError)
  }
})
