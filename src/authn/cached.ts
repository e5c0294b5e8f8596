/**
 * Cached: remembers what a credential came to, for a short while, and lets concurrent checks of one credential share
 * one look-up. Owns lifetimes and keys; knows nothing of how a credential is checked.
 *
 * No credential is kept: the key is an HMAC under a key made for this process (as in kube-apiserver's
 * `cached_token_authenticator.go`). Errors are never remembered.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'
import type { CallContext } from '../context.ts'
import type {
  Authenticator,
  AuthnResult,
  PasswordAuthenticator,
  PasswordCredential,
  TokenAuthenticator,
} from './authenticator.ts'
import { type KeyedDigest, keyedDigest } from './keyed-digest.ts'

export type CacheEvent = 'hit' | 'miss' | 'shared'

export interface CachedOptions {
  /** How long an accepted token is remembered, in milliseconds; never past its expiry. 0: not at all. */
  readonly ttlMs: number
  /** How long a refused token is remembered, in milliseconds. 0: not at all. */
  readonly negativeTtlMs: number
  /** How many tokens are remembered; the least recently used go first. */
  readonly entries: number
  /** Deadline of one look-up in milliseconds. It is the look-up's own: whoever asked first may have gone. */
  readonly lookupTimeoutMs: number
  /** Milliseconds since the epoch. */
  readonly now?: () => number
  readonly observe?: (event: CacheEvent) => void
  /** Digest of the keys; under a random key when absent. */
  readonly digest?: KeyedDigest
}

/** What was remembered, whatever it was remembered of. */
export interface Remembered {
  /** Forgets everything, look-ups that are under way included. For changes of configuration. */
  flush(): void
  /** Number of credentials remembered. */
  readonly size: number
}

export type CachedAuthenticator<Credential = string> = Authenticator<Credential> & Remembered

interface Entry {
  readonly result: AuthnResult
  /** Milliseconds since the epoch, as `until`. A clock that was set back must not make an entry live longer. */
  readonly since: number
  readonly until: number
}

/** Wraps a token authenticator. `skipped` is not remembered: it was free to find out. */
export function cached(inner: TokenAuthenticator, options: CachedOptions): CachedAuthenticator {
  return cachedBy(inner, (token) => token, options)
}

/** Wraps an authenticator of user names with passwords; from which address they come makes no difference. */
export function cachedPassword(
  inner: PasswordAuthenticator,
  options: CachedOptions,
): CachedAuthenticator<PasswordCredential> {
  return cachedBy(inner, ({ username, password }) => `${username.length}:${username}${password}`, options)
}

function cachedBy<Credential>(
  inner: Authenticator<Credential>,
  textOf: (credential: Credential) => string,
  options: CachedOptions,
): CachedAuthenticator<Credential> {
  const { ttlMs, negativeTtlMs, entries, lookupTimeoutMs, now = Date.now, observe = () => {} } = options
  const digest = options.digest ?? keyedDigest()
  const remembered = new LRUCache<string, Entry>({ max: entries })
  let pending = new Map<string, Promise<AuthnResult>>()

  async function lookUp(id: string, credential: Credential, ctx: CallContext): Promise<AuthnResult> {
    const mine = pending
    const startedAt = now()
    const result = await inner.authenticate(credential, {
      requestId: ctx.requestId,
      audiences: ctx.audiences,
      log: ctx.log,
      signal: AbortSignal.timeout(lookupTimeoutMs),
    })
    const until = startedAt + lifetime(result, startedAt)
    // A flush took the map away: what was looked up before it is not to be remembered.
    if (until > startedAt && pending === mine) remembered.set(id, { result, since: startedAt, until })
    return result
  }

  function lifetime(result: AuthnResult, startedAt: number): number {
    if (result.kind === 'skipped') return 0
    if (result.kind === 'rejected') return negativeTtlMs
    return result.expiresAt === undefined ? ttlMs : Math.min(ttlMs, result.expiresAt.getTime() - startedAt)
  }

  /** A lone surrogate is hashed as U+FFFD is: one credential would pass for the other. Such a one is never looked up. */
  function idOf(credential: Credential, ctx: CallContext): string | undefined {
    const text = textOf(credential)
    return text.isWellFormed() ? digest(cacheKey(inner.name, ctx.audiences, text)) : undefined
  }

  function remember(id: string): AuthnResult | undefined {
    const entry = remembered.get(id)
    if (entry === undefined) return undefined
    const time = now()
    if (entry.since <= time && time < entry.until) {
      observe('hit')
      return entry.result
    }
    remembered.delete(id)
    return undefined
  }

  return {
    name: inner.name,
    recall(credential, ctx) {
      const id = idOf(credential, ctx)
      return id === undefined ? undefined : remember(id)
    },
    authenticate(credential, ctx) {
      const id = idOf(credential, ctx)
      if (id === undefined) return inner.authenticate(credential, ctx)
      const known = remember(id)
      if (known !== undefined) return Promise.resolve(known)
      const shared = pending.get(id)
      if (shared !== undefined) {
        observe('shared')
        return shared
      }
      observe('miss')
      const mine = pending
      const lookup = lookUp(id, credential, ctx).finally(() => mine.delete(id))
      mine.set(id, lookup)
      return lookup
    },
    flush() {
      pending = new Map()
      remembered.clear()
    },
    get size() {
      return remembered.size
    },
  }
}

/** Source and audiences belong to the key: an answer for one of them is not an answer for another. */
function cacheKey(source: string, audiences: readonly string[], token: string): string {
  const scope = audiences.length === 0 ? source : `${source} ${JSON.stringify(audiences)}`
  return `${scope}\0${token}`
}
