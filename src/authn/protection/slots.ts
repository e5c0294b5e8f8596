/**
 * Slots: how many passwords are checked at once, and who is next. Checking is made to be slow, so that whoever may ask
 * for it without limit takes the machine. Owns the queue and its fairness; knows nothing of what is checked.
 *
 * Known pairs go first, three times out of four; among the rest, as among themselves, addresses take turns. A full queue
 * gives up the last to come of the address that has most in it, so that a flood displaces itself.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'

/** Whose turn it is asked for. */
export interface SlotRequest {
  /** Address or network; takes turns with the others. */
  readonly group: string
  readonly known: boolean
  /** Ends the wait; no check that has begun. */
  readonly signal: AbortSignal
}

export interface Slots {
  /**
   * Runs `check` when its turn has come.
   *
   * @throws ArchwayError `login_busy`: displaced, or gone while waiting; and what `check` throws.
   */
  run<T>(request: SlotRequest, check: () => Promise<T>): Promise<T>
  /** Checks under way. */
  readonly active: number
  /** Those that wait. */
  readonly waiting: number
}

export interface SlotsOptions {
  /** Checks at once. */
  readonly slots: number
  /** How many may wait. */
  readonly queue: number
}

interface Waiter {
  readonly request: SlotRequest
  readonly start: () => void
  readonly refuse: (error: ArchwayError) => void
}

/** Those of one rank that wait, by group; the group at the front is next. */
type Lane = Map<string, Waiter[]>

const KNOWN_IN_A_ROW = 3

/** Free slots and an empty queue. */
export function slots(options: SlotsOptions): Slots {
  const lanes: Readonly<Record<'known' | 'others', Lane>> = { known: new Map(), others: new Map() }
  let active = 0
  let waiting = 0
  let knownInARow = 0

  function laneOf({ known }: SlotRequest): Lane {
    return known ? lanes.known : lanes.others
  }

  function turn(request: SlotRequest): Promise<void> {
    if (active < options.slots) {
      active++
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        if (remove(waiter)) waiter.refuse(busy('whoever asked has gone'))
      }
      const waiter: Waiter = {
        request,
        start: () => {
          request.signal.removeEventListener('abort', leave)
          resolve()
        },
        refuse: (error) => {
          request.signal.removeEventListener('abort', leave)
          reject(error)
        },
      }
      if (request.signal.aborted) return reject(busy('whoever asked has gone'))
      request.signal.addEventListener('abort', leave)
      enqueue(waiter)
    })
  }

  function enqueue(waiter: Waiter): void {
    const lane = laneOf(waiter.request)
    const group = lane.get(waiter.request.group)
    if (group === undefined) lane.set(waiter.request.group, [waiter])
    else group.push(waiter)
    waiting++
    if (waiting <= options.queue) return
    const displaced = lastOfLongest(lanes.others) ?? lastOfLongest(lanes.known)
    if (displaced !== undefined && remove(displaced)) displaced.refuse(busy('too many logins are waiting'))
  }

  function remove(waiter: Waiter): boolean {
    const lane = laneOf(waiter.request)
    const group = lane.get(waiter.request.group)
    const index = group?.indexOf(waiter) ?? -1
    if (group === undefined || index < 0) return false
    group.splice(index, 1)
    if (group.length === 0) lane.delete(waiter.request.group)
    waiting--
    return true
  }

  /** Hands the slot that has come free to whoever is next. */
  function release(): void {
    const takesKnown = lanes.known.size > 0 && (knownInARow < KNOWN_IN_A_ROW || lanes.others.size === 0)
    const next = takesKnown ? takeFrom(lanes.known) : takeFrom(lanes.others)
    knownInARow = takesKnown ? knownInARow + 1 : 0
    if (next === undefined) {
      active--
      return
    }
    waiting--
    next.start()
  }

  return {
    async run(request, check) {
      await turn(request)
      try {
        return await check()
      } finally {
        release()
      }
    },
    get active() {
      return active
    },
    get waiting() {
      return waiting
    },
  }
}

/** The first of the group whose turn it is; the group goes to the end. */
function takeFrom(lane: Lane): Waiter | undefined {
  const [front] = lane
  if (front === undefined) return undefined
  const [name, group] = front
  const next = group.shift()
  lane.delete(name)
  if (group.length > 0) lane.set(name, group)
  return next
}

function lastOfLongest(lane: Lane): Waiter | undefined {
  let longest: readonly Waiter[] = []
  for (const group of lane.values()) if (group.length >= longest.length) longest = group
  return longest.at(-1)
}

function busy(why: string): ArchwayError {
  return new ArchwayError('login_busy', `${why}; try again`, { retryAfter: 1 })
}
