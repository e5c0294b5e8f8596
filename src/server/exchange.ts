/**
 * One request on its way through: what the handler sees of it, and the switch by which the listener tells the handler
 * that nobody waits any more. Owns request id and signal; leaves to the sweep when the deadline has passed.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import type { HttpRequest } from '../http.ts'

/** What is known when a request has arrived whole. */
export interface Arrival {
  readonly method: string
  readonly path: string
  readonly contentType: string | undefined
  readonly body: Buffer
  readonly requestId: string
  readonly remoteAddress: string
  /** On the monotonic clock, milliseconds. */
  readonly deadlineAt: number
}

/** An {@link HttpRequest} whose signal costs nothing until it is asked for. */
export class Exchange implements HttpRequest {
  readonly method: string
  readonly path: string
  readonly contentType: string | undefined
  readonly body: Buffer
  readonly requestId: string
  readonly remoteAddress: string
  /** On the monotonic clock, milliseconds. */
  readonly deadlineAt: number
  #controller: AbortController | undefined
  #reason: DOMException | undefined

  constructor(arrival: Arrival) {
    this.method = arrival.method
    this.path = arrival.path
    this.contentType = arrival.contentType
    this.body = arrival.body
    this.requestId = arrival.requestId
    this.remoteAddress = arrival.remoteAddress
    this.deadlineAt = arrival.deadlineAt
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** The deadline has passed. */
  expire(): void {
    this.#abort('the deadline of the request has passed', 'TimeoutError')
  }

  /** Whoever asked has hung up. */
  forsake(): void {
    this.#abort('the client has closed the connection', 'AbortError')
  }

  #abort(message: string, name: string): void {
    if (this.#reason !== undefined) return
    this.#reason = new DOMException(message, name)
    this.#controller?.abort(this.#reason)
  }
}

/** Ids that are unique within the process by count and, most likely, between processes by a random prefix. */
export function createRequestIds(): () => string {
  const prefix = randomBytes(5).toString('hex')
  let count = 0
  return () => {
    count += 1
    return `${prefix}-${count.toString(36)}`
  }
}
