/**
 * Answers of a webhook, remembered for a while: allowed ones apart from the rest, so that a flood of refusals does not
 * push out what people work with.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'

/** What {@link decisionCache} needs. */
export interface DecisionCacheOptions {
  readonly allowedTtlMs: number
  readonly otherTtlMs: number
  /** Of each of the two kinds; the least recently used go first. */
  readonly entries: number
  readonly now: () => number
}

/** Keeps answers by question. */
export interface DecisionCache<T> {
  get(key: string): T | undefined
  set(key: string, allowed: boolean, answer: T): void
  readonly size: number
}

/** The key of a question: its digest, so that neither names nor extras lie about in memory. */
export function cacheKey(question: string): string {
  return createHash('sha256').update(question).digest('base64url')
}

/** An empty cache. */
export function decisionCache<T extends object>(options: DecisionCacheOptions): DecisionCache<T> {
  const { allowedTtlMs, otherTtlMs, entries, now } = options
  interface Entry {
    readonly answer: T
    readonly until: number
  }
  const allowedOnes = new LRUCache<string, Entry>({ max: entries })
  const others = new LRUCache<string, Entry>({ max: entries })

  return {
    get(key) {
      for (const cache of [allowedOnes, others]) {
        const entry = cache.get(key)
        if (entry === undefined) continue
        if (entry.until > now()) return entry.answer
        cache.delete(key)
      }
      return undefined
    },
    set(key, allowed, answer) {
      const ttl = allowed ? allowedTtlMs : otherTtlMs
      if (ttl > 0) (allowed ? allowedOnes : others).set(key, { answer, until: now() + ttl })
    },
    get size() {
      return allowedOnes.size + others.size
    },
  }
}
