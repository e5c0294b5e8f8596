/**
 * The contract of admission: how much of the proxy one user may take. Short requests wait for their turn, users taking
 * turns; long ones (watches, logs, exec) are counted and never wait.
 *
 * @module
 */

/** One request that was let in. */
export interface Permit {
  /** The request is over. May be called again. */
  release(): void
}

/** Whoever asks: a `CallContext` is one. */
export interface Asker {
  /** Aborts when whoever asked has gone. */
  readonly signal: AbortSignal
}

export type AdmissionResult =
  | { readonly kind: 'admitted'; readonly permit: Permit }
  | {
      readonly kind: 'refused'
      /** Whose limit it is. */
      readonly limit: 'user-requests' | 'user-streams' | 'streams' | 'queue'
      readonly message: string
      /** Seconds. */
      readonly retryAfter: number
    }

export interface Admission {
  /**
   * At once where there is room, else a promise; the signal gives the place in the queue up (then `refused`). It is made
   * when it is first read, so read `asker.signal` only where somebody has to wait.
   */
  admit(user: string, duration: 'short' | 'long', asker: Asker): AdmissionResult | Promise<AdmissionResult>
  counts(): { readonly requests: number; readonly streams: number; readonly waiting: number; readonly users: number }
}
