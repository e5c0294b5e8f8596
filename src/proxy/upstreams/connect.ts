/**
 * A TLS connection to one API server: looked up now, its addresses tried in turn, verified against the CA file and
 * nothing else, ready for HTTP/1.1. Owns the handshake; leaves which addresses are good to `addresses.ts`, keeping
 * connections to `../upstream/`.
 *
 * @module
 */
import { isIP } from 'node:net'
import {
  type ConnectionOptions,
  checkServerIdentity,
  type SecureContext,
  type TLSSocket,
  connect as tlsConnect,
} from 'node:tls'
import type { UpstreamUrl } from '../../kube/server-url.ts'
import type { ReadsInPlace } from '../upstream/connection.ts'
import type { Addresses } from './addresses.ts'
import type { Clock } from './clock.ts'
import { CONNECT_TIMEOUT, connectFailure } from './connect-failure.ts'
import { readInPlace } from './in-place.ts'

/**
 * Opens a connection. Throws {@link UpstreamFailure} `unreachable`, which says why in words for people; or, where the
 * signal ended it, the signal's reason.
 */
export type Connect = (signal: AbortSignal) => Promise<Socket>

/** A stream, or read in place by whoever asks for that. */
type Socket = TLSSocket & ReadsInPlace

export interface ConnectOptions {
  readonly url: UpstreamUrl
  /** Name asked for, and which the certificate must have. Absent: the host of the URL. */
  readonly serverName?: string | undefined
  /** Whom to trust and as whom to appear; asked for every connection. A new object means: begin no old session. */
  readonly context: () => SecureContext
  readonly addresses: Addresses
  readonly clock: Clock
  /** Milliseconds for look-up, TCP and TLS, over all addresses. Default 5000. */
  readonly timeoutMs?: number
}

/** See {@link Connect}. */
export function connector(options: ConnectOptions): Connect {
  const { url, addresses, clock, timeoutMs = 5000 } = options
  const handshake = handshakes(options)

  async function inTurn(signal: AbortSignal, until: number): Promise<Socket> {
    const found = await unlessAborted(addresses.resolve(), signal)
    let failure: unknown
    for (const [at, address] of found.entries()) {
      try {
        return await handshake(address, signal, (until - clock.now()) / (found.length - at))
      } catch (thrown) {
        if (signal.aborted) throw thrown
        addresses.failed(address)
        failure = thrown
      }
    }
    throw failure
  }

  return async (signal) => {
    signal.throwIfAborted()
    const ending = new AbortController()
    const pass = (): void => ending.abort(signal.reason)
    const stop = clock.later(timeoutMs, () => ending.abort(tooLate()))
    signal.addEventListener('abort', pass, { once: true })
    try {
      return await inTurn(ending.signal, clock.now() + timeoutMs)
    } catch (thrown) {
      throw signal.aborted
        ? signal.reason
        : connectFailure(ending.signal.aborted ? ending.signal.reason : thrown, url.name)
    } finally {
      stop()
      signal.removeEventListener('abort', pass)
    }
  }
}

type Handshake = (address: string, signal: AbortSignal, withinMs: number) => Promise<Socket>

function handshakes({ url, serverName, context, addresses, clock }: ConnectOptions): Handshake {
  const identity = (serverName ?? url.host).replace(/\.$/, '')
  const fixed: ConnectionOptions = {
    port: url.port,
    ALPNProtocols: ['http/1.1'],
    // Not the address that happens to be connected to.
    checkServerIdentity: (_, certificate) => checkServerIdentity(identity, certificate),
    // No server is asked for by an address (RFC 6066).
    ...(isIP(identity) === 0 ? { servername: identity } : {}),
  }
  let kept: { readonly context: SecureContext; readonly session: Buffer } | undefined

  return (address, signal, withinMs) =>
    new Promise((resolve, reject) => {
      const secureContext = context()
      const session = kept?.context === secureContext ? { session: kept.session } : {}
      const options = { ...fixed, ...session, host: address, secureContext }
      const socket = readInPlace((onread) => tlsConnect(Object.assign(options, { onread })))
      const settle = (): void => {
        cancel()
        signal.removeEventListener('abort', aborted)
        socket.off('secureConnect', connected).off('error', failed).off('close', closed)
      }
      const failed = (error: unknown): void => {
        settle()
        socket.destroy()
        kept = undefined // whatever it was, the next begins anew
        reject(error)
      }
      const connected = (): void => {
        settle()
        socket.once('close', addresses.opened(address))
        resolve(socket)
      }
      const closed = (): void => failed(Object.assign(new Error('closed'), { code: 'ECONNRESET' }))
      const aborted = (): void => failed(signal.reason)
      const cancel = clock.later(withinMs, () => failed(tooLate()))
      socket.on('error', () => {}) // told by whoever uses it; without a listener it would end the process
      socket.once('secureConnect', connected).once('error', failed).once('close', closed)
      socket.on('session', (session) => {
        kept = { context: secureContext, session }
      })
      signal.addEventListener('abort', aborted, { once: true })
    })
}

function tooLate(): Error {
  return Object.assign(new Error('no connection was made in time'), { code: CONNECT_TIMEOUT })
}

/** The promise, or the signal's reason where that comes first: a look-up cannot be called off. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}
