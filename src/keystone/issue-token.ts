/**
 * Logging in: exchanges OpenStack credentials for a token. Identity API v3, "Password authentication" and
 * "Authenticating with an Application Credential".
 *
 * @module
 */
import { Agent, request } from 'undici'
import { ArchwayError, messageOf } from '../errors.ts'
import { Secret } from '../secret.ts'

/** Environment variables of OpenStack clients. */
export type OpenStackEnvironment = Readonly<Record<string, string | undefined>>

export interface IssueTokenOptions {
  /** Identity URL; `/v3` is added where it does not end so. */
  readonly url: string
  readonly env: OpenStackEnvironment
  readonly ca?: Buffer
  readonly timeoutMs: number
}

/**
 * Whether the environment names credentials: a token, an application credential or a user with a password.
 */
export function hasCredentials(env: OpenStackEnvironment): boolean {
  return Boolean(
    env['OS_TOKEN'] || env['OS_APPLICATION_CREDENTIAL_SECRET'] || (env['OS_USERNAME'] && env['OS_PASSWORD']),
  )
}

/**
 * A token for the credentials of the environment. `undefined`: Keystone refuses them. Throws `keystone_unreachable`
 * or `keystone_answer_invalid` where it could not tell.
 */
export async function issueToken({ url, env, ca, timeoutMs }: IssueTokenOptions): Promise<Secret | undefined> {
  if (env['OS_TOKEN']) return new Secret(env['OS_TOKEN'])
  const agent = new Agent({ connect: ca === undefined ? {} : { ca } })
  try {
    const base = url.replace(/\/+$/, '').replace(/(?<!\/v3)$/, '/v3')
    const response = await request(`${base}/auth/tokens`, {
      dispatcher: agent,
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(loginRequest(env)),
      signal: AbortSignal.timeout(timeoutMs),
    })
    await response.body.dump()
    const token = response.headers['x-subject-token']
    if (response.statusCode === 201 && typeof token === 'string') return new Secret(token)
    if (response.statusCode === 401) return undefined
    throw new ArchwayError('keystone_answer_invalid', `${url}: HTTP ${response.statusCode} to a login`)
  } catch (thrown) {
    if (thrown instanceof ArchwayError) throw thrown
    throw new ArchwayError('keystone_unreachable', `${url}: ${messageOf(thrown)}`, { cause: thrown })
  } finally {
    await agent.destroy()
  }
}

function loginRequest(env: OpenStackEnvironment): object {
  const secret = env['OS_APPLICATION_CREDENTIAL_SECRET']
  if (secret) {
    const id = env['OS_APPLICATION_CREDENTIAL_ID']
    const credential = id
      ? { id, secret }
      : {
          name: env['OS_APPLICATION_CREDENTIAL_NAME'],
          secret,
          user: { name: env['OS_USERNAME'], domain: userDomain(env) },
        }
    return { auth: { identity: { methods: ['application_credential'], application_credential: credential } } }
  }
  const user = { name: env['OS_USERNAME'], password: env['OS_PASSWORD'], domain: userDomain(env) }
  return { auth: { identity: { methods: ['password'], password: { user } }, ...scopeOf(env) } }
}

function userDomain(env: OpenStackEnvironment): object {
  return domain(env['OS_USER_DOMAIN_ID'] ?? env['OS_DOMAIN_ID'], env['OS_USER_DOMAIN_NAME'] ?? env['OS_DOMAIN_NAME'])
}

function domain(id: string | undefined, name: string | undefined): object {
  if (id) return { id }
  return name ? { name } : { id: 'default' }
}

function scopeOf(env: OpenStackEnvironment): object {
  const id = env['OS_PROJECT_ID'] || env['OS_TENANT_ID']
  if (id) return { scope: { project: { id } } }
  const name = env['OS_PROJECT_NAME'] || env['OS_TENANT_NAME']
  if (!name) return {}
  return { scope: { project: { name, domain: domain(env['OS_PROJECT_DOMAIN_ID'], env['OS_PROJECT_DOMAIN_NAME']) } } }
}
