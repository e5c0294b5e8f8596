/**
 * Header hygiene, put together.
 *
 * @module
 */
import { answerLines } from './answer.ts'
import { headCheck } from './check.ts'
import type { Hygiene, HygieneOptions } from './hygiene.ts'
import { outgoingLines } from './outgoing.ts'

export function createHygiene(options: HygieneOptions): Hygiene {
  const { withIdentity, withCredential } = outgoingLines(options.limits)
  return {
    check: headCheck(options),
    upstreamHeaders: withIdentity,
    credentialHeaders: withCredential,
    clientHeaders: answerLines,
  }
}
