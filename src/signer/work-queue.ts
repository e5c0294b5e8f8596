/**
 * Names of things to look at. Each is looked at once however often it was added, never twice at a time, and again
 * after a pause where looking failed. Knows nothing of what is looked at.
 *
 * @module
 */
import { type BackoffOptions, backoffMs, realTiming, type Timing } from '../kube/api-client/backoff.ts'

/** What {@link workQueue} needs. */
export interface WorkQueueOptions {
  /** Looks at one. A throw means: again, later. */
  readonly work: (name: string) => Promise<void>
  /** Told of each throw, and of the pause that follows. */
  readonly failed: (name: string, thrown: unknown, pauseMs: number) => void
  /** Ends everything; what is being looked at ends by itself. */
  readonly signal: AbortSignal
  /** At a time. Default 4. */
  readonly most?: number
  readonly backoff?: BackoffOptions
  readonly timing?: Timing
}

export interface WorkQueue {
  add(name: string): void
  /** Settles when the signal has aborted and nothing is being looked at any more. */
  readonly done: Promise<void>
}

const BACKOFF: BackoffOptions = { firstMs: 500, mostMs: 300_000 }

export function workQueue(options: WorkQueueOptions): WorkQueue {
  const { work, failed, signal, most = 4, backoff = BACKOFF, timing = realTiming } = options
  const waiting = new Set<string>()
  const running = new Set<string>()
  const failures = new Map<string, number>()
  const over = Promise.withResolvers<void>()

  function next(): void {
    if (signal.aborted) {
      if (running.size === 0) over.resolve()
      return
    }
    for (const name of waiting) {
      if (running.size >= most) return
      if (running.has(name)) continue // again when it is through
      waiting.delete(name)
      running.add(name)
      void run(name)
    }
  }

  async function run(name: string): Promise<void> {
    try {
      await work(name)
      failures.delete(name)
    } catch (thrown) {
      if (!signal.aborted) retry(name, thrown)
    } finally {
      running.delete(name)
      next()
    }
  }

  function retry(name: string, thrown: unknown): void {
    const count = (failures.get(name) ?? 0) + 1
    failures.set(name, count)
    const pause = backoffMs(count, backoff, timing.random)
    failed(name, thrown, pause)
    void timing.sleep(pause, signal).then(() => add(name))
  }

  function add(name: string): void {
    waiting.add(name)
    next()
  }

  signal.addEventListener('abort', next, { once: true })
  next()
  return { add, done: over.promise }
}
