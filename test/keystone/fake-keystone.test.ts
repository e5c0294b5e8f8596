/** The fake behaves like the real one where other tests rely on it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keystoneSamples, startFakeKeystone } from '../support/fake-keystone.ts'
import { newCall, setUp } from './support.ts'

const login = (name: string, password: string) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    auth: { identity: { methods: ['password'], password: { user: { name, password, domain: { id: 'default' } } } } },
  }),
})

test('users log in with their password and get a token for what was set', async (t) => {
  const users = { alice: { password: 'alice-pw', project: 'demo', roles: ['member'], groups: ['k8s-devs'] } }
  const { keystone, client } = await setUp(t, { fake: { users } })
  const response = await fetch(`${keystone.url}/auth/tokens`, login('alice', 'alice-pw'))
  assert.equal(response.status, 201)
  const token = response.headers.get('x-subject-token') ?? ''
  const found = await client.validateToken(token, newCall())
  assert.equal(found?.scope.kind === 'project' && found.scope.name, 'demo')
  const groups = await client.listGroups(token, found?.user.id ?? '', newCall())
  assert.deepEqual(groups.kind === 'listed' && groups.groups.map(({ name }) => name), ['k8s-devs'])

  for (const [name, password] of [
    ['alice', 'wrong'],
    ['nobody', 'alice-pw'],
    ['__proto__', ''],
  ] as const) {
    assert.equal((await fetch(`${keystone.url}/auth/tokens`, login(name, password))).status, 401)
  }
})

test('a token revokes itself', async (t) => {
  const { keystone, client } = await setUp(t)
  const token = keystone.issue()
  const headers = { 'x-auth-token': token, 'x-subject-token': token }
  assert.equal((await fetch(`${keystone.url}/auth/tokens`, { method: 'DELETE', headers })).status, 204)
  assert.equal(await client.validateToken(token, newCall()), undefined)
})

test('refuses as the real one was recorded to', async (t) => {
  const keystone = await startFakeKeystone()
  t.after(() => keystone.close())
  const [alice, bob] = [keystone.issue({ user: 'alice' }), keystone.issue({ user: 'bob' })]
  const table: readonly (readonly [string, string, Record<string, string>])[] = [
    ['bad-no-headers', '/auth/tokens', {}],
    ['bad-garbage-both', '/auth/tokens', { 'x-auth-token': 'x', 'x-subject-token': 'x' }],
    ['bad-garbage-subject', '/auth/tokens', { 'x-auth-token': alice, 'x-subject-token': 'x' }],
    ['validate-by-other-user', '/auth/tokens', { 'x-auth-token': bob, 'x-subject-token': alice }],
    ['bad-groups-garbage', `/users/${keystone.userId('alice')}/groups`, { 'x-auth-token': 'x' }],
    ['groups-of-other-user', `/users/${keystone.userId('bob')}/groups`, { 'x-auth-token': alice }],
    ['not-found', '/nothing', {}],
  ]
  for (const [name, path, headers] of table) {
    const recorded = keystoneSamples().get(name)
    const response = await fetch(`${keystone.url}${path}`, { headers })
    assert.equal(response.status, recorded?.status, name)
    assert.equal(response.headers.get('content-type'), recorded?.headers?.['Content-Type'], name)
    assert.equal(response.headers.has('www-authenticate'), recorded?.headers?.['WWW-Authenticate'] !== undefined, name)
  }
})

test('stands below a prefix', async (t) => {
  const { keystone } = await setUp(t, { fake: { prefix: '/identity' } })
  const { client } = await setUp(t, { url: keystone.root })
  assert.notEqual(await client.validateToken(keystone.issue(), newCall()), undefined)
  assert.deepEqual(
    keystone.requests.map(({ path }) => path),
    ['/identity/', '/identity/v3/auth/tokens?nocatalog'],
  )
})
