/**
 * Anonymous requests: whoever shows nothing is `system:anonymous`. Off unless configured.
 *
 * @module
 */
import type { UserInfo } from '../../user.ts'
import type { Authenticator } from '../authenticator.ts'
import type { RequestCredentials } from './credentials.ts'

const ANONYMOUS: UserInfo = Object.freeze({
  username: 'system:anonymous',
  uid: '',
  groups: Object.freeze(['system:unauthenticated']),
  extra: new Map(),
})

/** Authenticates everybody. Belongs at the end of a chain, behind the identity gate: the name is a reserved one. */
export function anonymous(): Authenticator<RequestCredentials> {
  return {
    name: 'anonymous',
    authenticate: async () => ({ kind: 'authenticated', user: ANONYMOUS, source: 'anonymous' }),
  }
}
