/** Every method with every scope, as Keystone is to receive it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ArchwayError } from '../../../src/errors.ts'
import { authRequest } from '../../../src/keystone/login/auth-request.ts'
import type { LoginMethod, LoginScope } from '../../../src/keystone/login/login-request.ts'
import { Secret } from '../../../src/secret.ts'

const byName = { name: 'alice', domain: { name: 'Default' } }
const byDomainId = { name: 'alice', domain: { id: 'default' } }
const pw = new Secret('pw')

const METHODS: readonly (readonly [string, LoginMethod, object])[] = [
  ['a password, by name', { method: 'password', user: byName, password: pw }, { user: { ...byName, password: 'pw' } }],
  [
    'a password, by name and domain id',
    { method: 'password', user: byDomainId, password: pw },
    { user: { ...byDomainId, password: 'pw' } },
  ],
  [
    'a password, by id',
    { method: 'password', user: { id: 'u1' }, password: pw },
    { user: { id: 'u1', password: 'pw' } },
  ],
  ['a passcode, by name', { method: 'totp', user: byName, passcode: pw }, { user: { ...byName, passcode: 'pw' } }],
  ['a passcode, by id', { method: 'totp', user: { id: 'u1' }, passcode: pw }, { user: { id: 'u1', passcode: 'pw' } }],
  ['a token', { method: 'token', token: pw }, { id: 'pw' }],
  [
    'an application credential, by id',
    { method: 'application_credential', id: 'c1', secret: pw },
    { id: 'c1', secret: 'pw' },
  ],
  [
    'an application credential, by name',
    { method: 'application_credential', name: 'k8s', user: byName, secret: pw },
    { name: 'k8s', user: byName, secret: 'pw' },
  ],
]

const SCOPES: readonly (readonly [string, LoginScope, object])[] = [
  ['default', { scope: 'default' }, {}],
  ['unscoped', { scope: 'unscoped' }, { scope: 'unscoped' }],
  ['system', { scope: 'system' }, { scope: { system: { all: true } } }],
  ['project, by id', { scope: 'project', project: { id: 'p1' } }, { scope: { project: { id: 'p1' } } }],
  [
    'project, by name',
    { scope: 'project', project: { name: 'demo', domain: { id: 'default' } } },
    { scope: { project: { name: 'demo', domain: { id: 'default' } } } },
  ],
  ['domain, by id', { scope: 'domain', domain: { id: 'd1' } }, { scope: { domain: { id: 'd1' } } }],
  ['domain, by name', { scope: 'domain', domain: { name: 'heat' } }, { scope: { domain: { name: 'heat' } } }],
  ['trust', { scope: 'trust', id: 't1' }, { scope: { 'OS-TRUST:trust': { id: 't1' } } }],
]

for (const [methodName, method, proof] of METHODS) {
  describe(methodName, () => {
    for (const [scopeName, scope, scoped] of SCOPES) {
      test(`with scope ${scopeName}`, () => {
        const own = method.method === 'application_credential' // brings its scope, and is refused with another
        assert.deepEqual(JSON.parse(authRequest([method], scope)), {
          auth: { identity: { methods: [method.method], [method.method]: proof }, ...(own ? {} : scoped) },
        })
      })
    }
  })
}

test('several methods go together, in their order', () => {
  const methods: LoginMethod[] = [
    { method: 'password', user: byName, password: pw },
    { method: 'totp', user: byName, passcode: new Secret('123456') },
  ]
  assert.deepEqual(JSON.parse(authRequest(methods, { scope: 'default' })), {
    auth: {
      identity: {
        methods: ['password', 'totp'],
        password: { user: { ...byName, password: 'pw' } },
        totp: { user: { ...byName, passcode: '123456' } },
      },
    },
  })
})

test('what an object brings along stays here', () => {
  const user = { ...byName, note: 'x', domain: { name: 'Default', note: 'x' } }
  assert.doesNotMatch(authRequest([{ method: 'password', user, password: pw }], { scope: 'default' }), /note/)
})

test('no method, and one method twice, are refused before anything is sent', () => {
  const refused = (message: RegExp) => (error: unknown) => {
    assert(error instanceof ArchwayError && error.code === 'credential_settings_invalid')
    assert.match(error.message, message)
    return true
  }
  const password: LoginMethod = { method: 'password', user: byName, password: pw }
  assert.throws(() => authRequest([], { scope: 'default' }), refused(/no method/))
  assert.throws(() => authRequest([password, password], { scope: 'default' }), refused(/password is given twice/))
})
