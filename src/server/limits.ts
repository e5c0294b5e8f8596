/**
 * What a stranger may take of us: one list of limits with their defaults, and the count of bytes that all connections
 * together hold for requests under way. Owns the numbers; leaves enforcing them to the files that meet the bytes.
 *
 * @module
 */

/** Limits of the public listener. Every one has a default; `…Ms` are milliseconds, `…Bytes` bytes. */
export interface ServerLimits {
  /** Head of one request: request line and headers. More is answered 431. Default 16 KiB. */
  readonly headerBytes: number
  /** Body of one request. More is answered 413. Default 1 MiB. */
  readonly bodyBytes: number
  /** Bodies of all connections together, while they arrive in pieces and until answered. Beyond: 503. Default 64 MiB. */
  readonly bufferedBytes: number
  /** Open connections, handshakes included. More are closed at accept. Default 1024. */
  readonly connections: number
  /** Requests the handler is busy with. More are answered 503 with Retry-After. Default 1024. */
  readonly requests: number
  /** From accept to the end of the TLS handshake, however busy the other side keeps it. Default 10 s. */
  readonly handshakeTimeoutMs: number
  /** From the first byte of a request to its last, and for taking an answer. Then 408. Default 15 s. */
  readonly requestTimeoutMs: number
  /** Without a request. Longer than the 90 s of Go's clients, so that they close first. Default 120 s. */
  readonly idleTimeoutMs: number
  /** From the arrival of a request to the abort of its signal. Below the API server's 30 s. Default 20 s. */
  readonly deadlineMs: number
}

/** The defaults of {@link ServerLimits}. */
export const DEFAULT_LIMITS: ServerLimits = {
  headerBytes: 16 * 1024,
  bodyBytes: 1024 * 1024,
  bufferedBytes: 64 * 1024 * 1024,
  connections: 1024,
  requests: 1024,
  handshakeTimeoutMs: 10_000,
  requestTimeoutMs: 15_000,
  idleTimeoutMs: 120_000,
  deadlineMs: 20_000,
}

/** A count that many take from and give back to. */
export interface Budget {
  /** Takes all of it or, where that would be too much, nothing. */
  take(bytes: number): boolean
  give(bytes: number): void
  used(): number
}

/** A {@link Budget} of `max` bytes. */
export function createBudget(max: number): Budget {
  let used = 0
  return {
    take(bytes) {
      if (used + bytes > max) return false
      used += bytes
      return true
    },
    give(bytes) {
      used -= bytes
    },
    used: () => used,
  }
}
