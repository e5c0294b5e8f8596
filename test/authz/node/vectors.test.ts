/** The node authorizer decides as that of Kubernetes 1.20.2 did when the vectors were made by running it. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type NodeGraph, nodeGraph } from '../../../src/authz/node/graph.ts'
import { nodeAuthorizer } from '../../../src/authz/node/node.ts'
import { assignment, nodeConfig, podReferences, volumeReferences } from '../../../src/authz/node/references.ts'
import { NODE_RULES, type NodeFeatures, nodeFeatures } from '../../../src/authz/node/rules.ts'
import type { PolicyRule } from '../../../src/authz/rbac/policy-rule.ts'
import { attributes, idleContext, type VectorRequest, vectors } from '../rbac/support.ts'

interface Cluster {
  readonly nodes: readonly { readonly name: string; readonly configMap?: object }[]
  readonly pods: readonly object[]
  readonly persistentVolumes: readonly object[]
  readonly volumeAttachments: readonly { readonly name: string; readonly nodeName: string }[]
}

interface Vector {
  readonly name: string
  readonly cluster: string
  readonly request: VectorRequest
  /** As in a query: `spec.nodeName=worker`. */
  readonly fieldSelector?: string
  readonly expect: { readonly decision: string; readonly reason?: string; readonly decisionWithSelectors?: string }
}

const all = vectors<{
  readonly count: number
  readonly fixtures: Readonly<Record<string, Cluster>>
  readonly vectors: readonly Vector[]
}>('node-authorizer-vectors')

const THEN = nodeFeatures(20)
const NOW = nodeFeatures(34)

function graphOf(name: string, features: NodeFeatures): NodeGraph {
  const cluster = all.fixtures[name]
  assert.ok(cluster)
  const graph = nodeGraph(features)
  for (const pod of cluster.pods) graph.setPod(podReferences(pod))
  for (const volume of cluster.persistentVolumes) graph.setVolume(volumeReferences(volume))
  for (const { name: attachment, nodeName } of cluster.volumeAttachments) {
    graph.setAttachment(assignment({ metadata: { name: attachment }, spec: { nodeName } }))
  }
  for (const { name: node, configMap } of cluster.nodes) {
    graph.setNodeConfig(nodeConfig({ metadata: { name: node }, spec: { configSource: { configMap } } }))
  }
  return graph
}

async function decide({ cluster, request, fieldSelector }: Vector, features: NodeFeatures) {
  const [key, value] = fieldSelector?.split('=') ?? []
  const asked = attributes(request)
  const narrowed =
    key === undefined
      ? asked
      : { ...asked, fieldSelector: { requirements: [{ key, operator: 'In', values: [value] }] } }
  const decision = await nodeAuthorizer({ graph: graphOf(cluster, features), features }).authorize(
    narrowed,
    idleContext(),
  )
  assert.notEqual(decision.kind, 'deny')
  return { decision: decision.kind === 'allow' ? 'Allow' : 'NoOpinion', reason: decision.reason }
}

describe('node authorizer vectors', () => {
  assert.equal(all.vectors.length, all.count)
  for (const vector of all.vectors) {
    const { decision, reason, decisionWithSelectors = decision } = vector.expect
    test(`1.20: ${vector.name}`, async () => {
      const found = await decide(vector, THEN)
      assert.equal(found.decision, decision)
      if (reason !== undefined) assert.equal(found.reason, reason)
    })
    if (!['pods', 'nodes'].includes(vector.request.resource ?? '')) continue
    test(`with selectors: ${vector.name}`, async () => {
      assert.equal((await decide(vector, NOW)).decision, decisionWithSelectors)
    })
  }
})

test('the rules for all nodes are those of kube-apiserver, neither more nor less', () => {
  const { nodeRules } = vectors<{ readonly nodeRules: readonly Partial<PolicyRule>[] }>('rbac-bootstrap-policy')
  const pieces = (rules: readonly Partial<PolicyRule>[]) =>
    rules
      .flatMap(({ verbs = [], apiGroups = [], resources = [] }) =>
        verbs.flatMap((verb) => apiGroups.flatMap((group) => resources.map((name) => `${verb} ${group}/${name}`))),
      )
      .sort()
  assert.deepEqual([...new Set(pieces(NODE_RULES))], [...new Set(pieces(nodeRules))])
})
