/**
 * The contract of the API servers as one: which of them is asked, and what happens when it does not answer. The door
 * knows this file and `../upstream/upstream.ts`, nothing else of what stands behind.
 *
 * @module
 */
import type {
  ResponseSink,
  UpstreamExchange,
  UpstreamFailure,
  UpstreamHead,
  UpstreamRequest,
} from '../upstream/upstream.ts'

/** As {@link ResponseSink}, with who answers. */
export interface BalancedSink extends Omit<ResponseSink, 'failed' | 'head' | 'upgraded'> {
  head(head: UpstreamHead, server: string): void
  upgraded(head: UpstreamHead, socket: Parameters<ResponseSink['upgraded']>[1], early: Buffer, server: string): void
  /**
   * Nobody could be asked, or the one that was asked failed and asking another is not safe. `unreachable` without a
   * server, with an `ArchwayError` as its cause: the request cannot be put on the wire, which is no server's fault.
   */
  failed(failure: UpstreamFailure | NoneReady, server: string | undefined): void
}

/** No API server is ready. */
export interface NoneReady {
  readonly kind: 'none-ready'
  /** Seconds until it is worth asking again. */
  readonly retryAfter: number
}

/** What is known of one server: for readiness, metrics and `doctor`. */
export interface ServerState {
  /** `host:port` as configured: a label of metrics. */
  readonly name: string
  readonly ready: boolean
  /** Why it is not. */
  readonly reason?: string
  readonly busy: number
  readonly idle: number
}

export interface Upstreams {
  /**
   * Asks the ready server with the fewest exchanges of this duration under way. `long`: watches, logs and the like,
   * which cost a server little and stay; counted apart, so that one that came back is not drowned in short ones. Upgrades
   * are long in any case.
   */
  exchange(request: UpstreamRequest, sink: BalancedSink, duration?: 'short' | 'long'): UpstreamExchange
  states(): readonly ServerState[]
  close(): void
}
