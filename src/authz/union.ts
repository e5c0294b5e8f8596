/**
 * Union: several authorizers asked in order, as kube-apiserver's union does. The first allow or deny wins.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import type { Authorizer } from './authorizer.ts'

/**
 * Asks each in order. The first allow or deny wins; without one there is no opinion, with the reasons of all, one a
 * line. An authorizer that throws could not tell: the others are still asked, and the failure becomes the
 * `evaluationError` of having no opinion.
 */
export function union(members: readonly Authorizer[]): Authorizer {
  return {
    name: 'union',
    async authorize(attributes, ctx) {
      const reasons: string[] = []
      const failures: string[] = []
      for (const member of members) {
        try {
          const decision = await member.authorize(attributes, ctx)
          if (decision.kind !== 'no-opinion') return decision
          if (decision.reason !== undefined && decision.reason !== '') reasons.push(decision.reason)
          if (decision.evaluationError !== undefined) failures.push(decision.evaluationError)
        } catch (cause) {
          ctx.log.error({ authorizer: member.name, error: cause }, 'an authorizer could not decide')
          failures.push(`${member.name}: ${publicCause(cause)}`)
        }
      }
      return {
        kind: 'no-opinion',
        ...(reasons.length > 0 ? { reason: reasons.join('\n') } : {}),
        ...(failures.length > 0 ? { evaluationError: failures.join('; ') } : {}),
      }
    },
  }
}

/** What of a failure the asker may read; the rest is in the log. */
function publicCause(thrown: unknown): string {
  return (thrown instanceof ArchwayError ? thrown : new ArchwayError('internal', '')).publicMessage
}
