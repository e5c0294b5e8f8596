/**
 * Who asks. The chain of authenticators says so, except for service-account tokens that are to be passed on untouched:
 * those the API server judges.
 *
 * A token is passed on when it says it is of one of the configured issuers; it is believed in nothing by that. The
 * request leaves with its `Authorization` and without any identity of ours, on a connection that shows our front-proxy
 * certificate: kube-apiserver finds no identity headers, its client CA does not know our certificate, so the token alone
 * decides, and a forged one is a 401 there. This holds as long as the certificate is nobody by itself, which the
 * self-check makes sure of (H7). A client that shows a certificate of its own is never passed on: whose request it is
 * would then be for two to tell.
 *
 * @module
 */
import type { Authenticator, AuthnResult } from '../authn/authenticator.ts'
import { readJwt } from '../authn/oidc/jwt.ts'
import { headerCredential, type RequestCredentials } from '../authn/request/credentials.ts'
import type { CallContext } from '../context.ts'
import { ArchwayError } from '../errors.ts'
import type { UserInfo } from '../user.ts'
import { type Refused, unauthenticated, undecided } from './refused.ts'

export interface IdentifyOptions {
  readonly authenticator: Authenticator<RequestCredentials>
  /** Values of `WWW-Authenticate` for a 401, one line each: `Bearer`, `Basic realm="…"`. */
  readonly challenges: readonly string[]
  /** Issuers whose tokens are the API server's to judge; none: every token is ours to judge. */
  readonly passTokensOf?: readonly string[]
}

export type Who =
  | { readonly kind: 'user'; readonly user: UserInfo; readonly source: string }
  /** The API server will tell, by this value of `Authorization`. */
  | { readonly kind: 'passed-on'; readonly authorization: string }
  | Refused

/** At once where it is known, else a promise that is never rejected. */
export type Identify = (credentials: RequestCredentials, ctx: CallContext) => Who | Promise<Who>

export function createIdentify(options: IdentifyOptions): Identify {
  const { authenticator, challenges } = options
  const issuers: ReadonlySet<unknown> = new Set(options.passTokensOf)

  function whoOf(result: AuthnResult): Who {
    switch (result.kind) {
      case 'authenticated':
        return { kind: 'user', user: result.user, source: result.source }
      case 'rejected':
        return unauthenticated(result.code, challenges, result.retryAfter)
      case 'skipped':
        return unauthenticated('no-credential', challenges)
      default:
        return result satisfies never
    }
  }

  async function ask(credentials: RequestCredentials, ctx: CallContext): Promise<Who> {
    try {
      return whoOf(await authenticator.authenticate(credentials, ctx))
    } catch (error) {
      if (!ctx.signal.aborted) {
        const level = error instanceof ArchwayError ? 'warn' : 'error'
        ctx.log[level]({ requestId: ctx.requestId, error }, 'could not tell who asks')
      }
      return undecided(error, 'it could not be told who you are')
    }
  }

  return (credentials, ctx) => {
    const token = issuers.size === 0 ? undefined : tokenToPassOn(credentials, issuers)
    if (token !== undefined) return { kind: 'passed-on', authorization: `Bearer ${token}` }
    const known = authenticator.recall?.(credentials, ctx)
    return known === undefined ? ask(credentials, ctx) : whoOf(known)
  }
}

function tokenToPassOn(
  { certificate, headers }: RequestCredentials,
  issuers: ReadonlySet<unknown>,
): string | undefined {
  if (certificate !== undefined) return undefined
  const shown = headerCredential(headers)
  if (shown.kind !== 'bearer') return undefined
  const jwt = readJwt(shown.token)
  return jwt?.problem === undefined && issuers.has(jwt?.claims.get('iss')) ? shown.token : undefined
}
