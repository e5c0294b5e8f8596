/**
 * What a door sees of HTTP: a request that has arrived whole, and an answer. The doors (`webhook/`) are functions
 * from one to the other and know no listener; listeners (`server/`) know no door.
 *
 * @module
 */

export interface HttpRequest {
  /** As sent: `POST`. */
  readonly method: string
  /** As sent, without the query: `/webhook`. */
  readonly path: string
  /** Value of Content-Type; `undefined` when the header is absent. */
  readonly contentType: string | undefined
  readonly body: Buffer
  /** Made by the listener, unique within the process; in the log line and in the answer's `X-Request-Id`. */
  readonly requestId: string
  /** Address of the socket's other end. Never taken from a header. */
  readonly remoteAddress: string
  /** Aborts at the deadline of the request or when the asker has gone. Made when first asked for. */
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  /** `application/json` when absent. */
  readonly contentType?: string
  readonly body: string
  /** Further headers; names and values are the program's own, never a caller's text. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
}

/** Answers every request; a throw is a fault of ours, which the listener turns into a 500. */
export type Handler = (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>
