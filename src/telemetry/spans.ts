/**
 * The contract of tracing: the span of a request that a door serves, and the lines that carry it on. Any door may use
 * it; nothing of OpenTelemetry is in it, so that it costs nothing where it is off.
 *
 * @module
 */

/** Header lines in the order of the wire. */
export type TraceLines = readonly (readonly [name: string, value: string])[]

/** What is `undefined` is left out. Names by the semantic conventions of OpenTelemetry where these have one. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>

/** How a request ended, for its span. */
export interface SpanEnd {
  /** Few and short: `GET apps/deployments`. */
  readonly name: string
  readonly attributes: SpanAttributes
  /** Why it counts as failed: our failure or a server's, never what a client did wrong. */
  readonly error?: string | undefined
}

/** The span of a request that is served. */
export interface ServerSpan {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** Whether anybody will see it: what goes into {@link SpanEnd} is worth making only then. */
  readonly recording: boolean
  /** `traceparent`, and `tracestate` where there is one, for whoever is asked next. */
  readonly headers: TraceLines
  /** Absent: nothing is known but that it is over. */
  end(how?: SpanEnd): void
}

export interface Tracing {
  /**
   * Begins the span of a request. It belongs to the trace of the caller where there is exactly one good `traceparent`
   * among `lines` (W3C Trace Context), and is traced if that is; else it is the first of its trace.
   */
  begin(name: string, lines: TraceLines): ServerSpan
  /** Sends what is left, within a limit of time. Never throws. */
  close(): Promise<void>
}
