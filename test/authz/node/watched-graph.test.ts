import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { nodeFeatures } from '../../../src/authz/node/rules.ts'
import { type WatchedGraph, watchedGraph } from '../../../src/authz/node/watched-graph.ts'
import { type FakeCluster, fakeCluster } from '../../kube/api-client/fake-cluster.ts'
import { testTiming } from '../../kube/api-client/support.ts'
import { recordingLog } from '../../reload/support.ts'

const PODS = '/api/v1/pods'
const VOLUMES = '/api/v1/persistentvolumes'
const ATTACHMENTS = '/apis/storage.k8s.io/v1/volumeattachments'
const SLICES = '/apis/resource.k8s.io/v1/resourceslices'
const NODES = '/api/v1/nodes'

let cluster: FakeCluster
let stop: AbortController
let watched: WatchedGraph

beforeEach(() => {
  cluster = fakeCluster()
  stop = new AbortController()
})
afterEach(async () => {
  stop.abort()
  await Promise.all(watched.watches.map(({ done }) => done))
})

function start(minor: number): void {
  const features = nodeFeatures(minor)
  watched = watchedGraph({
    client: cluster.client,
    log: recordingLog(),
    signal: stop.signal,
    timing: testTiming(),
    features,
  })
}

async function needs(...args: Parameters<WatchedGraph['graph']['needs']>): Promise<boolean> {
  for (let turn = 0; turn < 20; turn++) await setImmediate()
  return watched.graph.needs(...args)
}

const pod = (name: string, secretName: string) => ({
  metadata: { namespace: 'app', name },
  spec: {
    nodeName: 'worker',
    volumes: [{ secret: { secretName } }, { persistentVolumeClaim: { claimName: 'data' } }],
  },
})

describe('the graph of a cluster', () => {
  test('has what was there, what comes, and no more what goes', async () => {
    cluster.put(PODS, pod('web', 's'))
    cluster.put(VOLUMES, { metadata: { name: 'pv' }, spec: { claimRef: { namespace: 'app', name: 'data' } } })
    start(34)
    assert.equal(watched.ready(), false)
    await watched.synced
    assert.equal(watched.ready(), true)
    assert.equal(await needs('worker', 'secret', 'app', 's'), true)
    assert.equal(await needs('worker', 'volume', '', 'pv'), true)
    cluster.put(ATTACHMENTS, { metadata: { name: 'att' }, spec: { nodeName: 'worker' } })
    cluster.put(SLICES, { metadata: { name: 'slice' }, spec: { nodeName: 'worker' } })
    assert.equal(await needs('worker', 'volumeattachment', '', 'att'), true)
    assert.equal(await needs('worker', 'resourceslice', '', 'slice'), true)
    cluster.remove(ATTACHMENTS, 'att')
    cluster.remove(SLICES, 'slice')
    cluster.remove(VOLUMES, 'pv')
    assert.equal(await needs('worker', 'volumeattachment', '', 'att'), false)
    assert.equal(await needs('worker', 'resourceslice', '', 'slice'), false)
    assert.equal(await needs('worker', 'volume', '', 'pv'), false)
    cluster.remove(PODS, 'web', 'app')
    assert.equal(await needs('worker', 'secret', 'app', 's'), false)
  })

  test('is not ready before every list has been had', async () => {
    const release = cluster.hold(VOLUMES)
    start(34)
    await needs('worker', 'pod', '', '')
    assert.equal(watched.ready(), false)
    release()
    await watched.synced
    assert.equal(watched.ready(), true)
  })

  test('does without slices where the cluster has no such API', async () => {
    cluster.missing.add(SLICES)
    start(34)
    await watched.synced
    assert.equal(watched.ready(), true)
  })

  test('looks at nodes for the releases that configured kubelets by them, and only those', async () => {
    const configMap = { namespace: 'kube-system', name: 'kubelet' }
    cluster.put(NODES, { metadata: { name: 'worker' }, spec: { configSource: { configMap } } })
    start(20)
    await watched.synced
    assert.equal(await needs('worker', 'configmap', 'kube-system', 'kubelet'), true)
    cluster.remove(NODES, 'worker')
    assert.equal(await needs('worker', 'configmap', 'kube-system', 'kubelet'), false)
    assert.equal(watched.watches.length, 4)
  })
})
