/**
 * Valkey and Redis as a place that replicas share: one connection, scripts that run whole or not at all, and a bound on
 * the time anybody waits for them. Owns the connection, its deadline and when it is left alone; knows nothing of what
 * is kept there.
 *
 * @module
 */
import { hash } from 'node:crypto'
import { createClient } from '@redis/client'
import { ArchwayError, messageOf } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { parseValkeyUrl } from './url.ts'

/** A script in Lua that the server runs as one step. */
export interface ValkeyScript {
  readonly text: string
  readonly sha1: string
}

/** One server, or whatever stands in front of several. Its members may be used at any time, from anywhere. */
export interface Valkey {
  /**
   * Runs a script. The first call connects.
   *
   * @throws ArchwayError `valkey_unreachable`: within the deadline, and at once for a while after a failure.
   */
  run(script: ValkeyScript, keys: readonly string[], args: readonly string[]): Promise<unknown>
  /** Drops the connection; calls under way fail. */
  close(): void
}

export interface ValkeyOptions {
  /** `rediss://host:6379/0` or `valkeys://…`; without the last `s` there is no TLS. */
  readonly url: string
  /** Without TLS only this machine is talked to, unless this is set. */
  readonly allowPlain?: boolean
  /** Of the access list; absent: the default user. */
  readonly username?: string
  /** Asked at each connection, so that a changed password is taken up. */
  readonly password?: () => Secret
  /** CA bundle, PEM; absent: the system's. */
  readonly ca?: string | Buffer
  /** Longest wait for an answer, connecting included, in milliseconds; 250 when absent. */
  readonly timeoutMs?: number
  /** After a failure nobody waits for this long, in milliseconds; then one call goes ahead. 1000 when absent. */
  readonly pauseMs?: number
  /** Milliseconds, from any beginning. */
  readonly now?: () => number
}

const MAX_RECONNECT_MS = 2000

/** Makes a script of its text. */
export function valkeyScript(text: string): ValkeyScript {
  return { text, sha1: hash('sha1', text) }
}

/**
 * A connection that is made at the first call, and again whenever it is lost.
 *
 * @throws ArchwayError `config_invalid`
 */
export function valkey(options: ValkeyOptions): Valkey {
  const { timeoutMs = 250, pauseMs = 1000, now = () => performance.now() } = options
  const client = clientOf(options, timeoutMs)
  let connecting: Promise<unknown> | undefined
  let lastError: unknown
  let pausedUntil = Number.NEGATIVE_INFINITY
  let probing = false
  client.on('error', (error: unknown) => {
    lastError = error
  })

  async function evaluate(script: ValkeyScript, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    connecting ??= client.connect().catch((error: unknown) => {
      connecting = undefined // it has given up; the next call begins anew
      throw error
    })
    if (!client.isReady) await connecting
    const given = { keys: [...keys], arguments: [...args] }
    try {
      return await client.evalSha(script.sha1, given)
    } catch (error) {
      if (!messageOf(error).startsWith('NOSCRIPT')) throw error
      return await client.eval(script.text, given)
    }
  }

  return {
    async run(script, keys, args) {
      if (now() < pausedUntil || probing) throw unreachable('left alone for a moment after a failure', lastError)
      const probe = pausedUntil > Number.NEGATIVE_INFINITY
      probing = probe
      try {
        const answer = await within(timeoutMs, evaluate(script, keys, args))
        pausedUntil = Number.NEGATIVE_INFINITY
        return answer
      } catch (error) {
        pausedUntil = now() + pauseMs
        throw unreachable(messageOf(lastError ?? error), error)
      } finally {
        if (probe) probing = false
      }
    },
    close() {
      if (client.isOpen) client.destroy()
    },
  }
}

function clientOf({ url, allowPlain = false, username, password, ca }: ValkeyOptions, timeoutMs: number) {
  const { host, port, database, tls } = parseValkeyUrl(url, { allowPlain })
  const address = { host, port, connectTimeout: Math.max(1000, timeoutMs), reconnectStrategy }
  return createClient({
    RESP: 2,
    database,
    socket: tls ? { ...address, tls: true, ...(ca === undefined ? {} : { ca }) } : address,
    disableOfflineQueue: true,
    commandsQueueMaxLength: 10_000,
    disableClientInfo: true, // servers before 7.2 answer it with an error
    maintNotifications: 'disabled',
    ...(password === undefined
      ? {}
      : {
          credentialsProvider: {
            type: 'async-credentials-provider',
            credentials: async () => ({
              ...(username === undefined ? {} : { username }),
              password: password().reveal(),
            }),
          },
        }),
  })
}

/** Milliseconds before the next try. With a part by chance, so that replicas do not come all at once. */
function reconnectStrategy(retries: number): number {
  return Math.min(50 * 2 ** Math.min(retries, 10), MAX_RECONNECT_MS) * (0.5 + Math.random() / 2)
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
      }),
    ])
  } finally {
    clearTimeout(timer)
  }
}

function unreachable(why: string, cause: unknown): ArchwayError {
  return new ArchwayError('valkey_unreachable', `valkey: ${why}`, { cause, retryAfter: 1 })
}
