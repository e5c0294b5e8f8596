/**
 * What tests of the LDAP authenticator share.
 *
 * @module
 */
import type { PasswordAuthenticator, TokenAuthenticator } from '../../../src/authn/authenticator.ts'

/** `user:password` as a token, for the contract; without a colon it is a user with a password of one's own. */
export function asTokens(inner: PasswordAuthenticator): TokenAuthenticator {
  return {
    name: inner.name,
    async authenticate(token, ctx) {
      const colon = token.indexOf(':')
      if (colon === -1) return inner.authenticate({ username: token, password: 'none' }, ctx)
      return inner.authenticate({ username: token.slice(0, colon), password: token.slice(colon + 1) }, ctx)
    },
  }
}
