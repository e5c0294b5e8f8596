import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Counter, Gauge, Histogram } from 'prom-client'
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts'

/**
 * The labels there are, with where their values come from. None is a caller's: a label with a user, a token, a path or
 * an address would grow without end (T-W7).
 */
const LABELS: Readonly<Record<string, string>> = {
  authorizer: 'authorizers of the configuration',
  call: 'the calls of the Keystone client',
  code: 'statuses of HTTP, and 0',
  direction: 'in, out',
  duration: 'short, long',
  event: 'CacheEvent, GateEvent, ProtectionEvent, WebhookEvent, UpstreamEvent',
  file: 'files of the configuration',
  kind: 'kinds of reviews',
  limit: 'limits of AdmissionResult',
  outcome: 'Outcome, ProxyOutcome, ShadowOutcome, or how a call or reload ended',
  part: 'parts of the revocation budget',
  reason: 'ConnectionRefusal, RefusalStatus',
  resource: 'resources the API server has, at most 200',
  runtime: 'the process',
  source: 'sources of the configuration',
  state: 'busy, idle',
  threat: 'threats of the hygiene contract, causes of the door',
  upstream: 'API servers of the configuration',
  verb: 'VERBS',
  version: 'the program',
}

interface Told {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly labelNames: readonly string[]
}

/** prom-client keeps what a metric was made with, and does not say so in its types. */
function told(metrics: Metrics): readonly Told[] {
  return metrics.registry.getMetricsAsArray() as unknown as readonly Told[]
}

/** By the names they have in the program. */
function named(metrics: Metrics): readonly (readonly [key: string, metric: unknown])[] {
  const { registry, proxy, ...rest } = metrics
  const { onRead, ...ofProxy } = proxy
  return Object.entries({ ...rest, ...ofProxy })
}

function ours(metrics: Metrics): readonly Told[] {
  return told(metrics).filter(({ name }) => name.startsWith('archway_'))
}

describe('metrics', () => {
  const metrics = createMetrics('1.2.3')

  test('have names of their own, by the rules of Prometheus', () => {
    const names = told(metrics).map(({ name }) => name)
    assert.equal(new Set(names).size, names.length)
    assert.ok(ours(metrics).length > 10)
    for (const { name } of told(metrics)) assert.match(name, /^(archway|process|nodejs)_[a-z0-9_]+$/)
    for (const [key, metric] of named(metrics)) {
      const name = (metric as unknown as Partial<Told>).name ?? ''
      if (metric instanceof Counter) assert.match(name, /_total$/, key)
      if (metric instanceof Histogram) assert.match(name, /_seconds$/, key)
      if (metric instanceof Gauge) assert.doesNotMatch(name, /_total$/, key)
    }
  })

  test('say what they are, in a sentence', () => {
    for (const { name, help } of ours(metrics)) assert.match(help, /^[A-Z1].{10,}\.$/, name)
    const helps = ours(metrics).map(({ help }) => help)
    assert.equal(new Set(helps).size, helps.length)
  })

  test('T-W7 have labels from the closed list only, and each label of the list is used', () => {
    const used = new Set(ours(metrics).flatMap(({ labelNames }) => labelNames))
    assert.deepEqual([...used].sort(), Object.keys(LABELS))
  })

  test('are all in the registry that is exposed', () => {
    const registered = new Set<unknown>(metrics.registry.getMetricsAsArray())
    for (const [key, metric] of named(metrics)) assert.ok(registered.has(metric), key)
    assert.equal(named(metrics).length, Object.keys(metrics).length - 2 + Object.keys(metrics.proxy).length - 1)
  })

  test('tell what is running', async () => {
    const text = await metrics.registry.metrics()
    assert.ok(text.includes(`archway_build_info{version="1.2.3",runtime="node ${process.versions.node}"} 1\n`))
  })

  test('are kept per registry: two of them share nothing', async () => {
    const one = createMetrics('1')
    const two = createMetrics('2')
    one.reviews.labels('TokenReview', 'authenticated').inc()
    const line = 'archway_reviews_total{kind="TokenReview",outcome="authenticated"} 1\n'
    assert.ok((await one.registry.metrics()).includes(line))
    assert.ok(!(await two.registry.metrics()).includes(line))
  })

  test('of time have a bucket for a remembered answer and one for the longest a review may take', async () => {
    const { registry, reviewSeconds } = createMetrics('1')
    reviewSeconds.labels('TokenReview').observe(0.00005)
    reviewSeconds.labels('TokenReview').observe(19)
    const text = await registry.metrics()
    assert.ok(text.includes('archway_review_seconds_bucket{le="0.0001",kind="TokenReview"} 1\n'))
    assert.ok(text.includes('archway_review_seconds_bucket{le="10",kind="TokenReview"} 1\n'))
    assert.ok(text.includes('archway_review_seconds_bucket{le="20",kind="TokenReview"} 2\n'))
  })
})
