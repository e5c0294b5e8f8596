/**
 * Remembers what presented certificates came to: a client shows the same ones with every request, and judging them
 * costs signature checks. Keyed by SHA-256 of everything that was shown. Good and bad are kept apart, so that no
 * stranger pushes out who is known; what throws is not kept.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { ClientCertificate } from '../request/credentials.ts'

export interface VerdictMemoryOptions<V> {
  readonly judge: (certificate: ClientCertificate) => V
  /** Until when a verdict is good for its certificate; `undefined`: it is a bad one. */
  readonly goodUntil: (verdict: V) => Date | undefined
  /** How many of each are kept; the least recently used go first. */
  readonly entries: number
  readonly now: () => Date
}

export interface VerdictMemory<V> {
  judge(certificate: ClientCertificate): V
  /** Forgets everything: the authorities or the lists have changed. */
  flush(): void
}

interface Entry<V> {
  readonly verdict: V
  /** Milliseconds since the epoch, as `until`. A clock that was set back must not make an entry live longer. */
  readonly since: number
  readonly until: number
}

/** A certificate that is not valid yet will be, so no refusal is for long. */
const BAD_FOR_MS = 10_000

export function verdictMemory<V extends object>(options: VerdictMemoryOptions<V>): VerdictMemory<V> {
  const { judge, goodUntil, entries, now } = options
  const good = new LRUCache<string, Entry<V>>({ max: entries })
  const bad = new LRUCache<string, Entry<V>>({ max: entries })

  return {
    judge(certificate) {
      const id = digestOf(certificate)
      const since = now().getTime()
      for (const kept of [good, bad]) {
        const entry = kept.get(id)
        if (entry === undefined) continue
        if (entry.since <= since && since <= entry.until) return entry.verdict
        kept.delete(id)
      }
      const verdict = judge(certificate)
      const until = goodUntil(verdict)
      if (until === undefined) bad.set(id, { verdict, since, until: since + BAD_FOR_MS })
      else good.set(id, { verdict, since, until: until.getTime() })
      return verdict
    },
    flush() {
      good.clear()
      bad.clear()
    },
  }
}

/** With lengths, so that no two lists of certificates are the same bytes. */
function digestOf({ leaf, intermediates }: ClientCertificate): string {
  const hash = createHash('sha256')
  for (const der of [leaf, ...intermediates]) hash.update(`${der.length}:`).update(der)
  return hash.digest('base64')
}
