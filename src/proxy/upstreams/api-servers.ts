/**
 * All API servers, put together: addresses, credentials, pools, health, balancing. What the program makes once.
 *
 * @module
 */
import type { CallLog } from '../../context.ts'
import type { UpstreamUrl } from '../../kube/server-url.ts'
import { type ServerPoolOptions, serverPool } from '../upstream/pool.ts'
import { addressesOf, type LookupAll } from './addresses.ts'
import { balanced } from './balanced.ts'
import { type Clock, systemClock } from './clock.ts'
import { connector } from './connect.ts'
import { type UpstreamCredentials, type UpstreamTlsFiles, upstreamCredentials } from './credentials.ts'
import type { ObserveUpstream } from './events.ts'
import { serverHealth } from './health.ts'
import type { BalancedServer } from './member.ts'
import { readinessCheck } from './readiness.ts'
import { type Finding, selfCheck } from './self-check.ts'
import type { Upstreams } from './upstreams.ts'

export interface ApiServersOptions {
  /** At least one; see `parseUpstreamUrls`. */
  readonly urls: readonly UpstreamUrl[]
  /** Name that the certificates of all of them must have. Absent: the host of each URL. */
  readonly serverName?: string | undefined
  readonly tls: UpstreamTlsFiles
  readonly log: CallLog
  readonly observe?: ObserveUpstream
  /** Milliseconds; each has its default where it works. */
  readonly reloadIntervalMs?: number | undefined
  readonly checkIntervalMs?: number | undefined
  readonly checkTimeoutMs?: number | undefined
  readonly connectTimeoutMs?: number | undefined
  /** How connections are kept. */
  readonly pool?: Omit<ServerPoolOptions, 'name' | 'connect'>
  readonly lookup?: LookupAll
  readonly clock?: Clock
  readonly random?: () => number
}

export interface ApiServers extends Upstreams {
  /** Resolves when each server was checked once, whatever that found. */
  readonly firstRound: Promise<void>
  readonly credentials: UpstreamCredentials
  /** Asks every server now whether its set-up and ours go together. Never throws. */
  selfCheck(signal: AbortSignal): Promise<readonly Finding[]>
}

/** Begins to check at once. Throws `file_invalid` where the credentials cannot be used. */
export async function apiServers(options: ApiServersOptions): Promise<ApiServers> {
  const { urls, tls, log, reloadIntervalMs: intervalMs } = options
  const servers: BalancedServer[] = []
  const onChange = (): void => {
    for (const { pool, health } of servers) {
      pool.retire()
      health.checkNow()
    }
  }
  const credentials = await upstreamCredentials({ files: tls, log, onChange, intervalMs })
  const { clock = systemClock(), observe = () => {} } = options
  for (const url of urls) servers.push(serverAt(url, { ...options, clock, observe, credentials }))
  const upstreams = balanced({ servers, clock, observe })
  const commonName = (): string => credentials.current().commonName
  return {
    ...upstreams,
    firstRound: Promise.all(servers.map(({ health }) => health.checked)).then(() => {}),
    credentials,
    async selfCheck(signal) {
      return (await Promise.all(servers.map((server) => selfCheck({ ...server, commonName }, signal)))).flat()
    },
    close() {
      credentials.close()
      upstreams.close()
    },
  }
}

interface ServerOptions extends ApiServersOptions {
  readonly clock: Clock
  readonly observe: ObserveUpstream
  readonly credentials: UpstreamCredentials
}

function serverAt(url: UpstreamUrl, options: ServerOptions): BalancedServer {
  const { name, host } = url
  const { clock, observe, credentials, log, lookup, random = Math.random } = options
  const onGone = (): void => {
    log.info({ upstream: name }, 'the name lost an address: connections to it are given up')
    observe(name, 'addresses_gone')
    pool.retire()
  }
  const addresses = addressesOf({ host, clock, onGone, ...(lookup === undefined ? {} : { lookup }) })
  const { context, commonName } = {
    context: () => credentials.current().context,
    commonName: () => credentials.current().commonName,
  }
  const { serverName, connectTimeoutMs: timeoutMs } = options
  const connect = connector({
    url,
    serverName,
    context,
    addresses,
    clock,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  })
  const pool = serverPool({ ...options.pool, name, connect })
  const health = serverHealth({
    name,
    check: readinessCheck({ name, pool, commonName }),
    intervalMs: options.checkIntervalMs,
    timeoutMs: options.checkTimeoutMs,
    clock,
    random,
    log,
    observe: (event) => observe(name, event),
    onEjected: () => pool.retire(),
  })
  return { name, pool, health }
}
