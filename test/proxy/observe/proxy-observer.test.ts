import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ProxyObservation } from '../../../src/proxy/observation.ts'
import { proxyObserver } from '../../../src/proxy/observe/proxy-observer.ts'
import { createMetrics } from '../../../src/telemetry/metrics.ts'
import { openTracing } from '../../../src/telemetry/tracing.ts'
import { type CollectedSpan, collector } from '../../telemetry/collector.ts'
import { early, info, observation, recordingLog, unfit } from './support.ts'

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

/** The spans that come of these requests, by a real collector. */
async function spansOf(
  seen: readonly ProxyObservation[],
  { userNames = false, sampling = 1 } = {},
): Promise<readonly CollectedSpan[]> {
  const target = await collector()
  const log = recordingLog()
  const tracing = await openTracing({ endpoint: target.url, sampling, log, version: '1' })
  const observer = proxyObserver({ log, metrics: createMetrics('1'), tracing: { tracing, userNames } })
  for (const one of seen) observer.begin([], one.method).end(one)
  await tracing.close()
  await target.close()
  return target.spans()
}

describe('an observer', () => {
  test('writes one line and counts once for each request', async () => {
    const log = recordingLog()
    const metrics = createMetrics('1')
    const observer = proxyObserver({ log, metrics })
    observer.finished(observation())
    observer.finished(unfit())
    assert.deepEqual(
      log.lines.map(({ message, fields }) => [message, fields['outcome']]),
      [
        ['request', 'forwarded'],
        ['request', 'refused'],
      ],
    )
    const text = await metrics.registry.metrics()
    assert.equal(text.match(/^archway_proxy_outcomes_total\{.*\} 1$/gm)?.length, 2)
  })

  test('without tracing leaves the lines of the client as they are', () => {
    const observer = proxyObserver({ log: recordingLog(), metrics: createMetrics('1') })
    const span = observer.begin([['traceparent', PARENT]], 'GET')
    span.end(observation())
    assert.deepEqual([span.traceId, span.headers], [undefined, []])
  })

  test('with tracing sends on the span of the proxy in place of that of the client', async () => {
    const target = await collector()
    const log = recordingLog()
    const tracing = await openTracing({ endpoint: target.url, sampling: 0, log, version: '1' })
    const observer = proxyObserver({ log, metrics: createMetrics('1'), tracing: { tracing, userNames: false } })
    const span = observer.begin([['Traceparent', PARENT]], 'GET')
    span.end(observation())
    await tracing.close()
    await target.close()
    const [sent] = target.spans()
    assert.equal(span.traceId, '0af7651916cd43dd8448eb211c80319c')
    assert.deepEqual(span.headers, [['traceparent', `00-${span.traceId}-${sent?.spanId}-01`]])
    assert.equal(sent?.parentSpanId, 'b7ad6b7169203331')
  })
})

describe('a span', () => {
  test('says what was asked and what came of it, by the conventions of OpenTelemetry', async () => {
    const scale = info({ verb: 'update', apiGroup: 'apps', resource: 'deployments', subresource: 'scale', name: 'web' })
    const [span] = await spansOf([observation({ method: 'PUT', info: scale, protocol: 'HTTP/2', bytesIn: 12 })])
    assert.equal(span?.name, 'PUT apps/deployments')
    assert.deepEqual(span?.attributes, {
      'http.request.method': 'PUT',
      'url.scheme': 'https',
      'url.path': '/api/v1/namespaces/default/pods',
      'network.protocol.name': 'http',
      'network.protocol.version': '2',
      'client.address': '192.0.2.7',
      'http.response.status_code': 200,
      'http.request.body.size': 12,
      'http.response.body.size': 856,
      'k8s.namespace.name': 'default',
      'archway.verb': 'update',
      'archway.resource': 'apps/deployments',
      'archway.subresource': 'scale',
      'archway.outcome': 'forwarded',
      'archway.source': 'keystone',
      'archway.upstream': '10.0.0.1:6443',
      'archway.audit_id': '7f3e',
      'archway.request_id': 'r-1',
    })
  })

  test('has the name of the user only where that was asked for', async () => {
    const [without] = await spansOf([observation()])
    const [with_] = await spansOf([observation()], { userNames: true })
    assert.deepEqual([without?.attributes['user.name'], with_?.attributes['user.name']], [undefined, 'jane'])
  })

  test('T-W7 has a name that a stranger does not choose', async () => {
    const strange = info({ apiGroup: 'evil.example', resource: 'anything' })
    const spans = await spansOf([
      observation({ info: strange, status: 403 }),
      observation({ method: 'BREW', info: strange, status: 404 }),
      unfit({ method: 'G ET' }),
    ])
    assert.deepEqual(
      spans.map(({ name }) => name),
      ['GET', 'HTTP', 'HTTP'],
    )
    assert.deepEqual(
      [spans[1]?.attributes['http.request.method'], spans[1]?.attributes['http.request.method_original']],
      ['_OTHER', 'BREW'],
    )
  })

  test('has failed where we or a server failed, not where a client did', async () => {
    const spans = await spansOf([
      observation({ status: 404 }),
      early({ outcome: 'unauthenticated', status: 401, cause: 'token_expired' }),
      early({ outcome: 'canceled', status: 0 }),
      observation({ status: 500 }),
      early({ outcome: 'unavailable', status: 503 }),
      early({ outcome: 'failed', status: 502, cause: 'lost' }),
      early({ outcome: 'undecided', status: 503, cause: 'keystone_timeout' }),
    ])
    assert.deepEqual(
      spans.map(({ status, attributes }) => [status.code, attributes['error.type']]),
      [
        [0, undefined],
        [0, undefined],
        [0, undefined],
        [2, '500'],
        [2, 'unavailable'],
        [2, 'lost'],
        [2, 'keystone_timeout'],
      ],
    )
  })

  test('that nobody will see is not described', async () => {
    assert.deepEqual(await spansOf([observation(), observation()], { sampling: 0 }), [])
  })
})
