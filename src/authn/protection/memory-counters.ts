/**
 * Login counters in the memory of this process. What is kept is bounded and expires: the least recently seen go first.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'
import {
  type Admission,
  type Consequence,
  delayAfter,
  type LoginCounters,
  type LoginKeys,
  NOTHING,
  type Outcome,
  type Policy,
  type Scope,
} from './counters.ts'

export interface MemoryCountersOptions {
  readonly policy: Policy
  /** How many pairs, users, addresses and known pairs are kept, of each. */
  readonly entries: number
  /** Milliseconds, from any beginning, never backwards. */
  readonly now?: () => number
}

export interface MemoryCounters extends LoginCounters {
  /** Takes note of what was reserved elsewhere. */
  count(keys: LoginKeys, outcome: Outcome): Consequence
  /** Records kept, of all kinds. */
  readonly size: number
}

interface Tally {
  readonly failures: number
  /** No attempt before this. */
  readonly notBefore: number
  /** The wait is, or was, a lock. Its failures are forgotten with it. */
  readonly locked: boolean
  /** The record holds until then. */
  readonly until: number
}

type Kept = LRUCache<string, Tally>
type Refusal = Exclude<Admission, { kind: 'go' }>

const NONE: Tally = Object.freeze({ failures: 0, notBefore: 0, locked: false, until: 0 })

/** Empty counters. */
export function memoryCounters(options: MemoryCountersOptions): MemoryCounters {
  const { policy, entries, now = () => performance.now() } = options
  const kept: Readonly<Record<Scope, Kept>> = {
    pair: new LRUCache({ max: entries }),
    user: new LRUCache({ max: entries }),
    address: new LRUCache({ max: entries }),
  }
  /** Known pairs, and until when. */
  const known = new LRUCache<string, number>({ max: entries })
  /** Attempts that are being checked. Bounded by how many may be. */
  const pending = new Map<string, number>()

  function tallyOf(scope: Scope, keys: LoginKeys, time: number): Tally {
    const tally = kept[scope].get(keys[scope])
    if (tally === undefined) return NONE
    if (time < tally.until) return tally
    kept[scope].delete(keys[scope])
    return NONE
  }

  function isKnown({ pair }: LoginKeys, time: number): boolean {
    return time < (known.get(pair) ?? Number.NEGATIVE_INFINITY)
  }

  function pendingOf(key: string): number {
    return pending.get(key) ?? 0
  }

  function addPending(keys: LoginKeys, change: 1 | -1): void {
    for (const key of Object.values(keys)) {
      const count = pendingOf(key) + change
      if (count > 0) pending.set(key, count)
      else pending.delete(key)
    }
  }

  /** Why an attempt may not be checked now. */
  function refusal(keys: LoginKeys, isKnownPair: boolean, time: number): Refusal | undefined {
    const pair = tallyOf('pair', keys, time)
    const user = tallyOf('user', keys, time)
    const address = tallyOf('address', keys, time)
    const { free } = policy.pair
    if (time < pair.notBefore) return tooEarly('pair', pair, time)
    if (!isKnownPair && time < user.notBefore) return tooEarly('user', user, time)
    const isExempt = isKnownPair && pair.failures < free
    if (!isExempt && time < address.notBefore) return tooEarly('address', address, time)
    const others = pendingOf(keys.pair)
    const isCrowded =
      (others > 0 && pair.failures + others >= free) ||
      (!isKnownPair && isFilling(user.failures, pendingOf(keys.user), policy.user.slowAfter)) ||
      (!isExempt && address.failures + pendingOf(keys.address) >= policy.address.lockAfter)
    return isCrowded ? { kind: 'busy' } : undefined
  }

  function admit(keys: LoginKeys): Admission {
    const time = now()
    const isKnownPair = isKnown(keys, time)
    const refused = refusal(keys, isKnownPair, time)
    if (refused !== undefined) return refused
    addPending(keys, 1)
    const takeBack = isKnownPair ? undefined : takeTurn(keys, time)
    return {
      kind: 'go',
      known: isKnownPair,
      async settle(outcome) {
        addPending(keys, -1)
        if (outcome === 'unknown') takeBack?.()
        return count(keys, outcome)
      },
    }
  }

  /** While a user is slowed down this attempt is the one of its interval; gives what undoes that. */
  function takeTurn(keys: LoginKeys, time: number): (() => void) | undefined {
    const before = tallyOf('user', keys, time)
    if (before.failures < policy.user.slowAfter) return undefined
    const notBefore = time + policy.user.intervalMs
    kept.user.set(keys.user, { ...before, notBefore })
    return () => {
      const after = kept.user.peek(keys.user)
      if (after?.notBefore === notBefore) kept.user.set(keys.user, { ...after, notBefore: before.notBefore })
    }
  }

  function count(keys: LoginKeys, outcome: Outcome): Consequence {
    if (outcome === 'unknown') return NOTHING
    const time = now()
    const pair = tallyOf('pair', keys, time)
    if (outcome === 'passed') {
      kept.pair.delete(keys.pair)
      known.set(keys.pair, time + policy.knownMs)
      return { locked: [], unlocked: pair.locked || pair.failures >= policy.pair.free }
    }
    const user = userFailed(tallyOf('user', keys, time), time, policy.user)
    kept.pair.set(keys.pair, pairFailed(pair, time, policy.pair))
    kept.user.set(keys.user, user)
    const locked: Scope[] = pair.failures + 1 >= policy.pair.lockAfter ? ['pair'] : []
    if (user.failures === policy.user.slowAfter) locked.push('user')
    const address = tallyOf('address', keys, time)
    // A known pair that fails at a locked address neither lengthens the lock nor ends it.
    if (time < address.notBefore) return { locked, unlocked: false }
    kept.address.set(keys.address, addressFailed(address, time, policy.address))
    if (address.failures + 1 >= policy.address.lockAfter) locked.push('address')
    return { locked, unlocked: false }
  }

  return {
    admit: async (keys) => admit(keys),
    count,
    get size() {
      return kept.pair.size + kept.user.size + kept.address.size + known.size + pending.size
    },
  }
}

function tooEarly(scope: Scope, { notBefore, locked }: Tally, time: number): Refusal {
  return { kind: 'refused', scope, locked, waitMs: notBefore - time }
}

/** Whether the others that are being checked leave no room before the limit. Past it, turns decide. */
function isFilling(failures: number, others: number, limit: number): boolean {
  return failures < limit && failures + others >= limit
}

function pairFailed(before: Tally, time: number, policy: Policy['pair']): Tally {
  const failures = before.failures + 1
  if (failures >= policy.lockAfter) {
    const notBefore = time + policy.lockMs
    return { failures: 0, notBefore, locked: true, until: notBefore + policy.forgetMs }
  }
  return {
    failures,
    notBefore: Math.max(before.notBefore, time + delayAfter(failures, policy)),
    locked: before.locked && time < before.notBefore,
    until: Math.max(before.until, time + policy.forgetMs),
  }
}

function userFailed(before: Tally, time: number, { slowAfter, windowMs, intervalMs }: Policy['user']): Tally {
  const failures = before.failures + 1
  const until = before.failures === 0 ? time + windowMs : before.until
  const notBefore = failures === slowAfter ? time + intervalMs : before.notBefore
  return { failures, notBefore, locked: false, until }
}

function addressFailed(before: Tally, time: number, { lockAfter, windowMs, lockMs }: Policy['address']): Tally {
  const failures = before.failures + 1
  if (failures >= lockAfter) return { failures: 0, notBefore: time + lockMs, locked: true, until: time + lockMs }
  return {
    failures,
    notBefore: 0,
    locked: false,
    until: before.failures === 0 ? time + windowMs : before.until,
  }
}
