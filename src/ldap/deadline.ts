/**
 * Deadlines inside deadlines: the whole call, making a connection, one answer.
 *
 * @module
 */

/**
 * Runs work that ends when its signal aborts: after `ms`, with the error of `expired`, or when `outer` does, with its
 * reason. The signal's reason is what the work has to throw.
 */
export async function within<T>(
  { ms, outer, expired }: { readonly ms: number; readonly outer: AbortSignal; readonly expired: () => Error },
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const pass = (): void => controller.abort(outer.reason)
  const timer = setTimeout(() => controller.abort(expired()), ms)
  outer.addEventListener('abort', pass, { once: true })
  if (outer.aborted) pass()
  try {
    controller.signal.throwIfAborted()
    return await run(controller.signal)
  } finally {
    clearTimeout(timer)
    outer.removeEventListener('abort', pass)
  }
}
