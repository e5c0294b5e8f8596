/**
 * The chain for whole requests, in the order of kube-apiserver: front proxy, client certificate, what the headers
 * hold, and last the anonymous. Every door that sees requests asks it. Owns the order and what a credential that nobody
 * knows comes to; leaves each proof to its authenticator.
 *
 * @module
 */
import type { CallContext } from '../../context.ts'
import type { UserInfo } from '../../user.ts'
import {
  type Authenticator,
  type AuthnResult,
  type PasswordAuthenticator,
  SKIPPED,
  type TokenAuthenticator,
} from '../authenticator.ts'
import { union } from '../union.ts'
import { type ClientCertificate, headerCredential, type RequestCredentials } from './credentials.ts'

/** What a chain is made of; whatever is absent is not asked. Each is a union of the sources of its kind, gated. */
export interface RequestSources {
  readonly requestHeader?: Authenticator<RequestCredentials>
  readonly certificate?: Authenticator<ClientCertificate>
  readonly password?: PasswordAuthenticator
  readonly token?: TokenAuthenticator
  /** Asked when no credential was shown at all; never to make up for a bad one. */
  readonly anonymous?: Authenticator<RequestCredentials>
}

/**
 * One authenticator of requests. The first proof wins; a credential that was shown and proves nothing is a refusal,
 * so that a bad password never ends as somebody anonymous. `system:authenticated` is added, as kube-apiserver does.
 */
export function requestAuthenticator(sources: RequestSources): Authenticator<RequestCredentials> {
  const { requestHeader, certificate, anonymous } = sources
  const proofs = union<RequestCredentials>([
    ...(requestHeader === undefined ? [] : [requestHeader]),
    ...(certificate === undefined ? [] : [byCertificate(certificate)]),
    byHeaders(sources),
  ])
  return {
    name: 'request',
    async authenticate(request, ctx) {
      const result = await proofs.authenticate(request, ctx)
      if (result.kind !== 'skipped') return withAuthenticatedGroup(result)
      return anonymous === undefined ? SKIPPED : anonymous.authenticate(request, ctx)
    },
  }
}

function byCertificate(inner: Authenticator<ClientCertificate>): Authenticator<RequestCredentials> {
  return {
    name: inner.name,
    authenticate: async ({ certificate }, ctx) =>
      certificate === undefined ? SKIPPED : inner.authenticate(certificate, ctx),
  }
}

function byHeaders({ password, token }: RequestSources): Authenticator<RequestCredentials> {
  const name = 'authorization'
  const unknown: AuthnResult = { kind: 'rejected', code: 'unrecognized', source: name }

  async function ask<C>(inner: Authenticator<C> | undefined, credential: C, ctx: CallContext): Promise<AuthnResult> {
    const result = await inner?.authenticate(credential, ctx)
    return result === undefined || result.kind === 'skipped' ? unknown : result
  }
  return {
    name,
    async authenticate({ headers, address }, ctx) {
      const shown = headerCredential(headers)
      switch (shown.kind) {
        case 'none':
          return SKIPPED
        case 'ambiguous':
          return { kind: 'rejected', code: 'credential_ambiguous', source: name }
        case 'bearer':
          return ask(token, shown.token, ctx)
        case 'basic': {
          const { username, password: secret } = shown
          return ask(password, { username, password: secret, ...(address === undefined ? {} : { address }) }, ctx)
        }
      }
    },
  }
}

const AUTHENTICATED = 'system:authenticated'

/** Results are shared and live as long as a cache keeps them: each gets its group once. */
const completed = new WeakMap<AuthnResult, AuthnResult>()

function withAuthenticatedGroup(result: AuthnResult): AuthnResult {
  if (result.kind !== 'authenticated') return result
  let whole = completed.get(result)
  if (whole === undefined) {
    whole = { ...result, user: authenticatedUser(result.user) }
    completed.set(result, whole)
  }
  return whole
}

function authenticatedUser(user: UserInfo): UserInfo {
  const { username, groups } = user
  if (username === 'system:anonymous' || groups.includes(AUTHENTICATED) || groups.includes('system:unauthenticated')) {
    return user
  }
  return { ...user, groups: [...groups, AUTHENTICATED] }
}
