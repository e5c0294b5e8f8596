/**
 * A line that one may also leave from the middle, at no cost for its length. Whoever stands in several lines at once has
 * a place in each.
 *
 * @module
 */

/** Where somebody stands, or may stand: in one line at a time. */
export interface Place<Who> {
  readonly who: Who
  /** The line, while one stands in it. */
  line: Line<Who> | undefined
  ahead: Place<Who> | undefined
  behind: Place<Who> | undefined
}

/** A place outside of any line. */
export function placeFor<Who>(who: Who): Place<Who> {
  return { who, line: undefined, ahead: undefined, behind: undefined }
}

export class Line<Who> {
  #first: Place<Who> | undefined
  #last: Place<Who> | undefined
  #length = 0

  get length(): number {
    return this.#length
  }

  get first(): Who | undefined {
    return this.#first?.who
  }

  get last(): Who | undefined {
    return this.#last?.who
  }

  /** Goes to the end; whoever stands in a line already keeps the place. */
  join(place: Place<Who>): void {
    if (place.line !== undefined) return
    place.line = this
    place.ahead = this.#last
    if (this.#last === undefined) this.#first = place
    else this.#last.behind = place
    this.#last = place
    this.#length++
  }

  /** Leaves this line, if that is where the place is. */
  leave(place: Place<Who>): void {
    if (place.line !== this) return
    if (place.ahead === undefined) this.#first = place.behind
    else place.ahead.behind = place.behind
    if (place.behind === undefined) this.#last = place.ahead
    else place.behind.ahead = place.ahead
    place.line = undefined
    place.ahead = undefined
    place.behind = undefined
    this.#length--
  }
}
