/**
 * Union: several authorizers asked in order, as kube-apiserver's union does. The first allow or deny wins.
 *
 * @module
 */
import type { CallContext } from '../context.ts'
import { ArchwayError, messageOf } from '../errors.ts'
import type { Authorizer } from './authorizer.ts'

/**
 * Asks each in order. The first allow or deny wins; without one there is no opinion, with the reasons of all, one a
 * line. An authorizer that throws could not tell: the others are still asked, and where none of them decides, neither
 * can the union (`authorizers_failed`). kube-apiserver heeds no `evaluationError` of a webhook: it would remember "no
 * opinion" as a no for half a minute, long after the outage. What a member says in an `evaluationError` is its answer.
 */
export function union(members: readonly Authorizer[]): Authorizer {
  return {
    name: 'union',
    async authorize(attributes, ctx) {
      const reasons: string[] = []
      const remarks: string[] = []
      const failures: Failure[] = []
      for (const member of members) {
        try {
          const decision = await member.authorize(attributes, ctx)
          if (decision.kind !== 'no-opinion') {
            report(failures, ctx)
            return decision
          }
          if (decision.reason !== undefined && decision.reason !== '') reasons.push(decision.reason)
          if (decision.evaluationError !== undefined) remarks.push(decision.evaluationError)
        } catch (cause) {
          failures.push({ authorizer: member.name, cause })
        }
      }
      if (failures.length > 0) throw combined(failures)
      return {
        kind: 'no-opinion',
        ...(reasons.length > 0 ? { reason: reasons.join('\n') } : {}),
        ...(remarks.length > 0 ? { evaluationError: remarks.join('; ') } : {}),
      }
    },
  }
}

interface Failure {
  readonly authorizer: string
  readonly cause: unknown
}

/** A failure that a decision made harmless is still the operator's to know. */
function report(failures: readonly Failure[], ctx: CallContext): void {
  for (const { authorizer, cause } of failures) {
    ctx.log.warn({ authorizer, error: cause }, 'an authorizer failed; another one decided')
  }
}

function combined(failures: readonly Failure[]): ArchwayError {
  const waits = failures.flatMap(({ cause }) => (cause instanceof ArchwayError ? (cause.retryAfter ?? []) : []))
  return new ArchwayError(
    'authorizers_failed',
    failures.map(({ authorizer, cause }) => `${authorizer}: ${messageOf(cause)}`).join('; '),
    {
      cause: new AggregateError(failures.map(({ cause }) => cause)),
      ...(waits.length > 0 ? { retryAfter: Math.min(...waits) } : {}),
    },
  )
}
