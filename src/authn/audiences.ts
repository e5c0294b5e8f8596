/**
 * Audiences: a credential is good for some and not for others. Owns the comparison of what was asked with what the
 * credential is bound to.
 *
 * @module
 */
import type { Authenticator, AuthnResult } from './authenticator.ts'

/**
 * Binds credentials to audiences. `bound` holds for every source that knows none of its own; empty means "not
 * audience-aware", which leaves `status.audiences` out, and kube-apiserver then assumes its own and nobody else's.
 *
 * Where an audience is asked and the credential is bound, the answer names the common ones, in the order asked;
 * without a common one the credential is refused. What was asked is never echoed.
 */
export function audienceBound<Credential>(
  inner: Authenticator<Credential>,
  bound: readonly string[],
): Authenticator<Credential> {
  function check(result: AuthnResult, asked: readonly string[]): AuthnResult {
    if (result.kind !== 'authenticated') return result
    const own = result.audiences ?? bound
    if (asked.length === 0 || (own.length === 0 && result.audiences === undefined)) return result
    const common = asked.filter((audience) => own.includes(audience))
    if (common.length === 0) return { kind: 'rejected', code: 'audience_mismatch', source: result.source }
    return { ...result, audiences: common }
  }

  return {
    name: inner.name,
    authenticate: async (credential, ctx) => check(await inner.authenticate(credential, ctx), ctx.audiences),
    recall(credential, ctx) {
      const known = inner.recall?.(credential, ctx)
      return known === undefined ? undefined : check(known, ctx.audiences)
    },
  }
}
