import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { type RbacAuthorizer, rbac } from '../../../src/authz/rbac/rbac.ts'
import { type WatchedRbac, watchedRbac } from '../../../src/authz/rbac/watched-rbac.ts'
import { type FakeCluster, fakeCluster } from '../../kube/api-client/fake-cluster.ts'
import { testTiming } from '../../kube/api-client/support.ts'
import { type RecordingLog, recordingLog } from '../../reload/support.ts'
import { attributes, idleContext } from './support.ts'

const API = '/apis/rbac.authorization.k8s.io/v1'
const ROLES = `${API}/clusterroles`
const BINDINGS = `${API}/rolebindings`

let cluster: FakeCluster
let stop: AbortController
let source: WatchedRbac
let authorizer: RbacAuthorizer
let log: RecordingLog
let changes: number

beforeEach(() => {
  cluster = fakeCluster()
  stop = new AbortController()
  log = recordingLog()
  changes = 0
})
afterEach(async () => {
  stop.abort()
  await Promise.all(source.watches.map(({ done }) => done))
})

function start(): void {
  const onChange = (): void => void changes++
  source = watchedRbac({ client: cluster.client, log, signal: stop.signal, timing: testTiming(), onChange })
  authorizer = rbac({ source })
}

const role = (name: string, rules: readonly object[]) => ({ metadata: { name }, rules })
const binding = (name: string, to: string, more: object = {}) => ({
  metadata: { name, namespace: 'team' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'reader', ...more },
  subjects: [{ kind: 'User', name: to, fieldOfTheFuture: true }],
})
const PODS = [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }]

async function may(name: string): Promise<string> {
  for (let turn = 0; turn < 20; turn++) await setImmediate()
  const request = { user: { name }, verb: 'get', isResourceRequest: true, resource: 'pods', namespace: 'team' }
  return (await authorizer.authorize(attributes(request), idleContext())).kind
}

describe('roles and bindings of a cluster', () => {
  test('count as they are now: bindings and roles that come, change and go', async () => {
    start()
    await source.synced
    assert.equal(await may('ann'), 'no-opinion')
    cluster.put(ROLES, role('reader', PODS))
    cluster.put(BINDINGS, binding('b', 'ann'))
    assert.equal(await may('ann'), 'allow')
    cluster.put(ROLES, role('reader', []))
    assert.equal(await may('ann'), 'no-opinion')
    cluster.put(ROLES, role('reader', PODS))
    assert.equal(await may('ann'), 'allow')
    cluster.put(BINDINGS, binding('b', 'bob'))
    assert.deepEqual([await may('ann'), await may('bob')], ['no-opinion', 'allow'])
    cluster.remove(BINDINGS, 'b', 'team')
    assert.equal(await may('bob'), 'no-opinion')
    assert.equal(changes, 10, 'four lists and six changes')
  })

  test('are not known until all four lists have been had', async () => {
    cluster.put(ROLES, role('reader', PODS))
    cluster.put(BINDINGS, binding('b', 'ann'))
    const release = cluster.hold(`${API}/clusterrolebindings`)
    start()
    assert.equal(await may('ann'), 'no-opinion')
    assert.equal(source.current(), undefined)
    release()
    await source.synced
    assert.equal(await may('ann'), 'allow')
  })

  test('are the same object as long as nothing changes', async () => {
    start()
    await source.synced
    const before = source.current()
    assert.equal(source.current(), before)
    cluster.put(ROLES, role('x', []))
    await may('x')
    assert.notEqual(source.current(), before)
  })

  test('that are aggregated have the rules that stand in them, as for kube-apiserver', async () => {
    start()
    await source.synced
    const aggregationRule = { clusterRoleSelectors: [{}] }
    cluster.put(ROLES, role('other', PODS))
    cluster.put(ROLES, { ...role('reader', []), aggregationRule })
    cluster.put(BINDINGS, binding('b', 'ann'))
    assert.equal(await may('ann'), 'no-opinion')
    cluster.put(ROLES, { ...role('reader', PODS), aggregationRule })
    assert.equal(await may('ann'), 'allow')
  })

  test('that cannot be read allow nothing, and the others still count', async () => {
    start()
    await source.synced
    cluster.put(ROLES, role('reader', PODS))
    cluster.put(BINDINGS, binding('good', 'ann'))
    cluster.put(BINDINGS, binding('bad', 'bob', { kind: 7 }))
    assert.deepEqual([await may('ann'), await may('bob')], ['allow', 'no-opinion'])
    assert.match(JSON.stringify(log.lines), /team\/bad.*roleRef\.kind/)
  })
})
