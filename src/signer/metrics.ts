/**
 * Metrics of a signer. Owns names and labels; labels come from closed sets.
 *
 * @module
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { SignerEvent } from './answering.ts'

/** What the signer counts, and what is asked of it when it is scraped. */
export interface SignerMetrics {
  readonly registry: Registry
  decided(kind: SignerEvent['kind']): void
  failed(): void
}

export interface SignerMetricsOptions {
  readonly leading: () => boolean
  readonly authorityNotAfter: () => Date
}

export function signerMetrics({ leading, authorityNotAfter }: SignerMetricsOptions): SignerMetrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const decisions = new Counter({
    name: 'archway_signer_decisions_total',
    help: 'Requests decided, by what was decided: approved, denied, issued, failed.',
    labelNames: ['outcome'],
    registers,
  })
  const failures = new Counter({
    name: 'archway_signer_failures_total',
    help: 'Tries that failed and are repeated: the API server, the authority, others who wrote at the same time.',
    registers,
  })
  new Gauge({
    name: 'archway_signer_leading',
    help: '1 on the replica that signs.',
    registers,
    collect() {
      this.set(leading() ? 1 : 0)
    },
  })
  new Gauge({
    name: 'archway_signer_authority_not_after_seconds',
    help: 'When the authority expires, in seconds since the epoch.',
    registers,
    collect() {
      this.set(authorityNotAfter().getTime() / 1000)
    },
  })
  return {
    registry,
    decided: (kind) => decisions.inc({ outcome: kind }),
    failed: () => failures.inc(),
  }
}
