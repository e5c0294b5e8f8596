/**
 * What can go wrong between us and the API server, told apart by what to do about it.
 *
 * @module
 */

/**
 * - `unreachable`: no connection, or it was lost. Try again.
 * - `timeout`: no answer in time. Try again.
 * - `status`: an answer that says no; `status` tells which.
 * - `answer`: an answer that is not the Kubernetes API's, that is too long, or in which the server takes back what it
 *   began. What was learnt from it is not to be built on.
 */
export type KubeFailure = 'unreachable' | 'timeout' | 'status' | 'answer'

/** What is known of a failure. */
export interface KubeApiErrorDetails {
  readonly cause?: unknown
  /** HTTP status, or `code` of a `Status` object. */
  readonly status?: number | undefined
  /** `reason` of a `Status` object: `Expired`, `Forbidden` … */
  readonly reason?: string | undefined
  /** What the server asked to wait. */
  readonly retryAfterMs?: number | undefined
}

/** A request to the API server that did not come to a good end. The message is for the log. */
export class KubeApiError extends Error {
  readonly failure: KubeFailure
  readonly status: number | undefined
  readonly reason: string | undefined
  readonly retryAfterMs: number | undefined

  constructor(failure: KubeFailure, message: string, details: KubeApiErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'KubeApiError'
    this.failure = failure
    this.status = details.status
    this.reason = details.reason
    this.retryAfterMs = details.retryAfterMs
  }

  /**
   * Whether the state that was asked for is older than the server remembers: list again.
   *
   * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses
   */
  get expired(): boolean {
    return this.status === 410
  }

  /** The same, saying what was being done. */
  during(what: string): KubeApiError {
    const { failure, status, reason, retryAfterMs, cause } = this
    return new KubeApiError(failure, `${what}: ${this.message}`, { status, reason, retryAfterMs, cause })
  }
}
