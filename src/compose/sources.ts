/**
 * Sources of identities: settings become authenticators with what has to be looked after.
 *
 * @module
 */
import type { TokenAuthenticator } from '../authn/authenticator.ts'
import { type CachedAuthenticator, cached } from '../authn/cached.ts'
import { keystoneToken } from '../authn/keystone-token.ts'
import { tokenFile } from '../authn/token-file.ts'
import { usernameFormat } from '../authn/username-format.ts'
import type { Config, KeystoneSource } from '../config/schema.ts'
import { ArchwayError } from '../errors.ts'
import { type IdentityClient, keystoneClient } from '../keystone/identity-client.ts'
import { type KeystoneTls, secureContext } from '../keystone/tls.ts'
import { reloading } from '../reload/reloading.ts'
import type { CheckResult } from '../server/admin.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Followed, Part } from './part.ts'

/** A source of identities. */
export interface Source extends Part {
  readonly authenticator: TokenAuthenticator
  readonly cache?: CachedAuthenticator
}

export interface SourceOptions {
  readonly config: Config
  readonly metrics: Metrics
  readonly log: Logger
  readonly version: string
}

/** Opens one source. Throws where it cannot start. */
export async function openSource(settings: Config['authenticators'][number], options: SourceOptions): Promise<Source> {
  if (settings.tokenFile !== undefined) {
    const file = await tokenFile({ ...settings.tokenFile, log: options.log })
    return { authenticator: file, files: [file], checks: [], close: () => file.close() }
  }
  if (settings.keystone !== undefined) return openKeystone(settings.keystone, options)
  throw new ArchwayError('config_invalid', 'authenticators: a source of no known kind')
}

async function openKeystone(source: KeystoneSource, { config, metrics, log, version }: SourceOptions): Promise<Source> {
  const { name } = source
  const files = await keystoneTlsFiles(source, log, (tls) => client.reloadTls(tls))
  const client: IdentityClient = keystoneClient({
    url: source.url,
    tls: files?.current() ?? {},
    timeoutMs: source.timeout,
    connections: source.connections,
    queue: source.queue,
    maxGroups: source.maxGroups,
    // Over https the certificate says whose address it is: one machine may hold Keystone and us.
    allowLoopback: source.allowLoopback || source.url.startsWith('https:'),
    userAgent: [...source.userAgent, `archway/${version}`].join(' '),
    observe: ({ call, outcome, seconds }) => {
      metrics.keystoneCalls.labels(name, call, outcome).inc()
      metrics.keystoneSeconds.labels(name, call).observe(seconds)
    },
  })
  if (client.insecure) {
    log.warn({ source: name, url: client.url }, 'Keystone is asked over plain http: tokens can be read on the way')
  }
  const cache = cached(
    keystoneToken({
      name,
      identity: client,
      usernameFormat: usernameFormat(source.usernameFormat),
      scopes: source.scopes,
      methods: source.methods,
      now: () => new Date(),
    }),
    {
      ttlMs: config.cache.ttl,
      negativeTtlMs: config.cache.negativeTtl,
      entries: config.cache.entries,
      lookupTimeoutMs: config.server.limits.deadline,
      observe: cacheObserver(metrics, name),
    },
  )
  return {
    authenticator: cache,
    cache,
    files: files === undefined ? [] : [files],
    checks: [{ name, check: () => pingKeystone(client, source.timeout, log) }],
    async close() {
      files?.close()
      await client.close()
    },
  }
}

async function pingKeystone(client: IdentityClient, timeoutMs: number, log: Logger): Promise<CheckResult> {
  await client.ping({ signal: AbortSignal.timeout(timeoutMs), log, requestId: 'readiness' })
  return { ok: true, detail: `${client.url} answers` }
}

/** CA and client certificate for Keystone, followed; `undefined` where there are none. */
async function keystoneTlsFiles(
  source: KeystoneSource,
  log: Logger,
  onChange: (tls: KeystoneTls) => void,
): Promise<(Followed & { current(): KeystoneTls; close(): void }) | undefined> {
  const { caFile, clientCertFile, clientKeyFile, caMode } = source
  const paths = [caFile, clientCertFile, clientKeyFile].filter((path) => path !== undefined)
  if (paths.length === 0) return undefined
  const load = (contents: ReadonlyMap<string, Buffer>): KeystoneTls => {
    const content = (path: string | undefined): Buffer | undefined =>
      path === undefined ? undefined : contents.get(path)
    const [ca, cert, key] = [content(caFile), content(clientCertFile), content(clientKeyFile)]
    const tls: KeystoneTls = {
      caMode,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    }
    secureContext(tls) // throws for what cannot be used, so that the last good files stay
    return tls
  }
  return reloading({ name: `${source.name}-tls`, paths, load, log, onChange })
}

function cacheObserver(metrics: Metrics, source: string): (event: 'hit' | 'miss' | 'shared') => void {
  const counters = {
    hit: metrics.cacheEvents.labels(source, 'hit'),
    miss: metrics.cacheEvents.labels(source, 'miss'),
    shared: metrics.cacheEvents.labels(source, 'shared'),
  }
  return (event) => counters[event].inc()
}
