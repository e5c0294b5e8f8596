/**
 * Keystone passwords: a name and a password are good when Keystone makes a token for them. Owns which domain a name
 * belongs to; what the token makes of its user is the same as for a token that was shown.
 *
 * @module
 */
import type { IdentityClient, KeystoneDomainRef, PasswordLogin } from '../keystone/identity-client.ts'
import type { AuthnResult, PasswordAuthenticator, RejectionCode } from './authenticator.ts'
import { type KeystoneIdentityOptions, keystoneIdentity } from './keystone-identity.ts'

/** What {@link keystonePassword} needs; each member is a seam a test can replace. */
export interface KeystonePasswordOptions extends Omit<KeystoneIdentityOptions, 'identity'> {
  readonly identity: Pick<IdentityClient, 'logIn' | 'listGroups'>
  /** Domain of names that name none. */
  readonly defaultDomain: KeystoneDomainRef
  /**
   * Domains that a name may name. Only they are taken off `name@domain`, so that names which hold an `@` themselves
   * work; empty: whatever follows the last `@` is the domain.
   */
  readonly domains: readonly string[]
  /** What tokens are asked for; absent: the user's default project. */
  readonly project?: NonNullable<PasswordLogin['project']>
}

/** Longest name (Keystone: 255, domain: 64) and password (Keystone's `max_password_length`) that are sent. */
const MOST_NAME = 255 + 1 + 64
const MOST_PASSWORD = 4096

export function keystonePassword(options: KeystonePasswordOptions): PasswordAuthenticator {
  const { name, identity, project } = options
  const identify = keystoneIdentity(options)
  const rejected = (code: RejectionCode): AuthnResult => ({ kind: 'rejected', code, source: name })
  return {
    name,
    async authenticate({ username, password }, ctx) {
      if (username.length > MOST_NAME || password.length > MOST_PASSWORD) return rejected('credential_too_large')
      if (password === '' || !isText(username) || !isText(password)) return rejected('login_failed')
      const who = inDomain(username, options)
      if (who.username === '') return rejected('login_failed')
      const login: PasswordLogin = { ...who, password, ...(project === undefined ? {} : { project }) }
      const made = await identity.logIn(login, ctx)
      return made === undefined ? rejected('login_failed') : identify(made.token, made.details, ctx)
    },
  }
}

/** JSON cannot carry a lone surrogate, and a NUL ends strings elsewhere: two names must not become one on the way. */
function isText(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}

/** The user and the domain of `name@domain`, `domain\name` or `name`. */
export function inDomain(
  text: string,
  { domains, defaultDomain }: Pick<KeystonePasswordOptions, 'domains' | 'defaultDomain'>,
): { readonly username: string; readonly domain: KeystoneDomainRef } {
  const isDomain = (name: string): boolean => name !== '' && (domains.length === 0 || domains.includes(name))
  const backslash = text.indexOf('\\')
  if (backslash > 0 && isDomain(text.slice(0, backslash))) {
    return { username: text.slice(backslash + 1), domain: { name: text.slice(0, backslash) } }
  }
  const at = text.lastIndexOf('@')
  if (at > 0 && isDomain(text.slice(at + 1))) {
    return { username: text.slice(0, at), domain: { name: text.slice(at + 1) } }
  }
  return { username: text, domain: defaultDomain }
}
