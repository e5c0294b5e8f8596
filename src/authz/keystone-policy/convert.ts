/**
 * What every conversion says of itself.
 *
 * @module
 */

/** Something that a conversion did not carry over as it was. */
export interface Loss {
  /**
   * `kept`: left as it was, since nothing says the same. `dropped`: it allowed nothing. `narrower`: less is allowed
   * than before. `wider`: more is. `skipped`: not carried over at all.
   */
  readonly kind: 'kept' | 'dropped' | 'narrower' | 'wider' | 'skipped'
  /** Name of the text, and the place in it. */
  readonly path: string
  readonly message: string
}

/** Notes a loss about the line at hand. */
export type Lose = (kind: Loss['kind'], message: string) => void
