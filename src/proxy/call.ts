/**
 * A request while somebody decides about it: the context of the calls that this takes.
 *
 * @module
 */
import type { CallContext, CallLog } from '../context.ts'
import type { Permit } from './admission/admission.ts'

export class Call implements CallContext {
  readonly requestId: string
  readonly log: CallLog
  readonly audiences: readonly string[]
  /** Since when it is being decided; undefined where it is not, or waits for its turn. */
  decidesSince: number | undefined
  /** Nobody waits for the decision any more. */
  isOver = false
  /** Given back when the call ends before the decision: those who decide may never come to one. */
  permit: Permit | undefined
  #controller: AbortController | undefined

  constructor(requestId: string, log: CallLog, audiences: readonly string[]) {
    this.requestId = requestId
    this.log = log
    this.audiences = audiences
  }

  /** Aborts when nobody waits any more. Made when it is first read, which for most requests is never. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.isOver) this.#controller.abort()
    }
    return this.#controller.signal
  }

  /** The client has gone, or has its answer. */
  end(): void {
    if (this.isOver) return
    this.isOver = true
    this.decidesSince = undefined
    this.permit?.release()
    this.#controller?.abort()
  }
}
