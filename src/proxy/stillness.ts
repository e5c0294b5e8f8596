/**
 * How long something that ought to move has stood still, seen from a sweep: no clock is asked when it moves.
 *
 * @module
 */
export class Stillness {
  #moved = 0
  #since: number | undefined

  /** Whether `moved`, which only grows, has been the same for longer than `ms`. */
  lasts(now: number, moved: number, ms: number): boolean {
    if (this.#since === undefined || moved !== this.#moved) {
      this.#moved = moved
      this.#since = now
      return false
    }
    return now - this.#since > ms
  }

  /** It need not move now. */
  end(): void {
    this.#since = undefined
  }
}
