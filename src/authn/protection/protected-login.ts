/**
 * Protected login: stands before everything that takes a name with a password, counts what fails, makes guessers wait
 * and bounds how many passwords are checked at once. Owns the way of an attempt; leaves who may try to `counters.ts`,
 * whose turn it is to `slots.ts`, and the check to what it wraps.
 *
 * Names that nobody has are counted like any other, and whatever lets nobody in is a failure, so that being counted
 * tells nothing. That checking an unknown name takes as long as a wrong password is up to what is wrapped.
 *
 * @module
 */
import type { CallContext } from '../../context.ts'
import { ArchwayError } from '../../errors.ts'
import { foldName } from '../../user.ts'
import type { AuthnResult, PasswordAuthenticator, PasswordCredential } from '../authenticator.ts'
import { type KeyedDigest, keyedDigest } from '../keyed-digest.ts'
import { addressGroup } from './address-group.ts'
import type { Admission, Consequence, LoginCounters, LoginKeys, Scope } from './counters.ts'
import type { Slots } from './slots.ts'
import { throttledLog } from './throttled-log.ts'

/**
 * - `failed`: checked, and not let in.
 * - `delayed`: refused unseen: too early, or the user is slowed down.
 * - `locked`: refused unseen: the user at this address, or the address, is locked.
 * - `unlocked`: let in, after having been locked or made to wait.
 * - `overloaded`: could not be checked now; nothing was decided.
 * - `fallback`: counters could not be shared, those in memory stood in.
 */
export type ProtectionEvent = 'failed' | 'delayed' | 'locked' | 'unlocked' | 'overloaded' | 'fallback'

export interface ProtectedLoginOptions {
  readonly counters: LoginCounters
  readonly slots: Slots
  /** Makes the counters' keys. Replicas that share counters share its key. */
  readonly digest: KeyedDigest
  /** Bits of an IPv6 address that are counted as one; 64 when absent. */
  readonly ipv6Prefix?: number
  /** Deadline of one check, in milliseconds. It is the check's own: whoever asked may have gone. */
  readonly checkMs: number
  /** Whether a refusal says when to come back. Absent: it does not, and looks like a wrong password. */
  readonly tell?: boolean
  readonly observe?: (event: { readonly event: ProtectionEvent; readonly source: string }) => void
  /** Milliseconds, from any beginning; for how often the log is written. */
  readonly now?: () => number
}

/** A check under way, and how many wait for it. */
interface Flight {
  readonly result: Promise<AuthnResult>
  readonly abandoned: AbortController
  callers: number
}

/** Longer names are cut before they are counted, in UTF-16 units. */
const MAX_NAME = 1024

/**
 * Wraps whatever checks passwords; best once, around all of it.
 *
 * Attempts with the same name, password and address at the same time are one attempt. A check that has begun is counted
 * however it ends, also when the asker hangs up.
 *
 * Throws ArchwayError `login_busy` where it could not be told, and what is wrapped throws.
 */
export function protectedLogin(inner: PasswordAuthenticator, options: ProtectedLoginOptions): PasswordAuthenticator {
  const { counters, slots, digest, ipv6Prefix, checkMs, tell = false, now = () => performance.now() } = options
  const source = inner.name
  const write = throttledLog(now)
  const flights = new Map<string, Flight>()
  const idOf = keyedDigest() // passwords are in it: under a key nobody has
  const observe = (event: ProtectionEvent): void => options.observe?.({ event, source })

  async function attempt(credential: PasswordCredential, ctx: CallContext, gone: AbortSignal): Promise<AuthnResult> {
    const group = addressGroup(credential.address, ipv6Prefix)
    const keys = keysOf(credential.username, group)
    const who = { source, address: group, user: shortened(keys.user), pair: shortened(keys.pair) }
    const admission = await counters.admit(keys)
    if (admission.kind === 'refused') return refuse(admission, who, ctx)
    if (admission.kind === 'busy') throw overloaded(new ArchwayError('login_busy', BUSY, { retryAfter: 1 }), who, ctx)
    let result: AuthnResult | undefined
    try {
      const request = { group, known: admission.known, signal: gone }
      result = await slots.run(request, () => inner.authenticate(credential, detached(ctx)))
      return result
    } catch (error) {
      if (error instanceof ArchwayError && error.code === 'login_busy') overloaded(error, who, ctx)
      throw error
    } finally {
      await settle(admission, result, who, ctx)
    }
  }

  async function settle(
    admission: Extract<Admission, { kind: 'go' }>,
    result: AuthnResult | undefined,
    who: object,
    ctx: CallContext,
  ): Promise<void> {
    if (result === undefined) {
      await admission.settle('unknown')
      return
    }
    const passed = result.kind === 'authenticated'
    if (!passed) observe('failed')
    report(await admission.settle(passed ? 'passed' : 'failed'), who, ctx)
  }

  function report({ locked, unlocked }: Consequence, who: object, ctx: CallContext): void {
    for (const scope of locked) write(`lock ${scope}`, ctx.log, 'warn', { ...who, scope }, LOCKED[scope])
    if (!unlocked) return
    observe('unlocked')
    write('unlocked', ctx.log, 'info', who, 'login succeeded after failures that were made to wait')
  }

  function refuse(
    { scope, locked, waitMs }: Extract<Admission, { kind: 'refused' }>,
    who: object,
    ctx: CallContext,
  ): AuthnResult {
    const retryAfter = Math.ceil(waitMs / 1000)
    observe(locked ? 'locked' : 'delayed')
    const message = locked ? 'login refused unseen: locked' : 'login refused unseen: too early'
    write(locked ? 'locked' : 'delayed', ctx.log, 'info', { ...who, scope, retryAfter }, message)
    return { kind: 'rejected', code: 'login_locked', source, ...(tell ? { retryAfter } : {}) }
  }

  function overloaded(error: ArchwayError, who: object, ctx: CallContext): ArchwayError {
    observe('overloaded')
    write('overloaded', ctx.log, 'warn', { ...who, cause: error.message }, 'login could not be checked')
    return error
  }

  /** What travels with a check that outlives whoever asked first. */
  function detached({ requestId, audiences, log }: CallContext): CallContext {
    return { requestId, audiences, log, signal: AbortSignal.timeout(checkMs) }
  }

  function keysOf(username: string, group: string): LoginKeys {
    const name = foldName(username.slice(0, MAX_NAME))
    const key = (...parts: readonly string[]): string => digest(JSON.stringify(parts))
    return {
      pair: key('pair', source, name, group),
      user: key('user', source, name),
      address: key('address', group),
    }
  }

  function fly(id: string, credential: PasswordCredential, ctx: CallContext): Flight {
    const abandoned = new AbortController()
    const result = attempt(credential, ctx, abandoned.signal).finally(() => flights.delete(id))
    const flight = { result, abandoned, callers: 0 }
    flights.set(id, flight)
    return flight
  }

  return {
    name: inner.name,
    async authenticate(credential, ctx) {
      const { username, password, address } = credential
      const id = idOf(JSON.stringify([username, password, address ?? null, ctx.audiences]))
      const flight = flights.get(id) ?? fly(id, credential, ctx)
      const leave = (): void => {
        flight.callers--
        if (flight.callers === 0) flight.abandoned.abort()
      }
      flight.callers++
      if (ctx.signal.aborted) leave()
      else ctx.signal.addEventListener('abort', leave, { once: true })
      try {
        return await flight.result
      } finally {
        ctx.signal.removeEventListener('abort', leave)
      }
    },
  }
}

/** Enough of a key to find it again, in another line of the log or on the server. */
function shortened(key: string): string {
  return key.slice(0, 12)
}

const BUSY = 'other attempts of the same person, or from the same address, are being checked; try again'

const LOCKED: Readonly<Record<Scope, string>> = {
  pair: 'login locked: too many failures of a user at an address',
  user: 'login slowed down: too many failures of a user',
  address: 'login locked: too many failures at an address',
}
