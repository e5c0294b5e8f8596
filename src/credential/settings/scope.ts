/**
 * Domains, users and what a token is to be good for, out of the layers.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import type { DomainRef, LoginScope } from '../../keystone/login/login-request.ts'
import { readBoolean } from './flags.ts'
import type { Choice, Values } from './layers.ts'
import type { TextName } from './table.ts'

/** Where nobody names a domain, Keystone's first one: openstackclient takes it as well. */
const DEFAULT_DOMAIN: DomainRef = { id: 'default' }

/** A domain, and whether somebody named it. */
export interface FoundDomain {
  readonly domain: DomainRef
  /** `false`: nobody did, and it is {@link DEFAULT_DOMAIN}; asking may find a better one. */
  readonly named: boolean
  /** It was given for user and project at once. */
  readonly shared: boolean
}

/**
 * The domain of users or projects. Its own name or id and the shared one are alternatives, so that the highest layer
 * counts: `--domain-name` beats a forgotten `OS_USER_DOMAIN_NAME`. In one layer the own one counts.
 */
export function domainOf(kind: 'user' | 'project', values: Values): FoundDomain {
  const chosen = values.choose([`${kind}DomainId`, `${kind}DomainName`, 'domainId', 'domainName'])
  const shared = chosen?.name === 'domainId' || chosen?.name === 'domainName'
  if (chosen !== undefined) return { domain: domainRef(chosen), named: true, shared }
  const fallback = values.choose(['defaultDomainId', 'defaultDomainName'])
  if (fallback !== undefined) return { domain: domainRef(fallback), named: true, shared: false }
  return { domain: DEFAULT_DOMAIN, named: false, shared: false }
}

function domainRef({ name, text }: Pick<Choice<TextName>, 'name' | 'text'>): DomainRef {
  return name.endsWith('Id') ? { id: text } : { name: text }
}

/** A user as far as he is known. */
export type FoundUser = { readonly id: string } | { readonly name: string | undefined; readonly domain: FoundDomain }

export function userOf(values: Values): FoundUser {
  const chosen = values.choose(['userId', 'username'])
  if (chosen?.name === 'userId') return { id: chosen.text }
  return { name: chosen?.text, domain: domainOf('user', values) }
}

/**
 * What the token is to be good for: trust, project by id, project by name, domain, system; the highest layer that names
 * one of them counts. A domain that had to be given for the user says nothing against the system.
 */
export function scopeOf(values: Values, user: FoundUser | undefined): LoginScope {
  const chosen = values.choose(['trustId', 'projectId', 'projectName', 'systemScope'])
  switch (chosen?.name) {
    case 'trustId':
      return { scope: 'trust', id: chosen.text }
    case 'projectId':
      return { scope: 'project', project: { id: chosen.text } }
    case 'projectName':
      return { scope: 'project', project: { name: chosen.text, domain: domainOf('project', values).domain } }
  }
  const domain = values.choose(['domainId', 'domainName'])
  const forTheUser = user !== undefined && 'domain' in user && user.domain.shared
  if (chosen !== undefined && (domain === undefined || forTheUser || chosen.layer < domain.layer)) {
    return system(chosen)
  }
  return domain === undefined ? { scope: 'default' } : { scope: 'domain', domain: domainRef(domain) }
}

function system({ text, source }: Pick<Choice<'systemScope'>, 'text' | 'source'>): LoginScope {
  if (text === 'all' || readBoolean(text) === true) return { scope: 'system' }
  throw new ArchwayError('credential_settings_invalid', `${source}: Keystone knows no system scope but all`)
}
