/**
 * What both sides of the listener share: assembled once by the listener, handed to the lane and the slow path.
 *
 * @module
 */
import type { CallLog } from '../context.ts'
import type { HttpAnswer } from '../http.ts'
import type { Renderer } from './answer.ts'
import type { Connection } from './connection.ts'
import type { Desk } from './desk.ts'
import type { Budget, ServerLimits } from './limits.ts'
import type { RefusalStatus, ServerObserver } from './observer.ts'

export interface ServerCore {
  readonly log: CallLog
  readonly desk: Desk
  readonly renderer: Renderer
  readonly limits: ServerLimits
  /** Bytes of bodies that arrive in pieces. */
  readonly budget: Budget
  readonly observer: ServerObserver
  readonly nextId: () => string
  /** Monotonic, milliseconds. */
  readonly now: () => number
}

/** An answer the listener gives itself, and the end of the connection. Nothing may be waiting to be answered first. */
export function refuse(core: ServerCore, connection: Connection, answer: HttpAnswer, withoutBody = false): void {
  if (connection.phase === 'closing') return
  core.observer.requestRefused?.(answer.status as RefusalStatus)
  const requestId = core.nextId()
  core.log.debug({ requestId, status: answer.status, remoteAddress: connection.remoteAddress }, 'request refused')
  const text = core.renderer.text(answer, requestId, true)
  const end = withoutBody ? text.length - answer.body.length : text.length
  connection.terminate(text.slice(0, end), core.now())
}
