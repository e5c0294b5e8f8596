import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Attributes } from '../../../src/authz/authorizer.ts'
import { decide } from '../../../src/authz/keystone-policy/decide.ts'
import { diffPolicies, type PolicyDiff } from '../../../src/authz/keystone-policy/diff.ts'
import { inWords } from '../../../src/authz/keystone-policy/examples.ts'
import { generateRequests } from '../../../src/authz/keystone-policy/generate.ts'
import { userInWords } from '../../../src/authz/keystone-policy/people-words.ts'
import { policies } from './arbitraries.ts'
import { compiled } from './support.ts'

const users = { projects: ['demo'], roles: ['member'] }
const one = (entries: object, who: object = users): object => ({ users: who, resource_permissions: entries })

const words = (changes: PolicyDiff['opened']): string[] =>
  changes.map(({ attributes }) => `${userInWords(attributes)}: ${inWords(attributes)}`)

describe('diff', () => {
  test('a policy does not differ from itself, nor from itself in another order', () => {
    const list = [one({ 'default/pods': ['get'] }), one({ '!kube-system/*': ['list'] }), one({ 'a/b@apps/c': ['x'] })]
    const { opened, closed, requests } = diffPolicies(compiled(list), compiled(list.toReversed()))
    assert.ok(requests > 100)
    assert.deepEqual([opened, closed], [[], []])
  })

  test('what is opened and what is closed', () => {
    const before = compiled([one({ 'default/pods': ['get'] })])
    const after = compiled([one({ 'default/pods': ['list'] })])
    const { opened, closed } = diffPolicies(before, after)
    assert.ok(words(opened).includes('project demo, role member: list default/pods'))
    assert.ok(words(closed).includes('project demo, role member: get default/pods'))
    assert.ok(words(opened).every((text) => text.startsWith('project demo, role member: list default/pods')))
  })

  const changes: readonly [string, object[], object[]][] = [
    [
      'a role more is needed',
      [one({ 'a/b': ['get'] })],
      [one({ 'a/b': ['get'] }, { ...users, roles: ['member', 'admin'] })],
    ],
    [
      'another project may as well',
      [one({ 'a/b': ['get'] })],
      [one({ 'a/b': ['get'] }, { ...users, projects: ['demo', 'x'] })],
    ],
    ['a namespace is no longer left out', [one({ "!['a','b']/c": ['get'] })], [one({ '!a/c': ['get'] })]],
    ['an API group', [one({ 'a/b@apps': ['get'] })], [one({ 'a/b': ['get'] })]],
    ['a subresource', [one({ 'a/b': ['get'] })], [one({ 'a/b': ['get'], 'a/b/exec': ['get'] })]],
    [
      'a path',
      [{ users, nonresource: { path: '/a/*', verbs: ['get'] } }],
      [{ users, nonresource: { path: '/a*', verbs: ['get'] } }],
    ],
    ['a guard that is gone', [one({ 'a/b': ['get'] })], [{ resource_permissions: { 'a/b': ['get'] } }]],
  ]
  for (const [title, before, after] of changes) {
    test(`finds that ${title}`, () => {
      const { opened, closed } = diffPolicies(compiled(before), compiled(after))
      assert.ok(opened.length + closed.length > 0)
    })
  }

  test('the mode of one policy against another', () => {
    const list = [one({ 'default/pods': ['get'] }), { resource_permissions: { 'a/b': ['get'] } }]
    const { opened, closed } = diffPolicies(compiled(list, { subresources: 'compat' }), compiled(list))
    assert.deepEqual(opened, [])
    assert.ok(words(closed).includes('project demo, role member: get default/pods/exec'))
    assert.ok(words(closed).includes('anybody: get a/b'), 'those who are not of Keystone')
  })
})

describe('generated requests', () => {
  const key = (request: Attributes): string => JSON.stringify([request, [...request.user.extra]])

  test('meet and miss every rule, within the limit, each once, and the same for the same seed', () => {
    const list = Array.from({ length: 300 }, (_, i) =>
      one({ [`ns${i}/r${i}`]: [`v${i}`] }, { projects: [`p${i}`], roles: ['member', `r${i}`] }),
    )
    const ready = compiled(list)
    const requests = generateRequests(ready, { limit: 15_000 })
    assert.equal(requests.length, 15_000)
    assert.equal(new Set(requests.map(key)).size, requests.length)
    assert.deepEqual(generateRequests(ready, { limit: 15_000 }).map(key), requests.map(key))
    const allowedBy = new Set(
      requests
        .map((request) => decide(ready, request))
        .flatMap(({ kind, reason }) => (kind === 'allow' ? [reason] : [])),
    )
    assert.equal(allowedBy.size, 300)
  })

  test('of any policy there are some that nothing allows', () => {
    fc.assert(
      fc.property(policies, (list) => {
        const ready = compiled(list)
        const requests = generateRequests(ready, { limit: 2000 })
        assert.ok(requests.some((request) => decide(ready, request).kind === 'no-opinion'))
      }),
      { numRuns: 30 },
    )
  })
})
