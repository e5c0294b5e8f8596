/** Which proxy is on the way, and what goes through it. */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect, type Socket } from 'node:net'
import { before, describe, type TestContext, test } from 'node:test'
import { ArchwayError } from '../../../src/errors.ts'
import { parseLoginUrl } from '../../../src/keystone/login/login-url.ts'
import { proxyFor } from '../../../src/keystone/login/proxy.ts'
import { createAuthority, createFolder, type Issued, type TestAuthority } from '../../support/tls.ts'
import { assertNoCanary, CANARY, failure, until } from '../support.ts'
import { issued, PASSWORD, setUpLogin } from './support.ts'

const PROXY = 'http://proxy.example:3128'

describe('the proxy of an environment', () => {
  const table: readonly (readonly [string, Record<string, string>, string | undefined])[] = [
    ['https://ks.example/v3', {}, undefined],
    ['https://ks.example/v3', { HTTPS_PROXY: PROXY }, PROXY],
    ['https://ks.example/v3', { https_proxy: PROXY }, PROXY],
    ['https://ks.example/v3', { HTTPS_PROXY: PROXY, https_proxy: 'http://other:1' }, PROXY],
    ['https://ks.example/v3', { HTTPS_PROXY: '', https_proxy: PROXY }, PROXY],
    ['https://ks.example/v3', { HTTP_PROXY: PROXY, ALL_PROXY: PROXY }, undefined],
    ['http://ks.example/v3', { HTTPS_PROXY: PROXY }, undefined],
    ['http://ks.example/v3', { HTTP_PROXY: PROXY }, PROXY],
    ['http://ks.example/v3', { http_proxy: PROXY }, PROXY],
    ['https://ks.example/v3', { HTTPS_PROXY: 'proxy.example:3128' }, PROXY],
    ['https://ks.example/v3', { HTTPS_PROXY: 'https://proxy.example' }, 'https://proxy.example'],
    ['https://ks.example/v3', { HTTPS_PROXY: 'http://u:p@proxy.example:3128/' }, PROXY],
    // This machine
    ['https://localhost:5000/v3', { HTTPS_PROXY: PROXY }, undefined],
    ['https://127.0.0.1:5000/v3', { HTTPS_PROXY: PROXY }, undefined],
    ['https://127.8.9.1:5000/v3', { HTTPS_PROXY: PROXY }, undefined],
    ['https://[::1]:5000/v3', { HTTPS_PROXY: PROXY }, undefined],
    ['https://127.0.0.1.example/v3', { HTTPS_PROXY: PROXY }, PROXY],
    ['https://localhost.example/v3', { HTTPS_PROXY: PROXY }, PROXY],
  ]
  for (const [url, env, expected] of table) {
    test(`${url} ${JSON.stringify(env)}`, () => {
      assert.equal(proxyFor(parseLoginUrl(url), env)?.origin, expected)
    })
  }

  test('its credentials are decoded, and kept as a secret', () => {
    const env = { HTTPS_PROXY: 'http://al%40ice:p%3Aw@proxy.example:3128' }
    const proxy = proxyFor(parseLoginUrl('https://ks.example/v3'), env)
    assert.equal(proxy?.authorization?.reveal(), `Basic ${Buffer.from('al@ice:p:w').toString('base64')}`)
    assert.doesNotMatch(JSON.stringify(proxy), /al|Basic/)
  })

  for (const value of ['socks5://canary:1080', 'http://', 'http://%zz', 'http://u:%ff@proxy:1', 'a b']) {
    test(`${value} is refused, naming the variable and not the value`, () => {
      assert.throws(
        () => proxyFor(parseLoginUrl('https://ks.example/v3'), { https_proxy: value }),
        (error) => {
          assert(error instanceof ArchwayError)
          assert.equal(error.code, 'credential_settings_invalid')
          assert.match(error.message, /^https_proxy cannot be used/)
          assert.doesNotMatch(error.message, /canary/)
          return true
        },
      )
    })
  }
})

describe('NO_PROXY', () => {
  const table: readonly (readonly [string, string, boolean])[] = [
    ['ks.example', 'ks.example', true],
    ['ks.example', 'KS.Example', true],
    ['ks.example', 'a.example, ks.example ,b.example', true],
    ['ks.example', 'example', true],
    ['ks.example', '.example', true],
    ['ks.example', '*.example', true],
    ['ks.example.', 'ks.example', true],
    ['example', '.example', false],
    ['ks.example', 's.example', false],
    ['ks.example', 'ks.example.org', false],
    ['ks.example', '', false],
    ['ks.example', ',, ,', false],
    ['ks.example', '*', true],
    ['ks.example', '*.', false],
    ['ks.example', 'ks.example:443', true],
    ['ks.example', 'ks.example:5000', false],
    ['ks.example:5000', 'ks.example:5000', true],
    ['ks.example:5000', 'ks.example', true],
    ['10.1.2.3', '10.1.2.3', true],
    ['10.1.2.3', '10.1.2.3:443', true],
    ['10.1.2.3', '10.1.2.30', false],
    ['10.1.2.3', '10.0.0.0/8', true],
    ['10.1.2.3', '10.1.3.0/24', false],
    ['10.1.2.3', '10.0.0.0/99', false],
    ['10.1.2.3', '10.0.0.0/', false],
    ['10.1.2.3', 'fd00::/8', false],
    ['10.1.2.3', '3', false],
    ['ks.example', '0.0.0.0/0', false],
    ['[fd00::1]', 'fd00::1', true],
    ['[fd00::1]', 'fd00:0:0::1', true],
    ['[fd00::1]', '[fd00::1]', true],
    ['[fd00::1]', '[fd00::1]:443', true],
    ['[fd00::1]', '[fd00::1]:5000', false],
    ['[fd00::1]', 'fd00::/8', true],
    ['[fd00::1]', 'fe80::/10', false],
  ]
  for (const [host, exempt, direct] of table) {
    test(`${host} with ${JSON.stringify(exempt)}: ${direct ? 'direct' : 'through the proxy'}`, () => {
      for (const name of ['NO_PROXY', 'no_proxy']) {
        const proxy = proxyFor(parseLoginUrl(`https://${host}/v3`), { HTTPS_PROXY: PROXY, [name]: exempt })
        assert.equal(proxy === undefined, direct)
      }
    })
  }
})

describe('through a proxy', () => {
  let ours: TestAuthority
  let server: Issued
  before(async () => {
    ours = await createAuthority('Ours')
    server = await ours.server({ dnsNames: ['ks.example', 'localhost'] })
  })

  /** A TLS Keystone called ks.example, which only the proxy can find. */
  async function setUp(t: TestContext, options: { readonly tls?: boolean; readonly credentials?: string } = {}) {
    const folder = await createFolder()
    t.after(() => folder.remove())
    const proxy = await startProxy(t, options.tls ? server : undefined)
    const caFile = await folder.write('ca.crt', ours.cert)
    const HTTPS_PROXY = proxy.url.replace('://', `://${options.credentials ?? ''}`)
    const url = 'https://ks.example:5000/v3'
    const { keystone, login } = await setUpLogin(t, { fake: { tls: server }, url, caFile, env: { HTTPS_PROXY } })
    keystone.always(issued)
    proxy.leadTo(Number(new URL(keystone.url).port))
    return { keystone, login, proxy }
  }

  for (const tls of [false, true]) {
    test(`of ${tls ? 'https:' : 'http:'} TLS is spoken with Keystone itself, and the proxy sees its name only`, async (t) => {
      const { keystone, login, proxy } = await setUp(t, { tls, credentials: 'u:p%40@' })
      assert.equal((await login.issue([PASSWORD], { scope: 'default' })).user.name, 'alice')
      assert.deepEqual(
        proxy.asked.map(({ method, url, headers }) => [method, url, headers.host, headers['proxy-authorization']]),
        [['CONNECT', 'ks.example:5000', 'ks.example:5000', `Basic ${Buffer.from('u:p@').toString('base64')}`]],
      )
      assertNoCanary(proxy.asked.map(({ rawHeaders }) => rawHeaders))
      const [request] = keystone.requests
      assert.equal(request?.headers.host, 'ks.example:5000')
      assert.equal(request?.headers['proxy-authorization'], undefined)
    })
  }

  test('a plain Keystone is asked by its whole address', async (t) => {
    const proxy = await startProxy(t)
    const env = { HTTP_PROXY: proxy.url.replace('://', '://u:p@') }
    const { keystone, login } = await setUpLogin(t, { url: 'http://ks.example:5000/v3', env })
    keystone.always(issued)
    proxy.leadTo(Number(new URL(keystone.url).port))
    await login.issue([PASSWORD], { scope: 'default' })
    assert.deepEqual(
      proxy.asked.map(({ method, url, headers }) => [method, url, headers.host, headers['proxy-authorization']]),
      [['POST', 'http://ks.example:5000/v3/auth/tokens?nocatalog', 'ks.example:5000', 'Basic dTpw']],
    )
  })

  const refusals: readonly (readonly [string, string, RegExp])[] = [
    [
      'asks for credentials',
      'HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n',
      /407 to CONNECT.*user name and password, in HTTPS_PROXY/,
    ],
    [
      'refuses',
      `HTTP/1.1 403 ${CANARY}\r\nContent-Length: 6\r\n\r\ncanary`,
      /403 to CONNECT ks\.example:5000; may it connect/,
    ],
    ['speaks in the name of Keystone', `HTTP/1.1 200 OK\r\n\r\n${CANARY}`, /200 to CONNECT/],
    ['speaks something else', `${CANARY}\r\n\r\n`, /not HTTP/],
    ['closes', '', /lost|closed/],
  ]
  for (const [name, text, message] of refusals) {
    test(`that ${name}: an error that names the proxy`, async (t) => {
      const { keystone, login, proxy } = await setUp(t, { credentials: `${CANARY}:${CANARY}@` })
      proxy.answerAll((socket) => socket.end(text))
      const error: unknown = await login.issue([PASSWORD], { scope: 'default' }).then(
        () => assert.fail('it let somebody in'),
        (thrown: unknown) => thrown,
      )
      assert(error instanceof ArchwayError)
      assert.match(error.code, /^keystone_(unreachable|answer_invalid)$/)
      assert.match(error.message, message)
      assert.match(error.message, new RegExp(`${proxy.url.replace(/.*:/, ':')}.*HTTPS_PROXY`))
      assertNoCanary(error)
      assert.equal(keystone.connections, 0)
    })
  }

  test('that hangs: the deadline holds, and the connection is closed', async (t) => {
    const folder = await createFolder()
    t.after(() => folder.remove())
    const proxy = await startProxy(t)
    proxy.answerAll((socket) => void socket.resume().on('end', () => socket.end()))
    const caFile = await folder.write('ca.crt', ours.cert)
    const env = { HTTPS_PROXY: proxy.url }
    const { login } = await setUpLogin(t, { url: 'https://ks.example/v3', caFile, env, timeoutMs: 300 })
    await failure(login.issue([PASSWORD], { scope: 'default' }), 'keystone_timeout', /no connection was made/)
    await until(() => proxy.open() === 0)
  })

  test('Keystone still has to show its certificate', async (t) => {
    const folder = await createFolder()
    t.after(() => folder.remove())
    const proxy = await startProxy(t)
    const other = await createAuthority('Other')
    const caFile = await folder.write('ca.crt', other.cert)
    const env = { HTTPS_PROXY: proxy.url }
    const fake = { tls: server }
    const { keystone, login } = await setUpLogin(t, { fake, url: 'https://ks.example/v3', caFile, env })
    proxy.leadTo(Number(new URL(keystone.url).port))
    await failure(
      login.issue([PASSWORD], { scope: 'default' }),
      'keystone_unreachable',
      /not signed by the authorities/,
    )
    assert.equal(keystone.requests.length, 0)
  })
})

/** A proxy that leads everybody to one port of this machine, whatever host they ask for. */
async function startProxy(t: TestContext, tls?: Issued) {
  const asked: IncomingMessage[] = []
  const sockets = new Set<Socket>()
  let port = 0
  let answer: ((socket: Socket) => void) | undefined
  const server: Server = tls ? createTlsServer(tls) : createServer()
  server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    asked.push(request)
    if (answer !== undefined) return answer(socket)
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      socket.pipe(onward).pipe(socket)
    })
    onward.on('error', () => socket.destroy())
    socket.on('close', () => onward.destroy())
  })
  server.on('request', async (request, response) => {
    asked.push(request)
    const { method, url = '', headers } = request
    const { pathname, search } = new URL(url)
    const { request: forward } = await import('node:http')
    const onward = forward({ port, host: '127.0.0.1', method, path: `${pathname}${search}`, headers }, (got) => {
      response.writeHead(got.statusCode ?? 502, got.headers)
      got.pipe(response)
    })
    request.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  assert(typeof address === 'object' && address !== null)
  return {
    url: `${tls ? 'https://localhost' : 'http://127.0.0.1'}:${address.port}`,
    asked: asked as readonly IncomingMessage[],
    open: () => sockets.size,
    leadTo: (to: number) => {
      port = to
    },
    answerAll: (by: (socket: Socket) => void) => {
      answer = by
    },
  }
}
