import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { CompileOptions } from '../../../src/authz/keystone-policy/compile.ts'
import { decide } from '../../../src/authz/keystone-policy/decide.ts'
import { asks, asksPath, compiled, IDENTITY, user, type Who } from './support.ts'

const COMPAT: CompileOptions = { subresources: 'compat' }
const users = { projects: ['demo'], roles: ['member'] }

/** Whether a member of demo may. */
function may(policy: object, words: string, options: CompileOptions = COMPAT, who?: Who): boolean {
  const request = words.includes(' /') ? asksPath(words, who) : asks(words, who)
  return decide(compiled([policy], options), request).kind === 'allow'
}

describe('halves of a key, in every mode', () => {
  // Which of the namespaces a, b and "no namespace" a half covers.
  const table: readonly [string, string][] = [
    ['a', 'a'],
    [' A ', 'a'],
    ['*', 'a b -'],
    ["['*']", 'a b'],
    ["['a','*']", 'a b'],
    ["['a','b']", 'a b'],
    ['["a"]', 'a'],
    ["[ 'a' , null ]", 'a'],
    ['!a', 'b'],
    ["!['a','c']", 'b'],
    ["!['a','b']", ''],
    ['!*', ''],
    ["!['*']", ''],
    ["!['a','*']", ''],
    ['[]', ''],
    ['', ''],
    ['[a,b]', ''],
    ['![a]', ''],
    ["['a'", ''],
    ["!['a'", ''],
    ["['a']b", ''],
    ["[['a']]", ''],
    ["['a',1]", ''],
    ["!['a',1]", ''],
    ['a*', ''],
    ['a,b', ''],
    // What its author did not mean: it excludes nothing.
    ['![]', 'a b'],
    ['!', 'a b'],
    ['!a*', 'a b'],
    ['!a,b', 'a b'],
    ['!!a', 'a b'],
    ["! ['a']", 'a b'],
    ["!['a ']", 'a b'],
  ]
  for (const [half, covered] of table) {
    for (const subresources of ['compat', 'guarded', 'strict'] as const) {
      test(`${JSON.stringify(half)} covers ${covered || 'nothing'} (${subresources})`, () => {
        const policy = { users, resource_permissions: { [`${half}/pods`]: ['get'] } }
        const options = { subresources, failOpenKeys: 'allow' } as const
        const found = [
          ...['a', 'b'].filter((namespace) => may(policy, `get ${namespace}/pods`, options)),
          ...(may(policy, 'get pods', options) ? ['-'] : []),
        ]
        assert.equal(found.join(' '), covered)
      })
    }
  }

  test('blanks and case are those of Unicode as Go has them', () => {
    assert.ok(may({ users, resource_permissions: { '\u0085a\u3000/\u00a0pods': ['get'] } }, 'get a/pods'))
    assert.ok(!may({ users, resource_permissions: { '\uFEFFa/pods': ['get'] } }, 'get a/pods'))
    assert.ok(may({ users, resource_permissions: { 'İ/pods': ['get'] } }, 'get i/pods'))
    assert.ok(may({ users, resource_permissions: { 'aΣ/pods': ['get'] } }, 'get aσ/pods'))
  })

  test('keys without one slash grant nothing in compat, those within brackets counted', () => {
    for (const key of ['pods', 'a/pods/log', "*/['pods','pods/log']", 'a//pods', '/', '']) {
      const policy = { users, resource_permissions: { [key]: ['*'] } }
      for (const words of ['get a/pods', 'get a/pods/log', 'get pods'])
        assert.ok(!may(policy, words), `${key}: ${words}`)
    }
  })

  test('a resource that is called * or nothing', () => {
    const policy = { users, resource_permissions: { "a/!['secrets']": ['get'] } }
    assert.ok(may(policy, 'get a/*'))
    const nothing = { ...asks('get a/x'), resource: '' }
    const allows = (key: string, mode: 'compat' | 'guarded'): boolean =>
      decide(compiled([{ users, resource_permissions: { [key]: ['get'] } }], { subresources: mode }), nothing).kind ===
      'allow'
    assert.deepEqual(
      ['a/pods', 'a/!pods', "a/['*']", 'a/*'].map((key) => allows(key, 'compat')),
      [true, true, true, true],
    )
    assert.deepEqual(
      ['a/pods', 'a/!pods', "a/['*']", 'a/*'].map((key) => allows(key, 'guarded')),
      [false, false, false, true],
    )
  })

  test('verbs of resources are lower-cased and not trimmed, verbs of paths neither', () => {
    assert.ok(may({ users, resource_permissions: { 'a/pods': ['GET'] } }, 'get a/pods'))
    assert.ok(!may({ users, resource_permissions: { 'a/pods': [' get'] } }, 'get a/pods'))
    assert.ok(!may({ users, nonresource_permissions: { '/healthz': ['GET'] } }, 'get /healthz'))
    assert.ok(!may({ users, nonresource_permissions: { '*': ['*'], '/api/*': ['*'] } }, 'get /api/v1'))
  })

  test('names that mean something to JavaScript are names', () => {
    for (const name of ['__proto__', 'constructor', 'prototype']) {
      const policy = {
        users: { projects: [name], roles: [name] },
        resource_permissions: { [`${name}/${name}`]: [name] },
      }
      assert.ok(may(policy, `${name} ${name}/${name}`, COMPAT, { project: name, roles: [name] }))
      assert.ok(!may(policy, `get a/pods`, COMPAT, { project: name, roles: [name] }))
      assert.ok(!may({ users, resource_permissions: { 'a/pods': ['get'] } }, `${name} a/pods`))
      assert.ok(
        !may({ users: { projects: ['x'] }, resource_permissions: { '*/*': ['*'] } }, 'get a/pods', COMPAT, {
          project: name,
        }),
      )
    }
  })
})

describe('users', () => {
  const anything = { resource_permissions: { '*/*': ['*'] } }
  const table: readonly [string, object | null, boolean][] = [
    ['absent: no restriction', null, true],
    ['empty: nobody', {}, false],
    ['without projects: nobody', { roles: ['member'] }, false],
    ['with empty projects: nobody', { roles: ['member'], projects: [] }, false],
    ['a project by name', { projects: ['demo'] }, true],
    ['a project by id', { projects: ['p-1'] }, true],
    ['a star is a name', { projects: ['*'] }, false],
    ['a role that is a star is a name', { projects: ['demo'], roles: ['*'] }, false],
    ['case counts', { projects: ['Demo'] }, false],
    ['every role is needed', { projects: ['demo'], roles: ['member', 'admin'] }, false],
  ]
  for (const [title, test_, allowed] of table) {
    test(title, () => assert.equal(may({ users: test_, ...anything }, 'get a/pods'), allowed))
  }
})

describe('match', () => {
  const rule = { resource: { verbs: ['get'], resources: ['pods'], version: '*', namespace: '*' } }
  const table: readonly [string, unknown, boolean][] = [
    ['absent: everybody', undefined, true],
    ['empty: everybody', [], true],
    ['a null entry: nobody', [null], false],
    ['no values: nobody', [{ type: 'role' }], false],
    ['an unknown type: nobody, a star notwithstanding', [{ type: 'Role', values: ['*'] }], false],
    ['a star: everybody', [{ type: 'group', values: ['*'] }], true],
    ['the name of the user', [{ type: 'user', values: ['jane'] }], true],
    ['the id of the user', [{ type: 'user', values: ['u-1'] }], true],
    [
      'two entries are both needed',
      [
        { type: 'role', values: ['member'] },
        { type: 'role', values: ['admin'] },
      ],
      false,
    ],
    ['an empty value is nobody', [{ type: 'user', values: [''] }], false],
  ]
  for (const [title, match, allowed] of table) {
    test(title, () => assert.equal(may({ ...rule, match }, 'get a/pods'), allowed))
  }

  test('an empty value is not the one who has no id, no name', () => {
    const policy = { ...rule, match: [{ type: 'user', values: [''] }] }
    assert.ok(!may(policy, 'get a/pods', COMPAT, { uid: '', username: '' }))
  })

  test('does not guard version 2 maps in compat, and does otherwise', () => {
    const policy = {
      match: [{ type: 'role', values: ['admin'] }],
      resource_permissions: { '*/*': ['*'] },
      nonresource_permissions: { '/x': ['*'] },
    }
    for (const words of ['get a/pods', 'get /x']) {
      assert.ok(may(policy, words))
      assert.ok(!may(policy, words, {}))
      assert.ok(!may(policy, words, { subresources: 'compat', matchGuardsVersion2: true }))
      assert.ok(may(policy, words, {}, { roles: ['admin'] }))
    }
  })
})

describe('version 1 rules that lack something allow nothing, and the request is answered', () => {
  const full = { verbs: ['*'], resources: ['*'], version: '*', namespace: '*' }
  for (const field of Object.keys(full)) {
    for (const value of [undefined, null]) {
      test(`${field}: ${value}`, () => assert.ok(!may({ resource: { ...full, [field]: value } }, 'get a/pods')))
    }
  }
  test('an empty verb switches a path rule off', () => {
    assert.ok(!may({ nonresource: { verbs: ['*', ''], path: '*' } }, 'get /x'))
  })
})

describe('who the rules are about', () => {
  const open = { resource_permissions: { '*/*': ['*'] } }
  const serviceAccount = { extra: { 'authentication.kubernetes.io/credential-id': ['JTI=1'] } }
  test('nobody without extra, in any mode', () => {
    for (const subresources of ['compat', 'guarded', 'strict'] as const) {
      assert.ok(!may(open, 'get a/pods', { subresources }, { extra: null }))
    }
  })
  test('an extra is enough in compat, be it empty', () => {
    assert.ok(may(open, 'get a/pods', COMPAT, serviceAccount))
    assert.ok(may(open, 'get a/pods', COMPAT, { extra: {} }))
    assert.ok(!may(open, 'get a/pods', { ...COMPAT, requireKeystoneIdentity: true }, serviceAccount))
  })
  test('otherwise one of the keys of Keystone is needed, with a value', () => {
    assert.ok(!may(open, 'get a/pods', {}, serviceAccount))
    assert.ok(!may(open, 'get a/pods', {}, { extra: { [`${IDENTITY}/roles`]: [] } }))
    assert.ok(may(open, 'get a/pods', { requireKeystoneIdentity: false }, serviceAccount))
    for (const key of ['project/id', 'project/name', 'roles', 'user/domain/id', 'user/domain/name']) {
      assert.ok(may(open, 'get a/pods', {}, { extra: { [`${IDENTITY}/${key}`]: ['x'] } }), key)
    }
  })
  test('an empty list is an absent key', () => {
    assert.equal(user({ extra: { [`${IDENTITY}/project/id`]: [] } }).user.extra.size, 1)
    assert.ok(
      !may({ users: { projects: [''] }, ...open }, 'get a/pods', COMPAT, { extra: { [`${IDENTITY}/project/id`]: [] } }),
    )
  })
})
