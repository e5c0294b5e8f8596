import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fairAdmission } from '../../../src/proxy/admission/fair-admission.ts'
import { collectProxyMetrics } from '../../../src/proxy/observe/collect.ts'
import type { ServerState } from '../../../src/proxy/upstreams/upstreams.ts'
import { createMetrics } from '../../../src/telemetry/metrics.ts'

test('what is under way, and how the API servers are, is read when somebody asks', async () => {
  const metrics = createMetrics('1')
  const admission = fairAdmission()
  const never = new AbortController()
  admission.admit('jane', 'short', never)
  admission.admit('jane', 'long', never)
  admission.admit('john', 'long', never)
  let states: readonly ServerState[] = [
    { name: 'a:6443', ready: true, busy: 3, idle: 2 },
    { name: 'b:6443', ready: false, reason: 'down', busy: 0, idle: 0 },
  ]
  const read = async (): Promise<readonly string[]> => {
    const certificateNotAfter = new Date('2030-01-01T00:00:00Z')
    collectProxyMetrics(metrics.proxy, { admission, upstreams: { states: () => states }, certificateNotAfter })
    return (await metrics.registry.metrics()).split('\n')
  }
  const lines = await read()
  for (const line of [
    'archway_proxy_in_flight{duration="short"} 1',
    'archway_proxy_in_flight{duration="long"} 2',
    'archway_proxy_waiting 0',
    'archway_proxy_active_users 2',
    'archway_proxy_upstream_ready{upstream="a:6443"} 1',
    'archway_proxy_upstream_ready{upstream="b:6443"} 0',
    'archway_proxy_upstream_connections{upstream="a:6443",state="busy"} 3',
    'archway_proxy_upstream_connections{upstream="a:6443",state="idle"} 2',
    'archway_proxy_upstream_certificate_not_after_seconds 1893456000',
  ]) {
    assert.ok(lines.includes(line), line)
  }
  states = [{ name: 'a:6443', ready: false, busy: 0, idle: 0 }]
  assert.ok((await read()).includes('archway_proxy_upstream_ready{upstream="a:6443"} 0'))
})
