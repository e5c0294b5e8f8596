/**
 * Connections for one purpose, kept and bounded, with fail-over from server to server.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import type { Connection } from './connection.ts'
import { combinedFailure, ServerError } from './failure.ts'
import type { Health } from './health.ts'
import type { ServerAddress } from './url.ts'

export interface PoolOptions {
  readonly health: Health
  /** Opens a connection and makes it ready for its purpose. */
  readonly open: (address: ServerAddress, signal: AbortSignal) => Promise<Connection>
  /** Connections in use at a time. */
  readonly connections: number
  /** Calls that may wait beyond that. */
  readonly queue: number
  /** Milliseconds after which a connection that lies idle is closed. */
  readonly idleMs: number
}

export interface Pool {
  /**
   * Lends a connection to `use`, which must change nothing: it runs again on the next server where one could not tell.
   *
   * @throws ArchwayError when no server could; `ldap_busy` when too many wait; the signal's reason.
   */
  run<T>(signal: AbortSignal, use: (connection: Connection) => Promise<T>): Promise<T>
  /** Kept connections are closed, those in use when they come back. */
  renew(): void
  /** Lets the calls under way and in line finish, then closes all. */
  close(): Promise<void>
}

export function createPool({ health, open, connections, queue, idleMs }: PoolOptions): Pool {
  const idle = new Map<Connection, NodeJS.Timeout>()
  let current = new WeakSet<Connection>() // those made since the last renewal
  let active = 0
  const waiting = new Set<() => void>()
  let closed: PromiseWithResolvers<void> | undefined

  function enter(signal: AbortSignal): Promise<void> {
    if (closed !== undefined) throw new ArchwayError('stopping', 'the directory client was closed')
    signal.throwIfAborted()
    if (active < connections) {
      active += 1
      return Promise.resolve()
    }
    if (waiting.size >= queue) throw busy(connections, queue)
    return new Promise((resolve, reject) => {
      const admit = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        waiting.delete(admit)
        reject(signal.reason)
      }
      waiting.add(admit)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  function exit(): void {
    const [next] = waiting
    if (next !== undefined) {
      waiting.delete(next)
      next() // takes over this place
      return
    }
    active -= 1
    if (active === 0) closed?.resolve()
  }

  /** The one used last, whose other side is least likely to have closed it. */
  function takeIdle(address: ServerAddress): Connection | undefined {
    for (const [connection, timer] of [...idle].reverse()) {
      if (connection.address !== address) continue
      clearTimeout(timer)
      idle.delete(connection)
      if (connection.usable) return connection
    }
    return undefined
  }

  function giveBack(connection: Connection): void {
    if (!connection.usable) return
    if (!current.has(connection)) {
      connection.close()
      return
    }
    const timer = setTimeout(() => {
      idle.delete(connection)
      connection.close()
    }, idleMs)
    timer.unref()
    idle.set(connection, timer)
  }

  async function lend<T>(connection: Connection, use: (connection: Connection) => Promise<T>): Promise<T> {
    try {
      return await use(connection)
    } finally {
      giveBack(connection)
    }
  }

  async function fresh<T>(
    address: ServerAddress,
    signal: AbortSignal,
    use: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    health.trying(address)
    const set = current // a renewal while it is being opened makes it an old one
    const connection = await open(address, signal)
    set.add(connection)
    return lend(connection, use)
  }

  async function onServer<T>(
    address: ServerAddress,
    signal: AbortSignal,
    use: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    const kept = takeIdle(address)
    if (kept === undefined) return fresh(address, signal, use)
    try {
      return await lend(kept, use)
    } catch (error) {
      // It may have been dead for long without our knowing. The others that lie idle may be as well.
      if (!(error instanceof ServerError) || !error.lost || signal.aborted) throw error
      return fresh(address, signal, use)
    }
  }

  async function onAnyServer<T>(signal: AbortSignal, use: (connection: Connection) => Promise<T>): Promise<T> {
    const failures: ServerError[] = []
    for (const address of health.inOrder()) {
      try {
        const result = await onServer(address, signal, use)
        health.up(address)
        return result
      } catch (error) {
        if (signal.aborted || !(error instanceof ServerError)) throw error
        if (error.sick) health.down(address)
        failures.push(error)
      }
    }
    throw combinedFailure(failures)
  }

  function closeIdle(): void {
    for (const [connection, timer] of idle) {
      clearTimeout(timer)
      connection.close()
    }
    idle.clear()
  }

  return {
    async run(signal, use) {
      await enter(signal)
      try {
        return await onAnyServer(signal, use)
      } finally {
        exit()
      }
    },
    renew() {
      current = new WeakSet()
      closeIdle()
    },
    async close() {
      if (closed === undefined) {
        closed = Promise.withResolvers()
        if (active === 0) closed.resolve()
      }
      await closed.promise
      closeIdle()
    },
  }
}

function busy(connections: number, queue: number): ArchwayError {
  const message =
    `${connections} calls to the directory are under way and ${queue} more wait; ` +
    'raise `connections`, or look at why it is slow'
  return new ArchwayError('ldap_busy', message, { retryAfter: 1 })
}
