/**
 * What openstackclient would log in with, and what we do. The answers are its own: see ask-openstackclient.py.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { LoginPlan } from '../../../src/credential/plan.ts'
import type { DomainRef, LoginScope, UserRef } from '../../../src/keystone/login/login-request.ts'
import { planOf } from './support.ts'

interface Case {
  readonly name: string
  readonly files: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string>>
}

interface Answer {
  readonly plugin: string
  readonly auth: Readonly<Record<string, unknown>>
  readonly verify: boolean | string
  readonly cert: readonly string[] | null
}

const CASES: readonly Case[] = JSON.parse(readFileSync(join(import.meta.dirname, 'openstackclient-cases.json'), 'utf8'))
const ANSWERS: Readonly<Record<string, Answer>> = JSON.parse(
  readFileSync(join(import.meta.dirname, 'openstackclient-answers.json'), 'utf8'),
)

/** Where we go another way, and why. */
const OTHERWISE: Readonly<Record<string, string>> = {
  'the project of the environment before that of the cloud': 'the environment counts more for every setting',
  'a default domain': 'its own default of that option covers what the cloud says',
  'insecure of the environment': 'it does not read the variable',
}

describe('a login is what openstackclient makes of the same settings', () => {
  for (const { name, files, env } of CASES) {
    const why = OTHERWISE[name]
    it(why === undefined ? name : `but for ${name}: ${why}`, async () => {
      const answer = ANSWERS[name]
      assert.ok(answer !== undefined, 'run ask-openstackclient.py')
      const plan = await planOf({
        env: Object.fromEntries(Object.entries(env).map(([key, value]) => [key, value.replace('$ROOT', '')])),
        files: Object.fromEntries(Object.entries(files).map(([path, text]) => [absolute(path), text])),
      })
      if (why === undefined) assert.deepEqual(asAnswer(plan), meant(answer))
      else assert.notDeepEqual(asAnswer(plan), meant(answer))
    })
  }

  it('and nothing is asked of it that is not told here', () => {
    assert.deepEqual(Object.keys(ANSWERS).sort(), CASES.map(({ name }) => name).sort())
  })
})

function absolute(path: string): string {
  return path.startsWith('home/') ? `/home/me/${path.slice('home/'.length)}` : `/${path}`
}

/** Keystoneauth takes options it has no use for: a domain of a user who has an id, or of a project there is none of. */
function meant({ plugin, auth, verify, cert }: Answer): unknown {
  const { user_domain_id, user_domain_name, project_domain_id, project_domain_name, ...rest } = auth
  const byName = 'username' in auth && !('user_id' in auth) && !plugin.startsWith('OpenID')
  return {
    plugin,
    auth: {
      ...(plugin.startsWith('OpenID') && !('access_token' in auth) ? { scope: 'openid profile' } : {}),
      ...rest,
      ...(byName && user_domain_id !== undefined ? { user_domain_id } : {}),
      ...(byName && user_domain_name !== undefined ? { user_domain_name } : {}),
      ...('project_name' in auth && project_domain_id !== undefined ? { project_domain_id } : {}),
      ...('project_name' in auth && project_domain_name !== undefined ? { project_domain_name } : {}),
    },
    verify,
    cert,
  }
}

const PLUGINS = { password: 'Password', token: 'Token', totp: 'TOTP', application_credential: 'ApplicationCredential' }

/** The plan in keystoneauth's words. */
function asAnswer(plan: LoginPlan): unknown {
  if (plan.provider === 'oidc') return plan
  const { caFile, certFile, keyFile, verify = true, url } = plan.endpoint
  return {
    ...(plan.provider === 'keystone' ? keystone(plan) : federation(plan)),
    verify: verify ? (caFile ?? true) : false,
    cert: certFile === undefined ? null : [certFile, keyFile],
  }

  function keystone({ methods, scope }: Extract<LoginPlan, { provider: 'keystone' }>): object {
    const auth: Record<string, unknown> = { auth_url: url, ...scopeOf(scope) }
    for (const method of methods) {
      if ('user' in method) Object.assign(auth, userOf(method.user))
      if ('password' in method) auth['password'] = method.password.reveal()
      if ('passcode' in method) auth['passcode'] = method.passcode.reveal()
      if ('token' in method) auth['token'] = method.token.reveal()
      if ('secret' in method) auth['application_credential_secret'] = method.secret.reveal()
      if ('id' in method) auth['application_credential_id'] = method.id
      if ('name' in method) auth['application_credential_name'] = method.name
    }
    const [only, ...others] = methods
    if (others.length === 0 && only !== undefined) return { plugin: PLUGINS[only.method], auth }
    return { plugin: 'MultiFactor', auth: { ...auth, auth_methods: methods.map(({ method }) => `v3${method}`) } }
  }

  function federation({
    identityProvider,
    protocol,
    oidc,
    oidcFlow,
    scope,
  }: Extract<LoginPlan, { provider: 'keystone-federation' }>): object {
    const auth: Record<string, unknown> = {
      auth_url: url,
      identity_provider: identityProvider,
      protocol,
      ...scopeOf(scope),
    }
    if (oidc !== undefined) {
      Object.assign(auth, { discovery_endpoint: oidc.issuer, client_id: oidc.clientId, scope: oidc.scopes?.join(' ') })
      if (oidc.clientSecret !== undefined) auth['client_secret'] = oidc.clientSecret.reveal()
    }
    if (oidcFlow.flow === 'password') {
      Object.assign(auth, { username: oidcFlow.username, password: oidcFlow.password.reveal() })
      return { plugin: 'OpenIDConnectPassword', auth }
    }
    if (oidcFlow.flow === 'access-token') auth['access_token'] = oidcFlow.accessToken.reveal()
    return { plugin: 'OpenIDConnectAccessToken', auth }
  }
}

function userOf(user: UserRef): object {
  return 'id' in user ? { user_id: user.id } : { username: user.name, ...domain('user_domain', user.domain) }
}

function scopeOf(scope: LoginScope): object {
  switch (scope.scope) {
    case 'project':
      return 'id' in scope.project
        ? { project_id: scope.project.id }
        : { project_name: scope.project.name, ...domain('project_domain', scope.project.domain) }
    case 'domain':
      return domain('domain', scope.domain)
    case 'trust':
      return { trust_id: scope.id }
    case 'system':
      return { system_scope: 'all' }
    default:
      return {}
  }
}

function domain(prefix: string, reference: DomainRef): object {
  return 'id' in reference ? { [`${prefix}_id`]: reference.id } : { [`${prefix}_name`]: reference.name }
}
