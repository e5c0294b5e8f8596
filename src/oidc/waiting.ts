/**
 * Waiting for a person: while something is shown to them, until they are done, break off or take too long.
 *
 * @module
 */

/** The longest delay a timer takes; a longer one would be over at once. */
const LONGEST_MS = 2 ** 31 - 1

/**
 * Does `work` while `show` runs. When `show` fails, the work is aborted and the failure is thrown; a `show` that goes on
 * (a prompt, a browser) does not hold up the end of the work.
 */
export async function whileShown<T>(
  show: () => void | Promise<void>,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const failure = new AbortController()
  const shown = new Promise<never>((_, reject) => {
    Promise.resolve()
      .then(show)
      .catch((thrown: unknown) => {
        reject(thrown) // first: the aborted work has an error of its own
        failure.abort()
      })
  })
  const either = signal === undefined ? failure.signal : AbortSignal.any([signal, failure.signal])
  return await Promise.race([shown, work(either)])
}

/** Resolves after `ms`, rejects with the signal's reason when that aborts. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(
      () => {
        signal.removeEventListener('abort', stop)
        resolve()
      },
      Math.min(ms, LONGEST_MS),
    )
    signal.addEventListener('abort', stop, { once: true })
  })
}
