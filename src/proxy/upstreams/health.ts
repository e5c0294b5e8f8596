/**
 * Whether one API server is asked: checked at intervals, ejected at once where it cannot be reached, taken back only by
 * a check that passed. Owns these states and their times; leaves what a check is to `readiness.ts`, and which of the
 * servers that are ready is asked to `balanced.ts`.
 *
 * ```
 * unchecked ─ check passed → ready ─ no connection, check failed → ejected ─ back-off, check passed → ready
 * ```
 *
 * @module
 */
import type { CallLog } from '../../context.ts'
import type { Clock } from './clock.ts'
import type { UpstreamEvent } from './events.ts'
import type { Readiness, ReadinessCheck } from './readiness.ts'

const FIRST_BACKOFF_MS = 1000
export const LONGEST_BACKOFF_MS = 30_000

/** Checks that doubts ask for are no closer together than this: whoever makes connections break makes no storm. */
const DOUBT_MS = 250

/**
 * A check that is late decides nothing: the server may be gone, or slow as all of them are. So many in a row decide; until
 * then the others are asked first, and it is asked where there is no other.
 */
const LATE_CHECKS = 3

/**
 * A server that told whether it is ready and then forbids the question is most likely starting: its authorizer answers
 * before it knows the roles. After this long it is believed to mean it.
 */
const FORBIDDEN_GRACE_MS = 60_000

export interface HealthOptions {
  readonly name: string
  readonly check: ReadinessCheck
  /** Between checks of a server that is ready, milliseconds; a tenth more or less. Default 5000. */
  readonly intervalMs?: number | undefined
  /** A check that takes longer has failed, and three of them in a row eject, milliseconds. Default 3000. */
  readonly timeoutMs?: number | undefined
  readonly clock: Clock
  /** 0 up to 1, for the spread of several proxies. */
  readonly random: () => number
  readonly log: CallLog
  readonly observe: (event: UpstreamEvent) => void
  /** Kept connections lead to a server that is not asked any more. */
  readonly onEjected: () => void
}

export interface Health {
  readonly ready: boolean
  /** Ready by its last check, and something since speaks against it: the others are asked first. */
  readonly doubtful: boolean
  /** Why it is not ready. */
  readonly reason: string | undefined
  /** Counts ejections. What began before one says nothing of the time after it. */
  readonly epoch: number
  /** When it is checked next, by the clock; past while it is being checked. */
  readonly nextCheckAt: number
  /** Resolves when the first check is over, whatever it found. */
  readonly checked: Promise<void>
  /** No connection could be made; `epoch` as it was when that was begun. */
  unreachable(reason: string, epoch: number): void
  /** A connection was lost where an answer was due. That can be one request's doing, so the server itself is asked. */
  doubt(): void
  /** Something changed that lets a check come to another end. */
  checkNow(): void
  close(): void
}

/** Begins to check at once. */
export function serverHealth(options: HealthOptions): Health {
  const { name, check, intervalMs = 5000, timeoutMs = 3000, clock, random, log, observe, onEjected } = options
  let state: 'unchecked' | 'ready' | 'ejected' = 'unchecked'
  let doubtful = false
  let reason: string | undefined = 'it was not checked yet'
  let epoch = 0
  let flaps = 0 // ejections without a steady while between
  let failures = 0 // of this ejection, those of the flaps before it included
  let readySince = 0
  let told = false // it has said 200, so that this user is one it tells
  let forbiddenSince: number | undefined
  let late = 0 // checks in a row
  let running: AbortController | undefined
  let overtaken = false // what is being checked was doubted meanwhile
  let startedAt = Number.NEGATIVE_INFINITY
  let nextCheckAt = clock.now()
  let cancel = (): void => {}
  let closed = false
  const { promise: checked, resolve: firstIsOver } = Promise.withResolvers<void>()

  function schedule(ms: number): void {
    cancel()
    if (closed) return
    nextCheckAt = clock.now() + ms
    cancel = clock.later(ms, () => void run())
  }

  async function run(): Promise<void> {
    cancel()
    running?.abort()
    const mine = new AbortController()
    running = mine
    overtaken = false
    startedAt = clock.now()
    const stop = clock.later(timeoutMs, () => mine.abort(new Error(`no answer to a check within ${timeoutMs} ms`)))
    const verdict = await check(mine.signal)
    stop()
    if (running !== mine) return // called off: another check, or an ejection, knows better
    running = undefined
    settle(verdict, mine.signal.aborted)
    firstIsOver()
  }

  function settle(verdict: Readiness, isLate: boolean): void {
    if (verdict.kind === 'unknown') {
      log.warn({ upstream: name, reason: verdict.reason }, 'an API server could not be checked')
      if (state !== 'ready') reason = verdict.reason
      schedule(spread(intervalMs))
      return
    }
    doubtful &&= overtaken
    const fault = faultIn(verdict)
    late = isLate ? late + 1 : 0
    if (fault === undefined) {
      admit()
    } else {
      observe('check_failed')
      if (isLate && state === 'ready' && late < LATE_CHECKS) suspect(fault)
      else eject(fault)
    }
  }

  function suspect(why: string): void {
    if (late === 1) log.warn({ upstream: name, reason: why }, 'an API server is slow to say whether it is ready')
    doubtful = true
    schedule(spread(FIRST_BACKOFF_MS))
  }

  /** What keeps the server from being asked. */
  function faultIn(verdict: Exclude<Readiness, { kind: 'unknown' }>): string | undefined {
    if (verdict.kind === 'unready') return verdict.reason
    if (verdict.kind === 'ready') {
      told = true
      forbiddenSince = undefined
      return undefined
    }
    forbiddenSince ??= clock.now()
    if (told && clock.now() - forbiddenSince < FORBIDDEN_GRACE_MS)
      return 'it forbids /readyz (403), which it did not before; it may be starting'
    if (told || state === 'unchecked')
      log.info({ upstream: name }, 'an API server does not tell whether it is ready (403): it counts as ready')
    told = false
    return undefined
  }

  function admit(): void {
    if (state !== 'ready') {
      if (state === 'ejected') observe('readmitted')
      log.info({ upstream: name }, 'an API server is ready')
      readySince = clock.now()
    }
    state = 'ready'
    reason = undefined
    schedule(doubtful ? DOUBT_MS : spread(intervalMs))
  }

  function eject(why: string): void {
    const before = state
    failures += 1
    state = 'ejected'
    doubtful = false
    if (before === 'ready') {
      // One that comes and goes is left alone longer each time; one long outage is one.
      flaps = clock.now() - readySince >= LONGEST_BACKOFF_MS ? 1 : flaps + 1
      failures = flaps
      epoch += 1
      observe('ejected')
      onEjected()
    }
    if (why !== reason || before === 'ready') log.warn({ upstream: name, reason: why }, 'an API server is not ready')
    reason = why
    schedule(spread(Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 1), LONGEST_BACKOFF_MS)))
  }

  /** A tenth more or less, so that many proxies do not ask in step. */
  function spread(ms: number): number {
    return ms * (0.9 + 0.2 * random())
  }

  void run()
  return {
    get ready() {
      return state === 'ready'
    },
    get doubtful() {
      return doubtful
    },
    get reason() {
      return reason
    },
    get epoch() {
      return epoch
    },
    get nextCheckAt() {
      return nextCheckAt
    },
    checked,
    unreachable(why, since) {
      if (state !== 'ready' || since !== epoch || closed) return
      running?.abort()
      running = undefined
      eject(why)
    },
    doubt() {
      if (state !== 'ready' || doubtful || closed) return
      doubtful = true
      overtaken = running !== undefined // it may have had its answer before; so it is followed by another
      if (!overtaken) schedule(Math.max(0, startedAt + DOUBT_MS - clock.now()))
    },
    checkNow() {
      if (!closed) void run()
    },
    close() {
      closed = true
      cancel()
      running?.abort()
      running = undefined
      firstIsOver()
    },
  }
}
