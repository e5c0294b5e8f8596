/**
 * CallContext: what travels with a call from the socket down to Keystone and back.
 *
 * @module
 */

/** Where a call reports what happened. The levels say who acts: see `telemetry/logger.ts`. */
export interface CallLog {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface CallContext {
  /** Identifies the request in logs and answers. */
  readonly requestId: string
  /** Aborts when the deadline of the request has passed or the asker has gone. */
  readonly signal: AbortSignal
  readonly log: CallLog
  /** Audiences the asker wants the credential to be good for; empty when it did not say. */
  readonly audiences: readonly string[]
}
