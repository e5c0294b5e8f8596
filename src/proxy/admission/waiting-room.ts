/**
 * The waiting room of short requests: each waits in the line of its user, and the users who may have more take turns.
 * Owns who is next and who has most in it; leaves to `fair-admission.ts` what may run, and when.
 *
 * Every operation costs the same, however many wait: nobody is searched for.
 *
 * @module
 */
import type { AdmissionResult } from './admission.ts'
import { Line, type Place, placeFor } from './line.ts'

/** One user who has something under way or waiting. */
export class User {
  readonly name: string
  requests = 0
  streams = 0
  readonly waiters = new Line<Waiter>()
  readonly turn: Place<User> = placeFor<User>(this)
  readonly bySize: Place<User> = placeFor<User>(this)

  constructor(name: string) {
    this.name = name
  }
}

/** One request that waits. */
export class Waiter {
  readonly user: User
  /** On the clock of admission: when it has waited long enough. */
  readonly deadline: number
  /** Told once what the wait came to. */
  readonly settle: (result: AdmissionResult) => void
  readonly inLine: Place<Waiter> = placeFor<Waiter>(this)
  readonly inRoom: Place<Waiter> = placeFor<Waiter>(this)

  constructor(user: User, deadline: number, settle: (result: AdmissionResult) => void) {
    this.user = user
    this.deadline = deadline
    this.settle = settle
  }
}

export class WaitingRoom {
  readonly #arrivals = new Line<Waiter>()
  readonly #turns = new Line<User>()
  /** Users by how many wait of each; nobody is at 0. */
  readonly #bySize: Line<User>[] = []
  #mostOfOne = 0

  get waiting(): number {
    return this.#arrivals.length
  }

  /** How many wait of the user who has most in here. */
  get mostOfOne(): number {
    return this.#mostOfOne
  }

  get oldest(): Waiter | undefined {
    return this.#arrivals.first
  }

  /** The last to come of a user who has most in here. */
  get lastOfMost(): Waiter | undefined {
    return this.#bySize[this.#mostOfOne]?.first?.waiters.last
  }

  enter(waiter: Waiter): void {
    const { user } = waiter
    this.#arrivals.join(waiter.inRoom)
    user.bySize.line?.leave(user.bySize)
    user.waiters.join(waiter.inLine)
    this.#file(user)
  }

  leave(waiter: Waiter): void {
    const { user } = waiter
    this.#arrivals.leave(waiter.inRoom)
    user.bySize.line?.leave(user.bySize)
    user.waiters.leave(waiter.inLine)
    this.#file(user)
    if (user.waiters.length === 0) this.#turns.leave(user.turn)
  }

  /** The user may have more: a turn comes, behind those who wait for theirs already. */
  callUp(user: User): void {
    if (user.waiters.length > 0) this.#turns.join(user.turn)
  }

  /** Whose turn it is leaves the room; the user has to be called up for another. */
  takeNext(): Waiter | undefined {
    const user = this.#turns.first
    const waiter = user?.waiters.first
    if (user === undefined || waiter === undefined) return undefined
    this.#turns.leave(user.turn)
    this.leave(waiter)
    return waiter
  }

  /** Puts the user where as many wait as now. */
  #file(user: User): void {
    const size = user.waiters.length
    if (size > 0) this.#sizeOf(size).join(user.bySize)
    // Lines grow and shrink by one: what has fallen from the top is one below it.
    if (size > this.#mostOfOne || this.#sizeOf(this.#mostOfOne).length === 0) this.#mostOfOne = size
  }

  #sizeOf(size: number): Line<User> {
    const users = this.#bySize[size] ?? new Line<User>()
    this.#bySize[size] = users
    return users
  }
}
