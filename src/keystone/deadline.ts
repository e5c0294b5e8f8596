/**
 * One deadline for all of a call: waiting for a connection, connecting, answer and body.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'

/** What a call is waiting for, so that a timeout can say it. */
export type Phase = 'version' | 'queue' | 'connection' | 'answer' | 'body'

/** One call under way. */
export interface Attempt {
  /** Aborts at the deadline, or when the caller has given up; the reason is the ArchwayError to throw. */
  readonly signal: AbortSignal
  /** The phase it is in now. */
  readonly phase: Phase
  enter(phase: Phase): void
}

export interface DeadlineOptions {
  /** Milliseconds. */
  readonly ms: number
  /** Where the call goes, for the message: `GET https://host/v3/auth/tokens`. */
  readonly target: string
  /** The caller's own signal; absent for work that is shared between callers. */
  readonly signal?: AbortSignal
}

const WAITING_FOR: Readonly<Record<Phase, string>> = {
  version: 'Keystone was asked which versions it has, and did not answer; is it up?',
  queue: 'all connections were in use; raise `connections`, or look at why Keystone is slow',
  connection: 'no connection was made; look at the address, the network and firewalls',
  answer: 'the request was sent and no answer came; look at why Keystone is slow',
  body: 'the answer began and did not end; look at Keystone and at what stands in front of it',
}

/**
 * Runs a call under a deadline. `run` must itself end when the signal aborts.
 *
 * @throws ArchwayError `keystone_timeout` at the deadline, or when the caller gave up.
 */
export async function withDeadline<T>(options: DeadlineOptions, run: (attempt: Attempt) => Promise<T>): Promise<T> {
  const { ms, target, signal } = options
  const controller = new AbortController()
  const attempt = newAttempt(controller.signal)
  const expire = () =>
    controller.abort(timeout(`${target}: not done within ${ms} ms; ${WAITING_FOR[attempt.longest()]}`))
  const cancel = () => controller.abort(cancelled(target, signal?.reason))
  const timer = setTimeout(expire, ms)
  signal?.addEventListener('abort', cancel, { once: true })
  if (signal?.aborted) cancel()
  try {
    return await run(attempt)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', cancel)
  }
}

/** Waits for shared work no longer than a call may; the work itself goes on. */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function newAttempt(signal: AbortSignal): Attempt & { longest(): Phase } {
  const spent = new Map<Phase, number>()
  let phase: Phase = 'queue'
  let since = performance.now()
  const enter = (next: Phase) => {
    const now = performance.now()
    spent.set(phase, (spent.get(phase) ?? 0) + now - since)
    phase = next
    since = now
  }
  return {
    signal,
    get phase() {
      return phase
    },
    enter,
    /** Not the last one: who waits in line behind a hanging call gets its place a moment before the own deadline. */
    longest() {
      enter(phase)
      return [...spent].reduce((most, entry) => (entry[1] > most[1] ? entry : most))[0]
    },
  }
}

function timeout(message: string): ArchwayError {
  return new ArchwayError('keystone_timeout', message, { retryAfter: 1 })
}

function cancelled(target: string, reason: unknown): ArchwayError {
  if (reason instanceof ArchwayError) return reason
  const message = `${target}: the caller's own deadline passed, or the caller has gone, before Keystone answered`
  return new ArchwayError('keystone_timeout', message, { cause: reason, retryAfter: 1 })
}
