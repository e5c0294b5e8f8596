/**
 * The proxy door: sockets of clients in, requests to API servers out. Owns the connections and how they all end; leaves
 * a request's way to `passage.ts`, what clients speak to `client/`, the API servers to `upstreams/`, and the listener to
 * whoever has one.
 *
 * @module
 */
import type { TLSSocket } from 'node:tls'
import type { Authenticator } from '../authn/authenticator.ts'
import type { ClientCertificate, RequestCredentials } from '../authn/request/credentials.ts'
import type { Authorizer } from '../authz/authorizer.ts'
import type { CallLog } from '../context.ts'
import type { Admission } from './admission/admission.ts'
import type { ClientConnection, ClientExchange, ClientHandler, Malformed } from './client/client.ts'
import { createHttp1 } from './client/http1.ts'
import { createHttp2 } from './client/http2.ts'
import type { Hygiene } from './hygiene/hygiene.ts'
import { createIdentify } from './identify.ts'
import { DEFAULT_LIMITS, type ProxyLimits } from './limits.ts'
import type { ProxyObserver } from './observation.ts'
import { type Door, Passage } from './passage.ts'
import type { Upstreams } from './upstreams/upstreams.ts'

/** What {@link createProxy} needs. */
export interface ProxyOptions {
  readonly authenticator: Authenticator<RequestCredentials>
  /** Asked before the API server is; absent: the API server alone decides. */
  readonly authorizer?: Authorizer
  readonly upstreams: Upstreams
  readonly admission: Admission
  readonly hygiene: Hygiene
  readonly observer: ProxyObserver
  readonly log: CallLog
  readonly limits?: Partial<ProxyLimits>
  /** What a client has shown: `presentedCertificate` of `authn/x509`. */
  readonly certificateOf: (socket: TLSSocket) => ClientCertificate | undefined
  /** Values of `WWW-Authenticate` for a 401, one line each. */
  readonly challenges: readonly string[]
  /** Issuers whose tokens go to the API server untouched: see `identify.ts`. Default none. */
  readonly passTokensOf?: readonly string[]
  /** What credentials have to be good for; empty: nothing is asked of them. */
  readonly audiences?: readonly string[]
  /** False: HTTP/1.1 only. Default true. */
  readonly http2?: boolean
  /** Unique within the process. */
  readonly nextRequestId: () => string
  /** Monotonic, milliseconds. */
  readonly now?: () => number
}

export interface ProxyCounts {
  readonly connections: number
  /** Requests under way, tunnels included. */
  readonly requests: number
  readonly tunnels: number
}

export interface ProxyDoor {
  /** What the listener offers by ALPN. */
  readonly alpnProtocols: readonly string[]
  /** Serves a socket that is past its handshake. */
  serve(socket: TLSSocket): void
  counts(): ProxyCounts
  /** Holds everything against its time limits. Runs by itself, once a second; tests call it. */
  sweep(): void
  /**
   * Ends: no further requests; what is idle is closed at once; watches and followed logs are ended between two lines,
   * spread over the first half of the time, so that not all of them come back at once elsewhere; what is left after
   * `drainMs` is cut. Resolves when all is closed. A second call may be less patient.
   */
  drain(options: { readonly drainMs: number }): Promise<void>
}

const SWEEP_MS = 1000
const DRAIN_SWEEP_MS = 50

export function createProxy(options: ProxyOptions): ProxyDoor {
  const { log, observer, http2: offersHttp2 = true, now = () => performance.now() } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const passages = new Set<Passage>()
  const connections = new Set<ClientConnection>()
  const door: Door = {
    hygiene: options.hygiene,
    identify: createIdentify(options),
    authorizer: options.authorizer,
    admission: options.admission,
    upstreams: options.upstreams,
    observer,
    log,
    limits,
    audiences: options.audiences ?? [],
    certificateOf: options.certificateOf,
    nextRequestId: options.nextRequestId,
    now,
    ended: (passage) => void passages.delete(passage),
  }
  const handler: ClientHandler = { receive, malformed }
  const http1 = createHttp1({ handler, limits, now })
  const http2 = createHttp2({ handler, limits, now })
  let timer = setInterval(sweep, SWEEP_MS).unref()
  let draining: { deadline: number; readonly over: Promise<void>; readonly end: () => void } | undefined

  return {
    alpnProtocols: offersHttp2 ? ['h2', 'http/1.1'] : ['http/1.1'],
    serve,
    sweep,
    counts: () => ({
      connections: connections.size,
      requests: passages.size,
      tunnels: [...passages].filter(({ isTunnel }) => isTunnel).length,
    }),
    drain: ({ drainMs }) => drain(drainMs),
  }

  function serve(socket: TLSSocket): void {
    const remoteAddress = socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '') // an IPv4 client of an IPv6 listener
    if (remoteAddress === undefined || socket.destroyed || draining !== undefined) {
      socket.destroy()
      return
    }
    const connection = (socket.alpnProtocol === 'h2' ? http2 : http1).adopt(socket, remoteAddress)
    connections.add(connection)
    socket.on('close', () => {
      connections.delete(connection)
      if (connections.size === 0) draining?.end()
    })
  }

  function receive(exchange: ClientExchange): void {
    try {
      const passage = new Passage(door, exchange)
      passages.add(passage)
      passage.begin()
    } catch (error) {
      log.error({ error }, 'a request could not be begun, a fault of ours')
      exchange.cut()
    }
  }

  function malformed({ protocol, remoteAddress, status, cause }: Malformed): void {
    const nothing = { method: '', path: '', long: false, bytesIn: 0, bytesOut: 0, seconds: 0 }
    const requestId = options.nextRequestId()
    try {
      observer.finished({ requestId, outcome: 'refused', status, protocol, cause, remoteAddress, ...nothing })
    } catch (error) {
      log.error({ requestId, error }, 'a request could not be recorded')
    }
  }

  function sweep(): void {
    const at = now()
    for (const connection of connections) connection.sweep(at)
    for (const passage of passages) passage.sweep(at)
    if (draining !== undefined && at >= draining.deadline) cutAll()
  }

  function cutAll(): void {
    for (const passage of passages) passage.cut()
    for (const connection of connections) connection.destroy()
  }

  function drain(drainMs: number): Promise<void> {
    const deadline = now() + drainMs
    if (draining !== undefined) {
      draining.deadline = Math.min(draining.deadline, deadline)
      sweep()
      return draining.over
    }
    const { promise: over, resolve } = Promise.withResolvers<void>()
    draining = { deadline, over, end: resolve }
    clearInterval(timer)
    timer = setInterval(sweep, DRAIN_SWEEP_MS)
    spreadEnds(drainMs / 2)
    for (const connection of connections) connection.retire()
    if (connections.size === 0) resolve()
    else sweep()
    return over.finally(() => clearInterval(timer))
  }

  function spreadEnds(withinMs: number): void {
    const resumable = [...passages].filter((passage) => passage.canBeResumed)
    const at = now()
    for (const [index, passage] of resumable.entries()) passage.endFrom(at + (withinMs * index) / resumable.length)
  }
}
