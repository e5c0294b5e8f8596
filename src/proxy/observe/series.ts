/**
 * What is counted of requests that are alike in every label. Kept aside as plain numbers: the registry builds and hashes
 * a text for each set of labels at each count, which for every request would cost more than all the rest.
 *
 * @module
 */
import type { Metrics } from '../../telemetry/metrics.ts'
import type { ProxyOutcome } from '../observation.ts'

export type Judgement = 'authenticated' | 'rejected' | 'none'

/** Each of a bounded set. */
export type SeriesLabels = readonly [
  verb: string,
  resource: string,
  code: string,
  upstream: string,
  outcome: ProxyOutcome,
  source: string,
  judgement: Judgement,
]

export interface Series {
  /** Requests that are not handed in yet. */
  count: number
  readonly seconds: { observe(seconds: number): void }
  readonly headSeconds: { observe(seconds: number): void }
}

interface Branch {
  readonly branches: Map<string, Branch>
  series: Series | undefined
}

export interface AllSeries {
  of(labels: SeriesLabels): Series
  /** Gives the counts to the registry. */
  handIn(): void
}

export function allSeries(metrics: Metrics): AllSeries {
  // Label by label, so that a look-up makes no text.
  const root: Branch = { branches: new Map(), series: undefined }
  const all: { readonly labels: SeriesLabels; readonly series: Series }[] = []

  function made(labels: SeriesLabels): Series {
    const [verb] = labels
    const { seconds, headSeconds } = metrics.proxy
    const series = { count: 0, seconds: seconds.labels(verb), headSeconds: headSeconds.labels(verb) }
    all.push({ labels, series })
    return series
  }

  return {
    of(labels) {
      let branch = root
      for (const label of labels) branch = branchOf(branch, label)
      branch.series ??= made(labels)
      return branch.series
    },
    handIn() {
      for (const { labels, series } of all) {
        if (series.count > 0) count(metrics, labels, series.count)
        series.count = 0
      }
    },
  }
}

function branchOf({ branches }: Branch, label: string): Branch {
  const known = branches.get(label)
  if (known !== undefined) return known
  const made: Branch = { branches: new Map(), series: undefined }
  branches.set(label, made)
  return made
}

function count({ proxy, authentications }: Metrics, labels: SeriesLabels, requests: number): void {
  const [verb, resource, code, upstream, outcome, source, judgement] = labels
  proxy.requests.labels(verb, resource, code, upstream).inc(requests)
  proxy.outcomes.labels(outcome).inc(requests)
  if (judgement !== 'none') authentications.labels(source, judgement).inc(requests)
}
