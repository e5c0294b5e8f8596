/**
 * Every answer that is the proxy's own, as a `Status`, so that kubectl prints a sentence. Owns the words and the codes;
 * leaves when to say what to those who decide. Nothing in them tells one who may not ask more than that.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import type { HttpAnswer } from '../http.ts'
import { statusAnswer } from '../kube/status.ts'
import type { AdmissionResult } from './admission/admission.ts'
import type { Refusal } from './hygiene/hygiene.ts'
import type { ProxyOutcome } from './observation.ts'
import { type FailureKind, UpstreamFailure } from './upstream/upstream.ts'
import type { NoneReady } from './upstreams/upstreams.ts'

/** A request that ends here: what the client is told, and what is remembered of it. */
export interface Refused {
  readonly kind: 'refused'
  readonly outcome: ProxyOutcome
  readonly cause: string
  readonly answer: HttpAnswer
}

const SOON = 1

export function refused(outcome: ProxyOutcome, cause: string, answer: HttpAnswer): Refused {
  return { kind: 'refused', outcome, cause, answer }
}

/** Hygiene found something wrong with the request. */
export function unclean({ status, message, threat }: Refusal): Refused {
  return refused('refused', threat, statusAnswer(status, message))
}

/** Nobody we know. The same words whatever the cause is, which is for the log alone. */
export function unauthenticated(cause: string, challenges: readonly string[], retryAfter?: number): Refused {
  const headers = challenges.map((challenge): [string, string] => ['WWW-Authenticate', challenge])
  return refused('unauthenticated', cause, statusAnswer(401, 'Unauthorized', { headers, retryAfter }))
}

/** Could not tell, which is neither yes nor no: to be asked again. */
export function undecided(thrown: unknown, what: string): Refused {
  if (!(thrown instanceof ArchwayError))
    return refused('undecided', 'internal', statusAnswer(503, what, { retryAfter: SOON }))
  const { code, retryAfter = SOON, publicMessage } = thrown
  return refused('undecided', code, statusAnswer(503, `${what}: ${publicMessage}`, { retryAfter }))
}

/** Somebody takes more than their share, or all do. */
export function limited({ limit, message, retryAfter }: Extract<AdmissionResult, { kind: 'refused' }>): Refused {
  return refused('limited', limit, statusAnswer(429, message, { retryAfter }))
}

/** No answer came of any API server, or none that can be passed on. */
export function unserved(failure: UpstreamFailure | NoneReady, requestId: string): Refused {
  if (!(failure instanceof UpstreamFailure)) {
    const { retryAfter } = failure
    return refused('unavailable', 'none-ready', statusAnswer(503, 'no API server is ready', { retryAfter }))
  }
  if (failure.cause instanceof ArchwayError) return faulty(requestId) // it could not be put on the wire
  const { status, message, retryAfter } = FAILURES[failure.kind]
  return refused('failed', failure.kind, statusAnswer(status, message, { retryAfter }))
}

interface FailureWords {
  readonly status: number
  readonly message: string
  /** Where nothing was sent: asking again can do no harm. */
  readonly retryAfter?: number
}

const FAILURES: Readonly<Record<FailureKind, FailureWords>> = {
  unreachable: { status: 503, message: 'the API server cannot be reached', retryAfter: SOON },
  timeout: { status: 504, message: 'the API server did not answer in time' },
  lost: {
    status: 502,
    message: 'the connection to the API server was lost before it answered: what was asked may have been done or not',
  },
  invalid: { status: 502, message: 'the API server sent an answer that cannot be passed on' },
}

/** A fault of ours; the log has the rest. */
export function faulty(requestId: string): Refused {
  const { publicMessage } = new ArchwayError('internal', '')
  return refused(
    'failed',
    'internal',
    statusAnswer(500, `${publicMessage}; the log has more under request id ${requestId}`),
  )
}
