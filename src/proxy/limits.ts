/**
 * What a client of the proxy may take of us, and for how long: one list of limits with their defaults. Owns the numbers;
 * leaves enforcing them to the files that meet the bytes, how many requests a user may have to `admission/`, and how
 * large a clean head may be to `hygiene/`.
 *
 * @module
 */

/** Limits of the door. Every one has a default; `…Ms` are milliseconds, `…Bytes` bytes. */
export interface ProxyLimits {
  /** Head of one request as it is parsed; more is answered 431. Default 96 KiB, somewhat above what hygiene takes. */
  readonly headBytes: number
  /** Body of one request; more is answered 413. Default: no limit but the API server's own. */
  readonly bodyBytes: number
  /** From the first byte of a head to its last; then 408. Default 15 s. */
  readonly headTimeoutMs: number
  /** Of a body, without a byte, while we would take one; then 408. Not for watches, exec and the like. Default 30 s. */
  readonly bodyStallMs: number
  /** An answer that the client does not take; then it is cut. A watch without events is not one. Default 60 s. */
  readonly answerStallMs: number
  /** Of a connection without a request. Longer than the 90 s of Go's clients, so that they close first. Default 120 s. */
  readonly idleTimeoutMs: number
  /** For telling who asks and whether they may; then 503. Default 20 s. */
  readonly decisionTimeoutMs: number
  /** Rest of a request's body that is taken and thrown away after an early answer. Default 256 KiB. */
  readonly discardBytes: number
  /** How long it is waited for that rest, or for a refused client to hang up. Default 2 s. */
  readonly discardMs: number
  /** Requests sent ahead on one HTTP/1.1 connection; more, and it is closed. Default 100. */
  readonly ahead: number
  /** Requests at once on one HTTP/2 connection. Default 250, as kube-apiserver has it. */
  readonly http2Streams: number
  /** Requests of one HTTP/2 connection that may be taken back at once; more, and it is closed (H15). Default 200. */
  readonly http2Resets: number
  /** How many of those are forgiven a second. Default 20. */
  readonly http2ResetsForgiven: number
}

/** The defaults of {@link ProxyLimits}. */
export const DEFAULT_LIMITS: ProxyLimits = {
  headBytes: 96 * 1024,
  bodyBytes: Number.POSITIVE_INFINITY,
  headTimeoutMs: 15_000,
  bodyStallMs: 30_000,
  answerStallMs: 60_000,
  idleTimeoutMs: 120_000,
  decisionTimeoutMs: 20_000,
  discardBytes: 256 * 1024,
  discardMs: 2_000,
  ahead: 100,
  http2Streams: 250,
  http2Resets: 200,
  http2ResetsForgiven: 20,
}
