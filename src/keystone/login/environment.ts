/**
 * The login that the usual variables of OpenStack clients name, for a program that takes no other settings.
 *
 * @module
 */
import { Secret } from '../../secret.ts'
import type { DomainRef, LoginMethod, LoginScope } from './login-request.ts'

/** Environment variables of OpenStack clients. */
export type OpenStackEnvironment = Readonly<Record<string, string | undefined>>

/**
 * Whether the environment names credentials: a token, an application credential or a user with a password.
 */
export function hasCredentials(env: OpenStackEnvironment): boolean {
  return Boolean(
    env['OS_TOKEN'] || env['OS_APPLICATION_CREDENTIAL_SECRET'] || (env['OS_USERNAME'] && env['OS_PASSWORD']),
  )
}

/** Method and scope for the environment: its application credential, else its user and password. */
export function loginFrom(env: OpenStackEnvironment): { readonly method: LoginMethod; readonly scope: LoginScope } {
  const name = env['OS_USERNAME'] ?? ''
  const user = { name, domain: domainOf(env, 'OS_USER_DOMAIN', 'OS_DOMAIN') }
  const secret = env['OS_APPLICATION_CREDENTIAL_SECRET']
  if (!secret) {
    const method: LoginMethod = { method: 'password', user, password: new Secret(env['OS_PASSWORD'] ?? '') }
    return { method, scope: scopeOf(env) }
  }
  const id = env['OS_APPLICATION_CREDENTIAL_ID']
  const credential = id ? { id } : { name: env['OS_APPLICATION_CREDENTIAL_NAME'] ?? '', user }
  const method: LoginMethod = { method: 'application_credential', ...credential, secret: new Secret(secret) }
  return { method, scope: { scope: 'default' } }
}

function scopeOf(env: OpenStackEnvironment): LoginScope {
  const id = env['OS_PROJECT_ID'] || env['OS_TENANT_ID']
  if (id) return { scope: 'project', project: { id } }
  const name = env['OS_PROJECT_NAME'] || env['OS_TENANT_NAME']
  if (!name) return { scope: 'default' }
  return { scope: 'project', project: { name, domain: domainOf(env, 'OS_PROJECT_DOMAIN') } }
}

/** The first of `prefixes` that is set, by id before by name; else the domain every Keystone begins with. */
function domainOf(env: OpenStackEnvironment, ...prefixes: readonly string[]): DomainRef {
  const first = (suffix: string) => prefixes.map((prefix) => env[`${prefix}_${suffix}`]).find(Boolean)
  const [id, name] = [first('ID'), first('NAME')]
  if (id) return { id }
  return name ? { name } : { id: 'default' }
}
