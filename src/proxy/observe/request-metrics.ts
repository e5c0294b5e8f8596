/**
 * What is counted of each request. Called for every one of them.
 *
 * @module
 */
import type { Metrics } from '../../telemetry/metrics.ts'
import type { ProxyObservation } from '../observation.ts'
import { codeLabel, NONE, resourceLabels, verbLabel } from './labels.ts'
import { allSeries, type Judgement, type SeriesLabels } from './series.ts'

/** Counts one request that is over. */
export function requestMetrics(metrics: Metrics): (observation: ProxyObservation) => void {
  const { proxy } = metrics
  const resourceOf = resourceLabels()
  const series = allSeries(metrics)
  let bytesIn = 0
  let bytesOut = 0

  proxy.onRead(() => {
    series.handIn()
    proxy.bytes.labels('in').inc(bytesIn)
    proxy.bytes.labels('out').inc(bytesOut)
    bytesIn = 0
    bytesOut = 0
  })

  function labelsOf(seen: ProxyObservation): SeriesLabels {
    const { method, info, status, outcome, upstream = NONE, source = NONE } = seen
    const verb = verbLabel(info, method)
    return [verb, resourceOf(info, status), codeLabel(status), upstream, outcome, source, judgementOf(seen)]
  }

  return (seen) => {
    const alike = series.of(labelsOf(seen))
    alike.count++
    if (seen.secondsToHead !== undefined && isAnswered(seen)) alike.headSeconds.observe(seen.secondsToHead)
    if (seen.outcome === 'forwarded' && !seen.long) alike.seconds.observe(seen.seconds)
    bytesIn += seen.bytesIn
    bytesOut += seen.bytesOut
    if (seen.outcome === 'refused') proxy.refused.labels(seen.cause ?? NONE).inc()
    if (seen.outcome === 'limited') proxy.limited.labels(seen.cause ?? NONE).inc()
    if (seen.spoofed !== undefined && seen.spoofed > 0) proxy.spoofed.inc(seen.spoofed)
  }
}

/** The head was an API server's, not one of ours that says why there is none. */
function isAnswered({ outcome, upstream }: ProxyObservation): boolean {
  return upstream !== undefined && (outcome === 'forwarded' || outcome === 'upgraded' || outcome === 'canceled')
}

/** As the webhook counts them; nothing where nobody could tell, or nobody was asked. */
function judgementOf({ user, outcome }: ProxyObservation): Judgement {
  if (outcome === 'unauthenticated') return 'rejected'
  return user === undefined ? 'none' : 'authenticated'
}
