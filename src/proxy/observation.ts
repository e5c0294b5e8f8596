/**
 * What is told of each request when it is over: the access log, the metrics and the span are made of this one record.
 *
 * @module
 */
import type { RequestInfo } from '../kube/request-info.ts'

/** How it ended. */
export const OUTCOMES = [
  'forwarded',
  'refused', // hygiene
  'unauthenticated',
  'undecided', // could not tell who, or whether
  'forbidden',
  'limited',
  'unavailable', // no server ready
  'failed', // the server failed
  'canceled', // the client left
  'upgraded',
] as const
export type ProxyOutcome = (typeof OUTCOMES)[number]

export interface ProxyObservation {
  readonly requestId: string
  readonly outcome: ProxyOutcome
  /** Status sent to the client; 0 where none was. */
  readonly status: number
  readonly method: string
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2'
  /** Without the query. */
  readonly path: string
  /** Absent where hygiene refused the request, or the path is no request of Kubernetes. */
  readonly info?: RequestInfo
  readonly user?: string
  /** Source that knew the credential. */
  readonly source?: string
  readonly upstream?: string
  /** `Audit-ID` of the API server's answer. */
  readonly auditId?: string
  readonly traceId?: string
  /** Threat that hygiene refused (`H1`), code of a rejection, limit, kind of a failure. */
  readonly cause?: string
  readonly long: boolean
  readonly remoteAddress: string
  readonly bytesIn: number
  readonly bytesOut: number
  readonly seconds: number
  /** Until the head of the answer; absent where there was none. */
  readonly secondsToHead?: number
  /** Lines of the client that said who asks, and were left out. */
  readonly spoofed?: number
}

/** A request in a trace. */
export interface RequestSpan {
  readonly traceId: string | undefined
  /** Lines that go to the API server in place of the client's `traceparent` and `tracestate`; none: its lines pass. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  end(observation: ProxyObservation): void
}

export interface ProxyObserver {
  /** A request has begun; called with its header lines. Without tracing its lines pass as they came. */
  begin(headers: readonly (readonly [name: string, value: string])[], method: string): RequestSpan
  finished(observation: ProxyObservation): void
}
