/**
 * So many calls at a time and no more; the rest wait in line, and the line has an end.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import type { Connection } from './connection.ts'

export interface PoolOptions {
  /** Calls at a time. */
  readonly connections: number
  /** Calls that may wait beyond that. */
  readonly queue: number
  readonly open: () => Connection
}

export interface Pool {
  /**
   * Lends a connection to `use`, in the order of asking. The signal ends the waiting.
   *
   * @throws ArchwayError `keystone_busy` when too many wait, `stopping` after {@link Pool.close}; the signal's reason.
   */
  run<T>(signal: AbortSignal, use: (connection: Connection) => Promise<T>): Promise<T>
  /** From now on connections are made by `open`; those in use finish their call and are closed. */
  replace(open: () => Connection): void
  /** Lets the calls under way and in line finish, then closes all connections. */
  close(): Promise<void>
}

/** A pool without connections; they are opened as they are needed. */
export function createPool(options: PoolOptions): Pool {
  const { connections, queue } = options
  let open = options.open
  let idle: Connection[] = []
  let current = new WeakSet<Connection>() // those made by the present `open`
  let active = 0
  const waiting = new Set<() => void>()
  const closings = new Set<Promise<void>>()
  let closed: PromiseWithResolvers<void> | undefined

  function enter(signal: AbortSignal): Promise<void> {
    if (closed !== undefined) throw new ArchwayError('stopping', 'the Keystone client was closed')
    signal.throwIfAborted()
    if (active < connections) {
      active++
      return Promise.resolve()
    }
    if (waiting.size >= queue) throw busy(connections, queue)
    return new Promise((resolve, reject) => {
      const admit = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
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
    active--
    if (active === 0) closed?.resolve()
  }

  function take(): Connection {
    const kept = idle.pop() // the one used last, whose other side is least likely to have closed it
    if (kept !== undefined) return kept
    const made = open()
    current.add(made)
    return made
  }

  function giveBack(connection: Connection): void {
    if (!connection.broken && current.has(connection)) idle.push(connection)
    else discard(connection)
  }

  function discard(connection: Connection): void {
    const closing = connection.close().finally(() => closings.delete(closing))
    closings.add(closing)
  }

  return {
    async run(signal, use) {
      await enter(signal)
      try {
        const connection = take()
        try {
          return await use(connection)
        } finally {
          giveBack(connection)
        }
      } finally {
        exit()
      }
    },
    replace(next) {
      open = next
      current = new WeakSet()
      const old = idle
      idle = []
      for (const connection of old) discard(connection)
    },
    async close() {
      if (closed === undefined) {
        closed = Promise.withResolvers()
        if (active === 0) closed.resolve()
      }
      await closed.promise
      for (const connection of idle.splice(0)) discard(connection)
      await Promise.all(closings)
    },
  }
}

function busy(connections: number, queue: number): ArchwayError {
  const message =
    `${connections} calls to Keystone are under way and ${queue} more wait; ` +
    'raise `connections`, or look at why Keystone is slow'
  return new ArchwayError('keystone_busy', message, { retryAfter: 1 })
}
