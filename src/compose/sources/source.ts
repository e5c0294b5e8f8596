/**
 * What every source of identities is to the rest of the service.
 *
 * @module
 */
import type { Authenticator, PasswordAuthenticator, TokenAuthenticator } from '../../authn/authenticator.ts'
import type { CachedOptions, Remembered } from '../../authn/cached.ts'
import type { SourceTrust } from '../../authn/identity-gate.ts'
import type { ClientCertificate, RequestCredentials } from '../../authn/request/credentials.ts'
import type { Config } from '../../config/schema.ts'
import type { Logger } from '../../telemetry/logger.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Part } from '../part.ts'

/** What a source can judge; most judge one kind. */
export interface Proofs {
  readonly token?: TokenAuthenticator
  readonly password?: PasswordAuthenticator
  readonly certificate?: Authenticator<ClientCertificate>
  /** The headers of a front proxy. */
  readonly requestHeader?: Authenticator<RequestCredentials>
  /** Whoever shows nothing. */
  readonly anonymous?: Authenticator<RequestCredentials>
}

/** A source of identities, opened. */
export interface Source extends Part {
  readonly name: string
  readonly proofs: Proofs
  readonly caches: readonly Remembered[]
  /** What the identity gate lets pass from this source only. */
  readonly trust?: SourceTrust
}

export interface SourceOptions {
  readonly config: Config
  readonly metrics: Metrics
  readonly log: Logger
  readonly version: string
  /** What was remembered of passwords is to be forgotten: a source of them has changed. */
  readonly forgetPasswords: () => void
}

export function cacheOptions(
  name: string,
  { config, metrics }: Pick<SourceOptions, 'config' | 'metrics'>,
): CachedOptions {
  const counters = {
    hit: metrics.cacheEvents.labels(name, 'hit'),
    miss: metrics.cacheEvents.labels(name, 'miss'),
    shared: metrics.cacheEvents.labels(name, 'shared'),
  }
  return {
    ttlMs: config.cache.ttl,
    negativeTtlMs: config.cache.negativeTtl,
    entries: config.cache.entries,
    lookupTimeoutMs: config.server.limits.deadline,
    observe: (event) => counters[event].inc(),
  }
}
