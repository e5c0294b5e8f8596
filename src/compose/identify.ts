/**
 * One credential shown to the chain of a configuration, and what became of it at each step: for people who ask why
 * somebody is who he is, or is nobody. The chain is the one that every door asks.
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import { headerCredential, type RequestCredentials } from '../authn/request/credentials.ts'
import type { Config } from '../config/schema.ts'
import type { CallLog } from '../context.ts'
import type { Logger } from '../telemetry/logger.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import type { UserInfo } from '../user.ts'
import { openIdentities, type SourceOutcome } from './identities.ts'
import type { Proofs } from './sources/source.ts'

export interface IdentifyOptions {
  readonly config: Config
  readonly credentials: RequestCredentials
  /** What the credential has to be good for; none: whatever it is good for. */
  readonly audiences: readonly string[]
  /** Gets what the call reports. */
  readonly callLog: CallLog
  /** Gets what the sources report of themselves. */
  readonly log: Logger
  readonly version: string
  /** Milliseconds until it is given up. */
  readonly timeoutMs: number
}

/** What came of one source. */
export interface SourceStep {
  readonly source: string
  readonly said: SourceOutcome | { readonly kind: 'not_asked'; readonly reason: 'other_credential' | 'not_needed' }
  /** What its mapping made of it; absent where it has none or had nothing to map. */
  readonly mapped?: SourceOutcome
}

export interface Identification {
  /** In the order in which they were asked, then those that were not. */
  readonly steps: readonly SourceStep[]
  /** What the whole chain came to, behind the identity gate. */
  readonly result: SourceOutcome
  /** Names that came out of the source's mapping and did not pass the gate. Empty unless somebody was authenticated. */
  readonly dropped: { readonly groups: readonly string[]; readonly extra: readonly string[] }
}

/** Asks once. Throws where the sources cannot be opened; that one cannot tell is part of what is found. */
export async function identify(options: IdentifyOptions): Promise<Identification> {
  const { config, credentials, audiences, callLog, log, version, timeoutMs } = options
  const asked = new Map<string, Omit<SourceStep, 'source'>>()
  const identities = await openIdentities({
    config: within(config, timeoutMs),
    log,
    version,
    metrics: createMetrics(version),
    watch(source, stage, outcome) {
      const said = asked.get(source)?.said ?? outcome
      asked.set(source, stage === 'source' ? { said: outcome } : { said, mapped: outcome })
    },
  })
  try {
    const signal = AbortSignal.timeout(timeoutMs)
    const ctx = { requestId: randomUUID(), audiences, log: callLog, signal }
    const result = await identities.requests
      .authenticate(credentials, ctx)
      .catch((cause: unknown): SourceOutcome => ({ kind: 'failed', cause }))
    const shown = kindsOf(credentials)
    const others = identities.sources.flatMap(({ name, proofs }): SourceStep[] => {
      if (asked.has(name)) return []
      const fits = shown.some((kind) => proofs[kind] !== undefined)
      return [{ source: name, said: { kind: 'not_asked', reason: fits ? 'not_needed' : 'other_credential' } }]
    })
    const steps = [...[...asked].map(([source, step]) => ({ source, ...step })), ...others]
    return { steps, result, dropped: droppedOf(steps, result, config.identity.groupPrefix) }
  } finally {
    await identities.close()
  }
}

/** Look-ups outlive whoever asked, to be shared; here nobody else will ask. */
function within(config: Config, timeoutMs: number): Config {
  const { server, loginProtection } = config
  const deadline = Math.min(server.limits.deadline, timeoutMs)
  return {
    ...config,
    server: { ...server, limits: { ...server.limits, deadline } },
    loginProtection: { ...loginProtection, timeout: Math.min(loginProtection.timeout, timeoutMs) },
  }
}

/** The identity of the source that proved it, before and after its mapping. */
export function provenBy(
  steps: readonly SourceStep[],
): { readonly source: string; readonly user: UserInfo; readonly mapped: UserInfo | undefined } | undefined {
  for (const { source, said, mapped } of steps) {
    if (said.kind !== 'authenticated' || (mapped !== undefined && mapped.kind !== 'authenticated')) continue
    return { source, user: said.user, mapped: mapped?.user }
  }
  return undefined
}

function kindsOf({ certificate, headers }: RequestCredentials): readonly (keyof Proofs)[] {
  const shown = headerCredential(headers)
  const kinds: (keyof Proofs)[] = certificate === undefined ? [] : ['requestHeader', 'certificate']
  if (shown.kind === 'bearer') kinds.push('token')
  if (shown.kind === 'basic') kinds.push('password')
  return kinds.length === 0 ? ['anonymous'] : kinds
}

function droppedOf(
  steps: readonly SourceStep[],
  result: SourceOutcome,
  groupPrefix: string,
): Identification['dropped'] {
  const proven = provenBy(steps)
  if (proven === undefined || result.kind !== 'authenticated') return { groups: [], extra: [] }
  const { groups, extra } = proven.mapped ?? proven.user
  return {
    groups: groups.filter((group) => !result.user.groups.includes(groupPrefix + group)),
    extra: [...extra.keys()].filter((key) => !result.user.extra.has(key)),
  }
}
