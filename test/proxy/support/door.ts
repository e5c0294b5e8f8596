/**
 * For the tests of the door: a real TLS listener in front of it, the real balancer and connections behind it, an API
 * server that does what the test says, and a clock that stands still until told.
 *
 * @module
 */
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect as connectTcp, type Server as NetServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { AuthnResult } from '../../../src/authn/authenticator.ts'
import { headerCredential } from '../../../src/authn/request/credentials.ts'
import type { Admission } from '../../../src/proxy/admission/admission.ts'
import { fairAdmission } from '../../../src/proxy/admission/fair-admission.ts'
import { createHygiene } from '../../../src/proxy/hygiene/create.ts'
import type { HygieneOptions } from '../../../src/proxy/hygiene/hygiene.ts'
import type { ProxyObservation, ProxyObserver } from '../../../src/proxy/observation.ts'
import { createProxy, type ProxyDoor, type ProxyOptions } from '../../../src/proxy/proxy.ts'
import { serverPool } from '../../../src/proxy/upstream/pool.ts'
import { balanced } from '../../../src/proxy/upstreams/balanced.ts'
import type { Health } from '../../../src/proxy/upstreams/health.ts'
import { readInPlace } from '../../../src/proxy/upstreams/in-place.ts'
import type { UserInfo } from '../../../src/user.ts'
import { type RecordingLog, recordingLog } from '../../reload/support.ts'
import { createAuthority, type Issued, type TestAuthority } from '../../support/tls.ts'

export const JANE: UserInfo = { username: 'jane', uid: '7', groups: ['devs', 'system:authenticated'], extra: new Map() }

/** Certificates of a group of tests. */
export interface Estate {
  readonly authority: TestAuthority
  readonly issued: Issued
}

export async function createEstate(): Promise<Estate> {
  const authority = await createAuthority()
  return { authority, issued: await authority.server() }
}

/** `Bearer jane` is Jane, `Bearer outage` cannot be told, everything else is nobody. */
async function authenticate(headers: Parameters<typeof headerCredential>[0]): Promise<AuthnResult> {
  const shown = headerCredential(headers)
  if (shown.kind === 'none') return { kind: 'skipped' }
  if (shown.kind === 'bearer' && shown.token === 'outage') throw new Error('Keystone is away')
  if (shown.kind === 'bearer' && shown.token === 'locked')
    return { kind: 'rejected', code: 'login_locked', source: 'test', retryAfter: 30 }
  if (shown.kind === 'bearer' && shown.token === 'jane') return { kind: 'authenticated', user: JANE, source: 'test' }
  return { kind: 'rejected', code: 'token_unknown', source: 'test' }
}

export interface OpenDoor {
  readonly proxy: ProxyDoor
  readonly port: number
  readonly log: RecordingLog
  readonly admission: Admission
  /** What was observed, in order. */
  readonly observations: ProxyObservation[]
  /** Resolves when so many requests are over, with the last of them. */
  observed(count?: number): Promise<ProxyObservation>
  /** Moves the clock and sweeps. */
  pass(ms: number): void
  /** Connections of the API server that are open. */
  readonly upstreamSockets: ReadonlySet<Socket>
  close(): Promise<void>
}

export type DoorOptions = Partial<Omit<ProxyOptions, 'upstreams' | 'hygiene'>> & {
  readonly hygiene?: Partial<HygieneOptions>
  readonly ready?: boolean
  readonly allowHalfOpen?: boolean
}

/** A door in front of `upstream`, which listens or is made to. */
export async function openDoor(
  estate: Estate,
  upstream: RequestListener | Server | NetServer,
  options: DoorOptions = {},
): Promise<OpenDoor> {
  const { hygiene, ready = true, allowHalfOpen = false, ...rest } = options
  const server = typeof upstream === 'function' ? createHttpServer(upstream) : upstream
  const upstreamPort = await listen(server)
  const upstreamSockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    upstreamSockets.add(socket)
    socket.on('close', () => upstreamSockets.delete(socket))
    socket.on('error', () => {})
  })
  const pool = serverPool({
    name: 'api',
    connect: () =>
      new Promise((resolve, reject) => {
        const to = { port: upstreamPort, host: '127.0.0.1' }
        const socket = readInPlace((onread) => connectTcp({ ...to, onread }, () => resolve(socket)))
        socket.on('error', reject)
      }),
  })
  let at = 1000
  const now = (): number => at
  const upstreams = balanced({
    servers: [{ name: 'api', pool, health: healthOf(ready) }],
    clock: { now },
    observe: () => {},
  })
  const observations: ProxyObservation[] = []
  const log = recordingLog()
  const admission = rest.admission ?? fairAdmission()
  let ids = 0
  const watch = watcher(observations)
  const proxy = createProxy({
    authenticator: { name: 'test', authenticate: ({ headers }) => authenticate(headers) },
    log,
    certificateOf: () => undefined,
    challenges: ['Bearer', 'Basic realm="kubernetes"'],
    nextRequestId: () => `r${++ids}`,
    now,
    ...rest,
    upstreams,
    admission,
    hygiene: createHygiene({ impersonation: 'refuse', ...hygiene }),
    observer: rest.observer ?? watch.observer,
  })
  const { cert, key } = estate.issued
  const listener = createTlsServer({ cert, key, ALPNProtocols: [...proxy.alpnProtocols], allowHalfOpen, noDelay: true })
  listener.on('secureConnection', (socket) => proxy.serve(socket))
  const port = await listen(listener)
  return {
    proxy,
    port,
    log,
    admission,
    observations,
    observed: watch.observed,
    upstreamSockets,
    pass(ms) {
      at += ms
      proxy.sweep()
    },
    async close() {
      listener.close()
      await proxy.drain({ drainMs: 0 })
      upstreams.close()
      for (const socket of upstreamSockets) socket.destroy()
      server.close()
    },
  }
}

function watcher(observations: ProxyObservation[]): {
  readonly observer: ProxyObserver
  readonly observed: OpenDoor['observed']
} {
  let wake: () => void = () => {}
  return {
    observer: {
      begin: () => ({ traceId: undefined, headers: [], end() {} }),
      finished(observation) {
        observations.push(observation)
        wake()
      },
    },
    async observed(count = 1) {
      while (observations.length < count)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      const last = observations[count - 1]
      if (last === undefined) throw new Error('nothing was observed')
      return last
    },
  }
}

function healthOf(ready: boolean): Health {
  return {
    ready,
    doubtful: false,
    reason: undefined,
    epoch: 0,
    nextCheckAt: 4000,
    checked: Promise.resolve(),
    unreachable() {},
    doubt() {},
    checkNow() {},
    close() {},
  }
}

function listen(server: NetServer): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}
