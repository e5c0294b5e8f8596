/**
 * Admission by numbers: so many short requests at once for all and for each user, so many long ones. Short requests
 * beyond that wait, users taking turns, so that whoever sends thousands keeps another waiting no longer than one turn.
 * Long ones never wait: nobody knows when one would end.
 *
 * Nothing is kept for users who have nothing under way (S15).
 *
 * @module
 */
import type { Admission, AdmissionResult, Asker, Permit } from './admission.ts'
import { type AdmissionLimits, DEFAULT_ADMISSION } from './limits.ts'
import { refusal } from './refusal.ts'
import { User, Waiter, WaitingRoom } from './waiting-room.ts'

/** Time, as a test may have it. */
export interface AdmissionClock {
  /** Milliseconds, never backwards. */
  now(): number
  later(ms: number, task: () => void): void
}

const CLOCK: AdmissionClock = {
  now: () => performance.now(),
  later: (ms, task) => void setTimeout(task, ms).unref(),
}

/** See the module. A permit that came too late for its asker has to be released like any other. */
export function fairAdmission(limits: AdmissionLimits = DEFAULT_ADMISSION, clock: AdmissionClock = CLOCK): Admission {
  const users = new Map<string, User>()
  const room = new WaitingRoom()
  let requests = 0
  let streams = 0
  let clockIsSet = false

  function admitLong(user: User): AdmissionResult {
    if (user.streams >= limits.userStreams) return refusal('user-streams', limits)
    if (streams >= limits.streams) return refusal('streams', limits)
    streams++
    user.streams++
    return { kind: 'admitted', permit: new CountedPermit(user, endLong) }
  }

  function endLong(user: User): void {
    streams--
    user.streams--
    forgetIdle(user)
  }

  function admitShort(user: User, asker: Asker): AdmissionResult | Promise<AdmissionResult> {
    // With room for both nobody waits who could run, this user's own included.
    if (requests < limits.requests && user.requests < limits.userRequests) return begin(user)
    if (user.waiters.length >= limits.userQueue) return refusal('user-requests', limits)
    const { signal } = asker
    if (signal.aborted) return refusal('gone', limits)
    return room.waiting < limits.queue || makeRoomFor(user) ? wait(user, signal) : refusal('queue', limits)
  }

  function begin(user: User): AdmissionResult {
    requests++
    user.requests++
    return { kind: 'admitted', permit: new CountedPermit(user, endShort) }
  }

  function endShort(user: User): void {
    requests--
    user.requests--
    room.callUp(user)
    while (requests < limits.requests) {
      const next = room.takeNext()
      if (next === undefined) break
      next.settle(begin(next.user))
      if (next.user.requests < limits.userRequests) room.callUp(next.user)
    }
    forgetIdle(user)
  }

  /** Whoever has most in a full room makes way, unless the others have no more than this user would have. */
  function makeRoomFor(user: User): boolean {
    const last = room.lastOfMost
    if (last === undefined || room.mostOfOne <= user.waiters.length + 1) return false
    turnAway(last, refusal('queue', limits))
    return true
  }

  function wait(user: User, signal: AbortSignal): Promise<AdmissionResult> {
    return new Promise((resolve) => {
      const gone = (): void => turnAway(waiter, refusal('gone', limits))
      const waiter = new Waiter(user, clock.now() + limits.queueWaitMs, (result) => {
        signal.removeEventListener('abort', gone)
        resolve(result)
      })
      signal.addEventListener('abort', gone)
      room.enter(waiter)
      if (user.requests < limits.userRequests) room.callUp(user)
      setClock(limits.queueWaitMs)
    })
  }

  function turnAway(waiter: Waiter, result: AdmissionResult): void {
    room.leave(waiter)
    waiter.settle(result)
    forgetIdle(waiter.user)
  }

  /** One timer for all who wait: whoever came first is the first to have waited long enough. */
  function setClock(ms: number): void {
    if (clockIsSet) return
    clockIsSet = true
    clock.later(ms, () => {
      clockIsSet = false
      endWaits(clock.now())
    })
  }

  function endWaits(now: number): void {
    let waiter = room.oldest
    while (waiter !== undefined && waiter.deadline <= now) {
      const own = waiter.user.requests >= limits.userRequests
      turnAway(waiter, refusal(own ? 'user-requests' : 'queue', limits))
      waiter = room.oldest
    }
    if (waiter !== undefined) setClock(waiter.deadline - now)
  }

  function forgetIdle(user: User): void {
    if (user.requests + user.streams + user.waiters.length === 0) users.delete(user.name)
  }

  function userOf(name: string): User {
    let user = users.get(name)
    if (user === undefined) {
      user = new User(name)
      users.set(name, user)
    }
    return user
  }

  return {
    admit(name, duration, asker) {
      const user = userOf(name)
      const result = duration === 'long' ? admitLong(user) : admitShort(user, asker)
      if (!(result instanceof Promise) && result.kind === 'refused') forgetIdle(user)
      return result
    },
    counts: () => ({ requests, streams, waiting: room.waiting, users: users.size }),
  }
}

class CountedPermit implements Permit {
  #user: User | undefined
  readonly #end: (user: User) => void

  constructor(user: User, end: (user: User) => void) {
    this.#user = user
    this.#end = end
  }

  release(): void {
    const user = this.#user
    this.#user = undefined
    if (user !== undefined) this.#end(user)
  }
}
