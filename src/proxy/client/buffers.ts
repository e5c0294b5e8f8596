/**
 * Memory for what is on its way to clients, used again and again. Fresh memory for every piece would be cheap to take
 * and dear to leave: it counts as pressure on the heap, and the whole heap is then looked through for it.
 *
 * @module
 */

/** Of one buffer, bytes. */
export const BUFFER_BYTES = 128 * 1024

/** Buffers that are kept while nobody uses them. */
const KEPT = 32

export interface Buffers {
  /** {@link BUFFER_BYTES} of whatever was in them. */
  take(): Buffer
  /** Whoever gives it back uses it no more. One that is never given back is only lost. */
  giveBack(buffer: Buffer): void
}

export function createBuffers(): Buffers {
  const free: Buffer[] = []
  return {
    take: () => free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES),
    giveBack(buffer) {
      if (free.length < KEPT) free.push(buffer)
    },
  }
}
