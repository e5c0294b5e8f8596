/**
 * Assembly of the proxy: the same sources of identities as for every door, API servers behind, a listener in front.
 *
 * @module
 */
import { certificateRequest, certificateRequestOptions, presentedCertificate } from '../authn/x509/presented.ts'
import type { Config } from '../config/schema.ts'
import { parseUpstreamUrls } from '../kube/server-url.ts'
import { fairAdmission } from '../proxy/admission/fair-admission.ts'
import { createHygiene } from '../proxy/hygiene/create.ts'
import { HEAD_LIMITS } from '../proxy/hygiene/hygiene.ts'
import { DEFAULT_LIMITS } from '../proxy/limits.ts'
import { collectProxyMetrics } from '../proxy/observe/collect.ts'
import { proxyObserver } from '../proxy/observe/proxy-observer.ts'
import type { RequestTracing } from '../proxy/observe/request-spans.ts'
import { createProxy } from '../proxy/proxy.ts'
import { type ApiServers, apiServers } from '../proxy/upstreams/api-servers.ts'
import { formatListen, parseListen } from '../server/address.ts'
import type { ReadinessCheck } from '../server/admin.ts'
import { createRequestIds } from '../server/exchange.ts'
import { createTlsListener, type TlsListener } from '../server/tls-listener.ts'
import { createMetrics, type Metrics } from '../telemetry/metrics.ts'
import { openTracing } from '../telemetry/tracing.ts'
import { openAuthorization } from './authorizers.ts'
import { given } from './given.ts'
import { collectMetrics, fileCheck, openAdmin, reachable, stoppingCheck } from './health.ts'
import { openIdentities } from './identities.ts'
import { type Closer, closeAll, type Followed, type Part } from './part.ts'
import { watchSelfCheck } from './self-check.ts'
import type { ComposeOptions } from './service.ts'
import type { Source } from './sources/source.ts'

/** The running proxy. */
export interface ProxyService {
  /** Base URL of the public listener: `https://127.0.0.1:6443`. */
  readonly url: string
  /** Base URL of the admin listener; `undefined` where it could not be opened. */
  readonly adminUrl: string | undefined
  /** Looks at every file now. */
  reload(): Promise<void>
  /** Accepts nothing more, lets what is under way finish, closes everything. May be called again. */
  stop(): Promise<void>
}

type Door = ReturnType<typeof createProxy>

/** Builds every part and opens the listeners. Throws, with nothing left open, where a part cannot start. */
export async function startProxy(config: Config, options: ComposeOptions): Promise<ProxyService> {
  const { log } = options
  const metrics = createMetrics(options.version)
  const closers: Closer[] = []
  let stopped: Promise<void> | undefined
  let admin: Awaited<ReturnType<typeof openAdmin>>
  const stop = (): Promise<void> => (stopped ??= closeAll(closers, log))
  try {
    const identities = await openIdentities({ config, metrics, ...options })
    closers.push(() => identities.close())
    const authorization = config.proxy.authorize ? await openAuthorization({ config, metrics, ...options }) : undefined
    if (authorization !== undefined) closers.push(() => authorization.close())
    const servers = await openServers(config, metrics, options)
    closers.push(() => servers.close())
    const tracing = await openRequestTracing(config, options, closers)
    const admission = admissionOf(config)
    const proxy = createProxy({
      authenticator: identities.requests,
      ...(authorization === undefined ? {} : { authorizer: authorization.authorizer }),
      upstreams: servers,
      admission,
      hygiene: hygieneOf(config),
      observer: proxyObserver({ log, metrics, ...(tracing === undefined ? {} : { tracing }) }),
      log,
      limits: limitsOf(config),
      certificateOf: presentedCertificate,
      challenges: challengesOf(identities.sources),
      passTokensOf: config.proxy.serviceAccountIssuers,
      http2: config.proxy.http2,
      nextRequestId: createRequestIds(),
    })
    const listener = listenerOf(config, proxy, metrics, options)
    closers.push(() => admin?.server.close()) // after the drain, which probes and scrapes are to see
    closers.push(() => drained(listener, proxy, config.proxy.drain))
    const url = `https://${formatListen(reachable(await listener.listen()))}`
    const parts: readonly Part[] = [identities, ...(authorization === undefined ? [] : [authorization])]
    const files: readonly Followed[] = [
      ...parts.flatMap((part) => part.files),
      { status: () => listener.tlsStatus(), check: () => listener.checkTls() },
      servers.credentials,
    ]
    const selfCheck = watchSelfCheck(servers, { mode: config.proxy.upstream.selfCheck, log })
    closers.push(() => selfCheck.close())
    const checks: readonly ReadinessCheck[] = [
      ...parts.flatMap((part) => part.checks),
      serversCheck(servers),
      ...selfCheck.checks,
      ...files.map(fileCheck),
      stoppingCheck(() => stopped !== undefined),
    ]
    const stores = authorization?.stores ?? []
    const collect = (): void => {
      collectMetrics(metrics, { caches: identities.caches, stores, files, server: listener })
      const certificateNotAfter = servers.credentials.current().notAfter
      collectProxyMetrics(metrics.proxy, { admission, upstreams: servers, certificateNotAfter })
    }
    admin = await openAdmin(config, checks, metrics, collect, options)
    return {
      url,
      adminUrl: admin?.url,
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

function openServers(config: Config, metrics: Metrics, { log }: ComposeOptions): Promise<ApiServers> {
  const { upstreams, upstream } = config.proxy
  return apiServers({
    urls: parseUpstreamUrls(upstreams),
    serverName: upstream.serverName,
    tls: {
      caFile: given(upstream.caFile, 'proxy.upstream.caFile'),
      certFile: given(upstream.clientCertFile, 'proxy.upstream.clientCertFile'),
      keyFile: given(upstream.clientKeyFile, 'proxy.upstream.clientKeyFile'),
    },
    log,
    observe: (server, event) => metrics.proxy.upstreamEvents.labels(server, event).inc(),
    checkIntervalMs: upstream.checkInterval,
    checkTimeoutMs: upstream.checkTimeout,
    connectTimeoutMs: upstream.connectTimeout,
    pool: { maxIdle: upstream.idleConnections, idleTimeoutMs: upstream.idleTimeout },
  })
}

async function openRequestTracing(
  { tracing: { endpoint, sampling, userNames } }: Config,
  { log, version }: ComposeOptions,
  closers: Closer[],
): Promise<RequestTracing | undefined> {
  if (endpoint === undefined) return undefined
  const tracing = await openTracing({ endpoint, sampling, log, version })
  closers.push(() => tracing.close())
  return { tracing, userNames }
}

function admissionOf({ proxy: { limits } }: Config): ReturnType<typeof fairAdmission> {
  const { requests, userRequests, userQueue, queue, queueTimeout, streams, userStreams } = limits
  return fairAdmission({ requests, userRequests, userQueue, queue, queueWaitMs: queueTimeout, streams, userStreams })
}

function hygieneOf({ proxy: { impersonation, identityHeaders, limits } }: Config): ReturnType<typeof createHygiene> {
  const names = identityHeaders.map((name) => name.toLowerCase())
  return createHygiene({
    impersonation,
    identityHeaders: names.filter((name) => !name.endsWith('-')),
    identityPrefixes: names.filter((name) => name.endsWith('-')),
    limits: { ...HEAD_LIMITS, bytes: limits.headerBytes, identityBytes: limits.identityBytes },
  })
}

function limitsOf({ proxy: { limits } }: Config): typeof DEFAULT_LIMITS {
  const { headerBytes, bodyBytes, headTimeout, stallTimeout, idleTimeout, http2Streams } = limits
  return {
    ...DEFAULT_LIMITS,
    headBytes: Math.ceil(headerBytes * 1.5), // names, separators and the request line count here as well
    bodyBytes: bodyBytes === 0 ? Number.POSITIVE_INFINITY : bodyBytes,
    headTimeoutMs: headTimeout,
    bodyStallMs: stallTimeout,
    answerStallMs: stallTimeout,
    idleTimeoutMs: idleTimeout,
    http2Streams,
  }
}

function listenerOf(config: Config, proxy: Door, metrics: Metrics, { log }: ComposeOptions): TlsListener {
  const { listen, tls, limits } = config.proxy
  return createTlsListener({
    listen: parseListen(listen),
    tls: {
      certFile: given(tls.certFile, 'proxy.tls.certFile'),
      keyFile: given(tls.keyFile, 'proxy.tls.keyFile'),
    },
    protocols: proxy.alpnProtocols,
    certificates: certificateRequest,
    secureOptions: certificateRequestOptions,
    limits: { connections: limits.connections, handshakeTimeoutMs: limits.handshakeTimeout },
    log,
    observer: {
      connectionOpened: () => metrics.connections.inc(),
      connectionClosed: () => metrics.connections.dec(),
      connectionRefused: (reason) => metrics.connectionsRefused.labels(reason).inc(),
      tlsError: () => metrics.tlsErrors.inc(),
    },
    serve: (socket) => proxy.serve(socket),
  })
}

/** The listener is closed first, so that nobody comes in while others are shown out. */
async function drained(listener: TlsListener, proxy: Door, drainMs: number): Promise<void> {
  await Promise.all([listener.close(), proxy.drain({ drainMs })])
}

/** Said only of all together: with one of them the proxy can do its work. */
function serversCheck(servers: ApiServers): ReadinessCheck {
  return {
    name: 'upstreams',
    check() {
      const states = servers.states()
      const away = states.filter(({ ready }) => !ready)
      const detail = away
        .map(({ name, reason = 'not ready' }) => (reason.startsWith(name) ? reason : `${name}: ${reason}`))
        .join('; ')
      return { ok: away.length < states.length, detail: detail === '' ? `${states.length} ready` : detail }
    },
  }
}

/** How one may say who one is, for `WWW-Authenticate`. */
function challengesOf(sources: readonly Source[]): readonly string[] {
  const offered = (proof: 'password' | 'token'): boolean => sources.some(({ proofs }) => proofs[proof] !== undefined)
  return [
    ...(offered('password') ? ['Basic realm="kubernetes", charset="UTF-8"'] : []),
    ...(offered('token') ? ['Bearer realm="kubernetes"'] : []),
  ]
}
