/**
 * The listener for those who run us: liveness, readiness and metrics over plain HTTP, in the text form Kubernetes uses.
 * Its own port and its own small limits, so nothing of it is ever on the public listener. Owns asking the checks in
 * bounded time; leaves what makes us ready, and the metrics themselves, to whoever hands them in.
 *
 * Live means: this process answers. Nothing outside of it can change that, or a failing Keystone would restart us.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { CallLog } from '../context.ts'
import { messageOf } from '../errors.ts'
import { bind, formatListen, type ListenAddress } from './address.ts'

const CHECK_TIMEOUT_MS = 2000
const TEXT = 'text/plain; charset=utf-8'

/** What a check came to. */
export interface CheckResult {
  readonly ok: boolean
  /** A line for people: shown with `?verbose` and where the check failed. */
  readonly detail?: string
}

/** One part of being ready. A throw counts as not ready. */
export interface ReadinessCheck {
  /** Part of the path `/readyz/<name>`. */
  readonly name: string
  check(): CheckResult | Promise<CheckResult>
}

/** What {@link createAdminServer} needs. */
export interface AdminOptions {
  readonly listen: ListenAddress
  readonly readiness: readonly ReadinessCheck[]
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>
  readonly log: CallLog
  /** Time for one check, milliseconds; then it counts as failed. Default 2000. */
  readonly checkTimeoutMs?: number
}

export interface AdminServer {
  /** Binds. Throws `config_invalid` with the address. */
  listen(): Promise<AddressInfo>
  /** Stops at once; there is nothing here worth waiting for. */
  close(): Promise<void>
}

/** Answer of a route. */
interface Text {
  readonly status: number
  readonly body: string
  readonly contentType?: string
  readonly allow?: string
}

interface Outcome extends CheckResult {
  readonly name: string
}

export function createAdminServer(options: AdminOptions): AdminServer {
  const { log } = options
  const ask = createAsker(options)
  const server: Server = createServer({
    maxHeaderSize: 8 * 1024,
    headersTimeout: 5000,
    requestTimeout: 10_000,
    keepAliveTimeout: 75_000, // longer than a scrape interval
    connectionsCheckingInterval: 1000,
  })
  server.maxConnections = 64
  server.on('request', (request, response) => {
    request.resume()
    response.on('error', () => {})
    void answer(request, response)
  })
  return {
    async listen() {
      const bound = await bind(server, options.listen)
      server.on('error', (error) => log.error({ error }, 'admin listener failed'))
      log.info({ address: formatListen({ host: bound.address, port: bound.port }) }, 'admin listening')
      return bound
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body, contentType = TEXT, allow } = await route(request).catch(failed)
    if (response.destroyed) return
    response.writeHead(status, {
      'Content-Type': contentType,
      'Content-Length': Buffer.byteLength(body),
      'X-Content-Type-Options': 'nosniff',
      'Cache-Control': 'no-store',
      ...(allow === undefined ? {} : { Allow: allow }),
    })
    response.end(body)
  }

  async function route({ method, url = '' }: IncomingMessage): Promise<Text> {
    const [path = '', query = ''] = url.split('?', 2)
    const verbose = query.split('&').some((pair) => pair.split('=')[0] === 'verbose')
    const handler = routeOf(path)
    if (handler === undefined) return { status: 404, body: 'not found\n' }
    if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'method not allowed\n', allow: 'GET, HEAD' }
    return handler(verbose)
  }

  function routeOf(path: string): ((verbose: boolean) => Promise<Text>) | undefined {
    if (path === '/livez') return async (verbose) => report('livez', [{ name: 'ping', ok: true }], verbose)
    if (path === '/metrics') return async () => ({ status: 200, ...(await options.metrics()) })
    const checks = options.readiness.filter(({ name }) => path === '/readyz' || path === `/readyz/${name}`)
    if (path !== '/readyz' && checks.length === 0) return undefined
    return async (verbose) => report('readyz', await Promise.all(checks.map(ask)), verbose)
  }

  function failed(thrown: unknown): Text {
    log.error({ error: thrown }, 'admin request failed, a fault of ours')
    return { status: 500, body: 'internal error\n' }
  }
}

/** The form of the API server's own `/readyz`, with the reason: whoever may ask here is who has to mend it. */
function report(name: string, outcomes: readonly Outcome[], verbose: boolean): Text {
  const ok = outcomes.every((outcome) => outcome.ok)
  if (ok && !verbose) return { status: 200, body: 'ok' }
  const lines = outcomes.map(
    ({ ok: passed, name: check, detail }) =>
      `${passed ? '[+]' : '[-]'}${check} ${passed ? 'ok' : 'failed'}${detail === undefined ? '' : `: ${oneLine(detail)}`}\n`,
  )
  return { status: ok ? 200 : 503, body: `${lines.join('')}${name} check ${ok ? 'passed' : 'failed'}\n` }
}

function oneLine(detail: string): string {
  return detail.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 500)
}

/** Asks a check in bounded time. One that hangs is not asked again until it is back; a change is logged once. */
function createAsker(options: AdminOptions): (check: ReadinessCheck) => Promise<Outcome> {
  const { log, checkTimeoutMs = CHECK_TIMEOUT_MS } = options
  const asked = new Map<string, Promise<CheckResult>>()
  const failing = new Set<string>()

  return async (check) => {
    const { name } = check
    const outcome = { name, ...(await inTime(pending(check))) }
    if (!outcome.ok && !failing.has(name)) {
      failing.add(name)
      log.warn({ check: name, detail: outcome.detail }, 'readiness check failed')
    } else if (outcome.ok && failing.delete(name)) {
      log.info({ check: name }, 'readiness check passes again')
    }
    return outcome
  }

  function pending(check: ReadinessCheck): Promise<CheckResult> {
    const running = asked.get(check.name) ?? run(check).finally(() => asked.delete(check.name))
    asked.set(check.name, running)
    return running
  }

  async function run(check: ReadinessCheck): Promise<CheckResult> {
    try {
      return await check.check()
    } catch (thrown) {
      return { ok: false, detail: messageOf(thrown) }
    }
  }

  function inTime(result: Promise<CheckResult>): Promise<CheckResult> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve({ ok: false, detail: 'timed out' }), checkTimeoutMs)
      void result.then((settled) => {
        clearTimeout(timer)
        resolve(settled)
      })
    })
  }
}
