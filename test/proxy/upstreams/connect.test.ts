/** Connections to API servers: who is trusted, which address is tried, and what people are told. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer as createTcp, type Socket, type Server as TcpServer } from 'node:net'
import { after, afterEach, before, describe, test } from 'node:test'
import {
  createSecureContext,
  createServer,
  type SecureContext,
  type Server,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls'
import { parseUpstreamUrl } from '../../../src/kube/server-url.ts'
import { UpstreamFailure } from '../../../src/proxy/upstream/upstream.ts'
import { addressesOf } from '../../../src/proxy/upstreams/addresses.ts'
import { type Connect, type ConnectOptions, connector } from '../../../src/proxy/upstreams/connect.ts'
import { isOurFault } from '../../../src/proxy/upstreams/connect-failure.ts'
import { createAuthority, type Issued, type TestAuthority } from '../../support/tls.ts'
import { type HandClock, handClock } from './support.ts'

let authority: TestAuthority
let frontProxy: TestAuthority
let client: Issued
let context: SecureContext
const servers = new Set<Server | TcpServer>()
const sockets = new Set<Socket>()

before(async () => {
  authority = await createAuthority('Kubernetes CA')
  frontProxy = await createAuthority('Front proxy CA')
  client = await frontProxy.client({ commonName: 'front-proxy-client' })
  context = trusting(authority.cert)
})
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  for (const server of servers) server.close()
  sockets.clear()
  servers.clear()
})
after(() => assert.equal(sockets.size, 0))

function trusting(ca: string): SecureContext {
  return createSecureContext({ ca, cert: client.cert, key: client.key, minVersion: 'TLSv1.2' })
}

async function listening(server: Server | TcpServer, host = '127.0.0.1', port = 0): Promise<number> {
  servers.add(server)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  server.listen(port, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

interface TlsStandIn {
  readonly port: number
  readonly seen: { servername: string | false; reused: boolean; client: string | undefined }[]
}

async function apiServer(options: TlsOptions = {}, host?: string, port?: number): Promise<TlsStandIn> {
  const { cert, key } = await authority.server()
  const server = createServer({ cert, key, requestCert: true, rejectUnauthorized: false, ...options })
  const seen: TlsStandIn['seen'] = []
  server.on('tlsClientError', () => {})
  server.on('secureConnection', (socket: TLSSocket & { servername?: string | false }) => {
    socket.on('error', () => {})
    const name: unknown = socket.getPeerCertificate().subject?.CN
    const reused = socket.isSessionReused()
    seen.push({ servername: socket.servername ?? false, reused, client: typeof name === 'string' ? name : undefined })
    socket.write('.') // what follows the handshake in TLS 1.3 is read with it
  })
  return { port: await listening(server, host, port), seen }
}

interface Way extends Partial<Pick<ConnectOptions, 'serverName' | 'context' | 'timeoutMs'>> {
  readonly clock?: HandClock
  /** What the name of the URL is looked up as. */
  readonly found?: readonly string[]
}

function to(url: string, { clock = handClock(), found = ['127.0.0.1'], ...rest }: Way = {}): Connect {
  const parsed = parseUpstreamUrl(url)
  const lookup = async () => found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  const addresses = addressesOf({ host: parsed.host, clock, onGone: () => {}, lookup })
  return connector({ url: parsed, context: () => context, addresses, clock, ...rest })
}

async function open(connect: Connect): Promise<TLSSocket> {
  const socket = await connect(new AbortController().signal)
  sockets.add(socket)
  return socket
}

/** A connection whose first byte has come: the server has taken it. */
async function settled(connect: Connect): Promise<TLSSocket> {
  const socket = await open(connect)
  await once(socket, 'readable')
  return socket
}

async function refusal(connect: Connect): Promise<UpstreamFailure> {
  const failure = await open(connect).then(
    () => assert.fail('it connected'),
    (error: unknown) => error,
  )
  assert(failure instanceof UpstreamFailure, String(failure))
  assert.equal(failure.kind, 'unreachable')
  return failure
}

describe('a connection', () => {
  test('speaks HTTP/1.1 over TLS 1.3 and shows the front-proxy certificate', async () => {
    const { port, seen } = await apiServer({ ALPNProtocols: ['h2', 'http/1.1'] })
    const socket = await settled(to(`https://127.0.0.1:${port}`))
    assert.deepEqual([socket.alpnProtocol, socket.getProtocol(), socket.authorized], ['http/1.1', 'TLSv1.3', true])
    assert.equal(seen[0]?.client, 'front-proxy-client')
  })

  test('asks for the server by name, and by no name where the URL has an address (RFC 6066)', async () => {
    const { port, seen } = await apiServer()
    await settled(to(`https://localhost:${port}`))
    await settled(to(`https://localhost.:${port}`))
    await settled(to(`https://127.0.0.1:${port}`))
    await settled(to(`https://127.0.0.1:${port}`, { serverName: 'localhost' }))
    await settled(to(`https://localhost:${port}`, { serverName: '127.0.0.1' }))
    const names = seen.map(({ servername }) => servername)
    assert.deepEqual(names, ['localhost', 'localhost', false, 'localhost', false])
  })

  test('begins with the session of the one before, but not with one of other credentials (S9)', async () => {
    const { port, seen } = await apiServer()
    let current = context
    const connect = to(`https://127.0.0.1:${port}`, { context: () => current })
    // A session comes some time after the handshake; the first connections may be too early for it.
    for (let round = 0; round < 20 && seen.at(-1)?.reused !== true; round++) await settled(connect)
    assert.equal(seen.at(-1)?.reused, true)
    current = trusting(authority.cert)
    await settled(connect)
    assert.equal(seen.at(-1)?.reused, false)
  })

  test('can be given up at any moment', async () => {
    const port = await listening(createTcp())
    const controller = new AbortController()
    const connecting = to(`https://127.0.0.1:${port}`)(controller.signal)
    const reason = new Error('nobody waits any more')
    controller.abort(reason)
    await assert.rejects(connecting, reason)
    await assert.rejects(to(`https://127.0.0.1:${port}`)(controller.signal), reason)
  })
})

describe('whom it trusts', () => {
  test('is the CA file alone', async () => {
    const { port } = await apiServer()
    const failure = await refusal(to(`https://127.0.0.1:${port}`, { context: () => trusting(frontProxy.cert) }))
    assert.match(failure.message, /^127\.0\.0\.1:\d+: this CA did not sign the API server's certificate; .*CA file/)
    assert.equal(failure.cause, undefined, 'errors of TLS hold certificates')
  })

  test('is the name of the URL, whatever address it leads to', async () => {
    const { port } = await apiServer(await authority.server({ dnsNames: ['api.example'], ipAddresses: [] }))
    const connect = to(`https://other.localhost:${port}`)
    // Again and again: a session that is begun anew is not looked at for its name.
    for (let round = 0; round < 3; round++) {
      const { message } = await refusal(connect)
      assert.match(
        message,
        /its certificate is for other names \(DNS:api\.example\); give one .* --upstream-server-name/,
      )
    }
    await settled(to(`https://other.localhost:${port}`, { serverName: 'api.example' }))
  })

  test('is the server name instead of the host, and not besides it', async () => {
    const { port } = await apiServer()
    const { message } = await refusal(to(`https://localhost:${port}`, { serverName: 'kubernetes' }))
    assert.match(message, /for other names \(DNS:localhost, IP:127\.0\.0\.1\)/)
    await refusal(to(`https://localhost:${port}`, { serverName: '127.0.0.9' }))
  })

  test('shows no more of foreign names than can be read', async () => {
    const dnsNames = Array.from({ length: 60 }, (_, at) => `a-rather-long-name-${at}.example`)
    const { port } = await apiServer(await authority.server({ dnsNames, ipAddresses: [] }))
    const { message } = await refusal(to(`https://127.0.0.1:${port}`))
    assert(message.length < 600, message)
  })

  test('is nobody who has expired', async () => {
    const { port } = await apiServer(await authority.server({ notAfter: new Date(Date.now() - 1000) }))
    assert.match((await refusal(to(`https://127.0.0.1:${port}`))).message, /has expired; renew it.*CERT_HAS_EXPIRED/)
  })

  test('is nobody with TLS 1.1', async () => {
    const { port } = await apiServer({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
    assert.match((await refusal(to(`https://127.0.0.1:${port}`))).message, /no TLS 1\.2 or later/)
  })
})

describe('people are told', () => {
  test('that nothing listens there', async () => {
    const server = createTcp()
    const port = await listening(server)
    server.close()
    const failure = await refusal(to(`https://127.0.0.1:${port}`))
    assert.match(failure.message, /nothing listens there; .*ECONNREFUSED/)
    assert.equal(isOurFault(failure), false)
  })

  test('that the port speaks plain HTTP', async () => {
    const port = await listening(
      createTcp((socket) => {
        socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'))
      }),
    )
    assert.match((await refusal(to(`https://127.0.0.1:${port}`))).message, /does not speak TLS; is it the secure port/)
  })

  test('that the connection was closed', async () => {
    const port = await listening(createTcp((socket) => socket.destroy()))
    assert.match((await refusal(to(`https://127.0.0.1:${port}`))).message, /closed before it was made|ECONNRESET/)
  })

  test('that the server does not take the front-proxy certificate, where the handshake shows it', async () => {
    const { port } = await apiServer({ ca: authority.cert, rejectUnauthorized: true, maxVersion: 'TLSv1.2' })
    const { message } = await refusal(to(`https://127.0.0.1:${port}`))
    assert.match(message, /does not take the front-proxy certificate|closed before it was made/)
  })

  test('that the name leads to this machine, which it may not (H11)', async () => {
    const { port } = await apiServer()
    const { message } = await refusal(to(`https://api.example:${port}`))
    assert.match(message, /loopback or link-local addresses only; if that is meant, write the address/)
  })

  test('that there was no connection in time', async () => {
    const port = await listening(createTcp()) // takes connections and says nothing
    const clock = handClock()
    const failing = refusal(to(`https://127.0.0.1:${port}`, { clock, timeoutMs: 700 }))
    await clock.pass(700)
    assert.match((await failing).message, /no connection was made in time/)
  })

  test('the same where looking the name up takes too long', async () => {
    const clock = handClock()
    const url = parseUpstreamUrl('https://api.example')
    const lookup = () => new Promise<never>(() => {})
    const addresses = addressesOf({ host: url.host, clock, onGone: () => {}, lookup })
    const failing = refusal(connector({ url, context: () => context, addresses, clock }))
    await clock.pass(5000)
    assert.match((await failing).message, /no connection was made in time/)
  })
})

describe('several addresses', () => {
  test('are tried in turn, the one that failed last of all the next time', async () => {
    const { port, seen } = await apiServer({}, '127.0.0.3')
    const silent: string[] = []
    await listening(
      createTcp((socket) => {
        silent.push('asked')
        socket.destroy()
      }),
      '127.0.0.2',
      port,
    )
    const connect = to(`https://api.localhost:${port}`, { found: ['127.0.0.2', '127.0.0.3'], serverName: 'localhost' })
    for (let round = 0; round < 3; round++) assert.equal((await settled(connect)).remoteAddress, '127.0.0.3')
    assert.deepEqual([silent.length, seen.length], [1, 3])
  })

  test('share the time: one that is silent does not use it up', async () => {
    const { port } = await apiServer({}, '127.0.0.3')
    const silent = createTcp()
    await listening(silent, '127.0.0.2', port)
    const asked = once(silent, 'connection')
    const clock = handClock()
    const connect = to(`https://api.localhost:${port}`, {
      found: ['127.0.0.2', '127.0.0.3'],
      serverName: 'localhost',
      clock,
      timeoutMs: 1000,
    })
    const connecting = settled(connect)
    await asked
    await clock.pass(500)
    assert.equal((await connecting).remoteAddress, '127.0.0.3')
  })

  test('that all fail make one failure', async () => {
    const server = createTcp()
    const port = await listening(server)
    server.close()
    const found = ['127.0.0.2', '127.0.0.3']
    assert.match((await refusal(to(`https://api.localhost:${port}`, { found }))).message, /nothing listens there/)
  })
})
