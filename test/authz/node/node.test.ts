import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type NodeGraph, nodeGraph, type Target } from '../../../src/authz/node/graph.ts'
import { nodeAuthorizer } from '../../../src/authz/node/node.ts'
import {
  assignment,
  nodeConfig,
  type PodReferences,
  podReferences,
  type VolumeReferences,
  volumeReferences,
} from '../../../src/authz/node/references.ts'
import { nodeFeatures } from '../../../src/authz/node/rules.ts'
import { attributes, idleContext, type VectorRequest } from '../rbac/support.ts'

const NOW = nodeFeatures(34)
const worker = { name: 'system:node:worker', groups: ['system:nodes', 'system:authenticated'] }
const asked = (request: Partial<VectorRequest>, fieldSelector?: unknown) => ({
  ...attributes({ user: worker, verb: 'get', isResourceRequest: true, ...request }),
  ...(fieldSelector === undefined ? {} : { fieldSelector }),
})
const pod = (name: string, nodeName: string, spec: object = {}, rest: object = {}) =>
  podReferences({ metadata: { namespace: 'app', name }, spec: { nodeName, ...spec }, ...rest })
const mounting = (secret: string) => ({ volumes: [{ name: 'v', secret: { secretName: secret } }] })
const decide = (graph: NodeGraph, request: Partial<VectorRequest>, fieldSelector?: unknown) =>
  nodeAuthorizer({ graph, features: NOW }).authorize(asked(request, fieldSelector), idleContext())
const allows = async (...args: Parameters<typeof decide>) => (await decide(...args)).kind === 'allow'

describe('the graph follows its objects', () => {
  const secret = { resource: 'secrets', namespace: 'app', resourceName: 's' }

  test('a pod gives its secrets to its node, until it is gone', async () => {
    const graph = nodeGraph(NOW)
    assert.equal(await allows(graph, secret), false)
    graph.setPod(pod('web', 'worker', mounting('s')))
    assert.equal(await allows(graph, secret), true)
    graph.deletePod({ namespace: 'app', name: 'web' })
    assert.equal(await allows(graph, secret), false)
  })

  test('a secret stays with the node while any pod on it needs it', async () => {
    const graph = nodeGraph(NOW)
    graph.setPod(pod('one', 'worker', mounting('s')))
    graph.setPod(pod('two', 'worker', mounting('s')))
    graph.deletePod({ namespace: 'app', name: 'one' })
    assert.equal(await allows(graph, secret), true)
    graph.deletePod({ namespace: 'app', name: 'two' })
    assert.equal(await allows(graph, secret), false)
  })

  test('a pod is as it was last told: made anew on another node, it takes its secrets along', async () => {
    const graph = nodeGraph(NOW)
    graph.setPod(pod('web', '', mounting('s')))
    assert.equal(await allows(graph, secret), false, 'not scheduled')
    graph.setPod(pod('web', 'worker', mounting('s')))
    assert.equal(await allows(graph, secret), true)
    graph.setPod(pod('web', 'worker', mounting('t')))
    assert.equal(await allows(graph, secret), false)
    graph.setPod(pod('web', 'other', mounting('s')))
    assert.equal(await allows(graph, secret), false)
  })

  test('a secret of a volume is needed by pod, claim and volume together, in whichever order they come', async () => {
    const volume = volumeReferences({
      metadata: { name: 'pv' },
      spec: {
        claimRef: { namespace: 'app', name: 'data' },
        csi: { nodeStageSecretRef: { namespace: 'app', name: 's' } },
      },
    })
    const using = pod('web', 'worker', { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] })
    const persistentVolume = { resource: 'persistentvolumes', resourceName: 'pv' }
    const graph = nodeGraph(NOW)
    graph.setVolume(volume)
    assert.deepEqual([await allows(graph, secret), await allows(graph, persistentVolume)], [false, false])
    graph.setPod(using)
    assert.deepEqual([await allows(graph, secret), await allows(graph, persistentVolume)], [true, true])
    graph.setVolume({ ...volume, claim: { namespace: 'app', name: 'other' } })
    assert.deepEqual([await allows(graph, secret), await allows(graph, persistentVolume)], [false, false])
    graph.setVolume(volume)
    assert.deepEqual([await allows(graph, secret), await allows(graph, persistentVolume)], [true, true])
    graph.deleteVolume('pv')
    assert.deepEqual([await allows(graph, secret), await allows(graph, persistentVolume)], [false, false])
  })

  test('attachments, slices and the configuration of the kubelet belong to one node at a time', async () => {
    const graph = nodeGraph(NOW)
    const named = (name: string, nodeName: string) => assignment({ metadata: { name }, spec: { nodeName } })
    const attachment = { apiGroup: 'storage.k8s.io', resource: 'volumeattachments', resourceName: 'att' }
    const slice = { apiGroup: 'resource.k8s.io', resource: 'resourceslices', resourceName: 'slice' }
    const config = { resource: 'configmaps', namespace: 'kube-system', resourceName: 'kubelet' }
    const configSource = { configMap: { namespace: 'kube-system', name: 'kubelet' } }
    const allowed = async () => [
      await allows(graph, attachment),
      await allows(graph, slice),
      await allows(graph, config),
    ]
    graph.setAttachment(named('att', 'worker'))
    graph.setSlice(named('slice', 'worker'))
    graph.setNodeConfig(nodeConfig({ metadata: { name: 'worker' }, spec: { configSource } }))
    assert.deepEqual(await allowed(), [true, true, true])
    graph.setAttachment(named('att', 'other'))
    graph.setSlice(named('slice', ''))
    graph.setNodeConfig(nodeConfig({ metadata: { name: 'worker' }, spec: {} }))
    assert.deepEqual(await allowed(), [false, false, false])
    graph.setAttachment(named('att', 'worker'))
    graph.setSlice(named('slice', 'worker'))
    graph.setNodeConfig(nodeConfig({ metadata: { name: 'worker' }, spec: { configSource } }))
    graph.deleteAttachment('att')
    graph.deleteSlice('slice')
    graph.deleteNodeConfig('worker')
    assert.deepEqual(await allowed(), [false, false, false])
  })
})

describe('what a pod and a volume refer to', () => {
  test('every kind of volume that names a secret is seen', () => {
    const secretRef = (kind: string) => ({ name: kind, [kind]: { secretRef: { name: kind } } })
    const kinds = ['cephfs', 'cinder', 'flexVolume', 'rbd', 'scaleIO', 'iscsi', 'storageos']
    const { secrets } = pod('p', 'n', {
      volumes: [
        ...kinds.map(secretRef),
        { name: 'azureFile', azureFile: { secretName: 'azureFile' } },
        { name: 'csi', csi: { nodePublishSecretRef: { name: 'csi' } } },
      ],
    })
    assert.deepEqual([...secrets].sort(), [...kinds, 'azureFile', 'csi'].sort())
  })

  test('containers of every kind are looked at', () => {
    const from = (name: string) => [{ name: 'c', envFrom: [{ secretRef: { name } }, { configMapRef: { name } }] }]
    const found = pod('p', 'n', { containers: from('a'), initContainers: from('b'), ephemeralContainers: from('c') })
    assert.deepEqual([...found.secrets].sort(), ['a', 'b', 'c'])
    assert.deepEqual([...found.configMaps].sort(), ['a', 'b', 'c'])
  })

  test('claims of resources count by name, in the spec or once made in the status', () => {
    const found = pod(
      'p',
      'n',
      {
        resourceClaims: [
          { name: 'x', resourceClaimName: 'own' },
          { name: 'y', resourceClaimTemplateName: 't' },
        ],
      },
      { status: { resourceClaimStatuses: [{ name: 'y', resourceClaimName: 'made' }] } },
    )
    assert.deepEqual(found.resourceClaims, ['own', 'made'])
  })

  test('a secret of a volume is where it says, or beside the claim', () => {
    const claimRef = { namespace: 'app', name: 'data' }
    const secretsOf = (source: object) =>
      volumeReferences({ metadata: { name: 'pv' }, spec: { claimRef, ...source } }).secrets
    for (const kind of ['cephfs', 'flexVolume', 'rbd', 'scaleIO', 'iscsi']) {
      assert.deepEqual(secretsOf({ [kind]: { secretRef: { name: 's' } } }), [{ namespace: 'app', name: 's' }], kind)
      assert.deepEqual(
        secretsOf({ [kind]: { secretRef: { name: 's', namespace: 'x' } } }),
        [{ namespace: 'x', name: 's' }],
        kind,
      )
    }
    assert.deepEqual(secretsOf({ azureFile: { secretName: 's' } }), [{ namespace: 'app', name: 's' }])
    assert.deepEqual(secretsOf({ azureFile: { secretName: 's', secretNamespace: 'x' } }), [
      { namespace: 'x', name: 's' },
    ])
    assert.deepEqual(secretsOf({ cinder: { secretRef: { name: 's' } } }), [{ namespace: '', name: 's' }])
    assert.deepEqual(secretsOf({ csi: { controllerExpandSecretRef: { name: 's', namespace: 'x' } } }), [])
  })

  test('a claim of a generic ephemeral volume counts where the release has such', () => {
    const scratch = pod('web', 'worker', { volumes: [{ name: 'tmp', ephemeral: {} }] })
    for (const [minor, expected] of [
      [20, false],
      [21, true],
    ] as const) {
      const graph = nodeGraph(nodeFeatures(minor))
      graph.setPod(scratch)
      assert.equal(graph.needs('worker', 'claim', 'app', 'web-tmp'), expected)
    }
  })

  test('a mirror pod is its node’s, and opens nothing', () => {
    const graph = nodeGraph(NOW)
    const metadata = { namespace: 'app', name: 'static', annotations: { 'kubernetes.io/config.mirror': '' } }
    graph.setPod(podReferences({ metadata, spec: { nodeName: 'worker', serviceAccountName: 'a', ...mounting('s') } }))
    assert.equal(graph.needs('worker', 'pod', 'app', 'static'), true)
    assert.equal(graph.needs('worker', 'secret', 'app', 's'), false)
    assert.equal(graph.needs('worker', 'serviceaccount', 'app', 'a'), false)
  })
})

describe('the node authorizer', () => {
  test('with selectors a node reads its own pods and its own node only', async () => {
    const graph = nodeGraph(NOW)
    graph.setPod(pod('mine', 'worker'))
    graph.setPod(pod('theirs', 'other'))
    const selecting = (key: string, ...values: string[]) => ({ requirements: [{ key, operator: 'In', values }] })
    const podNamed = (resourceName: string, verb = 'get') => ({
      resource: 'pods',
      namespace: 'app',
      resourceName,
      verb,
    })
    const node = (resourceName: string, verb = 'get') => ({ resource: 'nodes', resourceName, verb })
    const table: readonly [boolean, Partial<VectorRequest>, unknown?][] = [
      [true, podNamed('mine')],
      [false, podNamed('theirs')],
      [true, podNamed('mine', 'watch')],
      [false, podNamed('theirs', 'watch')],
      [true, podNamed('', 'list'), selecting('spec.nodeName', 'worker')],
      [false, podNamed('', 'list'), selecting('spec.nodeName', 'other')],
      [false, podNamed('', 'list'), selecting('spec.nodeName', 'worker', 'other')],
      [false, podNamed('', 'list'), selecting('metadata.name', 'worker')],
      [
        false,
        podNamed('', 'list'),
        { requirements: [{ key: 'spec.nodeName', operator: 'NotIn', values: ['worker'] }] },
      ],
      [false, podNamed('', 'list'), { rawSelector: 'spec.nodeName=worker' }],
      [false, podNamed('', 'list'), { requirements: ['x', null] }],
      [false, podNamed('', 'list')],
      [true, podNamed('', 'create')],
      [true, podNamed('theirs', 'delete')],
      [false, podNamed('', 'deletecollection')],
      [true, { ...podNamed('x', 'patch'), subresource: 'status' }],
      [false, { ...podNamed('x'), subresource: 'status' }],
      [true, { ...podNamed('x', 'create'), subresource: 'eviction' }],
      [false, { ...podNamed('mine', 'create'), subresource: 'exec' }],
      [true, node('worker')],
      [true, node('worker', 'watch')],
      [false, node('other')],
      [false, node('', 'list')],
      [true, node('', 'create')],
      [true, { ...node('x', 'patch'), subresource: 'status' }],
      [false, node('worker', 'delete')],
      [false, { ...node('worker'), subresource: 'proxy' }],
    ]
    for (const [expected, request, selector] of table) {
      assert.equal(await allows(graph, request, selector), expected, JSON.stringify([request, selector]))
    }
  })

  test('claims of resources are read, and slices written, by the node they belong to', async () => {
    const graph = nodeGraph(NOW)
    graph.setPod(pod('web', 'worker', { resourceClaims: [{ name: 'x', resourceClaimName: 'gpu' }] }))
    graph.setSlice({ name: 'mine', node: 'worker' })
    const claim = { apiGroup: 'resource.k8s.io', resource: 'resourceclaims', namespace: 'app' }
    const slice = { apiGroup: 'resource.k8s.io', resource: 'resourceslices' }
    assert.equal(await allows(graph, { ...claim, resourceName: 'gpu' }), true)
    assert.equal(await allows(graph, { ...claim, resourceName: 'other' }), false)
    assert.equal(await allows(graph, { ...slice, resourceName: 'mine', verb: 'delete' }), true)
    assert.equal(await allows(graph, { ...slice, resourceName: 'theirs', verb: 'delete' }), false)
    assert.equal(await allows(graph, { ...slice, verb: 'create' }), true)
    assert.equal(await allows(graph, { ...slice, verb: 'list' }), false)
    assert.equal(await allows(graph, { ...slice, resourceName: 'mine', subresource: 'status' }), false)
    const own = { requirements: [{ key: 'spec.nodeName', operator: 'In', values: ['worker'] }] }
    assert.equal(await allows(graph, { ...slice, verb: 'list' }, own), true)
  })

  test('is for nodes: name and group are both needed, and an empty name is a node nobody can tell', async () => {
    const graph = nodeGraph(NOW)
    const services = { resource: 'services', verb: 'list' }
    assert.equal(await allows(graph, services), true)
    for (const user of [
      { name: 'system:node:worker', groups: ['system:authenticated'] },
      { name: 'worker', groups: ['system:nodes'] },
      { name: 'System:node:worker', groups: ['system:nodes'] },
    ]) {
      assert.deepEqual(await decide(graph, { ...services, user }), { kind: 'no-opinion' })
    }
    assert.deepEqual(await decide(graph, { ...services, user: { name: 'system:node:', groups: ['system:nodes'] } }), {
      kind: 'no-opinion',
      reason: 'unknown node for user "system:node:"',
    })
  })

  test('until the graph holds the cluster, not found is could not tell', async () => {
    let ready = false
    const authorizer = nodeAuthorizer({ graph: nodeGraph(NOW), features: NOW, ready: () => ready })
    const secret = asked({ resource: 'secrets', namespace: 'app', resourceName: 's' })
    assert.deepEqual(await authorizer.authorize(secret, idleContext()), {
      kind: 'no-opinion',
      evaluationError: 'node: pods and volumes are not known yet',
    })
    ready = true
    assert.deepEqual(await authorizer.authorize(secret, idleContext()), {
      kind: 'no-opinion',
      reason: "no relationship found between node 'worker' and this object",
    })
  })

  test('rules of a node cannot be listed; of anybody else there are none', () => {
    const authorizer = nodeAuthorizer({ graph: nodeGraph(NOW), features: NOW })
    assert.equal(authorizer.rulesFor({ ...asked({}).user }, 'app').incomplete, true)
    assert.equal(authorizer.rulesFor(asked({ user: { name: 'ann' } }).user, 'app').incomplete, false)
  })
})

test('after any changes the graph is what it would be, had only the objects that are left been put in', () => {
  const word = (...words: string[]) => fc.constantFrom(...words)
  const anyPod: fc.Arbitrary<PodReferences> = fc.record({
    namespace: word('a', 'b'),
    name: word('p', 'q'),
    node: word('', 'n', 'm'),
    mirror: fc.boolean(),
    serviceAccount: word('', 's'),
    secrets: fc.subarray(['s', 't']),
    configMaps: fc.subarray(['s']),
    claims: fc.subarray(['c', 'd']),
    ephemeralClaims: fc.subarray(['c', 'e']),
    resourceClaims: fc.subarray(['r']),
  })
  const anyVolume: fc.Arbitrary<VolumeReferences> = fc.record({
    name: word('v', 'w'),
    claim: fc.option(fc.record({ namespace: word('a', 'b'), name: word('c', 'd') }), { nil: undefined }),
    secrets: fc.array(fc.record({ namespace: word('a', 'b'), name: word('s', 'u') }), { maxLength: 3 }),
  })
  const change = fc.oneof(
    fc.record({ kind: fc.constant('pod' as const), object: anyPod, gone: fc.boolean() }),
    fc.record({ kind: fc.constant('volume' as const), object: anyVolume, gone: fc.boolean() }),
  )
  const targets: readonly Target[] = ['secret', 'configmap', 'claim', 'serviceaccount', 'pod', 'resourceclaim']
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const graph = nodeGraph(NOW)
      const pods = new Map<string, PodReferences>()
      const volumes = new Map<string, VolumeReferences>()
      for (const { kind, object, gone } of changes) {
        if (kind === 'pod') {
          if (gone) graph.deletePod(object)
          else graph.setPod(object)
          if (gone) pods.delete(`${object.namespace}/${object.name}`)
          else pods.set(`${object.namespace}/${object.name}`, object)
        } else {
          if (gone) graph.deleteVolume(object.name)
          else graph.setVolume(object)
          if (gone) volumes.delete(object.name)
          else volumes.set(object.name, object)
        }
      }
      const fresh = nodeGraph(NOW)
      for (const object of pods.values()) fresh.setPod(object)
      for (const object of volumes.values()) fresh.setVolume(object)
      for (const node of ['n', 'm']) {
        for (const name of ['v', 'w']) {
          assert.equal(graph.needs(node, 'volume', '', name), fresh.needs(node, 'volume', '', name))
        }
        for (const target of targets) {
          for (const namespace of ['a', 'b']) {
            for (const name of ['p', 'q', 's', 't', 'u', 'c', 'd', 'e', 'r']) {
              const found = graph.needs(node, target, namespace, name)
              assert.equal(found, fresh.needs(node, target, namespace, name), `${node} ${target} ${namespace}/${name}`)
            }
          }
        }
      }
    }),
    { numRuns: 500 },
  )
})
