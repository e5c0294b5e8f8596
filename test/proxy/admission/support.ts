import type { AdmissionClock } from '../../../src/proxy/admission/fair-admission.ts'

/** Lets promises that are settled tell so. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export interface HandClock extends AdmissionClock {
  advance(ms: number): void
  /** Timers that are set. */
  timers(): number
}

/** Time that passes only by hand. */
export function handClock(): HandClock {
  let now = 0
  let tasks: { readonly at: number; readonly task: () => void }[] = []
  return {
    now: () => now,
    later: (ms, task) => void tasks.push({ at: now + ms, task }),
    advance(ms) {
      now += ms
      const due = tasks.filter(({ at }) => at <= now)
      tasks = tasks.filter(({ at }) => at > now)
      for (const { task } of due) task()
    },
    timers: () => tasks.length,
  }
}
