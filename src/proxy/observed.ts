/**
 * The record of a request, made when it is over.
 *
 * @module
 */

import type { Facts } from './decide.ts'
import type { RawHead } from './hygiene/hygiene.ts'
import type { ProxyObservation } from './observation.ts'

/** What only its passage knows. */
export type Course = Pick<
  ProxyObservation,
  'requestId' | 'outcome' | 'status' | 'remoteAddress' | 'bytesIn' | 'bytesOut' | 'seconds'
> & {
  readonly [Name in 'upstream' | 'auditId' | 'traceId' | 'cause']: string | undefined
} & { readonly secondsToHead: number | undefined }

export function observed({ method, protocol, target }: RawHead, facts: Facts, course: Course): ProxyObservation {
  const { upstream, auditId, traceId, cause, secondsToHead, ...rest } = course
  const { head, info, user, source, isLong } = facts
  return {
    ...rest,
    method,
    protocol,
    path: head?.path ?? target.split('?', 1)[0] ?? '',
    long: isLong,
    ...(info === undefined ? {} : { info }),
    ...(head === undefined || head.spoofed === 0 ? {} : { spoofed: head.spoofed }),
    ...(user === undefined ? {} : { user }),
    ...(source === undefined ? {} : { source }),
    ...(upstream === undefined ? {} : { upstream }),
    ...(auditId === undefined ? {} : { auditId }),
    ...(traceId === undefined ? {} : { traceId }),
    ...(cause === undefined ? {} : { cause }),
    ...(secondsToHead === undefined ? {} : { secondsToHead }),
  }
}
