import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hasCredentials, loginFrom } from '../../../src/keystone/login/environment.ts'
import type { LoginMethod, LoginScope } from '../../../src/keystone/login/login-request.ts'
import { Secret } from '../../../src/secret.ts'

const pw = new Secret('pw')
const user = { OS_USERNAME: 'alice', OS_PASSWORD: 'pw' }
const credential = { OS_APPLICATION_CREDENTIAL_SECRET: 'pw' }
const alice = { name: 'alice', domain: { id: 'default' } }

test('credentials are a token, an application credential, or a user with a password', () => {
  for (const env of [{ OS_TOKEN: 't' }, credential, user]) assert.equal(hasCredentials(env), true)
  for (const env of [{}, { OS_USERNAME: 'alice' }, { OS_PASSWORD: 'pw' }, { ...user, OS_PASSWORD: '' }]) {
    assert.equal(hasCredentials(env), false)
  }
})

describe('the login of an environment', () => {
  const table: readonly (readonly [string, Record<string, string>, LoginMethod, LoginScope])[] = [
    ['user and password', user, { method: 'password', user: alice, password: pw }, { scope: 'default' }],
    [
      'a user of a named domain, on a project of another',
      { ...user, OS_USER_DOMAIN_NAME: 'heat', OS_PROJECT_NAME: 'demo', OS_PROJECT_DOMAIN_ID: 'd1' },
      { method: 'password', user: { name: 'alice', domain: { name: 'heat' } }, password: pw },
      { scope: 'project', project: { name: 'demo', domain: { id: 'd1' } } },
    ],
    [
      'OS_DOMAIN_NAME, and a project of the old name',
      { ...user, OS_DOMAIN_NAME: 'heat', OS_TENANT_NAME: 'demo' },
      { method: 'password', user: { name: 'alice', domain: { name: 'heat' } }, password: pw },
      { scope: 'project', project: { name: 'demo', domain: { id: 'default' } } },
    ],
    [
      'ids before names',
      { ...user, OS_USER_DOMAIN_ID: 'd1', OS_USER_DOMAIN_NAME: 'x', OS_PROJECT_ID: 'p1', OS_PROJECT_NAME: 'x' },
      { method: 'password', user: { name: 'alice', domain: { id: 'd1' } }, password: pw },
      { scope: 'project', project: { id: 'p1' } },
    ],
    [
      'an application credential by id, whatever else is set',
      { ...credential, ...user, OS_APPLICATION_CREDENTIAL_ID: 'c1', OS_PROJECT_NAME: 'demo' },
      { method: 'application_credential', id: 'c1', secret: pw },
      { scope: 'default' },
    ],
    [
      'an application credential by name',
      { ...credential, OS_APPLICATION_CREDENTIAL_NAME: 'k8s', OS_USERNAME: 'alice' },
      { method: 'application_credential', name: 'k8s', user: alice, secret: pw },
      { scope: 'default' },
    ],
  ]
  for (const [name, env, method, scope] of table) {
    test(name, () => {
      assert.deepEqual(revealed(loginFrom(env)), revealed({ method, scope }))
    })
  }
})

/** Secrets compare by what they hold. */
function revealed({ method, scope }: ReturnType<typeof loginFrom>): object {
  const entries = Object.entries(method).map(([key, value]) => [key, value instanceof Secret ? value.reveal() : value])
  return { method: Object.fromEntries(entries), scope }
}
