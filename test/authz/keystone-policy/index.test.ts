import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Attributes } from '../../../src/authz/authorizer.ts'
import { decide } from '../../../src/authz/keystone-policy/decide.ts'
import type { Index } from '../../../src/authz/keystone-policy/index-build.ts'
import { type Request, toRequest } from '../../../src/authz/keystone-policy/request.ts'
import { asks, asksPath, compiled } from './support.ts'

/** How many grants a request meets on its way, allowed or not. */
function met(index: Index | undefined, request: Request): number {
  if (index === undefined) return 0
  if (index.kind === 'leaf') return index.grants.length
  const { dimension, children, excluded, others, any, lengths } = index
  const value = dimension === 'prefix' ? lengths.map((length) => request.path.slice(0, length)) : request[dimension]
  const names = typeof value === 'string' ? [value] : value
  const byName = names.reduce((sum, name) => sum + met(children.get(name), request), 0)
  return byName + (names.some((name) => excluded.has(name)) ? 0 : met(others, request)) + met(any, request)
}

function size(index: Index | undefined): number {
  if (index === undefined) return 0
  if (index.kind === 'leaf') return index.grants.length
  return [...index.children.values(), index.others, index.any].reduce((sum, child) => sum + size(child), 0)
}

const ROLES = ['member', 'reader', 'admin', 'ops']
const member = { projects: ['demo'], roles: ['member'] }
const rules = (make: (i: number) => object, n = 4000): object[] => Array.from({ length: n }, (_, i) => make(i))
const one = (users: object, key: string, verbs = ['get', 'list']): object => ({
  users,
  resource_permissions: { [key]: verbs },
})

describe('T-W14 of 4,000 rules a request meets a handful', () => {
  const table: readonly [string, object[], readonly Attributes[]][] = [
    [
      'projects with four roles each',
      rules((i) => one({ projects: [`p${i >> 2}`], roles: [ROLES[i & 3]] }, `ns${i >> 2}/['pods','services']`)),
      [asks('get ns7/pods', { project: 'p7' }), asks('delete ns7/pods', { project: 'p7', roles: ROLES })],
    ],
    [
      'one project with a role for each rule',
      rules((i) => one({ projects: ['demo'], roles: [`r${i}`] }, 'default/pods')),
      [asks('get default/pods', { roles: ['r7', 'r8'] }), asks('list default/pods')],
    ],
    [
      'pairs of roles, each of them frequent',
      rules((i) => one({ projects: ['demo'], roles: [`a${i % 100}`, `b${Math.floor(i / 100)}`] }, '*/*')),
      [asks('get x/pods', { roles: ['a1', 'a2', 'b1', 'b2'] })],
    ],
    [
      'one role with a namespace for each rule',
      rules((i) => one(member, `ns${i}/pods`)),
      [asks('get ns7/pods'), asks('get other/pods'), asks('list pods')],
    ],
    [
      'one namespace with a resource for each rule',
      rules((i) => one(member, `default/r${i}`)),
      [asks('get default/r7'), asks('get default/r7/log'), asks('get default/r7/exec'), asks('get default/other')],
    ],
    [
      'exceptions that all rules share',
      rules((i) => one(member, `!['kube-system','kube-public']/r${i}`)),
      [asks('get x/r7'), asks('get kube-system/r7'), asks('list r7')],
    ],
    [
      'nothing but exceptions, each its own: asked for something else',
      rules((i) => one(member, `!ns${i}/pods`)),
      [asks('delete x/pods'), asks('get x/services'), asks('list pods'), asks('get x/pods', { roles: ['other'] })],
    ],
    [
      'version 1 with match',
      rules((i) => ({
        resource: {
          verbs: ['get', 'list', 'watch'],
          resources: ['pods', 'pods/log'],
          version: '*',
          namespace: `ns${i >> 2}`,
        },
        match: [
          { type: 'role', values: [ROLES[i & 3], `k8s-${ROLES[i & 3]}`] },
          { type: 'project', values: [`p${i >> 2}`] },
        ],
      })),
      [
        asks('get ns7/pods', { project: 'p7' }),
        asks('get ns7/pods/log', { project: 'p7' }),
        asks('get ns7/pods/exec', { project: 'p7' }),
      ],
    ],
    [
      'version 1 with users and groups',
      rules((i) => ({
        resource: { verbs: ['*'], resources: ['*'], version: '*', namespace: '*' },
        match: [i % 2 === 0 ? { type: 'user', values: [`u${i}`] } : { type: 'group', values: [`g${i}`] }],
      })),
      [asks('get x/y', { username: 'u6' }), asks('get x/y', { groups: ['g7', 'g9'] }), asks('get x/y')],
    ],
    [
      'paths and beginnings of paths',
      rules((i) => ({ users: member, nonresource: { path: i % 2 === 0 ? `/a/${i}` : `/a/${i}/*`, verbs: ['get'] } })),
      [asksPath('get /a/6'), asksPath('get /a/7/x/y'), asksPath('get /a/7'), asksPath('post /a/6')],
    ],
  ]
  for (const [title, list, requests] of table) {
    test(title, () => {
      const { resources, paths } = compiled(list)
      for (const request of requests) {
        const reached = met(request.kind === 'resource' ? resources : paths, toRequest(request))
        assert.ok(reached <= 32, `${reached} grants met`)
      }
      assert.ok(size(resources) + size(paths) <= 4000 * 25, 'copies are bounded')
    })
  }
})

test('T-W15 lists in every place do not multiply', () => {
  const names = (letter: string, n: number, from: number): string =>
    `['${Array.from({ length: n }, (_, k) => `${letter}${(from + k) % 300}`).join("','")}']`
  const list = rules((i) => {
    const users = { projects: Array.from({ length: 30 }, (_, k) => `p${(i + k) % 200}`), roles: ['member'] }
    const verbs = Array.from({ length: 30 }, (_, k) => `v${(i + k) % 100}`)
    return { users, resource_permissions: { [`${names('n', 40, i)}/${names('r', 40, i * 7)}`]: verbs } }
  }, 500)
  const ready = compiled(list)
  assert.ok(size(ready.resources) <= 500 * 25)
  assert.equal(decide(ready, asks('v5 n5/r5', { project: 'p5' })).kind, 'allow')
})

test('T-W15 thousands of roles for each of many rules make no deep tree', () => {
  const roles = Array.from({ length: 5000 }, (_, i) => `r${i}`)
  const ready = compiled(rules(() => one({ projects: ['demo'], roles }, 'a/b'), 40))
  assert.equal(decide(ready, asks('get a/b', { roles })).kind, 'allow')
  assert.equal(decide(ready, asks('get a/b', { roles: roles.slice(1) })).kind, 'no-opinion')
})
