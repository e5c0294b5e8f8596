/**
 * A circuit breaker: after enough failures in a row nobody waits for a server any more that does not answer, until one
 * request, sent ahead, finds it back.
 *
 * @module
 */

/** Everybody asks, nobody asks, one asks. */
export type BreakerState = 'closed' | 'open' | 'half-open'

/** What {@link breaker} needs. */
export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failures: number
  /** How long it stays open before one request is let through. */
  readonly openMs: number
  /** Milliseconds, from any beginning. */
  readonly now: () => number
  readonly onChange?: (state: BreakerState) => void
}

/** Whoever was let in says how it went, once. */
export interface Breaker {
  /** Whether to ask at all. */
  enter(): boolean
  succeeded(): void
  failed(): void
  /** It came to nothing for a reason of our own, which says nothing about the server. */
  abandoned(): void
  state(): BreakerState
}

/** A closed breaker. */
export function breaker({ failures, openMs, now, onChange = () => {} }: BreakerOptions): Breaker {
  let state: BreakerState = 'closed'
  let inARow = 0
  let openUntil = 0
  let probing = false

  function become(next: BreakerState): void {
    if (next === state) return
    state = next
    onChange(next)
  }

  return {
    enter() {
      if (state === 'open' && now() >= openUntil) become('half-open')
      if (state === 'closed') return true
      if (state === 'open' || probing) return false
      probing = true
      return true
    },
    succeeded() {
      inARow = 0
      probing = false
      become('closed')
    },
    failed() {
      inARow++
      // Requests that were on their way when it opened do not make it stay open longer.
      if (state === 'open' || (state === 'closed' && inARow < failures)) return
      probing = false
      openUntil = now() + openMs
      become('open')
    },
    abandoned() {
      probing = false
    },
    state: () => state,
  }
}
