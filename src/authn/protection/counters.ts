/**
 * The contract of the counters behind login protection: who may try a password now. Owns the rules in words and in
 * numbers; leaves keeping the counts to one file per place beside it.
 *
 * Three things are counted: a user at an address (the pair), a user wherever he comes from, an address whoever it
 * names. An attempt is reserved before it is checked, so that a thousand at once are not a thousand free ones; and an
 * attempt that comes too early changes nothing, so that nobody can hold a lock shut by knocking.
 *
 * - The pair: some failures are free, then each attempt waits twice as long as the one before, then the pair is locked
 *   for a while. Success clears it.
 * - The user: after many failures within a window he is slowed down, one attempt an interval; never locked. Pairs that
 *   have got in before ({@link Policy.knownMs}) are not held by it.
 * - The address: after many failures within a window it is locked for a while. Known pairs get in all the same, as long
 *   as their own failures are free ones: a guesser behind a shared address does not shut the office out.
 *
 * @module
 */

/** Of whom something is counted; digests, never names. */
export interface LoginKeys {
  readonly pair: string
  readonly user: string
  readonly address: string
}

export type Scope = keyof LoginKeys

export interface Policy {
  readonly pair: {
    /** Failures without a wait. */
    readonly free: number
    /** Wait after the last free failure; it doubles with each one after that. */
    readonly firstDelayMs: number
    readonly longestDelayMs: number
    /** Failures that lock. */
    readonly lockAfter: number
    readonly lockMs: number
    /** Failures are forgotten this long after the last one; no shorter than the longest delay. */
    readonly forgetMs: number
  }
  readonly user: {
    /** Failures within a window that slow him down. */
    readonly slowAfter: number
    /** From the first failure. */
    readonly windowMs: number
    /** While slowed down one attempt is checked in each. */
    readonly intervalMs: number
  }
  readonly address: {
    /** Failures within a window that lock. */
    readonly lockAfter: number
    /** From the first failure. */
    readonly windowMs: number
    readonly lockMs: number
  }
  /** How long a pair that got in is known. */
  readonly knownMs: number
}

/** What a check came to. `unknown`: it could not be told, and counts as nothing. */
export type Outcome = 'passed' | 'failed' | 'unknown'

/** Whether an attempt may be checked. */
export type Admission =
  | {
      readonly kind: 'go'
      /** The user got in from this address before. */
      readonly known: boolean
      /** Says how it went; once, and never throws. */
      settle(outcome: Outcome): Promise<Consequence>
    }
  | {
      readonly kind: 'refused'
      readonly scope: Scope
      /** Locked, not only too early. */
      readonly locked: boolean
      readonly waitMs: number
    }
  /** The others that are being checked might use up what is left: could not tell. */
  | { readonly kind: 'busy' }

/** What came of an attempt. */
export interface Consequence {
  /** What this failure locked, or slowed down. */
  readonly locked: readonly Scope[]
  /** The pair got in after it had been locked or made to wait. */
  readonly unlocked: boolean
}

export interface LoginCounters {
  /** Reserves an attempt, where one is allowed. Never throws. */
  admit(keys: LoginKeys): Promise<Admission>
}

export const DEFAULT_POLICY: Policy = {
  pair: {
    free: 5,
    firstDelayMs: 1000,
    longestDelayMs: 300_000,
    lockAfter: 20,
    lockMs: 900_000,
    forgetMs: 1_800_000,
  },
  user: { slowAfter: 50, windowMs: 3_600_000, intervalMs: 30_000 },
  address: { lockAfter: 100, windowMs: 900_000, lockMs: 900_000 },
  knownMs: 7 * 24 * 3_600_000,
}

/** No consequence. */
export const NOTHING: Consequence = Object.freeze({ locked: [], unlocked: false })

/** Wait after so many failures of a pair, in milliseconds. */
export function delayAfter(failures: number, { free, firstDelayMs, longestDelayMs }: Policy['pair']): number {
  return failures < free ? 0 : Math.min(firstDelayMs * 2 ** (failures - free), longestDelayMs)
}
