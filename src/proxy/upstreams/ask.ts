/**
 * A request of our own to one API server, on a connection made for it: a kept one may have died without our knowing,
 * and would say nothing about whether the next can be made.
 *
 * @module
 */
import type { ResponseSink, ServerPool, UpstreamExchange, UpstreamFailure, UpstreamHead } from '../upstream/upstream.ts'
import type { HeaderLines } from '../wire.ts'

/** Longest body taken; what is asked for here is a `Status` or a review. */
const MAX_BODY_BYTES = 64 * 1024

export interface Question {
  readonly method: 'GET' | 'POST'
  readonly target: string
  readonly headers: HeaderLines
  /** JSON. */
  readonly body?: string
  /** `errors`: of a 200 only the status is read, and the connection closed. Default `always`. */
  readonly bodyOf?: 'always' | 'errors'
}

export interface Answer {
  readonly status: number
  /** Empty where it is not wanted. */
  readonly body: string
}

/** Asks. Throws {@link UpstreamFailure}, or the signal's reason. */
export async function ask(pool: ServerPool, question: Question, signal: AbortSignal): Promise<Answer> {
  const { method, target, headers, body = '', bodyOf = 'always' } = question
  const connection = await pool.acquire(signal, 'fresh')
  if (signal.aborted) {
    connection.release()
    throw signal.reason
  }
  const bytes = Buffer.from(body)
  return new Promise((resolve, reject) => {
    const listener = new Listener(bodyOf, (outcome) => {
      signal.removeEventListener('abort', aborted)
      if ('status' in outcome) resolve(outcome)
      else reject(outcome)
    })
    const framing = bytes.length === 0 ? { kind: 'none' as const } : { kind: 'length' as const, bytes: bytes.length }
    const exchange = connection.exchange({ method, target, headers, framing }, listener)
    const aborted = (): void => {
      exchange.abort()
      reject(signal.reason)
    }
    signal.addEventListener('abort', aborted, { once: true })
    listener.exchange = exchange
    if (bytes.length > 0) {
      exchange.write(bytes)
      exchange.end()
    }
  })
}

class Listener implements ResponseSink {
  exchange: UpstreamExchange | undefined
  readonly #bodyOf: 'always' | 'errors'
  readonly #settle: (outcome: Answer | UpstreamFailure) => void
  readonly #chunks: Buffer[] = []
  #status = 0
  #bytes = 0

  constructor(bodyOf: 'always' | 'errors', settle: (outcome: Answer | UpstreamFailure) => void) {
    this.#bodyOf = bodyOf
    this.#settle = settle
  }

  continued(): void {}
  drained(): void {}
  upgraded(): void {}

  head({ status }: UpstreamHead): void {
    this.#status = status
    if (status === 200 && this.#bodyOf === 'errors') this.#breakOff()
  }

  data(chunk: Buffer): boolean {
    this.#chunks.push(Buffer.from(chunk))
    this.#bytes += chunk.length
    if (this.#bytes > MAX_BODY_BYTES) this.#breakOff()
    return true
  }

  end(): void {
    this.#settle({ status: this.#status, body: Buffer.concat(this.#chunks).toString('utf8') })
  }

  failed(failure: UpstreamFailure): void {
    this.#settle(failure)
  }

  #breakOff(): void {
    this.exchange?.abort()
    this.#settle({ status: this.#status, body: '' })
  }
}
