/**
 * Union: several authenticators asked in order, as kube-apiserver's union does. Owns the rules of combination.
 *
 * @module
 */
import type { CallContext } from '../context.ts'
import { ArchwayError, messageOf } from '../errors.ts'
import type { Authenticator, AuthnResult } from './authenticator.ts'
import { SKIPPED } from './authenticator.ts'

/**
 * Asks each in order. The first proof wins, whatever went wrong before it. Without a proof: if any could not tell,
 * neither can the union (`sources_failed`); else the first refusal; else skipped.
 */
export function union<Credential>(members: readonly Authenticator<Credential>[]): Authenticator<Credential> {
  const [only, ...others] = members
  if (only !== undefined && others.length === 0) return only
  return {
    name: 'union',
    async authenticate(credential, ctx) {
      const failures: { readonly source: string; readonly cause: unknown }[] = []
      let refusal: AuthnResult | undefined
      for (const member of members) {
        try {
          const result = await member.authenticate(credential, ctx)
          if (result.kind === 'authenticated') {
            report(failures, ctx)
            return result
          }
          if (result.kind === 'rejected') refusal ??= result
        } catch (cause) {
          failures.push({ source: member.name, cause })
        }
      }
      if (failures.length > 0) throw combined(failures)
      return refusal ?? SKIPPED
    },
    recall(credential, ctx) {
      let refusal: AuthnResult | undefined
      for (const member of members) {
        const result = member.recall?.(credential, ctx)
        if (result === undefined || result.kind === 'authenticated') return result
        if (result.kind === 'rejected') refusal ??= result
      }
      return refusal ?? SKIPPED
    },
  }
}

type Failures = readonly { readonly source: string; readonly cause: unknown }[]

/** A failure that a later proof made harmless is still the operator's to know. */
function report(failures: Failures, ctx: CallContext): void {
  for (const { source, cause } of failures) {
    ctx.log.warn({ source, err: cause }, 'a source failed; another accepted the credential')
  }
}

function combined(failures: Failures): ArchwayError {
  const [first] = failures
  if (first !== undefined && failures.length === 1 && first.cause instanceof ArchwayError) return first.cause
  const waits = failures.flatMap(({ cause }) =>
    cause instanceof ArchwayError && cause.retryAfter !== undefined ? [cause.retryAfter] : [],
  )
  return new ArchwayError(
    'sources_failed',
    failures.map(({ source, cause }) => `${source}: ${messageOf(cause)}`).join('; '),
    {
      cause: new AggregateError(failures.map(({ cause }) => cause)),
      ...(waits.length > 0 ? { retryAfter: Math.min(...waits) } : {}),
    },
  )
}
