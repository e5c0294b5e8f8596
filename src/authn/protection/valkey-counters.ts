/**
 * Login counters that replicas share, in Valkey or Redis. The rules are those of `memory-counters.ts`, written once more
 * in Lua, so that the server takes each step whole; both stand before the same tests.
 *
 * While the server cannot be asked, the counters in memory stand in. They have taken note of everything that was tried
 * at this replica, so that a lock made here holds on. What lies on the server expires by itself; its keys are digests,
 * its clock is the one that counts.
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import type { CallLog } from '../../context.ts'
import { messageOf } from '../../errors.ts'
import { type Valkey, type ValkeyScript, valkeyScript } from '../../valkey/valkey.ts'
import type { Admission, Consequence, LoginCounters, LoginKeys, Outcome, Policy, Scope } from './counters.ts'
import type { MemoryCounters } from './memory-counters.ts'

export interface ValkeyCountersOptions {
  readonly valkey: Pick<Valkey, 'run'>
  /** Stands in, with the same policy. */
  readonly memory: MemoryCounters
  readonly policy: Policy
  /** Begins every key. */
  readonly prefix: string
  /** After this an attempt whose end was never told counts no more as one under way, in milliseconds. */
  readonly pendingMs: number
  /** Told each time that memory stands in. */
  readonly onFallback?: () => void
  readonly log: Pick<CallLog, 'warn' | 'info'>
  /** Milliseconds since the epoch, for tests; absent: the server's clock. */
  readonly now?: () => number
}

/** Shared counters. */
export function valkeyCounters(options: ValkeyCountersOptions): LoginCounters {
  const { valkey, memory, policy, prefix, pendingMs, onFallback = () => {}, log } = options
  const numbers = numbersOf(policy)
  let reachable = true

  async function run(script: ValkeyScript, keys: LoginKeys, args: readonly string[]): Promise<readonly unknown[]> {
    const time = options.now === undefined ? '' : String(options.now())
    const answer = await valkey.run(script, keyNames(prefix, keys), [time, ...numbers, ...args])
    if (!Array.isArray(answer)) throw new TypeError('valkey: the answer of a script is not a list')
    if (!reachable) log.info({}, 'login counters are shared again')
    reachable = true
    return answer
  }

  function fellBack(error: unknown): void {
    onFallback()
    if (reachable) log.warn({ cause: messageOf(error) }, 'login counters cannot be shared; each replica counts alone')
    reachable = false
  }

  async function settle(keys: LoginKeys, outcome: Outcome, reservation: readonly string[]): Promise<Consequence> {
    const here = memory.count(keys, outcome)
    try {
      return consequenceOf(await run(SETTLE, keys, [outcome, ...reservation]))
    } catch (error) {
      fellBack(error)
      return here
    }
  }

  return {
    async admit(keys) {
      const id = randomUUID()
      try {
        const [kind, ...rest] = await run(ADMIT, keys, [id, String(pendingMs)])
        return admissionOf(kind, rest, (outcome, turn) => settle(keys, outcome, [id, ...turn]))
      } catch (error) {
        fellBack(error)
        return memory.admit(keys)
      }
    },
  }
}

/** In the order the scripts know them by. */
function keyNames(prefix: string, { pair, user, address }: LoginKeys): string[] {
  const tallies = [`${prefix}pair:${pair}`, `${prefix}user:${user}`, `${prefix}address:${address}`]
  return [...tallies, ...tallies.map((key) => `${key}:pending`), `${prefix}known:${pair}`]
}

function numbersOf({ pair, user, address, knownMs }: Policy): readonly string[] {
  return [
    pair.free,
    pair.firstDelayMs,
    pair.longestDelayMs,
    pair.lockAfter,
    pair.lockMs,
    pair.forgetMs,
    user.slowAfter,
    user.windowMs,
    user.intervalMs,
    address.lockAfter,
    address.windowMs,
    address.lockMs,
    knownMs,
  ].map(String)
}

const SCOPES: readonly Scope[] = ['pair', 'user', 'address']

function scopeOf(value: unknown): Scope {
  const scope = SCOPES.find((each) => each === value)
  if (scope === undefined) throw new TypeError('valkey: a script answered in a way that was not expected')
  return scope
}

function admissionOf(
  kind: unknown,
  rest: readonly unknown[],
  settle: (outcome: Outcome, turn: readonly string[]) => Promise<Consequence>,
): Admission {
  if (kind === 'busy') return { kind }
  if (kind === 'go') {
    const [known, ...turn] = rest
    return { kind, known: known === 1, settle: (outcome) => settle(outcome, turn.map(String)) }
  }
  if (kind !== 'refused') throw new TypeError('valkey: a script answered in a way that was not expected')
  const [scope, locked, waitMs] = rest
  return { kind, scope: scopeOf(scope), locked: locked === 1, waitMs: Number(waitMs) }
}

function consequenceOf([unlocked, ...locked]: readonly unknown[]): Consequence {
  return { unlocked: unlocked === 1, locked: locked.map(scopeOf) }
}

/** Begins both scripts: the clock, the policy, and records as they are read and written. */
const COMMON = `
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function number(index) return tonumber(ARGV[index]) end
local pair_free, first_delay, longest_delay, pair_lock_after, pair_lock, forget =
  number(2), number(3), number(4), number(5), number(6), number(7)
local slow_after, user_window, interval = number(8), number(9), number(10)
local address_lock_after, address_window, address_lock = number(11), number(12), number(13)
local known_for = number(14)

local function read(key)
  local found = redis.call('HMGET', key, 'failures', 'not_before', 'locked', 'until')
  local till = tonumber(found[4])
  if not till or till <= now then return { failures = 0, not_before = 0, locked = 0, till = 0 } end
  return { failures = tonumber(found[1]), not_before = tonumber(found[2]), locked = tonumber(found[3]), till = till }
end
local function text(value) return string.format('%.0f', value) end
local function write(key, tally)
  redis.call('HSET', key, 'failures', text(tally.failures), 'not_before', text(tally.not_before),
    'locked', text(tally.locked), 'until', text(tally.till))
  redis.call('PEXPIRE', key, text(math.max(tally.till, tally.not_before) - now + 1000))
end
local pair, user, address = read(KEYS[1]), read(KEYS[2]), read(KEYS[3])
`

/** → `go`, known, the turn taken and what it replaced · `refused`, scope, locked, wait · `busy` */
const ADMIT = valkeyScript(`${COMMON}
local id, pending_for = ARGV[15], number(16)
local known = (tonumber(redis.call('GET', KEYS[7])) or 0) > now
local exempt = known and pair.failures < pair_free
local function refused(scope, tally)
  return { 'refused', scope, tally.locked, math.ceil(tally.not_before - now) }
end
local function others(key)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now))
  return redis.call('ZCARD', key)
end
if now < pair.not_before then return refused('pair', pair) end
if not known and now < user.not_before then return refused('user', user) end
if not exempt and now < address.not_before then return refused('address', address) end

local at_pair, at_user, at_address = others(KEYS[4]), others(KEYS[5]), others(KEYS[6])
if at_pair > 0 and pair.failures + at_pair >= pair_free then return { 'busy' } end
if not known and user.failures < slow_after and user.failures + at_user >= slow_after then return { 'busy' } end
if not exempt and address.failures + at_address >= address_lock_after then return { 'busy' } end

for index = 4, 6 do
  redis.call('ZADD', KEYS[index], text(now + pending_for), id)
  redis.call('PEXPIRE', KEYS[index], text(pending_for + 1000))
end
local turn, before = 0, user.not_before
if not known and user.failures >= slow_after then
  turn = now + interval
  user.not_before = turn
  write(KEYS[2], user)
end
return { 'go', known and 1 or 0, text(turn), text(before) }
`)

/** → unlocked, then the scopes that were locked */
const SETTLE = valkeyScript(`${COMMON}
local outcome, id, turn, before = ARGV[15], ARGV[16], number(17), number(18)
for index = 4, 6 do redis.call('ZREM', KEYS[index], id) end

if outcome == 'unknown' then
  if turn > 0 and user.not_before == turn then
    user.not_before = before
    write(KEYS[2], user)
  end
  return { 0 }
end
if outcome == 'passed' then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[7], text(now + known_for), 'PX', text(known_for))
  return { (pair.locked == 1 or pair.failures >= pair_free) and 1 or 0 }
end

local answer = { 0 }
pair.failures = pair.failures + 1
if pair.failures >= pair_lock_after then
  local till = now + pair_lock
  pair = { failures = 0, not_before = till, locked = 1, till = till + forget }
  table.insert(answer, 'pair')
else
  if now >= pair.not_before then pair.locked = 0 end
  local delay = 0
  if pair.failures >= pair_free then
    delay = math.min(first_delay * 2 ^ (pair.failures - pair_free), longest_delay)
  end
  pair.not_before = math.max(pair.not_before, now + delay)
  pair.till = math.max(pair.till, now + forget)
end
write(KEYS[1], pair)

user.failures = user.failures + 1
if user.failures == 1 then user.till = now + user_window end
if user.failures == slow_after then
  user.not_before = now + interval
  table.insert(answer, 'user')
end
write(KEYS[2], user)

if now < address.not_before then return answer end
address.failures = address.failures + 1
if address.failures >= address_lock_after then
  local till = now + address_lock
  address = { failures = 0, not_before = till, locked = 1, till = till }
  table.insert(answer, 'address')
elseif address.failures == 1 then
  address.till = now + address_window
end
write(KEYS[3], address)
return answer
`)
