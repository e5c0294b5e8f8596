/**
 * The keys of an issuer: found by discovery (OpenID Connect Discovery 1.0), kept, and asked for again when that is
 * due. Owns when the issuer is asked: however many tokens come, and whatever stands in them, one request at a time and
 * none within the cool-down after it.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto'
import { z } from 'zod'
import type { CallLog } from '../../context.ts'
import { ArchwayError, messageOf } from '../../errors.ts'
import { type GetDocument, getDocument } from './issuer-http.ts'
import { isIssuerUrl, parseIssuerUrl } from './issuer-url.ts'
import { type KeySet, readKeySet, type WantedKey } from './key-set.ts'

/** An issuer's clock may be that far behind ours when it says when a token was issued, in milliseconds. */
const CLOCK_TOLERANCE_MS = 60_000

export interface IssuerKeysOptions {
  /** As it stands in tokens, compared exactly. */
  readonly issuer: string
  /** Where its discovery document is, when not below the issuer. */
  readonly discoveryUrl?: string
  /** Authorities for its TLS, PEM, in force at each request; absent: those of Node and of the system. */
  readonly ca?: () => string | undefined
  /** Whether the issuer may be on a loopback address over plain http. For tests and demonstrations. */
  readonly allowHttpLoopback?: boolean
  readonly log: CallLog
  /** For discovery and keys together. Default 5 s. */
  readonly timeoutMs?: number
  /** After that long the keys are asked for again, while the old ones go on working. Default 10 min. */
  readonly refreshMs?: number
  /** So long after a request no other is made. Default 10 s. */
  readonly cooldownMs?: number
  /** How long keys go on working while the issuer cannot be asked. Default 4 h. */
  readonly staleMs?: number
  /** Milliseconds since the epoch. */
  readonly now?: () => number
  readonly getDocument?: GetDocument
}

/** For readiness and metrics. */
export interface IssuerKeysStatus {
  readonly ok: boolean
  /** Keys in force. */
  readonly keys: number
  /** When they were asked for; `undefined`: there are none yet. */
  readonly fetchedAt?: Date
  /** Why the last request failed. */
  readonly error?: string
}

export interface IssuerKeys {
  readonly issuer: string
  /**
   * Keys for a token; none: the issuer has no such key. `issuedAt` is what the token says of itself, in milliseconds:
   * a key that was not there after the token was issued will not come.
   *
   * @throws ArchwayError when that cannot be told: no keys yet, or the key may be newer than those we have.
   */
  find(wanted: WantedKey, issuedAt: number | undefined, signal: AbortSignal): Promise<readonly KeyObject[]>
  /** For readiness: asks where that is due. Throws where there are no keys that can be used. */
  check(signal: AbortSignal): Promise<void>
  status(): IssuerKeysStatus
  /** Gives up a request under way. */
  close(): void
}

const discovery = z.object({ issuer: z.string(), jwks_uri: z.string() })

interface Held {
  readonly set: KeySet
  /** When the request began: what the issuer did since may be missing. */
  readonly since: number
}

/** Asks nobody before the first token or {@link IssuerKeys.check}. */
export function issuerKeys(options: IssuerKeysOptions): IssuerKeys {
  const { issuer, log, timeoutMs = 5000, refreshMs = 600_000, cooldownMs = 10_000, staleMs = 14_400_000 } = options
  const { now = Date.now, getDocument: get = getDocument, allowHttpLoopback = false } = options
  const discoveryUrl = parseIssuerUrl(options.discoveryUrl ?? wellKnown(issuer), { allowHttpLoopback })
  const stopping = new AbortController()
  let held: Held | undefined
  let attemptedAt: number | undefined
  let failure: ArchwayError | undefined
  let pending: Promise<void> | undefined

  return {
    issuer,
    async find(wanted, issuedAt, signal) {
      if (!isFresh(held, staleMs)) await waitFor(refresh(), signal)
      const current = inForce()
      if (!isFresh(current, refreshMs)) void refresh() // behind: the keys we have go on working
      const found = current.set.find(wanted)
      return found.length > 0 ? found : await findInNewer(wanted, issuedAt, signal)
    },
    async check(signal) {
      if (!isFresh(held, refreshMs)) await waitFor(refresh(), signal)
      inForce()
    },
    status: () => ({
      ok: failure === undefined && held !== undefined,
      keys: held?.set.size ?? 0,
      ...(held === undefined ? {} : { fetchedAt: new Date(held.since) }),
      ...(failure === undefined ? {} : { error: failure.message }),
    }),
    close: () => stopping.abort(new ArchwayError('stopping', 'the keys of the issuer are no longer followed')),
  }

  /** The key is not among those we have: it is the issuer's newest, or nobody's. */
  async function findInNewer(
    wanted: WantedKey,
    issuedAt: number | undefined,
    signal: AbortSignal,
  ): Promise<readonly KeyObject[]> {
    const presentedAt = now()
    await waitFor(refresh(), signal)
    const { set, since } = inForce()
    const found = set.find(wanted)
    if (found.length > 0) return found
    if (failure !== undefined) throw failure
    const wasThere = issuedAt !== undefined && issuedAt + CLOCK_TOLERANCE_MS < since
    if (wasThere || presentedAt <= since) return []
    throw new ArchwayError('oidc_unreachable', `${issuer}: a key is not known, and may be newer than ours`, {
      retryAfter: Math.max(1, Math.ceil(remainingCooldown() / 1000)),
    })
  }

  function inForce(): Held {
    if (held !== undefined && isFresh(held, staleMs)) return held
    throw failure ?? new ArchwayError('oidc_unreachable', `${issuer}: no keys yet`, { retryAfter: 1 })
  }

  /** One request at a time, and none in the cool-down. Resolves also where it failed: `failure` tells. */
  function refresh(): Promise<void> {
    if (pending !== undefined) return pending
    if (remainingCooldown() > 0) return Promise.resolve()
    attemptedAt = now()
    pending = fetchKeys(attemptedAt).finally(() => {
      pending = undefined
    })
    return pending
  }

  async function fetchKeys(since: number): Promise<void> {
    try {
      const set = await download()
      if (failure !== undefined) log.info({ issuer, keys: set.size }, 'the issuer answers again')
      failure = undefined
      held = { set, since }
    } catch (thrown) {
      const error = thrown instanceof ArchwayError ? thrown : unexpected(thrown)
      if (failure?.message !== error.message) log.warn({ issuer, error: error.message }, 'the keys cannot be asked for')
      failure = error
    }
  }

  async function download(): Promise<KeySet> {
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), stopping.signal])
    const ca = options.ca?.()
    const found = discovery.safeParse(await get({ url: discoveryUrl, ca, signal }))
    if (!found.success) throw invalid(`${discoveryUrl.href}: is no discovery document (issuer, jwks_uri)`)
    if (found.data.issuer !== issuer) {
      throw invalid(`${discoveryUrl.href}: names another issuer; \`issuer\` has to be exactly as it stands there`)
    }
    const { jwks_uri: address } = found.data
    if (!isIssuerUrl(withoutQuery(address), { allowHttpLoopback })) {
      throw invalid(`${discoveryUrl.href}: its jwks_uri is not an https address`)
    }
    const set = readKeySet(await get({ url: new URL(address), ca, signal }))
    if (set === undefined) throw invalid(`${withoutQuery(address)}: is no key set`)
    if (set.size === 0) throw invalid(`${withoutQuery(address)}: has no key that could verify a signature`)
    return set
  }

  function invalid(message: string): ArchwayError {
    return new ArchwayError('oidc_answer_invalid', message, { retryAfter: 5 })
  }

  function unexpected(thrown: unknown): ArchwayError {
    return new ArchwayError('oidc_unreachable', `${issuer}: ${messageOf(thrown)}`, { cause: thrown, retryAfter: 5 })
  }

  /** A clock that was set back makes nothing younger. */
  function isFresh(keys: Held | undefined, forMs: number): keys is Held {
    if (keys === undefined) return false
    const age = now() - keys.since
    return age >= 0 && age < forMs
  }

  function remainingCooldown(): number {
    if (attemptedAt === undefined) return 0
    const elapsed = now() - attemptedAt
    return elapsed < 0 ? 0 : Math.max(0, cooldownMs - elapsed)
  }
}

/** OpenID Connect Discovery 1.0, section 4: a slash at the end of the issuer is taken off first. */
function wellKnown(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
}

/** Keys may stand behind a query; it is not part of what is checked or told. */
function withoutQuery(address: string): string {
  return address.replace(/[?#].*$/s, '')
}

/** Waits for shared work no longer than a call may; the work itself goes on. */
async function waitFor(work: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw late(signal)
  const gone = Promise.withResolvers<never>()
  const abort = (): void => gone.reject(late(signal))
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([work, gone.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function late(signal: AbortSignal): ArchwayError {
  const message = 'the caller’s deadline passed, or the caller has gone, before the issuer answered'
  return new ArchwayError('oidc_timeout', message, { cause: signal.reason, retryAfter: 1 })
}
