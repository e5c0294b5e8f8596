/**
 * A TLS listener for a door that takes connections whole: certificate and its reload, bounded handshakes, a limit on
 * connections, an orderly end. Owns connections until the handshake is done; leaves them to the door from there.
 *
 * Clients are asked for a certificate and nothing is checked of it: who they are is the door's to find out. No
 * authorities are named to them, and no session is resumed, since both would cost the door the intermediates.
 *
 * @module
 */
import type { AddressInfo } from 'node:net'
import { createServer as createTlsServer, type SecureContextOptions, type TLSSocket } from 'node:tls'
import type { CallLog } from '../context.ts'
import { type LookOutcome, type Reloading, reloading } from '../reload/reloading.ts'
import { bind, formatListen, type ListenAddress } from './address.ts'
import { createGate } from './gate.ts'
import { DEFAULT_LIMITS, type ServerLimits } from './limits.ts'
import type { TlsStatus } from './listener.ts'
import type { ServerObserver } from './observer.ts'
import { readTlsMaterial, type TlsMaterial, type TlsOptions, tlsPaths } from './tls.ts'

/** What {@link createTlsListener} needs. */
export interface TlsListenerOptions {
  readonly listen: ListenAddress
  readonly tls: Omit<TlsOptions, 'clientCAFile' | 'clientNames'>
  /** Protocols offered, the preferred one first. */
  readonly protocols: readonly string[]
  /** How clients are asked for their certificate: see `authn/x509/presented.ts`. */
  readonly certificates: { readonly requestCert: boolean; readonly rejectUnauthorized: boolean }
  /** Bits for `secureOptions` that go with it. */
  readonly secureOptions: number
  readonly limits: Partial<Pick<ServerLimits, 'connections' | 'handshakeTimeoutMs'>>
  readonly log: CallLog
  readonly observer?: ServerObserver
  /** Takes a connection past its handshake. */
  readonly serve: (socket: TLSSocket) => void
  /** Monotonic, milliseconds. */
  readonly now?: () => number
}

/** A listener whose connections belong to somebody else. */
export interface TlsListener {
  /** Reads the certificate files and binds. Throws `file_invalid` or `config_invalid`, with path or address. */
  listen(): Promise<AddressInfo>
  /** `undefined` before {@link TlsListener.listen}. */
  tlsStatus(): TlsStatus | undefined
  /** Looks at the certificate files now. */
  checkTls(): Promise<LookOutcome>
  /** Accepts no more; resolves when every connection is gone. The door ends those it has. May be called again. */
  close(): Promise<void>
}

/** When TCP begins to ask whether the other side is still there, milliseconds. */
const KEEP_ALIVE_MS = 30_000

export function createTlsListener(options: TlsListenerOptions): TlsListener {
  const { log, observer = {}, now = () => performance.now() } = options
  const limits: ServerLimits = { ...DEFAULT_LIMITS, ...options.limits }
  const admission = (): { certificates: false; names: undefined } => ({ certificates: false, names: undefined })
  const gate = createGate({ limits, log, observer, now, admission, welcome })
  const server = createTlsServer({
    ...options.certificates,
    ALPNProtocols: [...options.protocols],
    noDelay: true,
    keepAlive: true, // a watch or a shell may be still for hours, and its client may have vanished
    keepAliveInitialDelay: KEEP_ALIVE_MS,
    handshakeTimeout: limits.handshakeTimeoutMs,
  })
  let files: Reloading<TlsMaterial> | undefined
  let timer: NodeJS.Timeout | undefined
  let closed: Promise<void> | undefined
  gate.guard(server)
  return {
    listen,
    tlsStatus() {
      if (files === undefined) return undefined
      const { notAfter, subject } = files.current()
      return { ...files.status(), notAfter, subject }
    },
    checkTls: () => files?.check() ?? Promise.resolve('unchanged'),
    close: () => (closed ??= close()),
  }

  async function listen(): Promise<AddressInfo> {
    const { reloadIntervalMs } = options.tls
    files = await reloading({
      name: 'tls',
      paths: tlsPaths(options.tls),
      load: (contents) => readTlsMaterial(options.tls, contents),
      log,
      ...(reloadIntervalMs === undefined ? {} : { intervalMs: reloadIntervalMs }),
      onChange(material) {
        server.setSecureContext(contextOf(material))
        announce(material, 'certificate in use')
      },
    })
    try {
      server.setSecureContext(contextOf(files.current()))
      const bound = await bind(server, options.listen)
      server.on('error', (error) => log.error({ error }, 'listener failed'))
      timer = setInterval(() => gate.sweep(now()), Math.min(1000, limits.handshakeTimeoutMs / 4)).unref()
      announce(files.current(), 'listening', { address: formatListen({ host: bound.address, port: bound.port }) })
      return bound
    } catch (thrown) {
      files.close()
      server.close()
      throw thrown
    }
  }

  function contextOf({ context }: TlsMaterial): SecureContextOptions {
    return { ...context, secureOptions: (context.secureOptions ?? 0) | options.secureOptions }
  }

  function announce({ subject, notAfter }: TlsMaterial, what: string, more: object = {}): void {
    log.info({ ...more, subject, notAfter }, what)
    if (notAfter.getTime() < Date.now())
      log.warn({ subject, notAfter }, 'the certificate has expired, clients refuse it')
  }

  function welcome(socket: TLSSocket): void {
    observer.connectionOpened?.()
    socket.on('close', () => observer.connectionClosed?.())
    options.serve(socket)
  }

  async function close(): Promise<void> {
    files?.close()
    if (timer === undefined) return
    const gone = new Promise((resolve) => server.close(resolve))
    gate.turnBack()
    await gone
    clearInterval(timer)
  }
}
