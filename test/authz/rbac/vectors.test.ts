/** RBAC decides as Kubernetes 1.20.2 did when the vectors were made by running it. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Decision } from '../../../src/authz/authorizer.ts'
import { uncovered } from '../../../src/authz/rbac/covers.ts'
import type { Subject } from '../../../src/authz/rbac/objects.ts'
import { type PolicyRule, policyRule, ruleAllows } from '../../../src/authz/rbac/policy-rule.ts'
import { rbac } from '../../../src/authz/rbac/rbac.ts'
import { ruleSet, soughtBy } from '../../../src/authz/rbac/rule-set.ts'
import { applies } from '../../../src/authz/rbac/subjects.ts'
import {
  attributes,
  compact,
  idleContext,
  rbacObjects,
  rules,
  userInfo,
  type VectorPolicy,
  type VectorRequest,
  type VectorUser,
  vectors,
} from './support.ts'

type Rule = Partial<PolicyRule>
type Who = Pick<Subject, 'kind' | 'name'> & Partial<Subject>
type Vector = { readonly name: string } & (
  | {
      readonly kind: 'authorize'
      readonly policy: string
      readonly request: VectorRequest
      readonly expect: { readonly decision: string; readonly reason?: string }
    }
  | {
      readonly kind: 'rule'
      readonly rule: Rule
      readonly request: VectorRequest
      readonly expect: { readonly allowed: boolean }
    }
  | {
      readonly kind: 'subjects'
      readonly subjects: readonly Who[]
      readonly user: VectorUser
      readonly namespace: string
      readonly expect: { readonly applies: boolean; readonly index?: number }
    }
  | {
      readonly kind: 'rulesFor'
      readonly policy: string
      readonly user: VectorUser
      readonly namespace: string
      readonly expect: { readonly rules: readonly Rule[]; readonly incomplete: boolean }
    }
  | {
      readonly kind: 'whoCan'
      readonly policy: string
      readonly superUser: string
      readonly request: VectorRequest
      readonly expect: { readonly subjects: readonly Who[] }
    }
  | {
      readonly kind: 'covers'
      readonly owner: readonly Rule[]
      readonly wanted: readonly Rule[]
      readonly expect: { readonly covered: boolean; readonly uncovered: readonly Rule[] }
    }
  | {
      readonly kind: 'aggregate'
      readonly clusterRoles: NonNullable<VectorPolicy['clusterRoles']>
      readonly role: string
      readonly expect: { readonly rules: readonly Rule[] }
    }
)

const file = vectors<{
  readonly count: number
  readonly fixtures: Readonly<Record<string, VectorPolicy>>
  readonly vectors: readonly Vector[]
}>('rbac-vectors')
const policies = new Map(
  Object.entries(file.fixtures).map(([name, policy]) => {
    const objects = rbacObjects(policy)
    return [name, rbac({ source: { current: () => objects } })]
  }),
)
const DECISIONS: Readonly<Record<Decision['kind'], string>> = {
  allow: 'Allow',
  deny: 'Deny',
  'no-opinion': 'NoOpinion',
}

function policyOf(name: string) {
  const policy = policies.get(name)
  assert.ok(policy)
  return policy
}

async function check(vector: Vector): Promise<void> {
  switch (vector.kind) {
    case 'authorize': {
      const decision = await policyOf(vector.policy).authorize(attributes(vector.request), idleContext())
      assert.equal(DECISIONS[decision.kind], vector.expect.decision)
      if (vector.expect.reason !== undefined) assert.equal(decision.reason, vector.expect.reason)
      return
    }
    case 'rule': {
      const rule = policyRule(vector.rule)
      const request = attributes(vector.request)
      assert.equal(ruleAllows(rule, request), vector.expect.allowed, 'direct reading')
      assert.equal(ruleSet([rule]).allows(soughtBy(request)), vector.expect.allowed, 'index')
      return
    }
    case 'subjects': {
      const subjects = vector.subjects.map((subject) => ({ apiGroup: '', namespace: '', ...subject }))
      const index = subjects.findIndex((subject) => applies(subject, vector.namespace, userInfo(vector.user)))
      assert.deepEqual(index === -1 ? { applies: false } : { applies: true, index }, vector.expect)
      return
    }
    case 'rulesFor': {
      const listing = policyOf(vector.policy).rulesFor(userInfo(vector.user), vector.namespace)
      assert.deepEqual(compact(listing.rules.map(({ rule }) => rule)), vector.expect.rules)
      assert.equal(listing.incomplete, vector.expect.incomplete)
      return
    }
    case 'whoCan': {
      const found = policyOf(vector.policy).whoCan(attributes(vector.request))
      const names = found.map(({ subject: { kind, name } }) => ({ kind, name }))
      // A super user of the locator itself is an option nobody sets; it stands second.
      if (vector.superUser !== '') names.splice(1, 0, { kind: 'User', name: vector.superUser })
      assert.deepEqual(names, vector.expect.subjects)
      return
    }
    case 'covers': {
      const missing = compact(uncovered(rules(vector.owner), rules(vector.wanted)))
      assert.deepEqual({ covered: missing.length === 0, uncovered: missing }, vector.expect)
      return
    }
    case 'aggregate': {
      const { roles } = rbacObjects({ clusterRoles: vector.clusterRoles })
      const role = roles.find(({ name }) => name === vector.role)
      assert.deepEqual(compact(role?.rules ?? []), vector.expect.rules)
      return
    }
    default:
      vector satisfies never
      assert.fail('a vector of no known kind')
  }
}

describe('RBAC vectors', () => {
  assert.equal(file.vectors.length, file.count)
  for (const vector of file.vectors) test(`${vector.kind}: ${vector.name}`, () => check(vector))
})

test('aggregation of the bootstrap policy comes to what its controller makes of it', () => {
  const { effective } = vectors<{ readonly effective: Readonly<Record<string, readonly Rule[]>> }>(
    'rbac-bootstrap-policy',
  )
  const { roles } = rbacObjects({ bootstrap: 'rbac-bootstrap-policy.json' })
  for (const [name, expected] of Object.entries(effective)) {
    assert.deepEqual(compact(roles.find((role) => role.name === name)?.rules ?? []), expected, name)
  }
})
