import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { explain } from '../../../src/authz/keystone-policy/explain.ts'
import type { SubresourceMode } from '../../../src/authz/keystone-policy/key.ts'
import { lint } from '../../../src/authz/keystone-policy/lint.ts'
import { policies, request } from './arbitraries.ts'
import { compiled } from './support.ts'

const ID = '0123456789abcdef0123456789abcdef'
const users = { projects: [ID], roles: ['member'] }

/** `severity code path`, and the message after a bar where a pattern asks for it. */
function found(
  policies: unknown,
  mode: SubresourceMode = 'guarded',
  options: Parameters<typeof lint>[1] = {},
): string[] {
  return lint(compiled(policies, { subresources: mode, failOpenKeys: 'allow' }), options).map(
    ({ severity, code, path, message }) => `${severity} ${code} ${path} | ${message}`,
  )
}

function codes(policies: unknown, mode?: SubresourceMode, options?: Parameters<typeof lint>[1]): string[] {
  return found(policies, mode, options).map((text) => text.replace(/ \|.*$/s, ''))
}

const key = (name: string): string => `[0].resource_permissions[${JSON.stringify(name)}]`
const permits = (name: string, verbs: string[]): unknown => [{ users, resource_permissions: { [name]: verbs } }]

test('a careful policy has no findings', () => {
  const policy = [
    { users, resource_permissions: { 'default/deployments': ['get', 'list'], "!['kube-system']/events": ['get'] } },
    { users, nonresource: { path: '/api/*', verbs: ['get'] } },
  ]
  assert.deepEqual(found(policy), [])
})

describe('T-W12 escalation', () => {
  test('"default/pods": ["get"] is a shell in compat, and would be one in guarded', () => {
    const [implied = '', ...more] = found(permits('default/pods', ['get']), 'compat')
    assert.deepEqual(more, [])
    assert.match(
      implied,
      /^error subresource-implied .*gives a shell in pods \(get pods\/exec\).*does not say so\. Run in guarded mode/,
    )
    const [guarded = ''] = found(permits('default/pods', ['get']))
    assert.match(
      guarded,
      /^info subresource-guarded .*would give a shell in pods.*add a key such as "default\/pods\/exec"$/,
    )
    assert.match(found(permits('default/pods', ['get']), 'strict')[0] ?? '', /^info subresource-guarded/)
  })

  const table: readonly [string, string[], RegExp][] = [
    ['a/pods/exec', ['get'], /warning escalation .*a shell in pods \(get pods\/exec\)/],
    ['a/pods/attach', ['create'], /the terminal of pods/],
    ['a/pods/portforward', ['create'], /a tunnel to pods/],
    ['*/nodes/proxy', ['get'], /the kubelet/],
    ['a/serviceaccounts/token', ['create'], /tokens of service accounts/],
    ['a/secrets', ['list'], /secrets, tokens among them \(list secrets\)/],
    ['*/clusterroles', ['escalate', 'get'], /cluster roles with more rights.*\(escalate clusterroles\)/],
    ['a/roles', ['bind'], /any role, by binding it/],
    ['*/users', ['impersonate'], /the rights of other users/],
    ['*/groups', ['*'], /system:masters included/],
    ['*/certificatesigningrequests/approval', ['update'], /certificates, by approving/],
    ['*/signers', ['approve'], /in the name of a signer/],
    ['a/!configmaps', ['create'], /subresource-guarded .*tokens of service accounts/],
    ['*/mutatingwebhookconfigurations', ['patch'], /a webhook that changes it/],
  ]
  for (const [name, verbs, message] of table) {
    test(`${name}: ${verbs.join()}`, () => assert.match(found(permits(name, verbs)).join('\n'), message))
  }

  test('what is given without saying so in guarded: the verb *, the resource *', () => {
    assert.match(found(permits('a/pods', ['*'])).join('\n'), /warning subresource-implied .*a shell/)
    assert.match(found(permits('a/*', ['get'])).join('\n'), /warning subresource-implied .*a shell/)
    assert.doesNotMatch(found(permits('a/*', ['get']), 'strict').join('\n'), /subresource-implied/)
  })

  test('a key for all subresources says so, and would give nothing else', () => {
    assert.deepEqual(codes(permits('a/secrets/*', ['get'])), [])
    assert.deepEqual(codes(permits('a/pods/*', ['get'])), [`warning escalation ${key('a/pods/*')}`])
  })

  test('cluster-scoped ways are not open to a rule for a namespace', () => {
    assert.doesNotMatch(found(permits('a/*', ['get'])).join('\n'), /kubelet/)
    assert.match(found(permits('*/*', ['get'])).join('\n'), /kubelet/)
  })

  test('everything, of the cluster or of a namespace', () => {
    assert.deepEqual(codes(permits('*/*', ['*'])), [`warning everything ${key('*/*')}`])
    assert.match(found(permits('a/*', ['*']))[0] ?? '', /allows everything in the namespaces it covers/)
    const path = [{ users, nonresource: { path: '*', verbs: ['*'] } }]
    assert.match(found(path)[0] ?? '', /^warning everything \[0\]\.nonresource \| allows every path/)
  })

  test('version 1 is judged by what it names', () => {
    const rule = { users, resource: { verbs: ['get'], resources: ['pods', 'pods/exec'], version: '', namespace: 'a' } }
    assert.match(found([rule]).join('\n'), /^warning escalation \[0\]\.resource \| gives a shell in pods/)
  })
})

describe('for whom', () => {
  const map = { resource_permissions: { 'a/events': ['get'] } }
  test('everybody', () => {
    assert.deepEqual(codes([map]), ['warning open-to-everyone [0]'])
    assert.deepEqual(codes([map], 'compat'), ['error open-to-everyone [0]'])
    assert.deepEqual(codes([{ ...map, match: [{ type: 'role', values: ['*'] }] }]), ['warning open-to-everyone [0]'])
  })
  test('match that is not looked at', () => {
    const match = [{ type: 'role', values: ['member'] }]
    assert.deepEqual(codes([{ ...map, match }], 'compat'), [
      'error match-ignored [0].match',
      'error open-to-everyone [0]',
    ])
    assert.deepEqual(codes([{ ...map, match, users }], 'compat'), ['warning match-ignored [0].match'])
    assert.deepEqual(codes([{ ...map, match }]), [])
  })
  test('nobody', () => {
    assert.match(found([{ ...map, users: { roles: ['a'] } }])[0] ?? '', /grants-nothing .*users\.projects is empty/)
    const match = [{ type: 'Role', values: ['a'] }, { type: 'user' }]
    assert.match(found([{ ...map, match }])[0] ?? '', /grants-nothing .*match\[0\] has the type "Role"/)
    assert.match(found([{ ...map, users: { projects: [ID], roles: [''] } }])[0] ?? '', /grants-nothing .*empty name/)
  })
  test('names that do not exist', () => {
    const policy = [{ ...map, users: { projects: [ID], roles: ['Member', 'nobody'] } }]
    assert.deepEqual(found(policy, 'guarded', { roles: ['member'], projects: [ID] }), [
      'warning name-unknown [0].users.roles[0] | there is no role "Member". Write "member": upper and lower case differ',
      'warning name-unknown [0].users.roles[1] | there is no role "nobody"',
    ])
    assert.deepEqual(codes(policy, 'guarded', { projects: [] }), ['warning name-unknown [0].users.projects[0]'])
  })
  test('projects by name, stars that are names', () => {
    assert.deepEqual(codes([{ ...map, users: { projects: ['demo', 'x*'] } }]), [
      'warning literal-wildcard [0].users.projects[1]',
      'info project-by-name [0].users.projects[0]',
    ])
  })
})

describe('text that means something else', () => {
  for (const name of [
    '!kube-*/events',
    '!/events',
    '![]/events',
    '!a,b/events',
    "!['a ']/events",
    '!!a/events',
    'a/!event*',
  ]) {
    test(`${name} excludes nothing`, () => {
      const [first = ''] = found(permits(name, ['watch'])).filter((text) => text.startsWith('error'))
      assert.match(first, /^error fail-open .*so covers every (namespace, kube-system|resource, secrets) included/)
    })
  }
  const nothing: readonly [string, string][] = [
    ['events', 'malformed-key'],
    ['a/b/c/d', 'malformed-key'],
    ['a/events/!log', 'malformed-key'],
    ['a/events@', 'malformed-key'],
    ["['a'/events", 'malformed-list'],
    ['[a,b]/events', 'malformed-list'],
    ['!*/events', 'malformed-list'],
    ['a-*/events', 'literal-wildcard'],
    ["['a','b*']/events", 'literal-wildcard'],
    ['a/event?', 'literal-wildcard'],
  ]
  for (const [name, code] of nothing) {
    test(`${name}: ${code}`, () => assert.deepEqual(codes(permits(name, ['watch'])), [`warning ${code} ${key(name)}`]))
  }
  test('three parts and API groups in compat', () => {
    assert.deepEqual(codes(permits('a/pods/log', ['get']), 'compat'), [`warning malformed-key ${key('a/pods/log')}`])
    assert.deepEqual(codes(permits('a/events@apps', ['get']), 'compat'), [
      `warning literal-wildcard ${key('a/events@apps')}`,
    ])
  })
  test('version 1', () => {
    const rule = {
      verbs: ['GET'],
      resources: ['Pods', '*/log', 'event*', 'a/b/c'],
      version: 'v1',
      namespace: '!default',
    }
    assert.deepEqual(codes([{ users, resource: rule }]), [
      'warning version-is-group [0].resource.version',
      'warning case-never-matches [0].resource.verbs',
      'warning case-never-matches [0].resource.resources',
      'warning literal-wildcard [0].resource.resources',
      'warning literal-wildcard [0].resource.resources',
      'warning literal-wildcard [0].resource.resources',
      'warning literal-wildcard [0].resource.namespace',
    ])
    assert.match(
      found([{ users, resource: { verbs: ['get'], resources: ['pods'] } }])[0] ?? '',
      /grants-nothing .*needs both version and namespace/,
    )
    assert.match(
      found([{ users, resource: { verbs: [], resources: ['pods'], version: '*', namespace: '*' } }])[0] ?? '',
      /grants-nothing .*names no verb/,
    )
  })
  test('paths', () => {
    assert.deepEqual(codes([{ users, nonresource_permissions: { '/api/*': ['GET'] } }]), [
      'warning literal-wildcard [0].nonresource_permissions["/api/*"]',
      'warning case-never-matches [0].nonresource_permissions["/api/*"]',
    ])
    assert.deepEqual(codes([{ users, nonresource: { path: '/a/*/b', verbs: ['get'] } }]), [
      'warning literal-wildcard [0].nonresource.path',
    ])
    assert.match(
      found([{ users, nonresource: { path: '/x', verbs: ['*', ''] } }])[0] ?? '',
      /grants-nothing .*switches it off/,
    )
  })
  test('what parsing noticed', () => {
    assert.deepEqual(codes([null, { Users: users, extra: 1, resource_permissions: {} }]), [
      'warning null-element [0]',
      'warning field-case [1].users',
      'warning field-unknown [1].extra',
    ])
  })
})

describe('superfluous rules', () => {
  const shadowed = (policies: unknown, mode?: SubresourceMode): string[] =>
    found(policies, mode)
      .filter((text) => text.startsWith('info shadowed'))
      .map((text) => text.replace(/^info shadowed (.*) \| is superfluous: policy\.json(.*) allows.*$/, '$1 by $2'))
  const map = (entries: object, who: object = users): object => ({ users: who, resource_permissions: entries })

  test('of two that are equal the later', () => {
    assert.deepEqual(shadowed([map({ 'a/events': ['get'] }), map({ 'a/events': ['get'] })]), [
      '[1].resource_permissions["a/events"] by [0] "a/events"',
    ])
  })
  const narrow = map({ 'a/events': ['get'] })
  const wide: readonly [string, object][] = [
    ['more verbs', map({ 'a/events': ['get', 'list'] })],
    ['any verb', map({ 'a/events': ['*'] })],
    ['more namespaces', map({ "['a','b']/events": ['get'] })],
    ['any namespace', map({ '*/events': ['get'] })],
    ['all namespaces but one', map({ '!b/events': ['get'] })],
    ['more resources', map({ 'a/!secrets': ['get'] })],
    ['more projects', map({ 'a/events': ['get'] }, { projects: [ID, 'x'], roles: ['member'] })],
    ['fewer roles', map({ 'a/events': ['get'] }, { projects: [ID] })],
    [
      'by match',
      { match: [{ type: 'role', values: ['member', 'admin'] }], resource_permissions: { 'a/events': ['get'] } },
    ],
  ]
  for (const [title, other] of wide) {
    test(`by ${title}`, () => {
      assert.equal(shadowed([narrow, other]).length, 1)
      assert.equal(shadowed([other, narrow]).length, 1)
    })
  }
  test('version 1 by version 2 and by version 1', () => {
    const one = (resources: string[], namespace = 'a'): object => ({
      users,
      resource: { verbs: ['get'], resources, version: '', namespace },
    })
    assert.equal(shadowed([one(['events']), narrow]).length, 1)
    assert.equal(shadowed([one(['events']), one(['events', 'pods'])]).length, 1)
    assert.equal(shadowed([one(['events']), one(['events'], '*')]).length, 1)
    assert.equal(shadowed([narrow, one(['events'])], 'guarded').length, 1)
  })
  test('paths', () => {
    const path = (text: string): object => ({ users, nonresource: { path: text, verbs: ['get'] } })
    assert.equal(shadowed([path('/api/v1'), path('/api/*')]).length, 1)
    assert.equal(shadowed([path('/api/v1/*'), path('/api/*')]).length, 1)
    assert.equal(shadowed([path('/api'), path('/api/*')]).length, 0)
  })
  const less: readonly [string, object][] = [
    ['another namespace', map({ 'b/events': ['get'] })],
    ['another verb', map({ 'a/events': ['list'] })],
    ['another project', map({ 'a/events': ['get'] }, { projects: ['x'] })],
    ['more roles', map({ 'a/events': ['get'] }, { projects: [ID], roles: ['member', 'admin'] })],
    ['all namespaces but this', map({ '!a/events': ['get'] })],
    ['one API group', map({ 'a/events@apps': ['get'] })],
    ['a subresource', map({ 'a/events/log': ['get'] })],
  ]
  for (const [title, other] of less) {
    test(`not by ${title}`, () => {
      assert.deepEqual(
        shadowed([narrow, other]).filter((text) => text.startsWith('[0]')),
        [],
      )
    })
  }
})

test('a rule that is said to be superfluous can be taken away, in every mode', () => {
  const modes = fc.constantFrom('compat', 'guarded', 'strict')
  const some = { superfluous: 0 }
  fc.assert(
    fc.property(
      policies,
      fc.array(request, { minLength: 20, maxLength: 40 }),
      modes,
      (list, requests, subresources) => {
        const ready = compiled([...list, ...list.slice(0, 3)], { subresources, failOpenKeys: 'allow' })
        const superfluous = new Set(lint(ready).flatMap(({ code, path }) => (code === 'shadowed' ? [path] : [])))
        for (const attributes of requests) {
          const allowing = explain(ready, attributes).lines.filter(({ verdict }) => verdict === 'allows')
          const needed = allowing.filter(({ line }) => !superfluous.has(`${line.policy.path}.${line.place}`))
          some.superfluous += allowing.length - needed.length
          assert.equal(needed.length > 0, allowing.length > 0)
        }
      },
    ),
  )
  assert.ok(some.superfluous > 0) // how many depends on the seed
})

test('rules are compared in large policies as well', () => {
  const list = Array.from({ length: 500 }, (_, i) => ({
    users: { projects: [`${i % 100}`.padStart(32, 'a')], roles: [`r${i % 7}`] },
    resource_permissions: { [`ns${i % 50}/events`]: ['get', 'list'] },
  }))
  const wide = { users: { projects: ['7'.padStart(32, 'a')] }, resource_permissions: { '!x/events': ['*'] } }
  const shadowed = codes([...list, wide]).filter((text) => text.startsWith('info shadowed'))
  assert.deepEqual(shadowed.length, 5)
})

test('findings come in the order of the texts, each with its line', () => {
  const lines = lint(compiled([{ resource_permissions: { a: [] } }, { resource_permissions: { b: [] } }])).map(
    ({ line }) => line,
  )
  assert.deepEqual(lines, [1, 1])
})
