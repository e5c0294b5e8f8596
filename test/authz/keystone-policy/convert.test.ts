import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { compilePolicy } from '../../../src/authz/keystone-policy/compile.ts'
import { type RbacOptions, rbacYaml, toRbac } from '../../../src/authz/keystone-policy/convert-rbac.ts'
import { type ConvertOptions, toVersion2 } from '../../../src/authz/keystone-policy/convert-v1.ts'
import { decide } from '../../../src/authz/keystone-policy/decide.ts'
import { compareDecisions, diffPolicies, type PolicyDiff } from '../../../src/authz/keystone-policy/diff.ts'
import { generateRequests } from '../../../src/authz/keystone-policy/generate.ts'
import type { SubresourceMode } from '../../../src/authz/keystone-policy/key.ts'
import { parsePolicy } from '../../../src/authz/keystone-policy/parse.ts'
import { parseManifests } from '../../../src/authz/rbac/manifests.ts'
import { rbacIndex } from '../../../src/authz/rbac/rbac-index.ts'
import { policies } from './arbitraries.ts'
import { compiled, IDENTITY } from './support.ts'

const ID = '0123456789abcdef0123456789abcdef'
const rule = { verbs: ['get'], resources: ['pods', 'pods/log'], version: '', namespace: 'a' }
const role = (...values: string[]): object => ({ type: 'role', values })
const project = (...values: string[]): object => ({ type: 'project', values })

function converted(list: unknown, subresources: SubresourceMode, options?: ConvertOptions) {
  const before = compiled(list, { subresources, failOpenKeys: 'allow' })
  const { policies: json, losses } = toVersion2(before, options)
  const after = compilePolicy(parsePolicy(JSON.stringify(json)), { subresources, failOpenKeys: 'allow' })
  return {
    json,
    losses: losses.map(({ kind, path, message }) => `${kind} ${path}: ${message}`),
    diff: diffPolicies(before, after, { limit: 3000 }),
  }
}

describe('version 1 → version 2', () => {
  test('in strict it is said exactly', () => {
    const { json, losses, diff } = converted(
      [{ resource: rule, match: [role('admin', 'ops'), project('x', ID)] }],
      'strict',
    )
    const permissions = { 'a/pods@core': ['get'], 'a/pods@core/log': ['get'] }
    assert.deepEqual(json, [
      { users: { projects: ['x', ID], roles: ['admin'] }, resource_permissions: permissions },
      { users: { projects: ['x', ID], roles: ['ops'] }, resource_permissions: permissions },
    ])
    assert.deepEqual(losses, [])
    assert.deepEqual([diff.opened, diff.closed], [[], []])
  })

  test('in guarded a resource would bring its subresources: it stays, or is widened where that is accepted', () => {
    const list = [{ resource: rule, match: [project(ID)] }]
    const kept = converted(list, 'guarded')
    assert.deepEqual(kept.json, [
      { users: { projects: [ID] }, resource_permissions: { 'a/pods@core/log': ['get'] } },
      { match: [project(ID)], resource: { ...rule, resources: ['pods'] } },
    ])
    assert.match(
      kept.losses.join(),
      /^kept policy\.json\[0\]\.resource \(pods\): a key would bring its harmless subresources/,
    )
    assert.deepEqual([kept.diff.opened, kept.diff.closed], [[], []])

    const wider = converted(list, 'guarded', { widen: true })
    assert.deepEqual(wider.json, [
      { users: { projects: [ID] }, resource_permissions: { 'a/pods@core': ['get'], 'a/pods@core/log': ['get'] } },
    ])
    assert.match(wider.losses.join(), /^wider /)
    assert.deepEqual(wider.diff.closed, [])
    assert.ok(wider.diff.opened.length > 0)
    for (const { attributes } of wider.diff.opened) {
      assert.ok(attributes.kind === 'resource' && !['', 'exec'].includes(attributes.subresource))
    }
  })

  test('never onto the dangerous ones', () => {
    const { losses, diff } = converted([{ resource: { ...rule, verbs: ['*'] }, match: [project(ID)] }], 'guarded', {
      widen: true,
    })
    assert.match(losses.join(), /kept .*\(pods\): a key with the verb \* would bring every subresource/)
    assert.deepEqual(diff.opened, [])
  })

  test('in compat only rules for all resources can be said', () => {
    const all = { ...rule, resources: ['*'], version: '*' }
    const { json, losses } = converted(
      [
        { resource: all, match: [project(ID)] },
        { resource: rule, match: [project(ID)] },
      ],
      'compat',
    )
    assert.deepEqual(json[0], { users: { projects: [ID] }, resource_permissions: { 'a/*': ['get'] } })
    assert.equal(losses.length, 2)
  })

  const guards: readonly [string, object, object[]][] = [
    [
      'a project and roles are users',
      { match: [project('x'), role('a')] },
      [{ users: { projects: ['x'], roles: ['a'] } }],
    ],
    ['without a project it stays match', { match: [role('a')] }, [{ match: [role('a')] }]],
    [
      'groups stay match',
      { match: [project('x'), { type: 'group', values: ['g'] }] },
      [{ match: [project('x'), { type: 'group', values: ['g'] }] }],
    ],
    [
      'users and match are both needed',
      { users: { projects: ['x'], roles: ['a'] }, match: [role('b')] },
      [{ users: { projects: ['x'], roles: ['a', 'b'] } }],
    ],
    [
      'two conditions on projects stay match',
      { users: { projects: ['x'] }, match: [project('y')] },
      [{ users: { projects: ['x'], roles: [] }, match: [project('y')] }],
    ],
    ['stars are nothing', { match: [role('*'), project('*')] }, [{}]],
  ]
  for (const [title, guard, expected] of guards) {
    test(title, () => {
      const { json, diff } = converted([{ ...guard, resource: { ...rule, resources: ['pods/log'] } }], 'guarded')
      assert.deepEqual(
        json.map(({ resource_permissions: _, ...rest }) => rest),
        expected,
      )
      assert.deepEqual([diff.opened, diff.closed], [[], []])
    })
  }

  test('paths: one as it is, patterns stay, and what allowed nothing goes', () => {
    const { json, losses, diff } = converted(
      [
        { match: [project('x')], nonresource: { path: '/healthz', verbs: ['get'] } },
        { match: [project('x')], nonresource: { path: '/api/*', verbs: ['get'] } },
        { match: [project('x')], nonresource: { path: '/x', verbs: [''] } },
        { match: [{ type: 'Role', values: ['*'] }], resource: rule },
        { resource: { verbs: ['get'] } },
      ],
      'guarded',
    )
    assert.deepEqual(json, [
      { users: { projects: ['x'] }, nonresource_permissions: { '/healthz': ['get'] } },
      { match: [project('x')], nonresource: { path: '/api/*', verbs: ['get'] } },
    ])
    assert.deepEqual(
      losses.map((text) => text.split(' ')[0]),
      ['kept', 'dropped', 'dropped', 'dropped'],
    )
    assert.deepEqual([diff.opened, diff.closed], [[], []])
  })

  test('resources that are no names, verbs in upper case, and groups or namespaces that no key can say', () => {
    const match = [project('x')]
    const rules = [
      { ...rule, resources: ['*/log', 'a b', 'a/b/c', 'pods/ log', 'pods/log'] },
      { ...rule, resources: ['pods/log'], verbs: ['GET', 'get'] },
      { ...rule, resources: ['pods/log'], namespace: '' },
      { ...rule, resources: ['pods/log'], namespace: 'A' },
      { ...rule, resources: ['pods/log'], version: 'a b' },
    ]
    const { json, losses } = converted(
      rules.map((resource) => ({ match, resource })),
      'guarded',
    )
    const kinds = losses.map((text) => text.split(' ')[0])
    assert.deepEqual(kinds, ['kept', 'dropped', 'dropped', 'dropped', 'dropped', 'kept', 'kept', 'kept'])
    assert.deepEqual(
      json.map((one) => one.resource_permissions ?? one.resource?.resources),
      [
        { 'a/pods@core/log': ['get'] },
        ['*/log'],
        { 'a/pods@core/log': ['get'] },
        ['pods/log'],
        ['pods/log'],
        ['pods/log'],
      ],
    )
  })

  test('more combinations of roles than anybody reads stay match', () => {
    const roles = [role('a', 'b', 'c'), role('d', 'e', 'f'), role('g', 'h')]
    const { json } = converted(
      [{ match: [project('x'), ...roles], resource: { ...rule, resources: ['*'] } }],
      'guarded',
    )
    assert.deepEqual(
      json.map(({ match }) => match?.length),
      [4],
    )
  })

  test('version 2 stays as it is', () => {
    const list = [
      {
        users: { projects: ['x'], roles: [] },
        match: [role('a')],
        resource_permissions: { 'a/b': ['get'] },
        nonresource_permissions: { '/x': ['get'] },
      },
    ]
    assert.deepEqual(converted(list, 'guarded').json, list)
  })

  test('`*/log`, which is for requests about a resource called `*`, stays version 1', () => {
    const list = [{ resource: { verbs: ['get'], resources: ['*/log'], version: '*', namespace: '*' } }]
    for (const mode of ['compat', 'guarded', 'strict'] as const) assert.deepEqual(converted(list, mode).json, list)
  })

  test('decisions are kept, whatever the policy, in every mode', () => {
    fc.assert(
      fc.property(policies, fc.constantFrom('compat', 'guarded', 'strict'), (list, mode) => {
        const { diff } = converted(list.slice(0, 4), mode)
        // Names that nothing is called, upper case above all, are left behind, and said to be.
        const real = (change: PolicyDiff['opened'][number]): boolean => {
          const { attributes } = change
          return attributes.verb !== 'GET' && (attributes.kind === 'non-resource' || attributes.resource !== '')
        }
        assert.deepEqual(diff.opened.filter(real), [])
        assert.deepEqual(diff.closed.filter(real), [])
      }),
      { numRuns: Number(process.env['RUNS'] ?? 40) },
    )
  })
})

async function asRbac(list: unknown, subresources: SubresourceMode, options?: RbacOptions) {
  const policy = compiled(list, { subresources, failOpenKeys: 'allow' })
  const { manifests, losses } = toRbac(policy, options)
  const { objects, warnings } = await parseManifests([['rbac.yaml', Buffer.from(rbacYaml(manifests))]], 'rbac')
  const index = rbacIndex(objects)
  // That a group counts wherever it comes from is a loss that is always told.
  const requests = generateRequests(policy, { limit: 3000 }).filter(
    ({ user }) => !user.groups.includes(ID) || user.extra.get(`${IDENTITY}/project/id`)?.includes(ID),
  )
  const diff = compareDecisions(
    (attributes) => decide(policy, attributes),
    (attributes) => (index.decide(attributes).allowed ? { kind: 'allow', reason: '' } : { kind: 'no-opinion' }),
    requests,
  )
  return { manifests, warnings, diff, losses: losses.map(({ kind, message }) => `${kind}: ${message}`) }
}

describe('version 2 → RBAC', () => {
  const map = (entries: object, users: object = { projects: [ID] }): object[] => [
    { users, resource_permissions: entries },
  ]

  test('a rule for a namespace is a role there, bound to the id of the project', async () => {
    const { manifests, diff } = await asRbac(map({ 'a/configmaps@core': ['get', 'list'] }), 'strict')
    const metadata = {
      name: 'keystone-policy-0',
      namespace: 'a',
      annotations: { 'archway/from': 'policy.json[0] "a/configmaps@core"' },
    }
    const apiVersion = 'rbac.authorization.k8s.io/v1'
    assert.deepEqual(manifests, [
      {
        apiVersion,
        kind: 'Role',
        metadata,
        rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list'] }],
      },
      {
        apiVersion,
        kind: 'RoleBinding',
        metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'keystone-policy-0' },
        subjects: [{ kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', name: ID }],
      },
    ])
    assert.deepEqual([diff.opened, diff.closed], [[], []])
  })

  const exact: readonly [string, SubresourceMode, object][] = [
    ['lists', 'strict', { "['a','b']/['pods','services']": ['get'] }],
    ['everything', 'guarded', { '*/*': ['*'] }],
    ['everything in a namespace', 'guarded', { 'a/*': ['*'] }],
    ['everything of an API group', 'guarded', { '*/*@apps': ['get'] }],
    ['a subresource', 'guarded', { 'a/pods/log': ['get'] }],
    ['a subresource of everything', 'guarded', { '*/*/scale': ['get', 'update'] }],
    ['several keys', 'strict', { 'a/pods': ['get'], '*/nodes': ['list'], 'a/pods/exec': ['create'] }],
  ]
  for (const [title, mode, entries] of exact) {
    test(`${title}: the same decisions`, async () => {
      const { diff, losses } = await asRbac(map(entries), mode)
      assert.deepEqual([diff.opened, diff.closed], [[], []])
      assert.deepEqual(losses, ['wider: a group or name counts wherever it comes from'])
    })
  }

  test('paths', async () => {
    const users = { projects: [ID] }
    const list = [
      { users, nonresource_permissions: { '/healthz': ['get'], '/api/*': ['get'] } },
      { users, nonresource: { path: '/apis*', verbs: ['get'] } },
    ]
    const { diff, losses } = await asRbac(list, 'guarded')
    assert.deepEqual(diff.opened, [])
    assert.deepEqual(
      diff.closed.map(({ attributes }) => attributes.kind === 'non-resource' && attributes.path),
      ['/api/*'],
    )
    assert.match(losses.join(), /skipped: the path ends in a \*/)
  })

  const lossy: readonly [string, object[], RegExp, RbacOptions?][] = [
    [
      'roles',
      map({ 'a/b': ['get'] }, { projects: [ID], roles: ['member'] }),
      /skipped: no group stands for role member on project 0123/,
    ],
    [
      'two roles',
      map({ 'a/b': ['get'] }, { projects: [ID], roles: ['x', 'y'] }),
      /skipped: it asks for several things/,
    ],
    ['a project by name', map({ 'a/b': ['get'] }, { projects: ['demo'] }), /skipped: no group stands for project demo/],
    [
      'one of two by name',
      map({ 'a/b@core/log': ['get'] }, { projects: ['demo', ID] }),
      /narrower: no group stands for project demo/,
    ],
    ['everybody', [{ resource_permissions: { 'a/b': ['get'] } }], /skipped: it is for everybody/],
    ['all namespaces but', map({ '!a/b/log': ['get'] }), /skipped: RBAC has no "all namespaces but/],
    ['all resources but', map({ 'a/!b': ['get'] }), /skipped: RBAC has no "all resources but/],
    [
      'subresources that follow',
      map({ 'a/pods': ['get'] }),
      /narrower: of the subresources of pods only attach, .*status are carried over/,
    ],
    [
      'no namespace only',
      [{ match: [project(ID)], resource: { ...rule, namespace: '' } }],
      /narrower: RBAC has no rule for requests without namespace/,
    ],
  ]
  for (const [title, list, message, options] of lossy) {
    test(`${title}: never wider, and told`, async () => {
      const { diff, losses } = await asRbac(list, 'guarded', options)
      assert.deepEqual(diff.opened, [])
      assert.match(losses.join('\n'), message)
    })
  }

  test('guarded leaves out exec of what follows', async () => {
    const { manifests } = await asRbac(map({ 'a/pods': ['get'] }), 'guarded')
    const [{ rules: [first] = [] } = {}] = manifests
    assert.deepEqual(first?.resources, [
      'pods',
      'pods/binding',
      'pods/eviction',
      'pods/log',
      'pods/resize',
      'pods/status',
    ])
  })

  test('with the namespaces and resources there are, exceptions are carried over for them', async () => {
    const options = { namespaces: ['a', 'b', 'c'], resources: ['pods', 'secrets'] }
    const { manifests, diff, losses } = await asRbac(map({ '!a/!secrets': ['get'] }), 'strict', options)
    assert.deepEqual(
      manifests.map(({ kind, metadata }) => `${kind} ${metadata.namespace}`),
      ['Role b', 'RoleBinding b', 'Role c', 'RoleBinding c'],
    )
    assert.deepEqual(diff.opened, [])
    assert.equal(losses.length, 3)
  })

  test('with groups for roles they are carried over', async () => {
    const options: RbacOptions = { groupFor: ({ project: on, role: as }) => (as === undefined ? on : `${on}:${as}`) }
    const { manifests } = await asRbac(
      map({ 'a/b': ['get'] }, { projects: [ID], roles: ['member'] }),
      'strict',
      options,
    )
    assert.equal(manifests[1]?.subjects?.[0]?.name, `${ID}:member`)
  })

  test('version 1 goes straight, users and groups included', async () => {
    const list = [
      { match: [{ type: 'user', values: ['jane'] }], resource: rule },
      {
        match: [{ type: 'group', values: ['devs'] }],
        resource: { ...rule, resources: ['*', 'x'], version: '*', namespace: '*' },
      },
      { match: [project(ID)], resource: { ...rule, resources: ['*/log', 'pods'] } },
    ]
    const { diff } = await asRbac(list, 'guarded')
    assert.deepEqual([diff.opened, diff.closed], [[], []])
  })

  test('no policy becomes wider, in any mode', async () => {
    const some = { converted: 0 }
    await fc.assert(
      fc.asyncProperty(policies, fc.constantFrom('compat', 'guarded', 'strict'), async (random, mode) => {
        // Hardly any random guard is one that RBAC can say; half of them are made so.
        const sayable = random
          .slice(0, 8)
          .map((one, i) => (i % 2 === 0 ? one : { ...one, users: { projects: [ID] }, match: null }))
        const list: unknown = JSON.parse(JSON.stringify(sayable).replaceAll('p-1', ID))
        const { diff, manifests } = await asRbac(list, mode, { namespaces: ['dev'], resources: ['pods'] })
        some.converted += manifests.length
        // To RBAC a star covers a resource without name as well, which nothing is.
        const real = diff.opened.filter(({ attributes: a }) => a.kind === 'non-resource' || a.resource !== '')
        assert.deepEqual(real, [])
      }),
      { numRuns: Number(process.env['RUNS'] ?? 25) },
    )
    assert.ok(some.converted > 20)
  })
})
