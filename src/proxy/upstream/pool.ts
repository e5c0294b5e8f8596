/**
 * Connections to one API server: those in use, and those kept for the next request. The one used last is taken first,
 * since the server is least likely to have closed it.
 *
 * There is no bound on connections in use: each watch and each tunnel holds one for as long as it lasts. How many requests
 * there may be at a time is decided in front of this, by admission.
 *
 * @module
 */
import { messageOf } from '../../errors.ts'
import { Connection, type Keeper, type UpstreamSocket } from './connection.ts'
import type { AnswerLimits } from './response-parser.ts'
import { type ServerPool, type UpstreamConnection, UpstreamFailure } from './upstream.ts'

export interface ServerPoolOptions {
  /** `host:port`, for messages. */
  readonly name: string
  /** Makes a connection, TLS handshake included. Gives up, closing what it made, when the signal says so. */
  readonly connect: (signal: AbortSignal) => Promise<UpstreamSocket>
  /** Connections kept for the next request; 256 when absent. */
  readonly maxIdle?: number
  /** Milliseconds; 60,000 when absent. Shorter than the server's own, which is 90 seconds for kube-apiserver. */
  readonly idleTimeoutMs?: number
  /** Milliseconds from the end of a request to the head of its answer; 0, and when absent: any time. */
  readonly headTimeoutMs?: number
  /** 256 KiB and 1,000 lines when absent. */
  readonly limits?: AnswerLimits
  /** Milliseconds, from any beginning. */
  readonly now?: () => number
  /** Calls `work` again and again; the answer stops it. */
  readonly every?: (ms: number, work: () => void) => () => void
}

const LIMITS: AnswerLimits = { headBytes: 256 * 1024, headLines: 1000 }

export function serverPool(options: ServerPoolOptions): ServerPool {
  const { name, connect, maxIdle = 256, idleTimeoutMs = 60_000, headTimeoutMs = 0 } = options
  const { limits = LIMITS, now = () => performance.now(), every = onTimer } = options
  const idle: Connection[] = [] // the one used last comes last
  const all = new Set<Connection>()
  const connecting = new Set<AbortController>()
  let current = new WeakSet<Connection>() // those made since the last retirement
  let closed = false

  const keeper: Keeper = {
    kept(connection) {
      if (closed || !current.has(connection)) connection.close('lost', 'retired')
      else if (idle.push(connection) > maxIdle) idle[0]?.close('lost', 'more are kept than may be')
    },
    gone(connection) {
      all.delete(connection)
      const at = idle.lastIndexOf(connection)
      if (at !== -1) idle.splice(at, 1)
    },
  }

  function sweep(): void {
    const time = now()
    for (const connection of [...idle]) {
      if (connection.age(time) >= idleTimeoutMs) connection.close('lost', 'not used for long')
    }
    if (headTimeoutMs === 0) return
    for (const connection of all) {
      if (connection.awaitsHead && connection.age(time) >= headTimeoutMs) {
        connection.close('timeout', `no answer within ${headTimeoutMs} ms`)
      }
    }
  }

  async function made(signal: AbortSignal): Promise<Connection> {
    const set = current // a retirement while it is being made makes it an old one
    const controller = new AbortController()
    const abort = (): void => controller.abort(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    connecting.add(controller)
    try {
      const socket = await connect(controller.signal)
      if (controller.signal.aborted) socket.destroy()
      controller.signal.throwIfAborted()
      const connection = new Connection({ name, socket, keeper, limits })
      all.add(connection)
      set.add(connection)
      return connection
    } finally {
      connecting.delete(controller)
      signal.removeEventListener('abort', abort)
    }
  }

  const stop = every(Math.min(idleTimeoutMs, headTimeoutMs === 0 ? idleTimeoutMs : headTimeoutMs) / 4, sweep)

  return {
    async acquire(signal, need = 'any'): Promise<UpstreamConnection> {
      if (closed || signal.aborted) throw unreachable(name, closed ? 'the pool is closed' : signal.reason)
      const kept = need === 'fresh' ? undefined : idle.pop()
      if (kept !== undefined) return kept.lend()
      try {
        return (await made(signal)).lend()
      } catch (error) {
        throw error instanceof UpstreamFailure ? error : unreachable(name, error)
      }
    },
    busy: () => all.size - idle.length,
    idle: () => idle.length,
    retire() {
      current = new WeakSet()
      for (const connection of [...idle]) connection.close('lost', 'retired')
    },
    close() {
      closed = true
      stop()
      for (const controller of connecting) controller.abort(new Error('the pool was closed'))
      for (const connection of [...all]) connection.close('lost', 'the pool was closed')
    },
  }
}

function unreachable(name: string, cause: unknown): UpstreamFailure {
  return new UpstreamFailure('unreachable', `${name}: ${messageOf(cause)}`, { cause })
}

function onTimer(ms: number, work: () => void): () => void {
  const timer = setInterval(work, ms).unref()
  return () => clearInterval(timer)
}
