/**
 * Metrics that are read when somebody asks for them: what is under way, and how the API servers are.
 *
 * @module
 */
import type { ProxyMetrics } from '../../telemetry/metrics.ts'
import type { Admission } from '../admission/admission.ts'
import type { Upstreams } from '../upstreams/upstreams.ts'

export interface CollectedProxy {
  readonly admission: Pick<Admission, 'counts'>
  readonly upstreams: Pick<Upstreams, 'states'>
  /** When the front-proxy client certificate in force expires. */
  readonly certificateNotAfter?: Date | undefined
}

export function collectProxyMetrics(metrics: ProxyMetrics, { admission, upstreams, ...rest }: CollectedProxy): void {
  const { requests, streams, waiting, users } = admission.counts()
  metrics.inFlight.labels('short').set(requests)
  metrics.inFlight.labels('long').set(streams)
  metrics.waiting.set(waiting)
  metrics.users.set(users)
  for (const { name, ready, busy, idle } of upstreams.states()) {
    metrics.upstreamReady.labels(name).set(ready ? 1 : 0)
    metrics.upstreamConnections.labels(name, 'busy').set(busy)
    metrics.upstreamConnections.labels(name, 'idle').set(idle)
  }
  if (rest.certificateNotAfter !== undefined) {
    metrics.upstreamCertificateNotAfter.set(rest.certificateNotAfter.getTime() / 1000)
  }
}
