/** tools/check-dashboard.ts finds what a dashboard asks for in vain. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Dashboard, type Exposed, exposed, problemsOf } from '../../tools/check-dashboard.ts'

const metrics: Exposed = new Map([
  ['requests_total', { counts: true, labels: new Set(['verb', 'code', 'job']) }],
  ['seconds_bucket', { counts: true, labels: new Set(['verb', 'le', 'job']) }],
  ['open', { counts: false, labels: new Set(['job']) }],
])

type Panel = Dashboard['panels'][number]

function panel(fields: Partial<Panel> = {}): Panel {
  return {
    id: 1,
    type: 'timeseries',
    title: 'p',
    gridPos: { x: 0, y: 0, w: 12, h: 8 },
    datasource: { uid: '$datasource' },
    targets: [{ expr: 'open' }],
    ...fields,
  }
}

function found(panels: readonly Panel[], variables: Dashboard['templating']['list'] = []): string[] {
  return problemsOf({ panels, templating: { list: variables } }, metrics)
}

function foundIn(expr: string, legendFormat = ''): string[] {
  return found([panel({ targets: [{ expr, legendFormat }] })]).map((problem) => problem.replace('panel "p": ', ''))
}

describe('check-dashboard', () => {
  for (const expr of [
    'sum by (verb) (rate(requests_total{code=~"5..", job="a"}[5m])) / ignoring(verb) sum(rate(requests_total[5m]))',
    'histogram_quantile(0.99, sum by (le, verb) (rate(seconds_bucket[$__rate_interval])))',
    'sum(open{job=~"$__all"}) or vector(0)',
    'max_over_time(open[$__range])',
  ]) {
    it(`accepts ${expr}`, () => assert.deepEqual(foundIn(expr), []))
  }

  for (const [expr, problem] of [
    ['rate(request_total[5m])', 'no metric request_total'],
    ['rate(requests_total{method="GET"}[5m])', 'requests_total has no label method'],
    ['open / on(job) requests_total{job="a", kind!~"b"}', 'requests_total has no label kind'],
    ['sum by (method) (requests_total)', 'no label method'],
    ['requests_total / on(method) open', 'no label method'],
    ['seconds', 'no metric seconds'],
    ['rate(open[5m])', 'open does not only grow: no rate of it'],
    ['sum(increase(open[5m]))', 'open does not only grow: no rate of it'],
    ['sum(open', 'no PromQL: sum(open'],
    ['rate(requests_total)[5m', 'no PromQL: rate(requests_total)[5m'],
    ['1 + 1', 'no metric in 1 + 1'],
    ['open{job="$cluster"}', 'no variable $cluster'],
  ] as const) {
    it(`refuses ${expr}`, () => assert.deepEqual(foundIn(expr), [problem]))
  }

  it('refuses a legend with a label that the result has not', () => {
    assert.deepEqual(foundIn('open', '{{ verb }}'), ['no label verb'])
    assert.deepEqual(foundIn('sum by (verb) (requests_total)', '{{verb}} of {{ job }}'), [])
  })

  it('refuses a panel without a query, or with a data source of one installation', () => {
    assert.deepEqual(found([panel({ targets: [] })]), ['panel "p": no query'])
    assert.deepEqual(found([panel({ datasource: { uid: 'P1809F7CD0C75ACF3' } })]), [
      'panel "p": the data source is not $datasource',
    ])
    assert.deepEqual(found([panel({ type: 'row', targets: [], datasource: {} })]), [])
  })

  it('refuses panels that lie on one another, or off the page', () => {
    const next = panel({ id: 2, title: 'q', gridPos: { x: 12, y: 0, w: 12, h: 8 } })
    assert.deepEqual(found([panel(), next]), [])
    assert.deepEqual(found([panel(), { ...next, gridPos: { x: 11, y: 7, w: 12, h: 8 } }]), ['panel "q": lies on "p"'])
    assert.deepEqual(found([panel(), { ...next, id: 1 }]), ['panel "q": has the id of "p"'])
    assert.deepEqual(found([{ ...next, gridPos: { x: 20, y: 0, w: 5, h: 1 } }]), ['panel "q": is wider than the page'])
  })

  it('refuses a variable that asks for what there is not', () => {
    const variable = (query: string) => found([], [{ name: 'v', query }])
    assert.deepEqual(variable('prometheus'), [])
    assert.deepEqual(variable('label_values(open{job="a"}, job)'), [])
    assert.deepEqual(variable('label_values(opened, job)'), [
      'variable v: no metric opened',
      'variable v: no label job',
    ])
    assert.deepEqual(variable('label_values(open, verb)'), ['variable v: no label verb'])
    assert.deepEqual(variable('up'), ['variable v: expected label_values(METRIC, LABEL), found up'])
  })

  it('knows the metrics of the registry by the names they are read by', () => {
    const all = exposed()
    assert.ok(all.get('archway_proxy_requests_total')?.labels.has('upstream'))
    assert.ok(all.get('archway_proxy_head_seconds_bucket')?.labels.has('le'))
    assert.equal(all.get('archway_proxy_head_seconds'), undefined)
    assert.equal(all.get('archway_proxy_in_flight')?.counts, false)
    assert.ok(all.has('process_cpu_seconds_total'))
  })
})
