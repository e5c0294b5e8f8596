/**
 * Keystone tokens: accepts a token by asking Keystone about it, with the token as its own authority, so that no
 * service account is needed. Knows nothing of HTTP, caching or metrics.
 *
 * @module
 */
import type { IdentityClient } from '../keystone/identity-client.ts'
import { looksLikeKeystoneToken } from '../keystone/token-shape.ts'
import type { TokenAuthenticator } from './authenticator.ts'
import { SKIPPED } from './authenticator.ts'
import { type KeystoneIdentityOptions, keystoneIdentity } from './keystone-identity.ts'

/** What {@link keystoneToken} needs; each member is a seam a test can replace. */
export interface KeystoneTokenOptions extends Omit<KeystoneIdentityOptions, 'name' | 'identity'> {
  /** `keystone` when absent; several Keystones need names of their own. */
  readonly name?: string
  readonly identity: Pick<IdentityClient, 'validateToken' | 'listGroups'>
}

export function keystoneToken(options: KeystoneTokenOptions): TokenAuthenticator {
  const { name = 'keystone', identity } = options
  const identify = keystoneIdentity({ ...options, name })
  return {
    name,
    async authenticate(token, ctx) {
      if (!looksLikeKeystoneToken(token)) return SKIPPED
      const found = await identity.validateToken(token, ctx)
      if (found === undefined) return { kind: 'rejected', code: 'token_unknown', source: name }
      return identify(token, found, ctx)
    },
  }
}
