/**
 * HTTP/2 of clients: `node:http2` sessions on sockets that are handed in. Owns the limits of a connection: streams at
 * once, requests taken back (H15), idle time; leaves a request and its answer to `http2-exchange.ts`. Nothing is pushed,
 * and CONNECT, the extended one included, is not offered.
 *
 * @module
 */
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { ProxyLimits } from '../limits.ts'
import type { ClientConnection, ClientHandler } from './client.ts'
import { Http2Exchange, type Http2Owner } from './http2-exchange.ts'
import { http2Head } from './http2-head.ts'

export interface Http2Options {
  readonly handler: ClientHandler
  readonly limits: ProxyLimits
  /** Monotonic, milliseconds. */
  readonly now: () => number
}

export interface Http2 {
  /** Serves the socket from now on. */
  adopt(socket: TLSSocket, remoteAddress: string): ClientConnection
}

/** Of a request body that may be under way before we have said that we take it: of a stream, of a connection. */
const STREAM_WINDOW = 256 * 1024
const CONNECTION_WINDOW = 1024 * 1024
const MOST_LINES = 2_000

export function createHttp2({ handler, limits, now }: Http2Options): Http2 {
  const options = {
    maxHeaderListPairs: MOST_LINES,
    settings: {
      maxConcurrentStreams: limits.http2Streams,
      maxHeaderListSize: limits.headBytes,
      initialWindowSize: STREAM_WINDOW,
      enableConnectProtocol: false,
    },
    strictSingleValueFields: false, // of answers, which are the API server's to write
  }
  return {
    adopt(socket, remoteAddress) {
      const session = performServerHandshake(socket, options)
      return new Connection(session, socket, { remoteAddress, handler, limits, now })
    },
  }
}

interface ConnectionOptions extends Http2Options {
  readonly remoteAddress: string
}

class Connection implements ClientConnection, Http2Owner {
  readonly socket: TLSSocket
  readonly remoteAddress: string
  readonly #session: ServerHttp2Session
  readonly #handler: ClientHandler
  readonly #limits: ProxyLimits
  readonly #now: () => number
  #streams = 0
  /** Since when there is no stream. */
  #idleSince: number
  /** Requests taken back and not yet forgiven. */
  #resets = 0
  #resetsAt: number

  constructor(session: ServerHttp2Session, socket: TLSSocket, options: ConnectionOptions) {
    this.socket = socket
    this.remoteAddress = options.remoteAddress
    this.#session = session
    this.#handler = options.handler
    this.#limits = options.limits
    this.#now = options.now
    this.#idleSince = this.#resetsAt = options.now()
    session.on('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW))
    session.on('error', ignore) // the streams' 'close', and the socket's, tell it
    session.on('stream', (stream, _, flags, raw: readonly string[]) => this.#receive(stream, flags, raw))
  }

  ended(_: Http2Exchange, isReset: boolean): void {
    this.#streams -= 1
    this.#idleSince = this.#now()
    if (isReset && !this.#session.closed) this.#countReset()
  }

  sweep(now: number): void {
    if (this.#streams > 0 || now - this.#idleSince <= this.#limits.idleTimeoutMs) return
    if (this.#session.closed)
      this.destroy() // whoever was told, and does not hang up, would stay for ever (S15)
    else this.#close()
  }

  retire(): void {
    this.#close()
  }

  destroy(): void {
    this.#session.destroy()
    this.socket.destroy()
  }

  #receive(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    if (stream.destroyed || stream.closed) {
      this.#countReset() // taken back before it was looked at
      return
    }
    const head = http2Head(raw, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0)
    if (head === undefined) {
      stream.on('error', ignore)
      stream.destroy(new Error('malformed'))
      this.#handler.malformed({
        protocol: 'HTTP/2',
        remoteAddress: this.remoteAddress,
        status: 0,
        cause: 'pseudo-header',
      })
      return
    }
    this.#streams += 1
    this.#handler.receive(new Http2Exchange(this, stream, head))
  }

  /** Taking back a few is everybody's right; thousands of them are work for us and none for the client (H15). */
  #countReset(): void {
    const now = this.#now()
    const forgiven = ((now - this.#resetsAt) / 1000) * this.#limits.http2ResetsForgiven
    this.#resetsAt = now
    this.#resets = Math.max(0, this.#resets - forgiven) + 1
    if (this.#resets <= this.#limits.http2Resets || this.#session.destroyed) return
    this.#handler.malformed({ protocol: 'HTTP/2', remoteAddress: this.remoteAddress, status: 0, cause: 'H15' })
    this.#session.destroy(new Error('requests are taken back too often'), constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #close(): void {
    if (!this.#session.closed && !this.#session.destroyed) this.#session.close()
  }
}

function ignore(): void {}
