import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ArchwayError } from '../../src/errors.ts'
import { parseJson } from '../../src/keystone/json.ts'
import { type KeystoneScope, readToken } from '../../src/keystone/token.ts'
import { assertNoCanary } from './support.ts'

const TARGET = { name: 'GET https://keystone.example/v3/auth/tokens', tls: true, trust: 'system' } as const
const DOMAIN = { id: 'default', name: 'Default' }
const PROJECT = { id: 'p1', name: 'demo', domain: DOMAIN }
const TOKEN = {
  user: { id: 'u1', name: 'alice', domain: DOMAIN, password_expires_at: null },
  methods: ['password'],
  audit_ids: ['a1'],
  expires_at: '2026-11-21T18:50:25.000000Z',
  issued_at: '2026-11-21T17:50:25.000000Z',
}
const ROLES = [{ id: 'r1', name: 'member' }]
const read = (token: unknown) => readToken({ token }, TARGET)

describe('the scope of a token', () => {
  const scopes: readonly (readonly [string, object, KeystoneScope['kind']])[] = [
    ['nothing', {}, 'unscoped'],
    ['an empty list of roles', { roles: [] }, 'unscoped'],
    ['a project', { project: PROJECT, roles: ROLES, is_domain: false }, 'project'],
    ['a project without roles', { project: PROJECT }, 'project'],
    ['a project that acts as a domain', { project: PROJECT, roles: ROLES, is_domain: true }, 'project'],
    ['a domain', { domain: DOMAIN, roles: ROLES }, 'domain'],
    ['the system', { system: { all: true }, roles: ROLES }, 'system'],
    ['a part of the system', { system: { all: false }, roles: ROLES }, 'unknown'],
    ['a system of nothing', { system: {}, roles: ROLES }, 'unknown'],
    ['a project and the system', { project: PROJECT, system: { all: true }, roles: ROLES }, 'unknown'],
    ['a project and a domain', { project: PROJECT, domain: DOMAIN, roles: ROLES }, 'unknown'],
    ['a domain and the system', { domain: DOMAIN, system: { all: true } }, 'unknown'],
    ['roles for something not known here', { region: { id: 'x' }, roles: ROLES }, 'unknown'],
    ['a project, bound to a certificate', { project: PROJECT, oauth2_credential: { 'x5t#S256': 'x' } }, 'unknown'],
    ['a project, bound to a ticket', { project: PROJECT, bind: { kerberos: 'alice' } }, 'unknown'],
    [
      'a project, with access rules',
      {
        project: PROJECT,
        application_credential: { id: 'c', name: 'c', restricted: true, access_rules: [{ path: '/v2.1/servers' }] },
      },
      'unknown',
    ],
  ]
  for (const [name, members, kind] of scopes) {
    test(`${name}: ${kind}`, () => assert.equal(read({ ...TOKEN, ...members }).scope.kind, kind))
  }

  test('notes a project that acts as a domain', () => {
    const { scope } = read({ ...TOKEN, project: PROJECT, is_domain: true })
    assert.equal(scope.kind === 'project' && scope.isDomain, true)
  })
})

test('a trust is noted, with whose roles they are', () => {
  const trust = {
    id: 't1',
    impersonation: true,
    trustor_user: { id: 'u1', links: {} },
    trustee_user: { id: 'u2' },
    redelegation_count: 0,
  }
  const token = read({ ...TOKEN, project: PROJECT, roles: ROLES, 'OS-TRUST:trust': trust })
  assert.deepEqual(token.trust, { id: 't1', impersonation: true, trustorUserId: 'u1', trusteeUserId: 'u2' })
})

test('a federated user is told apart', () => {
  const federation = { identity_provider: { id: 'idp' }, protocol: { id: 'saml2' }, groups: [{ id: 'g1' }] }
  assert.equal(read({ ...TOKEN, user: { ...TOKEN.user, 'OS-FEDERATION': federation } }).federated, true)
})

test('names are returned exactly as they are', () => {
  const name = ' System:Masters\u202e "é" '
  assert.equal(read({ ...TOKEN, user: { ...TOKEN.user, name } }).user.name, name)
})

describe('an answer that is not the Identity API is refused by its place (T-W15)', () => {
  const wrong: readonly (readonly [string, unknown, string])[] = [
    ['no token', undefined, 'token'],
    ['token null', null, 'token'],
    ['token a text', 'canary', 'token'],
    ['token a list', [TOKEN], 'token'],
    ['no user', { ...TOKEN, user: undefined }, 'token.user'],
    ['user a text', { ...TOKEN, user: 'canary' }, 'token.user'],
    ['a user without id', { ...TOKEN, user: { name: 'canary', domain: DOMAIN } }, 'token.user.id'],
    ['an empty user id', { ...TOKEN, user: { ...TOKEN.user, id: '' } }, 'token.user.id'],
    ['a user id with half a character', { ...TOKEN, user: { ...TOKEN.user, id: 'x\ud800' } }, 'token.user.id'],
    ['a user id of dots', { ...TOKEN, user: { ...TOKEN.user, id: '..' } }, 'token.user.id'],
    ['a user id that is a number', { ...TOKEN, user: { ...TOKEN.user, id: 7 } }, 'token.user.id'],
    ['a user name null', { ...TOKEN, user: { ...TOKEN.user, name: null } }, 'token.user.name'],
    ['an empty user name', { ...TOKEN, user: { ...TOKEN.user, name: '' } }, 'token.user.name'],
    ['a user without domain', { ...TOKEN, user: { id: 'u1', name: 'canary' } }, 'token.user.domain'],
    ['no methods', { ...TOKEN, methods: undefined }, 'token.methods'],
    ['methods that are none', { ...TOKEN, methods: ['password', 1] }, 'token.methods.1'],
    ['no audit ids', { ...TOKEN, audit_ids: undefined }, 'token.audit_ids'],
    ['no end', { ...TOKEN, expires_at: undefined }, 'token.expires_at'],
    ['end null', { ...TOKEN, expires_at: null }, 'token.expires_at'],
    ['an end without its zone', { ...TOKEN, expires_at: '2026-11-21T18:50:25.000000' }, 'token.expires_at'],
    ['an end that is no day', { ...TOKEN, expires_at: '2026-13-41T18:50:25Z' }, 'token.expires_at'],
    ['an end in words', { ...TOKEN, expires_at: 'canary' }, 'token.expires_at'],
    ['an end in seconds', { ...TOKEN, expires_at: 1795287025 }, 'token.expires_at'],
    ['no beginning', { ...TOKEN, issued_at: undefined }, 'token.issued_at'],
    ['project null', { ...TOKEN, project: null }, 'token.project'],
    ['a project without id', { ...TOKEN, project: { name: 'canary', domain: DOMAIN } }, 'token.project.id'],
    ['a project without domain', { ...TOKEN, project: { id: 'p', name: 'canary' } }, 'token.project.domain'],
    ['roles as texts', { ...TOKEN, project: PROJECT, roles: ['canary'] }, 'token.roles.0'],
    ['roles as a map', { ...TOKEN, project: PROJECT, roles: { canary: 1 } }, 'token.roles'],
    ['a role without name', { ...TOKEN, project: PROJECT, roles: [{ id: 'canary' }] }, 'token.roles.0.name'],
    ['system a flag', { ...TOKEN, system: true }, 'token.system'],
    [
      'a trust without parties',
      { ...TOKEN, 'OS-TRUST:trust': { id: 't', impersonation: true } },
      'token.OS-TRUST:trust.trustor_user',
    ],
    [
      'a credential that says nothing of its limits',
      { ...TOKEN, application_credential: { id: 'c', name: 'c' } },
      'token.application_credential.restricted',
    ],
  ]
  for (const [name, token, path] of wrong) {
    test(name, () => {
      assert.throws(
        () => read(token),
        (error) => {
          assert(error instanceof ArchwayError)
          assert.equal(error.code, 'keystone_answer_invalid')
          assert(error.message.includes(`: ${path} is missing or of the wrong type`), error.message)
          assertNoCanary(error)
          return true
        },
      )
    })
  }

  test('whatever it is, it is refused or parsed', () => {
    const member = fc.oneof(fc.jsonValue(), fc.constantFrom(PROJECT, DOMAIN, ROLES, '2026-11-21T18:50:25Z', ['a']))
    const token = fc.dictionary(fc.constantFrom(...Object.keys(TOKEN), 'project', 'domain', 'system', 'roles'), member)
    fc.assert(
      fc.property(token, fc.boolean(), (members, whole) => {
        try {
          const { user, scope } = read(whole ? { ...TOKEN, ...members } : members)
          assert.equal(typeof user.id, 'string')
          assert.notEqual(scope.kind, '')
        } catch (error) {
          assert(error instanceof ArchwayError)
        }
      }),
    )
  })
})

test('__proto__ in an answer changes nothing (T-H13)', () => {
  const text = JSON.stringify({ token: TOKEN }).replace(
    '{"token":{',
    '{"__proto__":{"x":1},"token":{"__proto__":{"roles":[{"name":"admin"}],"project":{}},',
  )
  const token = readToken(parseJson(text), TARGET)
  assert.deepEqual(token.roles, [])
  assert.equal(token.scope.kind, 'unscoped')
  assert.equal(Object.getPrototypeOf(token.user), Object.prototype)
})
