/**
 * Where a request that has arrived whole meets the handler. Owns the count of requests in flight and the rule that
 * whatever the handler does, one answer comes out; knows neither sockets nor which side of the listener asks.
 *
 * @module
 */
import type { CallLog } from '../context.ts'
import { ArchwayError, ERROR_CODES } from '../errors.ts'
import type { Handler, HttpAnswer } from '../http.ts'
import { statusAnswer } from '../kube/status.ts'
import { assertAnswer } from './answer.ts'
import type { Exchange } from './exchange.ts'
import type { ServerObserver } from './observer.ts'

const RETRY_AFTER_SECONDS = 1

/** What {@link createDesk} needs. */
export interface DeskOptions {
  readonly handler: Handler
  /** Requests the handler may be busy with at a time. */
  readonly requests: number
  readonly log: CallLog
  readonly observer: ServerObserver
}

/** Answers requests, always. */
export interface Desk {
  /** The answer, or `undefined` when it is passed to `later`. Never throws; calls `later` once. */
  serve(exchange: Exchange, later: (answer: HttpAnswer) => void): HttpAnswer | undefined
  /** Requests whose handler has not finished, those included whose asker has gone. */
  inFlight(): number
}

export function createDesk({ handler, requests, log, observer }: DeskOptions): Desk {
  const overloaded = overloadedAnswer(ERROR_CODES.overloaded.meaning)
  let inFlight = 0

  return { serve, inFlight: () => inFlight }

  function serve(exchange: Exchange, later: (answer: HttpAnswer) => void): HttpAnswer | undefined {
    if (inFlight >= requests) {
      observer.requestRefused?.(503)
      return overloaded
    }
    try {
      const answer = handler(exchange)
      if (!('then' in answer)) {
        assertAnswer(answer)
        return answer
      }
      inFlight += 1
      answer.then(
        (value) => finish(exchange, value, later),
        (thrown) => {
          inFlight -= 1
          later(fault(exchange, thrown))
        },
      )
      return undefined
    } catch (thrown) {
      return fault(exchange, thrown)
    }
  }

  function finish(exchange: Exchange, answer: HttpAnswer, later: (answer: HttpAnswer) => void): void {
    inFlight -= 1
    let checked = answer
    try {
      assertAnswer(answer)
    } catch (thrown) {
      checked = fault(exchange, thrown)
    }
    later(checked)
  }

  function fault({ requestId, method, path }: Exchange, thrown: unknown): HttpAnswer {
    log.error({ requestId, method, path, error: thrown }, 'request failed, a fault of ours')
    observer.requestRefused?.(500)
    const { publicMessage } = new ArchwayError('internal', '')
    return statusAnswer(500, `${publicMessage}; the log has more under request id ${requestId}`)
  }
}

/** 503 with the wish to be asked again soon. */
export function overloadedAnswer(message: string): HttpAnswer {
  return statusAnswer(503, message, { retryAfter: RETRY_AFTER_SECONDS })
}
