/**
 * What a refusal says: whose limit it was, in words for whoever asked, and when to ask again.
 *
 * @module
 */
import type { AdmissionResult } from './admission.ts'
import type { AdmissionLimits } from './limits.ts'

type Refused = Extract<AdmissionResult, { readonly kind: 'refused' }>

const SOON = 1
/** Long ones end seldom. */
const LATER = 5

/** `gone`: whoever asked left the queue; nobody reads what is said. */
export function refusal(limit: Refused['limit'] | 'gone', limits: AdmissionLimits): Refused {
  switch (limit) {
    case 'user-requests':
      return refused(
        limit,
        `more than ${limits.userRequests} requests of this user at once: wait for some to end`,
        SOON,
      )
    case 'queue':
      return refused(limit, `more than ${limits.requests} requests of all users at once: try again in a moment`, SOON)
    case 'user-streams':
      return refused(limit, `more than ${limits.userStreams} watches and other streams of this user: end some`, LATER)
    case 'streams':
      return refused(
        limit,
        `more than ${limits.streams} watches and other streams of all users: try again later`,
        LATER,
      )
    case 'gone':
      return refused('queue', 'the client has gone', SOON)
    default:
      return limit satisfies never
  }
}

function refused(limit: Refused['limit'], message: string, retryAfter: number): Refused {
  return { kind: 'refused', limit, message, retryAfter }
}
