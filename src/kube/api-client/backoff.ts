/**
 * Waiting longer from try to try, up to a bound, with some chance in it so that many who lost the same server do not
 * come back all at once.
 *
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises'

/** Time and chance, handed in so that tests need neither. */
export interface Timing {
  /** Settles early, without an error, when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
  /** From 0 to 1. */
  random(): number
  /** Milliseconds, from any beginning. */
  now(): number
}

/** The clock and the chance of this machine. */
export const realTiming: Timing = {
  sleep: (ms, signal) => delay(ms, undefined, { signal, ref: false }).catch(() => {}),
  random: Math.random,
  now: () => performance.now(),
}

/** The same for a program that has nothing else to do: it goes on while this sleeps. */
export const waitingTiming: Timing = {
  ...realTiming,
  sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
}

/** The shortest and the longest pause. */
export interface BackoffOptions {
  readonly firstMs: number
  readonly mostMs: number
}

/** Pause before the try after `failures` failures in a row, from half to the whole of what doubling comes to. */
export function backoffMs(failures: number, { firstMs, mostMs }: BackoffOptions, random: () => number): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 30))
  return Math.round(full * (0.5 + random() / 2))
}
