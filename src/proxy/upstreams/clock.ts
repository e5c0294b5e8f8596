/**
 * Time, as health and connecting see it: a seam, so that tests need not wait.
 *
 * @module
 */

export interface Clock {
  /** Milliseconds; never goes back. */
  now(): number
  /** Runs the task once; what comes back takes the order back. */
  later(ms: number, task: () => void): () => void
}

/** The machine's own. What is ordered keeps no process alive. */
export function systemClock(): Clock {
  return {
    now: () => performance.now(),
    later(ms, task) {
      const timer = setTimeout(task, ms).unref()
      return () => clearTimeout(timer)
    },
  }
}
