/**
 * A body that arrives in pieces. Owns the memory it takes: bounded by the body's own limit and by the budget all
 * connections share, and in proportion to the bytes that came, however small the pieces and whatever was announced.
 *
 * @module
 */
import type { Budget } from './limits.ts'

const LEAST_BYTES = 4096

/** What came of adding a piece. */
export type BodyOutcome = 'ok' | 'too-large' | 'overloaded'

/** Collects one body; {@link BodyBuffer.release} must follow, whatever came of it. */
export class BodyBuffer {
  readonly #limit: number
  readonly #budget: Budget
  #bytes: Buffer | undefined
  #length = 0

  /** @param limit bytes this body may have */
  constructor(limit: number, budget: Budget) {
    this.#limit = limit
    this.#budget = budget
  }

  get length(): number {
    return this.#length
  }

  add(piece: Buffer): BodyOutcome {
    const length = this.#length + piece.length
    if (length > this.#limit) return 'too-large'
    if (this.#bytes === undefined) return this.#keepFirst(piece)
    if (length > this.#bytes.length && !this.#grow(this.#bytes, length)) return 'overloaded'
    piece.copy(this.#bytes, this.#length)
    this.#length = length
    return 'ok'
  }

  /** What came so far; shares the memory. */
  bytes(): Buffer {
    return this.#bytes === undefined ? Buffer.alloc(0) : this.#bytes.subarray(0, this.#length)
  }

  /** Gives the memory back. Twice is once. */
  release(): void {
    if (this.#bytes === undefined) return
    this.#budget.give(this.#bytes.length)
    this.#bytes = undefined
    this.#length = 0
  }

  /** Most bodies come in one piece, which need not be copied. Nothing is ever written into it: it is full. */
  #keepFirst(piece: Buffer): BodyOutcome {
    if (!this.#budget.take(piece.length)) return 'overloaded'
    this.#bytes = piece
    this.#length = piece.length
    return 'ok'
  }

  /** Doubles, so that a body sent byte by byte costs no more than twice its length in copying. */
  #grow(bytes: Buffer, needed: number): boolean {
    const capacity = Math.min(this.#limit, Math.max(needed, bytes.length * 2, LEAST_BYTES))
    if (!this.#budget.take(capacity - bytes.length)) return false
    this.#bytes = Buffer.allocUnsafeSlow(capacity)
    bytes.copy(this.#bytes, 0, 0, this.#length)
    return true
  }
}
