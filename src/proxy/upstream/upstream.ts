/**
 * The contract with an API server: one connection at a time, one exchange at a time on it. Owns the words; leaves the
 * bytes to `connection.ts`, keeping connections to `pool.ts`, and which server is asked to `../upstreams/`.
 *
 * @module
 */
import type { Duplex } from 'node:stream'
import type { Framing, HeaderLines, Upgrade } from '../wire.ts'

/** A request as it is sent on. */
export interface UpstreamRequest {
  readonly method: string
  /** Byte for byte what the client sent: path and query. */
  readonly target: string
  /** Every line but those of framing and connection (Content-Length, Transfer-Encoding, Connection, Upgrade, Expect). */
  readonly headers: HeaderLines
  readonly framing: Framing
  /** The client wants the connection turned into this; such a request has no body. */
  readonly upgrade?: Upgrade
  /** The client waits for `100 Continue` before it sends its body. */
  readonly expectContinue?: boolean
}

export interface UpstreamHead {
  readonly status: number
  /** As received, hop-by-hop lines and framing included. */
  readonly headers: HeaderLines
  readonly framing: Framing | { readonly kind: 'until-close' }
}

/**
 * Told of the answer, in this order: perhaps `continued`; then `head`, `data` any number of times, `end`; or `upgraded`;
 * or at any moment `failed`, after which nothing comes. After {@link UpstreamExchange.abort} nothing comes either. Never
 * called before `exchange` has returned. Must not throw: where `head` or `data` does, the exchange fails.
 */
export interface ResponseSink {
  /** `100 Continue`: the body may be sent. Once, and only where it was asked for; other interim answers are dropped. */
  continued(): void
  head(head: UpstreamHead): void
  /**
   * False: no more `data` until {@link UpstreamExchange.resume}, but for what was read from the socket in the same go, 64
   * KiB at most; and `end` may come at once. The bytes are lent for the call: whoever keeps them copies them.
   */
  data(chunk: Buffer): boolean
  /** The answer is whole. Trailers, if there were any, are dropped; so is what is still missing of the request. */
  end(): void
  /**
   * 101 for the protocol asked for: the connection is the callee's, `early` came right behind the head. The socket is
   * paused, and ends by the callee's doing or the pool's.
   */
  upgraded(head: UpstreamHead, socket: Duplex, early: Buffer): void
  /** The request body may go on. */
  drained(): void
  failed(failure: UpstreamFailure): void
}

/** The way of a request body, and the end of an exchange. When that is over, none of these does anything. */
export interface UpstreamExchange {
  /**
   * False: no more until {@link ResponseSink.drained}. Once the server has refused (a status from 300 on), what is still
   * written is thrown away.
   *
   * @throws ArchwayError `internal`: more than the framing announced; the connection is closed, and `failed` does not come.
   */
  write(chunk: Buffer): boolean
  /**
   * The body is whole.
   *
   * @throws ArchwayError `internal`: less than the framing announced; as above.
   */
  end(): void
  /** More of the answer may come, and may do so before this returns. */
  resume(): void
  /** The client is gone: the connection is closed at once, so that the server stops working for nobody. */
  abort(): void
}

/** One connection, ours until its exchange is over. */
export interface UpstreamConnection {
  /** It carried an exchange before: the server may have closed it without our knowing. */
  readonly reused: boolean
  /**
   * Sends the request.
   *
   * @throws ArchwayError `internal`: a part of it could break a line, or is not the caller's to write. Nothing was sent,
   * and the connection is given back.
   */
  exchange(request: UpstreamRequest, sink: ResponseSink): UpstreamExchange
  /** Gives it back unused. */
  release(): void
}

/** Connections to one API server. */
export interface ServerPool {
  /**
   * A kept connection, or a new one. Throws {@link UpstreamFailure} `unreachable`; then nothing was sent.
   * `fresh`: a new one in any case and at once, past every limit; for health checks and for asking again.
   */
  acquire(signal: AbortSignal, need?: 'any' | 'fresh'): Promise<UpstreamConnection>
  /** Exchanges under way, upgraded connections included. */
  busy(): number
  /** Connections kept for the next request. */
  idle(): number
  /** Closes what is idle, and every other connection when its exchange is over: certificates or addresses changed. */
  retire(): void
  /** Closes everything now. */
  close(): void
}

/**
 * - `unreachable`: no connection; nothing was sent
 * - `lost`: the connection ended before the answer was whole
 * - `invalid`: what came is no answer we would pass on
 * - `timeout`: no head in time (only where a limit is set)
 */
export type FailureKind = 'unreachable' | 'lost' | 'invalid' | 'timeout'

/** An exchange that came to nothing. For the balancer and the log; a client sees a `Status`, never this text. */
export class UpstreamFailure extends Error {
  readonly kind: FailureKind
  /** Whether any byte of an answer had come. */
  readonly answered: boolean
  constructor(
    kind: FailureKind,
    message: string,
    options: { readonly answered?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.name = 'UpstreamFailure'
    this.kind = kind
    this.answered = options.answered ?? false
  }
}
