/**
 * The public listener: HTTPS, HTTP/1.1 only, for any {@link Handler}. Owns assembly and the life of open connections
 * (sweep, change of authorities, graceful stop); leaves whom to let in to the gate, requests to the lane and the slow
 * path, certificate files to `tls.ts` and `reload/`, health and metrics to `admin.ts`.
 *
 * No HTTP/2: it costs twice as much here, and brings limits of its own to be kept.
 *
 * @module
 */
import type { AddressInfo } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { CallLog } from '../context.ts'
import { ArchwayError, ERROR_CODES } from '../errors.ts'
import type { Handler } from '../http.ts'
import { statusAnswer } from '../kube/status.ts'
import { type LookOutcome, type Reloading, type ReloadStatus, reloading } from '../reload/reloading.ts'
import { bind, formatListen, type ListenAddress } from './address.ts'
import { createRenderer } from './answer.ts'
import { Connection } from './connection.ts'
import { refuse, type ServerCore } from './core.ts'
import { createDesk } from './desk.ts'
import { createRequestIds } from './exchange.ts'
import { type Admission, createGate } from './gate.ts'
import { Lane } from './lane.ts'
import { createBudget, DEFAULT_LIMITS, type ServerLimits } from './limits.ts'
import type { ServerObserver } from './observer.ts'
import { createSlowPath } from './slow-path.ts'
import { readTlsMaterial, type TlsMaterial, type TlsOptions, tlsPaths } from './tls.ts'

const SWEEP_MS = 1000

/** What {@link createServer} needs. */
export interface ServerOptions {
  readonly listen: ListenAddress
  readonly tls: TlsOptions
  readonly handler: Handler
  /** Paths the fast lane serves: `/webhook`. The handler sees every path. */
  readonly lanePaths: readonly string[]
  readonly limits?: Partial<ServerLimits>
  readonly log: CallLog
  readonly observer?: ServerObserver
  /** False serves everything by `node:http`: the same answers at more cost. Default true. */
  readonly lane?: boolean
  /** Monotonic, milliseconds. */
  readonly now?: () => number
}

/** Certificate in use and the state of its files. */
export interface TlsStatus extends ReloadStatus {
  /** End of validity of the certificate served. */
  readonly notAfter: Date
  readonly subject: string
}

/** A listener; every part of it may be called at any time. */
export interface ArchwayServer {
  /** Reads the certificate files and binds. Throws `file_invalid` or `config_invalid`, with path or address. */
  listen(): Promise<AddressInfo>
  /** `undefined` before {@link ArchwayServer.listen}. */
  tlsStatus(): TlsStatus | undefined
  /** Looks at the certificate files now. */
  checkTls(): Promise<LookOutcome>
  /** Other names may ask from now on; `undefined`: all. Connections of before end with their next answer. */
  setClientNames(names: readonly string[] | undefined): void
  /** Open connections past the handshake, and requests the handler has. */
  counts(): { readonly connections: number; readonly requests: number }
  /** Holds every connection against its time limits. Runs by itself, once a second; tests call it. */
  sweep(): void
  /**
   * Stops: accepts no more, closes what is idle, marks every further answer as the last one of its connection, and
   * after `drainMs` destroys what is left. Resolves when all is closed. A second call may be less patient.
   */
  close(options: { readonly drainMs: number }): Promise<void>
}

export function createServer(options: ServerOptions): ArchwayServer {
  const { log, observer = {}, now = () => performance.now() } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const paths = new Set(options.lanePaths)
  requireAuthorities(options.tls.clientNames)
  const core: ServerCore = {
    log,
    desk: createDesk({ handler: options.handler, requests: limits.requests, log, observer }),
    renderer: createRenderer(now),
    limits,
    budget: createBudget(limits.bufferedBytes),
    observer,
    nextId: createRequestIds(),
    now,
  }
  const slowPath = createSlowPath(core)
  const admission = (): Admission => ({ certificates: authorities !== undefined, names })
  const gate = createGate({ limits, log, observer, now, admission, welcome })
  const connections = new Set<Connection>()
  let names = nameSet(options.tls.clientNames)
  /** Who vouches for callers, as the open connections know it. */
  let authorities: string | undefined
  let files: Reloading<TlsMaterial> | undefined
  let server: TlsServer | undefined
  let timer: NodeJS.Timeout | undefined
  let stopped: Promise<void> | undefined

  return {
    listen,
    tlsStatus() {
      if (files === undefined) return undefined
      const { notAfter, subject } = files.current()
      return { ...files.status(), notAfter, subject }
    },
    checkTls: () => files?.check() ?? Promise.resolve('unchanged'),
    setClientNames(clientNames) {
      requireAuthorities(clientNames)
      names = nameSet(clientNames)
      retire()
    },
    counts: () => ({ connections: connections.size, requests: core.desk.inFlight() }),
    sweep,
    close: ({ drainMs }) => close(drainMs),
  }

  /** Names without anybody to vouch for them would look like a lock and be none. */
  function requireAuthorities(clientNames: readonly string[] | undefined): void {
    if (clientNames !== undefined && options.tls.clientCAFile === undefined)
      throw new ArchwayError('config_invalid', 'clientNames are checked on client certificates: set clientCAFile too')
  }

  async function listen(): Promise<AddressInfo> {
    const { reloadIntervalMs } = options.tls
    files = await reloading({
      name: 'tls',
      paths: tlsPaths(options.tls),
      load: (contents) => readTlsMaterial(options.tls, contents),
      log,
      ...(reloadIntervalMs === undefined ? {} : { intervalMs: reloadIntervalMs }),
      onChange: renew,
    })
    const material = files.current()
    authorities = material.clientCA
    try {
      assertNotStopped()
      server = assemble(material)
      const bound = await bind(server, options.listen)
      server.on('error', (error) => log.error({ error }, 'listener failed'))
      assertNotStopped()
      const interval = Math.max(10, Math.min(SWEEP_MS, ...timeouts().map((limit) => limit / 4)))
      timer = setInterval(sweep, interval).unref()
      const address = formatListen({ host: bound.address, port: bound.port })
      log.info({ address, subject: material.subject, notAfter: material.notAfter }, 'listening')
      warnOfExpiry(material)
      return bound
    } catch (thrown) {
      server?.close()
      files.close()
      throw thrown
    }
  }

  function assertNotStopped(): void {
    if (stopped !== undefined) throw new ArchwayError('stopping', 'the server was stopped before it listened')
  }

  function timeouts(): number[] {
    return [limits.handshakeTimeoutMs, limits.requestTimeoutMs, limits.idleTimeoutMs, limits.deadlineMs]
  }

  function assemble(material: TlsMaterial): TlsServer {
    const mutual = material.clientCA !== undefined
    const made = createTlsServer({
      ...material.context,
      ALPNProtocols: ['http/1.1'],
      requestCert: mutual,
      rejectUnauthorized: mutual,
      noDelay: true,
      handshakeTimeout: limits.handshakeTimeoutMs, // of silence; the sweep bounds the whole
    })
    gate.guard(made)
    return made
  }

  function welcome(socket: TLSSocket): void {
    const connection = new Connection(socket, now())
    connections.add(connection)
    observer.connectionOpened?.()
    socket.on('close', () => {
      connections.delete(connection)
      observer.connectionClosed?.()
    })
    if (options.lane === false) slowPath.adopt(connection)
    else new Lane(connection, { core, paths, fallBack: slowPath.adopt })
  }

  /** New files are in force. */
  function renew(material: TlsMaterial): void {
    server?.setSecureContext(material.context)
    warnOfExpiry(material)
    log.info({ subject: material.subject, notAfter: material.notAfter }, 'certificate in use')
    if (material.clientCA === authorities) return
    authorities = material.clientCA
    retire()
  }

  /** Whoever is in, or on the way in, is not kept longer than its request. */
  function retire(): void {
    gate.turnBack()
    for (const connection of connections) {
      connection.last = true
      if (connection.isIdle()) connection.terminate('', now())
    }
  }

  function sweep(): void {
    const at = now()
    gate.sweep(at)
    for (const connection of connections) {
      connection.sweep(at, limits, () =>
        refuse(core, connection, statusAnswer(ERROR_CODES.request_timeout.status, ERROR_CODES.request_timeout.meaning)),
      )
    }
  }

  function close(drainMs: number): Promise<void> {
    stopped ??= stop()
    const deadline = setTimeout(() => {
      for (const { socket } of connections) socket.destroy()
    }, drainMs)
    return stopped.finally(() => clearTimeout(deadline))
  }

  async function stop(): Promise<void> {
    files?.close()
    if (server === undefined) return
    const closed = new Promise((resolve) => server?.close(resolve))
    retire()
    // Of a connection the TCP socket goes first; our own end of it is what counts.
    await Promise.all([closed, ...[...connections].map(({ gone }) => gone)])
    clearInterval(timer)
  }

  function warnOfExpiry({ notAfter, subject }: TlsMaterial): void {
    if (notAfter.getTime() < Date.now())
      log.warn({ subject, notAfter }, 'the certificate has expired, clients refuse it')
  }
}

function nameSet(names: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return names === undefined ? undefined : new Set(names)
}
