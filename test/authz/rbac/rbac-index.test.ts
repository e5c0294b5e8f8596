import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Attributes } from '../../../src/authz/authorizer.ts'
import type { Binding, RbacObjects, Role, Subject } from '../../../src/authz/rbac/objects.ts'
import { policyRule, ruleAllows } from '../../../src/authz/rbac/policy-rule.ts'
import { type RbacSource, rbac } from '../../../src/authz/rbac/rbac.ts'
import { rbacIndex } from '../../../src/authz/rbac/rbac-index.ts'
import { allowedByLinearScan, attributes, idleContext, rbacObjects, userInfo } from './support.ts'

const word = (...words: string[]) => fc.constantFrom(...words)
const some = (...words: string[]) => fc.subarray(words)
const NAMESPACES = ['', 'a', 'b']
const NAMES = ['r1', 'r2', 'r3']

const rule = fc
  .record({
    verbs: some('get', 'list', '*'),
    apiGroups: some('', 'apps', '*'),
    resources: some('pods', 'pods/log', '*', '*/log', 'nodes', 'po*'),
    resourceNames: some('x', '', '*'),
    nonResourceURLs: some('/a', '/a*', '/a/*', '*', '/a**', '/', ''),
  })
  .map(policyRule)
const role: fc.Arbitrary<Role> = fc.record({
  kind: fc.constantFrom('Role', 'ClusterRole'),
  namespace: word('a', 'b'),
  name: word(...NAMES),
  labels: fc.constant(new Map()),
  rules: fc.array(rule, { maxLength: 3 }),
  aggregation: fc.constant(undefined),
})
const subject: fc.Arbitrary<Subject> = fc.record({
  kind: word('User', 'Group', 'ServiceAccount', 'Robot'),
  apiGroup: fc.constant(''),
  namespace: word(...NAMESPACES),
  name: word('u', 'g', 'h', 'sa', ''),
})
const binding: fc.Arbitrary<Binding> = fc.record({
  kind: fc.constantFrom('RoleBinding', 'ClusterRoleBinding'),
  namespace: word('a', 'b'),
  name: word('x', 'y'),
  roleRef: fc.record({
    apiGroup: fc.constant(''),
    kind: word('Role', 'ClusterRole', 'Other'),
    name: word(...NAMES, 'no'),
  }),
  subjects: fc.array(subject, { maxLength: 3 }),
})
const objects: fc.Arbitrary<RbacObjects> = fc.record({
  roles: fc
    .array(role, { maxLength: 8 })
    .map((roles) => roles.map((it) => (it.kind === 'ClusterRole' ? { ...it, namespace: '' } : it)))
    .map((roles) => [...new Map(roles.map((it) => [`${it.kind}/${it.namespace}/${it.name}`, it])).values()]),
  bindings: fc
    .array(binding, { maxLength: 8 })
    .map((bindings) => bindings.map((it) => (it.kind === 'ClusterRoleBinding' ? { ...it, namespace: '' } : it))),
})
const user = fc
  .record({
    username: word('u', 'g', '', 'system:serviceaccount:a:sa', 'system:serviceaccount:b:sa'),
    groups: some('g', 'h', ''),
  })
  .map(({ username, groups }) => userInfo({ name: username, groups }))
const request: fc.Arbitrary<Attributes> = fc.oneof(
  fc.record({
    kind: fc.constant('resource' as const),
    user,
    extraPresent: fc.constant(false),
    verb: word('get', 'list', '*', ''),
    group: word('', 'apps', '*'),
    version: fc.constant('v1'),
    resource: word('pods', 'nodes', '*', 'po*'),
    subresource: word('', 'log'),
    namespace: word(...NAMESPACES),
    name: word('', 'x', '*', 'y'),
  }),
  fc.record({
    kind: fc.constant('non-resource' as const),
    user,
    extraPresent: fc.constant(false),
    verb: word('get', 'list', ''),
    path: word('', '/', '/a', '/a/', '/ab', '/a/b', '*', '/a*'),
  }),
)

describe('the index of roles and bindings', () => {
  test('decides as going through every binding, subject and rule does', () => {
    fc.assert(
      fc.property(objects, fc.array(request, { minLength: 1, maxLength: 10 }), (policy, requests) => {
        const index = rbacIndex(policy)
        for (const asked of requests) {
          assert.equal(index.decide(asked).allowed, allowedByLinearScan(policy, asked), JSON.stringify(asked))
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('lists for a user what allows him: who is allowed has a listed rule that says so, and the other way round', () => {
    fc.assert(
      fc.property(objects, request, (policy, asked) => {
        const index = rbacIndex(policy)
        const namespace = asked.kind === 'resource' ? asked.namespace : ''
        const listed = index.rulesFor(asked.user, namespace).rules.some((entry) => ruleAllows(entry.rule, asked))
        assert.equal(index.decide(asked).allowed, listed)
      }),
      { numRuns: 1000 },
    )
  })

  test('names among who can somebody the user is, exactly where he is allowed', () => {
    fc.assert(
      fc.property(objects, request, (policy, asked) => {
        const index = rbacIndex(policy)
        const verdict = index.decide(asked)
        const sources = index.whoCan(asked).map(({ source }) => source)
        if (verdict.allowed) assert.ok(sources.includes(verdict.source))
      }),
      { numRuns: 1000 },
    )
  })
})

describe('RBAC as an authorizer', () => {
  const get = (name: string, namespace = 'team', groups: readonly string[] = []) =>
    attributes({ user: { name, groups }, verb: 'get', isResourceRequest: true, resource: 'pods', namespace })
  const reader = { name: 'reader', rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }] }
  const to = (name: string, role: string, kind = 'ClusterRole', subjectKind = 'User') => ({
    roleRef: { kind, name: role },
    subjects: [{ kind: subjectKind, name }],
  })
  const decide = (source: RbacSource, asked: Attributes) => rbac({ source }).authorize(asked, idleContext())
  const constant = (policy: RbacObjects): RbacSource => ({ current: () => policy })

  test('says which roles are missing, once each, and only those of bindings of this user', async () => {
    const source = constant(
      rbacObjects({
        clusterRoleBindings: [
          { name: 'a', ...to('ann', 'gone') },
          { name: 'b', ...to('devs', 'gone', 'ClusterRole', 'Group') },
          { name: 'c', ...to('ann', 'reader', 'Role') },
          { name: 'd', ...to('bob', 'hidden') },
        ],
        roleBindings: [{ name: 'e', namespace: 'team', ...to('ann', 'x', 'Robot') }],
      }),
    )
    const decision = await decide(source, get('ann', 'team', ['devs']))
    assert.deepEqual(decision, {
      kind: 'no-opinion',
      reason:
        'RBAC: [clusterrole.rbac.authorization.k8s.io "gone" not found, ' +
        'role.rbac.authorization.k8s.io "reader" not found, unsupported role reference kind: "Robot"]',
    })
  })

  test('a missing role of one binding does not keep another binding from allowing', async () => {
    const bindings = { name: 'a', ...to('ann', 'gone') }
    const source = constant(
      rbacObjects({ clusterRoles: [reader], clusterRoleBindings: [bindings, { name: 'b', ...to('ann', 'reader') }] }),
    )
    assert.equal((await decide(source, get('ann'))).kind, 'allow')
  })

  test('names the first binding that allows, cluster-wide ones before those of the namespace', async () => {
    const source = constant(
      rbacObjects({
        clusterRoles: [reader],
        roleBindings: [{ name: 'in-team', namespace: 'team', ...to('ann', 'reader') }],
        clusterRoleBindings: [
          { name: 'by-group', ...to('devs', 'reader', 'ClusterRole', 'Group') },
          { name: 'by-name', ...to('ann', 'reader') },
        ],
      }),
    )
    const decision = await decide(source, get('ann', 'team', ['devs']))
    assert.deepEqual(decision, {
      kind: 'allow',
      reason: 'RBAC: allowed by ClusterRoleBinding "by-group" of ClusterRole "reader" to Group "devs"',
    })
  })

  test('has no opinion, with an error, until the objects are known', async () => {
    let known: RbacObjects | undefined
    const authorizer = rbac({ source: { current: () => known } })
    const before = await authorizer.authorize(get('ann'), idleContext())
    assert.deepEqual(before, {
      kind: 'no-opinion',
      evaluationError: 'RBAC: roles and bindings are not known yet',
    })
    assert.equal(authorizer.rulesFor(userInfo({ name: 'ann' }), 'team').incomplete, true)
    known = rbacObjects({ clusterRoles: [reader], clusterRoleBindings: [{ name: 'b', ...to('ann', 'reader') }] })
    assert.equal((await authorizer.authorize(get('ann'), idleContext())).kind, 'allow')
  })

  test('follows its source: a binding that is gone allows nothing any more', async () => {
    let known = rbacObjects({ clusterRoles: [reader], clusterRoleBindings: [{ name: 'b', ...to('ann', 'reader') }] })
    const authorizer = rbac({ source: { current: () => known } })
    assert.equal((await authorizer.authorize(get('ann'), idleContext())).kind, 'allow')
    known = { ...known, bindings: [] }
    assert.deepEqual(await authorizer.authorize(get('ann'), idleContext()), { kind: 'no-opinion' })
  })

  test('T-H13 names like __proto__ and constructor are names', async () => {
    for (const name of ['__proto__', 'constructor', 'toString']) {
      const source = constant(
        rbacObjects({
          clusterRoles: [{ ...reader, name }],
          roleBindings: [{ name, namespace: name, ...to(name, name) }],
        }),
      )
      assert.equal((await decide(source, get(name, name))).kind, 'allow')
      assert.equal((await decide(source, get('ann', name, [name]))).kind, 'no-opinion')
      assert.equal((await decide(constant({ roles: [], bindings: [] }), get(name, name))).kind, 'no-opinion')
    }
  })
})
