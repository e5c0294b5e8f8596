import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compilePolicy } from '../../../src/authz/keystone-policy/compile.ts'
import { decide } from '../../../src/authz/keystone-policy/decide.ts'
import { keystonePolicy } from '../../../src/authz/keystone-policy/keystone-policy.ts'
import { parsePolicy } from '../../../src/authz/keystone-policy/parse.ts'
import type { CallContext } from '../../../src/context.ts'
import { asks, asksPath, compiled } from './support.ts'

const users = { projects: ['demo'], roles: ['member'] }
const policy = [
  null,
  { users, resource_permissions: { 'default/pods': ['get', 'list'], 'default/pods/exec': ['get'] } },
  {
    resource: { verbs: ['get'], resources: ['secrets'], version: '*', namespace: 'a' },
    match: [{ type: 'role', values: ['member'] }],
  },
  { users, nonresource_permissions: { '/healthz': ['get'] } },
  { users, nonresource: { verbs: ['get'], path: '/api/*' } },
]

describe('the reason names the rule, and nothing else of the policy', () => {
  const table = [
    [asks('get default/pods'), 'Keystone policy: allowed by policy.json[1] "default/pods"'],
    [asks('get default/pods/exec'), 'Keystone policy: allowed by policy.json[1] "default/pods/exec"'],
    [asks('get a/secrets'), 'Keystone policy: allowed by policy.json[2] resource'],
    [asksPath('get /healthz'), 'Keystone policy: allowed by policy.json[3] "/healthz"'],
    [asksPath('get /api/v1'), 'Keystone policy: allowed by policy.json[4] nonresource'],
    [asks('delete a/secrets'), 'Keystone policy: no rule allows this'],
    [asks('get a/secrets', { extra: null }), 'Keystone policy: not about identities without extra'],
    [asks('get a/secrets', { extra: { x: ['y'] } }), 'Keystone policy: not about this identity'],
  ] as const
  for (const [request, reason] of table) {
    test(reason, () => assert.equal(decide(compiled(policy), request).reason, reason))
  }

  test('a long key is cut, a line break in it escaped', () => {
    const key = `!['${'x'.repeat(300)}',\n'y']/pods`
    const { reason = '' } = decide(compiled([{ users, resource_permissions: { [key]: ['get'] } }]), asks('get a/pods'))
    assert.ok(reason.length < 140, reason)
    assert.ok(!reason.includes('\n'))
  })

  test('of several texts each has its name', () => {
    const one = parsePolicy('[]', { where: 'one' })
    const two = parsePolicy(JSON.stringify(policy), { where: 'two' })
    const both = compilePolicy([one, two])
    assert.equal(decide(both, asks('get default/pods')).reason, 'Keystone policy: allowed by two[1] "default/pods"')
  })
})

describe('selectors', () => {
  const ready = compiled(policy)
  const judged = / \(judged on verb and resource, whatever the selector\)$/
  const requirements = { requirements: [{ key: 'a', operator: 'Exists' }] }
  for (const selector of [{ fieldSelector: requirements }, { labelSelector: { rawSelector: 'a=b' } }]) {
    test(`change no decision, and the reason says so: ${JSON.stringify(selector)}`, () => {
      const allowed = decide(ready, { ...asks('list default/pods'), ...selector })
      assert.equal(allowed.kind, 'allow')
      assert.match(allowed.reason ?? '', judged)
      const refused = decide(ready, { ...asks('delete default/pods'), ...selector })
      assert.equal(refused.kind, 'no-opinion')
      assert.match(refused.reason ?? '', judged)
    })
  }
  for (const selector of [{ fieldSelector: {} }, { labelSelector: { requirements: [], rawSelector: '' } }]) {
    test(`empty ones are none: ${JSON.stringify(selector)}`, () => {
      assert.doesNotMatch(decide(ready, { ...asks('list default/pods'), ...selector }).reason ?? '', judged)
    })
  }
})

describe('the authorizer', () => {
  const ctx: CallContext = {
    requestId: '1',
    signal: new AbortController().signal,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    audiences: [],
  }

  test('allows or has no opinion', async () => {
    const authorizer = keystonePolicy({ policy: () => compiled(policy) })
    assert.equal(authorizer.name, 'keystone-policy')
    assert.equal((await authorizer.authorize(asks('get default/pods'), ctx)).kind, 'allow')
    assert.equal((await authorizer.authorize(asks('delete default/pods'), ctx)).kind, 'no-opinion')
  })

  test('asks for the policy in force at each request', async () => {
    let current = compiled([])
    const authorizer = keystonePolicy({ policy: () => current })
    assert.equal((await authorizer.authorize(asks('get default/pods'), ctx)).kind, 'no-opinion')
    current = compiled(policy)
    assert.equal((await authorizer.authorize(asks('get default/pods'), ctx)).kind, 'allow')
  })

  test('with hardDeny denies Keystone users, and nobody else', async () => {
    const authorizer = keystonePolicy({ policy: () => compiled(policy), hardDeny: true })
    const decided = async (request: Parameters<typeof authorizer.authorize>[0]): Promise<string> =>
      (await authorizer.authorize(request, ctx)).kind
    assert.equal(await decided(asks('get default/pods')), 'allow')
    assert.equal(await decided(asks('delete default/pods')), 'deny')
    assert.equal(await decided(asks('delete default/pods', { extra: null })), 'no-opinion')
    assert.equal(await decided(asks('delete default/pods', { extra: { x: ['y'] } })), 'no-opinion')
  })
})
