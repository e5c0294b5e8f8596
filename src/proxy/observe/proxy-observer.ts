/**
 * The observer of the proxy: each request becomes a line of the access log, metrics and, where tracing is on, a span.
 *
 * @module
 */
import type { Metrics } from '../../telemetry/metrics.ts'
import type { ProxyObserver, RequestSpan } from '../observation.ts'
import { type AccessLog, accessLog } from './access-log.ts'
import { requestMetrics } from './request-metrics.ts'
import { type RequestTracing, requestSpans } from './request-spans.ts'

export interface ProxyObserverOptions {
  readonly log: AccessLog
  readonly metrics: Metrics
  /** Absent: nothing is traced, and the trace headers of clients pass as they came. */
  readonly tracing?: RequestTracing
}

const NO_SPAN: RequestSpan = { traceId: undefined, headers: [], end() {} }

export function proxyObserver({ log, metrics, tracing }: ProxyObserverOptions): ProxyObserver {
  const write = accessLog(log)
  const count = requestMetrics(metrics)
  return {
    begin: tracing === undefined ? () => NO_SPAN : requestSpans(tracing),
    finished(observation) {
      count(observation)
      write(observation)
    },
  }
}
