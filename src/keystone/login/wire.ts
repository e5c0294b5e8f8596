/**
 * One request to Keystone and its answer, each on a connection of its own: a login is one or two requests, and one with
 * a password is never sent a second time. Owns proxies and limits; knows nothing of logins.
 *
 * On `node:http` over sockets made here. A login is a process of its own for kubectl, so what is imported counts; and
 * the proxies of `node:http` itself do not end at a deadline, know no subnets, and are missing from Node 22.19.
 *
 * @module
 */
import { type ClientRequest, type IncomingMessage, request as newRequest } from 'node:http'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext } from 'node:tls'
import { ArchwayError } from '../../errors.ts'
import { guardedLookup } from '../address.ts'
import type { RawAnswer } from '../connection.ts'
import { type Attempt, orAborted } from '../deadline.ts'
import { connectionFailure, type Target } from '../failure.ts'
import type { KeystoneUrl } from '../url.ts'
import type { HttpProxy } from './proxy.ts'
import type { LoginTrust } from './trust.ts'

/** Longest body and longest head of an answer, in bytes; the head repeats the token. */
const MAX_BODY_BYTES = 1024 * 1024
const MAX_HEADER_BYTES = 32 * 1024

export interface WireRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

export interface Wire {
  /**
   * Sends one request. Redirects are answers like any other.
   *
   * @throws the reason of the attempt's signal; ArchwayError `keystone_unreachable`, `keystone_timeout` or
   *   `keystone_answer_invalid` where no answer came, or none that is one.
   */
  send(request: WireRequest, target: Target, attempt: Attempt): Promise<RawAnswer>
}

export interface WireOptions {
  readonly url: KeystoneUrl
  readonly trust: LoginTrust
  readonly proxy: HttpProxy | undefined
}

/** A way to one Keystone; opens nothing before the first request. */
export function openWire({ url, trust, proxy }: WireOptions): Wire {
  const keystone = endOf(url.origin)
  // Whoever logs in has named the host, so it may well be this machine.
  const lookup = guardedLookup({ allowLoopback: true })
  let made: SecureContext | undefined

  async function connect(track: (socket: Socket) => Socket): Promise<Socket> {
    const near = proxy === undefined ? keystone : endOf(proxy.origin)
    const tcp = await opened(track(connectTcp({ ...near.address, lookup })), 'connect')
    const first = near.tls ? await secured(tcp, near, track) : tcp
    if (proxy === undefined || !keystone.tls) return first
    await tunnel(first, keystone, proxy)
    return secured(first, keystone, track)
  }

  function secured(socket: Socket, { address, servername }: End, track: (socket: Socket) => Socket): Promise<Socket> {
    made ??= trust.context()
    const secure = connectTls({
      socket,
      host: address.host,
      servername,
      secureContext: made,
      // Said outright, so that NODE_TLS_REJECT_UNAUTHORIZED in the environment changes nothing.
      rejectUnauthorized: trust.verify,
      ALPNProtocols: ['http/1.1'],
    })
    return opened(track(secure), 'secureConnect')
  }

  function message(request: WireRequest): WireRequest {
    const headers = { ...request.headers, host: keystone.authority }
    if (proxy === undefined || keystone.tls) return { ...request, headers }
    return { ...request, path: `${url.origin}${request.path}`, headers: { ...headers, ...authorizationFor(proxy) } }
  }

  return {
    async send(request, target, attempt) {
      const { signal } = attempt
      signal.throwIfAborted()
      const sockets = new Set<Socket>()
      const track = (socket: Socket): Socket => {
        sockets.add(socket)
        socket.on('error', () => {}) // whoever waits for it has a listener of his own
        return socket
      }
      try {
        attempt.enter('connection')
        const socket = await orAborted(connect(track), signal)
        return await orAborted(exchange(socket, message(request), attempt), signal)
      } catch (error) {
        if (signal.aborted || error instanceof ArchwayError || !(error instanceof Error)) throw error
        throw failureOf(error, target, attempt)
      } finally {
        for (const socket of sockets) socket.destroy()
      }
    },
  }
}

/** One end of a connection. */
interface End {
  readonly address: { readonly host: string; readonly port: number }
  readonly tls: boolean
  /** Name for the certificate and SNI; '' for an address, which is not sent (RFC 6066, section 3). */
  readonly servername: string
  /** `keystone.example:5000`, without the port where it is the usual one. */
  readonly authority: string
}

function endOf(origin: string): End {
  const { protocol, hostname, port, host: authority } = new URL(origin)
  const host = hostname.replace(/^\[|\]$/g, '')
  const tls = protocol === 'https:'
  const address = { host, port: Number(port || (tls ? 443 : 80)) }
  return { address, tls, servername: isIP(host) === 0 ? host : '', authority }
}

function opened(socket: Socket, event: 'connect' | 'secureConnect'): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve(socket))
    socket.once('error', reject)
    socket.once('close', () => reject(lost()))
  })
}

/** Asks the proxy for a connection to Keystone (RFC 9110, section 9.3.6). */
function tunnel(socket: Socket, { address, servername }: End, proxy: HttpProxy): Promise<void> {
  const host = servername === '' && address.host.includes(':') ? `[${address.host}]` : address.host
  const path = `${host}:${address.port}`
  return new Promise((resolve, reject) => {
    const asked = newRequest({
      createConnection: () => socket,
      method: 'CONNECT',
      path,
      headers: { host: path, ...authorizationFor(proxy) },
      maxHeaderSize: MAX_HEADER_BYTES,
    })
    const settle = ({ statusCode = 0 }: IncomingMessage, early: number) => {
      // A server that speaks TLS waits for us: what comes at once is not from it.
      if (statusCode >= 200 && statusCode < 300 && early === 0) resolve()
      else reject(refusedBy(proxy, path, statusCode))
    }
    asked.once('connect', (response, _socket, head: Buffer) => settle(response, head.length))
    asked.once('response', (response) => settle(response, 0))
    orLost(asked, reject)
    asked.end()
  })
}

function authorizationFor({ authorization }: HttpProxy): Record<string, string> {
  return authorization === undefined ? {} : { 'proxy-authorization': authorization.reveal() }
}

function refusedBy(proxy: HttpProxy, to: string, status: number): ArchwayError {
  const why =
    status === 407
      ? `it wants a user name and password, in ${proxy.variable}`
      : `may it connect to ${to}, or is it a proxy?`
  const message = `the proxy ${proxy.origin} (${proxy.variable}) answered ${status} to CONNECT ${to}; ${why}`
  return new ArchwayError('keystone_unreachable', message, { retryAfter: 1 })
}

function exchange(socket: Socket, { method, path, headers, body }: WireRequest, attempt: Attempt): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    attempt.enter('answer')
    const sent = newRequest({
      createConnection: () => socket,
      method,
      path,
      headers,
      setHost: false,
      maxHeaderSize: MAX_HEADER_BYTES,
    })
    sent.once('response', (response) => {
      attempt.enter('body')
      collect(response).then(resolve, reject)
    })
    orLost(sent, reject)
    sent.end(body)
  })
}

/** An answer after which the connection is of no use, a 101 for one, closes the request and nothing more. */
function orLost(request: ClientRequest, reject: (error: Error) => void): void {
  let answered = false
  request.once('response', () => {
    answered = true
  })
  request.once('error', reject)
  request.once('close', () => {
    if (!answered) reject(lost())
  })
}

function collect(response: IncomingMessage): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    response.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > MAX_BODY_BYTES) reject(coded('ERR_BODY_TOO_LONG'))
      else chunks.push(chunk)
    })
    response.once('end', () =>
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
    )
    response.once('error', reject)
    response.once('close', () => reject(lost()))
  })
}

function lost(): Error {
  return coded('ECONNRESET')
}

function coded(code: string): Error {
  return Object.assign(new Error(code), { code })
}

type Said = readonly ['keystone_unreachable' | 'keystone_answer_invalid', string]

const NO_CERTIFICATE: Said = [
  'keystone_unreachable',
  'it asks for a client certificate; set `certFile` and `keyFile` (OS_CERT, OS_KEY)',
]

/** What is said otherwise here than for a server's own connections to Keystone. */
const FAILURES: ReadonlyMap<string, Said> = new Map<string, Said>([
  ['ERR_BODY_TOO_LONG', ['keystone_answer_invalid', 'the answer is longer than 1 MiB; is it Keystone?']],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', NO_CERTIFICATE],
  ['ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED', NO_CERTIFICATE], // as BoringSSL spells it
  [
    'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
    ['keystone_unreachable', 'it does not trust our client certificate; look at `certFile` (OS_CERT)'],
  ],
  ['HPE_HEADER_OVERFLOW', ['keystone_answer_invalid', 'the headers of the answer are too long; is it Keystone?']],
])

function failureOf(error: Error, target: Target, { phase }: Attempt): ArchwayError {
  const own = 'code' in error && typeof error.code === 'string' ? FAILURES.get(error.code) : undefined
  if (own === undefined || !('code' in error)) return connectionFailure(error, target, phase)
  return new ArchwayError(own[0], `${target.name}: ${own[1]} (${String(error.code)})`, { retryAfter: 1 })
}
