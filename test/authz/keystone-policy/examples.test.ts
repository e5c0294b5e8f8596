import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compilePolicy } from '../../../src/authz/keystone-policy/compile.ts'
import { requestsOf, runExamples } from '../../../src/authz/keystone-policy/examples.ts'
import { parsePolicy } from '../../../src/authz/keystone-policy/parse.ts'
import { InvalidDocumentError } from '../../../src/errors.ts'
import { IDENTITY } from './support.ts'

const YAML = `
policies:
  - users: { projects: [demo], roles: [member] }
    resource_permissions:
      default/pods: [get, list]
    nonresource_permissions:
      /healthz: [get]
examples:
  - name: members look
    user: { name: jane, project: demo, roles: [member] }
    verb: [get, list]
    resource: [pods, pods/log]
    namespace: default
    expect: allow
  - name: members do not get a shell
    user: { name: jane, project: demo, roles: [member] }
    verb: get
    resource: pods/exec
    namespace: default
    expect: deny
  - user: system:serviceaccount:dev:builder
    verb: get
    path: /healthz
    expect: allow
`

function results(text: string): string[] {
  const document = parsePolicy(text, { where: 'policy.yaml' })
  return runExamples(compilePolicy(document), document.examples).map(
    ({ title, passed, expected, decision }) => `${passed ? 'ok' : 'FAILED'} ${title}: ${expected}, ${decision.kind}`,
  )
}

test('every combination of an example is a request of its own', () => {
  assert.deepEqual(results(YAML), [
    'ok members look: get default/pods: allow, allow',
    'ok members look: get default/pods/log: allow, allow',
    'ok members look: list default/pods: allow, allow',
    'ok members look: list default/pods/log: allow, allow',
    'ok members do not get a shell: no-opinion, no-opinion',
    'FAILED examples[2]: system:serviceaccount:dev:builder: get /healthz: allow, no-opinion',
  ])
})

test('a user is what authentication makes of it', () => {
  const user = {
    name: 'jane',
    uid: 'u',
    groups: ['devs'],
    project: 'demo',
    projectId: 'p-1',
    roles: ['member'],
    domain: 'Default',
    domainId: 'default',
    extra: { other: ['x'] },
  }
  const example = {
    user,
    verb: 'get',
    resource: 'deployments/scale',
    apiGroup: 'apps',
    objectName: 'web',
    expect: 'allow',
  }
  const [parsed] = parsePolicy(JSON.stringify({ policies: [], examples: [example] })).examples
  assert.ok(parsed)
  const [request] = requestsOf(parsed)
  assert.deepEqual(request, {
    kind: 'resource',
    verb: 'get',
    group: 'apps',
    version: '',
    resource: 'deployments',
    subresource: 'scale',
    namespace: '',
    name: 'web',
    extraPresent: true,
    user: {
      username: 'jane',
      uid: 'u',
      groups: ['devs', 'p-1'],
      extra: new Map([
        ['other', ['x']],
        [`${IDENTITY}/project/id`, ['p-1']],
        [`${IDENTITY}/project/name`, ['demo']],
        [`${IDENTITY}/roles`, ['member']],
        [`${IDENTITY}/user/domain/id`, ['default']],
        [`${IDENTITY}/user/domain/name`, ['Default']],
      ]),
    },
  })
})

test('without facts there is no extra, and an empty one where it is written', () => {
  const parse = (user: unknown): boolean | undefined => {
    const text = JSON.stringify({ policies: [], examples: [{ user, verb: 'get', path: '/', expect: 'allow' }] })
    const [example] = parsePolicy(text).examples
    return example && requestsOf(example)[0]?.extraPresent
  }
  assert.equal(parse('joe'), false)
  assert.equal(parse({ name: 'joe', groups: ['g'] }), false)
  assert.equal(parse({ name: 'joe', extra: {} }), true)
  assert.equal(parse({ roles: [] }), true)
})

describe('a mistake in an example is a mistake, lest it prove nothing', () => {
  const good = { user: 'jane', verb: 'get', resource: 'pods', expect: 'allow' }
  const bad: readonly [object, RegExp][] = [
    [{ ...good, verbs: ['get'] }, /examples\[0\]: has "verbs"; expected an example with/],
    [{ ...good, user: { name: 'x', rols: [] } }, /examples\[0\]\.user: has "rols"; expected a user/],
    [{ ...good, user: 7 }, /examples\[0\]\.user: expected a user/],
    [{ ...good, verb: [] }, /examples\[0\]\.verb: expected at least one/],
    [{ ...good, verb: 7 }, /examples\[0\]\.verb: expected text, or a list of text/],
    [{ ...good, expect: 'yes' }, /examples\[0\]\.expect: expected allow or no-opinion/],
    [{ ...good, path: '/x' }, /needs either resource or path/],
    [{ user: 'jane', verb: 'get', expect: 'allow' }, /needs either resource or path/],
    [{ user: 'jane', verb: 'get', path: '/x', namespace: 'a', expect: 'allow' }, /go with resource/],
    [{ ...good, user: { roles: 'member' } }, /examples\[0\]\.user\.roles: expected a list of text/],
  ]
  for (const [example, message] of bad) {
    test(JSON.stringify(example), () => {
      assert.throws(
        () => parsePolicy(JSON.stringify({ policies: [], examples: [example] })),
        (thrown) => thrown instanceof InvalidDocumentError && message.test(thrown.message),
      )
    })
  }
  test('a key twice as well', () => {
    assert.throws(() => parsePolicy('{"policies": [], "examples": [{"user": "a", "user": "b"}]}'), /stands twice/)
  })
})
