/**
 * Credentials of other kinds as tokens, one token a credential, so that their authenticators are put to the same
 * contract.
 *
 * @module
 */
import type { Authenticator, PasswordAuthenticator, TokenAuthenticator } from '../../src/authn/authenticator.ts'
import type { ClientCertificate, RequestCredentials } from '../../src/authn/request/credentials.ts'

/** `user:password`; without a colon it is a user with a password of one's own. */
export function passwordsAsTokens(inner: PasswordAuthenticator): TokenAuthenticator {
  return {
    name: inner.name,
    async authenticate(token, ctx) {
      const colon = token.indexOf(':')
      if (colon === -1) return inner.authenticate({ username: token, password: 'none' }, ctx)
      return inner.authenticate({ username: token.slice(0, colon), password: token.slice(colon + 1) }, ctx)
    },
  }
}

/** DER in hexadecimal, lower case; other text is shown as it is, in the place of a certificate. */
export function certificatesAsTokens(inner: Authenticator<ClientCertificate>): TokenAuthenticator {
  return {
    name: inner.name,
    authenticate: async (token, ctx) => inner.authenticate(certificateOf(token), ctx),
  }
}

/** The certificate of a front proxy, as of {@link certificatesAsTokens}; its headers say that it is this user. */
export function frontProxiesAsTokens(
  inner: Authenticator<RequestCredentials>,
  userOf: (token: string) => string,
): TokenAuthenticator {
  return {
    name: inner.name,
    authenticate: async (token, ctx) =>
      inner.authenticate({ certificate: certificateOf(token), headers: [['X-Remote-User', userOf(token)]] }, ctx),
  }
}

function certificateOf(token: string): ClientCertificate {
  const isHex = /^(?:[0-9a-f]{2})+$/.test(token)
  return { leaf: new Uint8Array(Buffer.from(token, isHex ? 'hex' : 'utf8')), intermediates: [] }
}
