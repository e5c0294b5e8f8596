/**
 * What can be set of tracing.
 *
 * @module
 */
import type { CallLog } from '../context.ts'

export interface TracingOptions {
  /** Base URL of a collector that takes OTLP over HTTP as JSON; `/v1/traces` is added. */
  readonly endpoint: string
  /** Share of the traces that begin here which are recorded, 0 to 1. For others their callers have decided. */
  readonly sampling: number
  readonly log: Pick<CallLog, 'warn'>
  /** Version of the program. */
  readonly version: string
  /** `archway` when absent. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` go before it. */
  readonly serviceName?: string
  readonly limits?: Partial<TracingLimits>
  /** Milliseconds on a monotonic clock. */
  readonly clock?: () => number
}

/** What tracing may take. Beyond it spans are lost, never requests. */
export interface TracingLimits {
  /** Spans that wait for the collector. Default 2,048. */
  readonly queue: number
  /** Longest wait of a span before it is sent, in milliseconds. Default 5 s. */
  readonly delayMs: number
  /** Time for the collector to take a batch, further tries included, in milliseconds. Default 5 s. */
  readonly exportTimeoutMs: number
  /** Time that closing takes at the most, in milliseconds. Default 3 s. */
  readonly closeMs: number
}

/** The defaults of {@link TracingLimits}. */
export const DEFAULT_TRACING: TracingLimits = { queue: 2048, delayMs: 5000, exportTimeoutMs: 5000, closeMs: 3000 }
