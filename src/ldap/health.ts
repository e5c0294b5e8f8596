/**
 * Which servers to ask, in which order: as configured, those that failed a moment ago last.
 *
 * @module
 */
import type { ServerAddress } from './url.ts'

export const FIRST_BACKOFF_MS = 1000
export const LONGEST_BACKOFF_MS = 30_000

export interface Health {
  /**
   * Every server. One that failed is back in its place when its time is over; until then it is asked only after all
   * others, and still asked: an outage lasts no longer than it has to.
   */
  inOrder(): readonly ServerAddress[]
  /** Before a server is tried that failed: others leave it alone meanwhile. */
  trying(address: ServerAddress): void
  up(address: ServerAddress): void
  down(address: ServerAddress): void
}

interface Failing {
  /** In a row, and not those of calls that ran side by side. */
  readonly failures: number
  /** Failures until then are the same one. */
  readonly until: number
  readonly retryAt: number
}

/** `now`: milliseconds of a clock that does not go back. */
export function serverHealth(addresses: readonly ServerAddress[], now: () => number): Health {
  const failing = new Map<ServerAddress, Failing>()
  const retryAt = (address: ServerAddress): number => {
    const at = failing.get(address)?.retryAt ?? 0
    return at > now() ? at : 0
  }

  return {
    inOrder: () => addresses.toSorted((one, other) => retryAt(one) - retryAt(other)), // stable
    trying(address) {
      const state = failing.get(address)
      if (state !== undefined) failing.set(address, { ...state, retryAt: now() + backoffMs(state.failures) })
    },
    up(address) {
      failing.delete(address)
    },
    down(address) {
      const { failures, until } = failing.get(address) ?? { failures: 0, until: 0 }
      const same = failures > 0 && now() < until
      const count = same ? failures : failures + 1
      const retry = now() + backoffMs(count)
      failing.set(address, { failures: count, until: same ? until : retry, retryAt: retry })
    },
  }
}

function backoffMs(failures: number): number {
  return Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 1), LONGEST_BACKOFF_MS)
}
