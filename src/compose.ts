/**
 * Assembly: a checked configuration becomes a running service. The only file that names concrete parts together; each
 * gets what it needs as an argument, and none looks for anything by itself.
 *
 * @module
 */
import { audienceBound } from './authn/audiences.ts'
import type { TokenAuthenticator } from './authn/authenticator.ts'
import { type CachedAuthenticator, cached } from './authn/cached.ts'
import { identityGate } from './authn/identity-gate.ts'
import { keystoneToken } from './authn/keystone-token.ts'
import { type RevocationBudget, revocationBudget } from './authn/revocation.ts'
import { tokenFile } from './authn/token-file.ts'
import { union as unionOfAuthenticators } from './authn/union.ts'
import { usernameFormat } from './authn/username-format.ts'
import { union as unionOfAuthorizers } from './authz/union.ts'
import type { Config, KeystoneSource } from './config/schema.ts'
import { ArchwayError } from './errors.ts'
import { type IdentityClient, keystoneClient } from './keystone/identity-client.ts'
import { type KeystoneTls, secureContext } from './keystone/tls.ts'
import { type ReloadStatus, reloading } from './reload/reloading.ts'
import { formatListen, parseListen } from './server/address.ts'
import { type AdminServer, type CheckResult, createAdminServer, type ReadinessCheck } from './server/admin.ts'
import { type ArchwayServer, createServer } from './server/listener.ts'
import type { Logger } from './telemetry/logger.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { type Observation, REVIEW_PATHS, webhook } from './webhook/webhook.ts'

export interface ComposeOptions {
  readonly log: Logger
  /** Version of the program, for metrics and the User-Agent. */
  readonly version: string
  /** Whether an admin port that is taken ends the start. The drop-in goes on: its predecessor had no such port. */
  readonly adminRequired: boolean
}

/** The running service. */
export interface Service {
  /** Base URL of the public listener: `https://127.0.0.1:8443`. */
  readonly url: string
  /** Base URL of the admin listener; `undefined` where it could not be opened. */
  readonly adminUrl: string | undefined
  readonly revocation: RevocationBudget
  /** Looks at every file now. */
  reload(): Promise<void>
  /** Stops accepting, lets what is under way finish, closes everything. May be called again. */
  stop(): Promise<void>
}

/** A source of identities and what has to be looked after. */
interface Source {
  readonly authenticator: TokenAuthenticator
  readonly cache?: CachedAuthenticator
  readonly files: readonly FollowedFile[]
  readonly checks: readonly ReadinessCheck[]
  close(): Promise<void> | void
}

interface FollowedFile {
  status(): ReloadStatus | undefined
  check(): Promise<unknown>
}

/** Builds every part and opens the listeners. Throws, with nothing left open, where a part cannot start. */
export async function startService(config: Config, options: ComposeOptions): Promise<Service> {
  const { log } = options
  const metrics = createMetrics(options.version)
  const closers: (() => Promise<void> | void)[] = []
  const stop = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    const sources: Source[] = []
    for (const settings of config.authenticators) {
      const source = await openSource(settings, config, metrics, options)
      closers.push(() => source.close())
      sources.push(source)
    }
    const server = createServer(serverOptions(config, sources, metrics, log))
    closers.push(() => server.close({ drainMs: config.server.drain }))
    const url = `https://${formatListen(reachable(await server.listen()))}`
    const files = [...sources.flatMap((source) => source.files), tlsFile(server)]
    const revocation = revocationOf(config, sources, metrics)
    const checks = [...sources.flatMap((source) => source.checks), ...files.map(fileCheck)]
    const collect = (): void => collectMetrics(metrics, sources, files, server)
    const admin = await openAdmin(config, checks, metrics, collect, options)
    if (admin !== undefined) closers.push(() => admin.server.close())
    return {
      url,
      adminUrl: admin?.url,
      revocation,
      async reload() {
        await Promise.all(files.map((file) => file.check()))
      },
      stop,
    }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

// --- the public listener ---------------------------------------------------------------------------------------

function serverOptions(
  config: Config,
  sources: readonly Source[],
  metrics: Metrics,
  log: Logger,
): Parameters<typeof createServer>[0] {
  const { tls, limits, listen } = config.server
  const everyone = unionOfAuthenticators(sources.map((source) => source.authenticator))
  const authenticator = audienceBound(
    identityGate(everyone, { ...config.identity, observe: (event) => metrics.gateEvents.labels(event).inc() }),
    config.audiences,
  )
  return {
    listen: parseListen(listen),
    lanePaths: REVIEW_PATHS,
    log,
    handler: webhook({
      authenticator,
      authorizer: unionOfAuthorizers([]),
      log,
      observe: reviewObserver(metrics),
      tokenLength: config.webhook.tokenLength,
      explainRefusals: config.webhook.explainRefusals,
    }),
    tls: {
      certFile: given(tls.certFile, 'server.tls.certFile'),
      keyFile: given(tls.keyFile, 'server.tls.keyFile'),
      ...(tls.clientCAFile === undefined ? {} : { clientCAFile: tls.clientCAFile }),
      ...(tls.clientNames.length === 0 ? {} : { clientNames: tls.clientNames }),
    },
    limits: {
      headerBytes: limits.headerBytes,
      bodyBytes: limits.bodyBytes,
      connections: limits.connections,
      requests: limits.requests,
      idleTimeoutMs: limits.idleTimeout,
      handshakeTimeoutMs: limits.handshakeTimeout,
      requestTimeoutMs: limits.requestTimeout,
      deadlineMs: limits.deadline,
    },
    observer: {
      connectionOpened: () => metrics.connections.inc(),
      connectionClosed: () => metrics.connections.dec(),
      connectionRefused: (reason) => metrics.connectionsRefused.labels(reason).inc(),
      requestRefused: (status) => metrics.requestsRefused.labels(String(status)).inc(),
      tlsError: () => metrics.tlsErrors.inc(),
    },
  }
}

/** A value the cross-checks of the configuration have made sure of. */
function given(value: string | undefined, name: string): string {
  if (value === undefined) throw new ArchwayError('config_invalid', `${name} is missing`)
  return value
}

/** Counters are looked up once for each set of labels, not at each review. */
function reviewObserver(metrics: Metrics): (observation: Observation) => void {
  const counters = new Map<string, (seconds: number) => void>()
  return ({ kind, outcome, source, seconds }) => {
    const key = `${kind} ${outcome} ${source ?? ''}`
    let observe = counters.get(key)
    if (observe === undefined) {
      const reviews = metrics.reviews.labels(kind, outcome)
      const durations = metrics.reviewSeconds.labels(kind)
      const judged = source === undefined ? undefined : metrics.authentications.labels(source, outcome)
      observe = (elapsed) => {
        reviews.inc()
        durations.observe(elapsed)
        judged?.inc()
      }
      counters.set(key, observe)
    }
    observe(seconds)
  }
}

/** An address one can connect to, of one that was bound: not `0.0.0.0`. */
function reachable({ address, port }: { readonly address: string; readonly port: number }): {
  readonly host: string
  readonly port: number
} {
  return { host: address === '::' || address === '0.0.0.0' ? '127.0.0.1' : address, port }
}

function tlsFile(server: ArchwayServer): FollowedFile {
  return { status: () => server.tlsStatus(), check: () => server.checkTls() }
}

// --- sources of identities -------------------------------------------------------------------------------------

async function openSource(
  settings: Config['authenticators'][number],
  config: Config,
  metrics: Metrics,
  options: ComposeOptions,
): Promise<Source> {
  if (settings.tokenFile !== undefined) {
    const file = await tokenFile({ ...settings.tokenFile, log: options.log })
    return { authenticator: file, files: [file], checks: [], close: () => file.close() }
  }
  if (settings.keystone !== undefined) return openKeystone(settings.keystone, config, metrics, options)
  throw new ArchwayError('config_invalid', 'authenticators: a source of no known kind')
}

async function openKeystone(
  source: KeystoneSource,
  config: Config,
  metrics: Metrics,
  { log, version }: ComposeOptions,
): Promise<Source> {
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
): Promise<(FollowedFile & { current(): KeystoneTls; close(): void }) | undefined> {
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

function revocationOf(config: Config, sources: readonly Source[], metrics: Metrics): RevocationBudget {
  const revocation = revocationBudget({
    archwayMs: sources.some((source) => source.cache !== undefined) ? config.cache.ttl : 0,
    apiserverWebhookMs: config.kubernetes.authenticationCacheTtl,
  })
  for (const [part, ms] of Object.entries(revocation.parts)) metrics.revocationSeconds.labels(part).set(ms / 1000)
  return revocation
}

// --- health and metrics ----------------------------------------------------------------------------------------

async function openAdmin(
  config: Config,
  readiness: readonly ReadinessCheck[],
  metrics: Metrics,
  collect: () => void,
  { log, adminRequired }: ComposeOptions,
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
function fileCheck(file: FollowedFile): ReadinessCheck {
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

/** Values that are read when somebody asks for them. */
function collectMetrics(
  metrics: Metrics,
  sources: readonly Source[],
  files: readonly FollowedFile[],
  server: ArchwayServer,
): void {
  for (const { authenticator, cache } of sources) {
    if (cache !== undefined) metrics.cacheEntries.labels(authenticator.name).set(cache.size)
  }
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
}
