/**
 * Kubernetes itself as a source: tokens that the API server knows.
 *
 * @module
 */
import { apiserverToken, SERVICE_ACCOUNT_NAMES } from '../../authn/apiserver-token.ts'
import { cached } from '../../authn/cached.ts'
import type { ApiserverSource } from '../../config/schema.ts'
import { connectToCluster } from '../cluster.ts'
import { type Closer, closeAll } from '../part.ts'
import { cacheOptions, type Source, type SourceOptions } from './source.ts'

export function openApiserver(source: ApiserverSource, options: SourceOptions): Source {
  const { name, audiences, serviceAccountsOnly } = source
  const closers: Closer[] = []
  const client = connectToCluster(options, closers)
  const token = cached(apiserverToken({ name, client, audiences, serviceAccountsOnly }), cacheOptions(name, options))
  return {
    name,
    proofs: { token },
    caches: [token],
    trust: SERVICE_ACCOUNT_NAMES,
    files: [],
    checks: [],
    close: () => closeAll(closers, options.log),
  }
}
