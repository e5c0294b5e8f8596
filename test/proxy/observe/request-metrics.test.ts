import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { OUTCOMES, type ProxyObservation } from '../../../src/proxy/observation.ts'
import { requestMetrics } from '../../../src/proxy/observe/request-metrics.ts'
import { createMetrics } from '../../../src/telemetry/metrics.ts'
import { early, info, observation, unfit } from './support.ts'

/** The lines of the exposition that have a value after these requests, without histograms' buckets. */
async function counted(...seen: readonly ProxyObservation[]): Promise<string[]> {
  const metrics = createMetrics('1')
  const count = requestMetrics(metrics)
  for (const one of seen) count(one)
  const text = await metrics.registry.metrics()
  return text
    .split('\n')
    .filter((line) => /^archway_(proxy|authentications)_/.test(line) && !/_bucket\{| 0$/.test(line))
    .sort()
}

describe('a request that was forwarded', () => {
  test('is counted by what was asked, with its time and its bytes', async () => {
    assert.deepEqual(await counted(observation({ bytesIn: 10, seconds: 0.5, secondsToHead: 0.25 })), [
      'archway_authentications_total{source="keystone",outcome="authenticated"} 1',
      'archway_proxy_bytes_total{direction="in"} 10',
      'archway_proxy_bytes_total{direction="out"} 856',
      'archway_proxy_head_seconds_count{verb="list"} 1',
      'archway_proxy_head_seconds_sum{verb="list"} 0.25',
      'archway_proxy_outcomes_total{outcome="forwarded"} 1',
      'archway_proxy_request_seconds_count{verb="list"} 1',
      'archway_proxy_request_seconds_sum{verb="list"} 0.5',
      'archway_proxy_requests_total{verb="list",resource="pods",code="200",upstream="10.0.0.1:6443"} 1',
    ])
  })

  test('is told from others by verb, resource, code and server', async () => {
    const lines = await counted(
      observation(),
      observation(),
      observation({ info: info({ verb: 'get' }) }),
      observation({ status: 404 }),
      observation({ upstream: '10.0.0.2:6443' }),
      observation({ info: info({ apiGroup: 'apps', resource: 'deployments' }) }),
      observation({ info: info({ isResourceRequest: false, verb: 'get', path: '/version' }) }),
    )
    assert.deepEqual(
      lines.filter((line) => line.startsWith('archway_proxy_requests_total')),
      [
        'archway_proxy_requests_total{verb="get",resource="none",code="200",upstream="10.0.0.1:6443"} 1',
        'archway_proxy_requests_total{verb="get",resource="pods",code="200",upstream="10.0.0.1:6443"} 1',
        'archway_proxy_requests_total{verb="list",resource="apps/deployments",code="200",upstream="10.0.0.1:6443"} 1',
        'archway_proxy_requests_total{verb="list",resource="pods",code="200",upstream="10.0.0.1:6443"} 2',
        'archway_proxy_requests_total{verb="list",resource="pods",code="200",upstream="10.0.0.2:6443"} 1',
        'archway_proxy_requests_total{verb="list",resource="pods",code="404",upstream="10.0.0.1:6443"} 1',
      ],
    )
  })

  test('and is long tells the time to its head alone: a watch of an hour was not slow', async () => {
    const lines = await counted(observation({ long: true, info: info({ verb: 'watch' }), seconds: 3600 }))
    assert.ok(lines.includes('archway_proxy_head_seconds_count{verb="watch"} 1'))
    assert.ok(!lines.join().includes('archway_proxy_request_seconds'))
  })
})

test('the time of an answer that is ours, because the API server had none, counts for none', async () => {
  for (const outcome of ['failed', 'unavailable', 'undecided'] as const) {
    const lines = await counted(observation({ outcome, status: 502 }))
    assert.doesNotMatch(lines.join(), /_seconds/)
  }
  const left = await counted(observation({ outcome: 'canceled' }))
  assert.deepEqual(
    left.filter((line) => /_seconds_count/.test(line)),
    ['archway_proxy_head_seconds_count{verb="list"} 1'],
  )
})

describe('a request that was not forwarded', () => {
  const short: readonly [string, ProxyObservation, readonly string[]][] = [
    [
      'by hygiene is counted by threat, and nobody was judged',
      unfit(),
      [
        'archway_proxy_outcomes_total{outcome="refused"} 1',
        'archway_proxy_refused_total{threat="H8"} 1',
        'archway_proxy_requests_total{verb="get",resource="none",code="400",upstream="none"} 1',
      ],
    ],
    [
      'for who asked is a credential refused, by the source that knew it',
      { ...early({ outcome: 'unauthenticated', cause: 'token_expired', status: 401 }), source: 'keystone' },
      [
        'archway_authentications_total{source="keystone",outcome="rejected"} 1',
        'archway_proxy_outcomes_total{outcome="unauthenticated"} 1',
        'archway_proxy_requests_total{verb="list",resource="other",code="401",upstream="none"} 1',
      ],
    ],
    [
      'for want of any credential is one that nobody knew',
      early({ outcome: 'unauthenticated', status: 401 }),
      [
        'archway_authentications_total{source="none",outcome="rejected"} 1',
        'archway_proxy_outcomes_total{outcome="unauthenticated"} 1',
        'archway_proxy_requests_total{verb="list",resource="other",code="401",upstream="none"} 1',
      ],
    ],
    [
      'because nobody could tell is no judgement',
      early({ outcome: 'undecided', cause: 'keystone_timeout', status: 503 }),
      [
        'archway_proxy_outcomes_total{outcome="undecided"} 1',
        'archway_proxy_requests_total{verb="list",resource="other",code="503",upstream="none"} 1',
      ],
    ],
    [
      'for a limit is counted by whose it is',
      { ...early({ outcome: 'limited', cause: 'user-requests', status: 429 }), user: 'jane', source: 'keystone' },
      [
        'archway_authentications_total{source="keystone",outcome="authenticated"} 1',
        'archway_proxy_limited_total{limit="user-requests"} 1',
        'archway_proxy_outcomes_total{outcome="limited"} 1',
        'archway_proxy_requests_total{verb="list",resource="other",code="429",upstream="none"} 1',
      ],
    ],
  ]
  for (const [rule, seen, lines] of short) {
    test(rule, async () => assert.deepEqual(await counted({ ...seen, bytesOut: 0 }), lines))
  }
})

test('T-H2 identity headers of clients that were left out are counted', async () => {
  const lines = await counted(observation({ spoofed: 2 }), observation({ spoofed: 1 }), observation({ spoofed: 0 }))
  assert.ok(lines.includes('archway_proxy_spoofed_headers_total 3'))
})

test('every outcome is counted as itself', async () => {
  const lines = await counted(...OUTCOMES.map((outcome) => early({ outcome })))
  for (const outcome of OUTCOMES) assert.ok(lines.includes(`archway_proxy_outcomes_total{outcome="${outcome}"} 1`))
})

test('T-W7 a stranger makes no series: whatever is asked for, their number stays', async () => {
  const strange = Array.from({ length: 2000 }, (_, i) =>
    observation({
      outcome: 'forwarded',
      status: i % 2 ? 404 : 403,
      method: `M${i}`,
      path: `/x/${i}`,
      user: `user-${i}`,
      remoteAddress: `192.0.2.${i}`,
      info: info({ verb: `v${i}`, apiGroup: `g${i}`, resource: `r${i}`, namespace: `n${i}`, name: `o${i}` }),
    }),
  )
  const lines = (await counted(...strange)).filter((line) => line.startsWith('archway_proxy_requests_total'))
  assert.deepEqual(lines, [
    'archway_proxy_requests_total{verb="other",resource="other",code="403",upstream="10.0.0.1:6443"} 1000',
    'archway_proxy_requests_total{verb="other",resource="other",code="404",upstream="10.0.0.1:6443"} 1000',
  ])
})
