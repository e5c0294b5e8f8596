import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { decide, isInScope } from '../../../src/authz/keystone-policy/decide.ts'
import { explain } from '../../../src/authz/keystone-policy/explain.ts'
import { policies, request } from './arbitraries.ts'
import { asks, asksPath, compiled } from './support.ts'

const users = { projects: ['demo'], roles: ['member'] }
const policy = compiled([
  { users, resource_permissions: { 'default/pods': ['get'], pods: ['get'], '!kube-system/*': ['list'] } },
  {
    match: [{ type: 'Role', values: ['a'] }],
    resource: { verbs: ['get'], resources: ['pods/log'], version: 'apps', namespace: 'dev' },
  },
  { users: {}, resource_permissions: { '*/*': ['*'] } },
  { resource: { resources: ['pods'] } },
  {
    users: { projects: ['x'], roles: ['ops'] },
    resource_permissions: { '*/nodes@core': ['get'], 'a/pods/log': ['get'] },
    resource: {},
  },
  {
    match: [
      { type: 'group', values: ['devs'] },
      { type: 'user', values: ['joe'] },
    ],
    resource: { verbs: [], resources: ['pods'], version: 'apps', namespace: '*' },
  },
  { users, nonresource: { verbs: ['get'], path: '/api/*' } },
  { users, nonresource: { verbs: ['get'] }, nonresource_permissions: { '/healthz': ['get'] } },
])

function explained(words: string, who?: Parameters<typeof asks>[1]): string[] {
  const attributes = words.includes(' /') ? asksPath(words, who) : asks(words, who)
  const { lines, nearest } = explain(policy, attributes)
  return lines.map((line) => {
    const mark = line === nearest ? '* ' : ''
    return `${mark}${line.line.name.replace('policy.json', '')}: ${line.verdict}${line.why === undefined ? '' : `: ${line.why}`}`
  })
}

describe('every line is told, with what it lacks first', () => {
  test('kubectl exec under a read-only rule', () => {
    assert.deepEqual(explained('get default/pods/exec'), [
      '* [0] "default/pods": lacks: without a subresource in its key it does not cover exec (guarded). Add namespace/pods/exec',
      '[0] "pods": inert: it has no slash. Write namespace/resource, or */resource',
      '[0] "!kube-system/*": lacks: it is for the verb list, and the request for get',
      '[1] resource: lacks: match[0] has the type "Role", which is not user, group, project or role, which is nobody',
      '[2] "*/*": lacks: users.projects is empty, which is nobody',
      '[3] resource: inert: it needs both version and namespace. Write "*" for any API group, any namespace',
      '[4] "*/nodes@core": lacks: users.roles asks for ops; the roles of the user: member',
      '[4] "a/pods/log": lacks: users.roles asks for ops; the roles of the user: member',
      '[4] resource: inert: resource_permissions stands in the same policy and hides it',
      '[5] resource: lacks: match[0] asks for devs; the groups of the user: p-1, system:authenticated',
    ])
  })

  const firsts: readonly [string, Parameters<typeof asks>[1], string, string][] = [
    ['list kube-system/pods', undefined, '"!kube-system/*"', 'it leaves out the namespace kube-system'],
    [
      'list pods',
      undefined,
      '"!kube-system/*"',
      'the request has no namespace, which only a * that stands alone covers',
    ],
    ['get dev/pods', undefined, '"default/pods"', 'it is for the namespace default, and the request for dev'],
    [
      'get -/apps:nodes',
      { project: 'x', roles: ['ops'] },
      '@core',
      'it is for the API group core, and the request for apps',
    ],
    [
      'get a/pods',
      { project: 'x', roles: ['ops'] },
      'a/pods/log',
      'it is for subresources of pods, and the request for pods',
    ],
    [
      'get a/pods/exec',
      { project: 'x', roles: ['ops'] },
      'a/pods/log',
      'it is for the subresource log, and the request for exec',
    ],
    ['get a/pods', { groups: ['devs'] }, '[5]', 'match[1] asks for joe; the name and id of the user: jane, u-1'],
    [
      'get a/pods',
      { groups: ['devs'], username: 'joe' },
      '[5]',
      'it is for the API group apps, and the request for core',
    ],
    ['get a/apps:pods', { groups: ['devs'], username: 'joe' }, '[5]', 'it names no verb, which covers nothing'],
    [
      'get a/apps:pods/log',
      { groups: ['devs'], username: 'joe' },
      '[5]',
      'it is for pods, and the request for pods/*, pods/log',
    ],
    ['get /healthz', undefined, 'nonresource', 'it is for paths that begin with /api/, and the request for /healthz'],
    ['post /healthz', undefined, '"/healthz"', 'it is for the verb get, and the request for post'],
    ['get /x', undefined, '"/healthz"', 'it is for the path /healthz, and the request for /x'],
  ]
  for (const [words, who, line, why] of firsts) {
    test(`${words}: ${why}`, () => {
      const found = explained(words, who).filter((text) => text.includes(line) && text.endsWith(why))
      assert.equal(found.length, 1, explained(words, who).join('\n'))
    })
  }

  test('who is not meant at all is told so', () => {
    assert.match(explain(policy, asks('get a/pods', { extra: null })).outOfScope ?? '', /has no extra/)
    assert.match(explain(policy, asks('get a/pods', { extra: { x: [] } })).outOfScope ?? '', /none of the keys/)
  })

  test('the nearest miss lacks least, and is one that somebody can satisfy', () => {
    const { nearest } = explain(policy, asks('get -/nodes', { project: 'y', roles: ['ops'] }))
    assert.equal(nearest?.line.key, '*/nodes@core')
    assert.equal(explain(policy, asks('get default/pods')).nearest, undefined)
  })
})

test('a line allows in the explanation if and only if the policy decides so, in every mode', () => {
  const modes = fc.constantFrom('compat', 'guarded', 'strict')
  fc.assert(
    fc.property(policies, fc.array(request, { minLength: 5, maxLength: 10 }), modes, (list, requests, subresources) => {
      const ready = compiled(list, { subresources, failOpenKeys: 'allow' })
      for (const attributes of requests) {
        const { lines, decision, nearest } = explain(ready, attributes)
        const allowing = lines.filter(({ verdict }) => verdict === 'allows')
        assert.deepEqual(decision, decide(ready, attributes))
        assert.equal(decision.kind === 'allow', isInScope(ready, attributes) && allowing.length > 0)
        if (decision.kind === 'allow') assert.ok(allowing.some(({ line }) => decision.reason.includes(line.name)))
        if (decision.kind === 'allow') assert.equal(nearest, undefined)
        for (const { verdict, why } of lines) assert.equal(why === undefined, verdict === 'allows')
      }
    }),
  )
})
