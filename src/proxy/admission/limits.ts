/**
 * The numbers of admission, with their defaults.
 *
 * @module
 */

/** How much may be under way. Each is at least 1, those of the queues may be 0: then nobody waits. */
export interface AdmissionLimits {
  /** Short requests at once. Default 400, what kube-apiserver takes by itself (`--max-requests-inflight`). */
  readonly requests: number
  /** Short requests of one user at once. Default 100. */
  readonly userRequests: number
  /** Short requests of one user that wait. Default 50. */
  readonly userQueue: number
  /** Short requests that wait. When it is full, whoever has most in it gives one up. Default 1,000. */
  readonly queue: number
  /** Longest wait of a short request, in milliseconds. Default 15 s, as in kube-apiserver's own queues. */
  readonly queueWaitMs: number
  /** Watches, logs, exec and the like at once. Default 10,000. */
  readonly streams: number
  /** Those of one user. Default 1,000. */
  readonly userStreams: number
}

/** The defaults of {@link AdmissionLimits}. */
export const DEFAULT_ADMISSION: AdmissionLimits = {
  requests: 400,
  userRequests: 100,
  userQueue: 50,
  queue: 1000,
  queueWaitMs: 15_000,
  streams: 10_000,
  userStreams: 1000,
}
