/**
 * Assembly: a checked configuration becomes a running service. This room is the only one that names concrete parts
 * together; each gets what it needs as an argument, and none looks for anything by itself. Read this file first.
 *
 * @module
 */
import type { TokenAuthenticator } from '../authn/authenticator.ts'
import { type RevocationBudget, revocationBudget } from '../authn/revocation.ts'
import type { Authorizer } from '../authz/authorizer.ts'
import type { Config } from '../config/schema.ts'
import { formatListen, parseListen } from '../server/address.ts'
import { type ArchwayServer, createServer } from '../server/listener.ts'
import type { Logger } from '../telemetry/logger.ts'
import { createMetrics, type Metrics } from '../telemetry/metrics.ts'
import { type Observation, REVIEW_PATHS, webhook } from '../webhook/webhook.ts'
import { openAuthorization } from './authorizers.ts'
import { given } from './given.ts'
import { collectMetrics, fileCheck, openAdmin, reachable, stoppingCheck } from './health.ts'
import { type Identities, openIdentities } from './identities.ts'
import { type Closer, closeAll, type Followed, type Part } from './part.ts'

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

/** Builds every part and opens the listeners. Throws, with nothing left open, where a part cannot start. */
export async function startService(config: Config, options: ComposeOptions): Promise<Service> {
  const { log } = options
  const metrics = createMetrics(options.version)
  const closers: Closer[] = []
  let stopped: Promise<void> | undefined
  let admin: Awaited<ReturnType<typeof openAdmin>>
  const stop = (): Promise<void> => (stopped ??= closeAll(closers, log))
  try {
    const identities = await openIdentities({ config, metrics, ...options })
    closers.push(() => identities.close())
    if (!identities.judgesTokens) {
      log.warn({}, 'no source judges bearer tokens, and the webhook sees nothing else: it will refuse everybody')
    }
    if (config.authenticators.some(({ apiserver }) => apiserver !== undefined)) {
      log.warn(
        {},
        'tokens are asked of the API server: it must not be the one that asks this webhook, or each asks the other',
      )
    }
    const authorization = await openAuthorization({ config, metrics, ...options })
    closers.push(() => authorization.close())
    const server = createServer(serverOptions(config, identities.tokens, authorization.authorizer, metrics, log))
    closers.push(() => admin?.server.close()) // after the drain, which probes and scrapes are to see
    closers.push(() => server.close({ drainMs: config.server.drain }))
    const url = `https://${formatListen(reachable(await server.listen()))}`
    const parts: readonly Part[] = [identities, authorization]
    const files = [...parts.flatMap((part) => part.files), tlsFile(server)]
    const revocation = revocationOf(config, identities, metrics)
    const stopping = stoppingCheck(() => stopped !== undefined)
    const checks = [...parts.flatMap((part) => part.checks), ...files.map(fileCheck), stopping]
    const collect = (): void =>
      collectMetrics(metrics, { caches: identities.caches, stores: authorization.stores, files, server })
    admin = await openAdmin(config, checks, metrics, collect, options)
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

function serverOptions(
  config: Config,
  authenticator: TokenAuthenticator,
  authorizer: Authorizer,
  metrics: Metrics,
  log: Logger,
): Parameters<typeof createServer>[0] {
  const { tls, limits, listen } = config.server
  return {
    listen: parseListen(listen),
    lanePaths: REVIEW_PATHS,
    log,
    handler: webhook({
      authenticator,
      authorizer,
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

function tlsFile(server: ArchwayServer): Followed {
  return { status: () => server.tlsStatus(), check: () => server.checkTls() }
}

function revocationOf(config: Config, { caches }: Identities, metrics: Metrics): RevocationBudget {
  const revocation = revocationBudget({
    archwayMs: caches.length > 0 ? config.cache.ttl : 0,
    apiserverWebhookMs: config.kubernetes.authenticationCacheTtl,
    judgesJwts: config.authenticators.some((each) => (each.oidc ?? each.authenticationConfiguration) !== undefined),
  })
  for (const [part, ms] of Object.entries(revocation.parts)) metrics.revocationSeconds.labels(part).set(ms / 1000)
  return revocation
}
