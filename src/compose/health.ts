/**
 * Health and metrics of the running service.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import type { PolicyStore } from '../authz/policy-store/policy-store.ts'
import type { Config } from '../config/schema.ts'
import { formatListen, parseListen } from '../server/address.ts'
import { type AdminServer, createAdminServer, type ReadinessCheck } from '../server/admin.ts'
import type { ArchwayServer } from '../server/listener.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Identities } from './identities.ts'
import type { Followed } from './part.ts'

export async function openAdmin(
  config: Config,
  readiness: readonly ReadinessCheck[],
  metrics: Metrics,
  collect: () => void,
  { log, adminRequired }: { readonly log: Logger; readonly adminRequired: boolean },
): Promise<{ readonly server: AdminServer; readonly url: string } | undefined> {
  const server = createAdminServer({
    listen: parseListen(config.admin.listen),
    log,
    readiness,
    metrics: async () => {
      collect()
      return { contentType: metrics.registry.contentType, body: await metrics.registry.metrics() }
    },
  })
  try {
    return { server, url: `http://${formatListen(reachable(await server.listen()))}` }
  } catch (thrown) {
    if (adminRequired) throw thrown
    log.warn({ error: thrown }, 'no health and metrics: the admin listener could not be opened; see --admin-listen')
    return undefined
  }
}

/**
 * A file that cannot be used leaves the last good content in force: said here, and no reason to be unready, or one
 * typo would take every replica out of service.
 */
export function fileCheck(file: Followed): ReadinessCheck {
  return {
    name: file.status()?.name ?? 'file',
    check() {
      const status = file.status()
      if (status === undefined) return { ok: false, detail: 'not loaded' }
      const loaded = `loaded ${status.loadedAt.toISOString()}, sha256 ${status.digest.slice(0, 12)}`
      return { ok: true, detail: status.ok ? loaded : `${loaded}; still in force, for: ${status.error}` }
    },
  }
}

/** No further requests are to be sent here. */
export function stoppingCheck(isStopping: () => boolean): ReadinessCheck {
  return { name: 'running', check: () => (isStopping() ? { ok: false, detail: 'stopping' } : { ok: true }) }
}

export interface CollectedParts {
  readonly caches: Identities['caches']
  readonly stores: readonly PolicyStore[]
  readonly files: readonly Followed[]
  readonly server: Pick<ArchwayServer, 'tlsStatus'>
}

/** Values that are read when somebody asks for them. */
export function collectMetrics(metrics: Metrics, { caches, stores, files, server }: CollectedParts): void {
  for (const { source, cache } of caches) metrics.cacheEntries.labels(source).set(cache.size)
  metrics.reloads.reset()
  for (const status of files.map((file) => file.status())) {
    if (status === undefined) continue
    metrics.reloads.labels(status.name, 'ok').inc(status.reloads)
    metrics.reloads.labels(status.name, 'failed').inc(status.failures)
    metrics.reloadOk.labels(status.name).set(status.ok ? 1 : 0)
    metrics.loadedAt.labels(status.name).set(status.loadedAt.getTime() / 1000)
  }
  const tls = server.tlsStatus()
  if (tls !== undefined) metrics.certificateNotAfter.set(tls.notAfter.getTime() / 1000)
  const digests = createHash('sha256')
  for (const store of stores) digests.update(store.digest())
  const digest = digests.digest()
  metrics.policyDigestHigh.set(stores.length === 0 ? 0 : digest.readUIntBE(0, 6))
  metrics.policyDigestLow.set(stores.length === 0 ? 0 : digest.readUIntBE(6, 6))
  metrics.policyRules.set(stores.reduce((sum, store) => sum + store.size(), 0))
}

/** An address one can connect to, of one that was bound: not `0.0.0.0`. */
export function reachable({ address, port }: { readonly address: string; readonly port: number }): {
  readonly host: string
  readonly port: number
} {
  return { host: address === '::' || address === '0.0.0.0' ? '127.0.0.1' : address, port }
}
