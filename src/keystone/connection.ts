/**
 * One connection to Keystone, for one request at a time. Opened when first used, kept for the next, opened anew when the
 * other side has closed it.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http'
import { Socket } from 'node:net'
import { type buildConnector, Client } from 'undici'
import type { Attempt } from './deadline.ts'

/** Longest body taken from Keystone, in bytes. */
const MAX_BODY_BYTES = 1024 * 1024

/** Longest head of an answer, in bytes; it repeats the token. */
const MAX_HEADER_BYTES = 32 * 1024

/** An answer as it came, whatever it says. */
export interface RawAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** A request: a GET, or with a body a POST. */
export interface RawRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

export interface Connection {
  /**
   * Sends one request. Redirects are answers like any other. A kept connection that turns out to be dead, with nothing
   * of the answer received, is opened anew and the request repeated, once: a GET may be, and a login makes at worst a
   * second token.
   *
   * @throws the reason of the attempt's signal, or the error of the connection, both as they are.
   */
  send(request: RawRequest, attempt: Attempt): Promise<RawAnswer>
  /** A call was cut off in the middle; the connection is closed and cannot be used again. */
  readonly broken: boolean
  close(): Promise<void>
}

type Outcome = { readonly answer: RawAnswer } | { readonly error: Error; readonly stale: boolean }

/** A connection to `origin`; nothing is opened before the first {@link Connection.send}. */
export function openConnection(origin: string, connector: buildConnector.connector): Connection {
  let socket: Socket | undefined
  let answered = 0 // on the present socket
  let broken = false
  const client = new Client(origin, {
    connect: (options, callback) => {
      answered = 0
      // The types leave out that the socket comes back at once, which is the only hold on it while it connects.
      const opened: unknown = connector(options, callback)
      socket = opened instanceof Socket ? opened : undefined
    },
    allowH2: false,
    pipelining: 1,
    maxHeaderSize: MAX_HEADER_BYTES,
    maxResponseSize: MAX_BODY_BYTES,
    // The deadline of the call is the one clock.
    headersTimeout: 0,
    bodyTimeout: 0,
  })

  function abandon(): void {
    broken = true
    client.destroy().catch(() => {})
    socket?.destroy(new Error('given up'))
  }

  function exchange({ path, headers, body }: RawRequest, attempt: Attempt): Promise<Outcome> {
    return new Promise((resolve) => {
      const chunks: Buffer[] = []
      const readBefore = socket?.bytesRead
      let status = 0
      let received: IncomingHttpHeaders = {}
      const settle = (outcome: Outcome) => {
        attempt.signal.removeEventListener('abort', abort)
        resolve(outcome)
      }
      const abort = () => {
        settle({ error: attempt.signal.reason, stale: false }) // first: abandoning has an error of its own
        abandon()
      }
      if (attempt.signal.aborted) return settle({ error: attempt.signal.reason, stale: false })
      attempt.signal.addEventListener('abort', abort, { once: true })
      attempt.enter('connection')
      client.dispatch(body === undefined ? { path, method: 'GET', headers } : { path, method: 'POST', headers, body }, {
        onRequestStart: () => {
          attempt.enter('answer')
        },
        onResponseStart: (_controller, code, fields) => {
          if (code < 200) return
          attempt.enter('body')
          status = code
          received = fields
        },
        onResponseData: (_controller, chunk) => {
          chunks.push(chunk)
        },
        onResponseEnd: () => {
          answered++
          settle({ answer: { status, headers: received, body: Buffer.concat(chunks) } })
        },
        onResponseError: (_controller, error) => {
          // A new socket would have set `answered` to 0.
          settle({ error, stale: answered > 0 && socket?.bytesRead === readBefore })
        },
      })
    })
  }

  return {
    get broken() {
      return broken
    },
    async send(request, attempt) {
      let outcome = await exchange(request, attempt)
      if ('error' in outcome && outcome.stale) {
        answered = 0
        outcome = await exchange(request, attempt)
      }
      if ('error' in outcome) throw outcome.error
      return outcome.answer
    },
    async close() {
      if (!client.destroyed) await client.close()
    },
  }
}
