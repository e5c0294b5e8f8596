/**
 * From an accepted TCP connection to a caller who is let in: the handshake in bounded time and number, the certificate,
 * the name. Owns connections until then; leaves them to the listener from there.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import type { CallLog } from '../context.ts'
import type { ServerLimits } from './limits.ts'
import type { ConnectionRefusal, ServerObserver } from './observer.ts'
import { callerOf } from './tls.ts'

/** Of all connections, how many may be in their handshake; then the oldest gives way. It needs milliseconds only. */
const HANDSHAKE_SHARE = 0.25
const HANDSHAKES_AT_LEAST = 8
const NO_CERTIFICATE = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'

/** Who may come in. */
export interface Admission {
  /** Callers need a certificate, which the handshake has verified. */
  readonly certificates: boolean
  /** By these names; `undefined`: by any. */
  readonly names: ReadonlySet<string> | undefined
}

/** What {@link createGate} needs. */
export interface GateOptions {
  readonly limits: ServerLimits
  readonly log: CallLog
  readonly observer: ServerObserver
  /** Monotonic, milliseconds. */
  readonly now: () => number
  /** Asked at the end of each handshake. */
  readonly admission: () => Admission
  readonly welcome: (socket: TLSSocket) => void
}

export interface Gate {
  /** Stands before this server from now on. */
  guard(server: Server): void
  /** Ends every handshake that has begun: by rules that have changed, or for good. */
  turnBack(): void
  /** Ends handshakes that take too long; `at` is the time. */
  sweep(at: number): void
}

interface Accepted {
  readonly socket: Socket
  readonly since: number
}

export function createGate({ limits, log, observer, now, admission, welcome }: GateOptions): Gate {
  const most = Math.max(HANDSHAKES_AT_LEAST, Math.floor(limits.connections * HANDSHAKE_SHARE))
  /** In the order they came. By both ends' addresses: TCP and TLS sockets of one connection do not know each other. */
  const accepted = new Map<string, Accepted>()
  let overLimit = 0

  return {
    guard(server) {
      server.maxConnections = limits.connections
      server.on('drop', refuseByLimit)
      server.on('connection', accept)
      server.on('tlsClientError', fail)
      server.on('secureConnection', secure)
    },
    turnBack() {
      for (const { socket } of accepted.values()) socket.destroy()
      accepted.clear()
    },
    sweep(at) {
      for (const { socket, since } of accepted.values()) {
        if (at - since < limits.handshakeTimeoutMs) break
        observer.tlsError?.('ERR_TLS_HANDSHAKE_TIMEOUT')
        socket.destroy()
      }
      if (overLimit === 0) return
      log.warn({ refused: overLimit, limit: limits.connections }, 'connections refused: too many are open')
      overLimit = 0
    },
  }

  function refuseByLimit(): void {
    overLimit += 1
    observer.connectionRefused?.('limit')
  }

  function accept(socket: Socket): void {
    const key = keyOf(socket)
    const entry = { socket, since: now() }
    accepted.set(key, entry)
    socket.once('close', () => {
      if (accepted.get(key) === entry) accepted.delete(key)
    })
    if (accepted.size <= most) return
    for (const [oldest, { socket }] of accepted) {
      refuseByLimit()
      accepted.delete(oldest)
      socket.destroy()
      break
    }
  }

  function fail(error: NodeJS.ErrnoException, socket: TLSSocket): void {
    const { authorizationError } = socket as { readonly authorizationError: unknown } // typed as Error, is a code
    const code = typeof authorizationError === 'string' ? authorizationError : (error.code ?? 'UNKNOWN')
    socket.destroy()
    if (code === authorizationError || code === NO_CERTIFICATE) observer.connectionRefused?.('client-certificate')
    else if (code === 'ECONNRESET') return // hung up before the end: probes do, and so do we
    observer.tlsError?.(code)
    log.debug({ code }, 'TLS handshake failed')
  }

  function secure(socket: TLSSocket): void {
    const refusal = accepted.delete(keyOf(socket)) ? refusalOf(socket) : 'outdated'
    if (refusal === undefined) {
      welcome(socket)
    } else {
      observer.connectionRefused?.(refusal)
      socket.on('error', () => socket.destroy())
      socket.destroySoon()
    }
  }

  /** Node has verified the certificate; whether there is one is asked again, and whose it is. */
  function refusalOf(socket: TLSSocket): ConnectionRefusal | undefined {
    const { certificates, names } = admission()
    if (!certificates) return undefined
    const caller = callerOf(socket)
    if (caller === undefined || !socket.authorized) return 'client-certificate'
    if (names === undefined || caller.isOneOf(names)) return undefined
    const { remoteAddress } = socket
    log.warn({ remoteAddress, commonName: caller.commonName }, 'caller refused: its name is not among clientNames')
    return 'client-name'
  }
}

/** Both ends of a connection; no two open ones share it. */
function keyOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`
}
