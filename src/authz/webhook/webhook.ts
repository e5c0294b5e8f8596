/**
 * Asks another SubjectAccessReview server, as kube-apiserver asks its authorization webhook. Owns when to ask, how
 * often, for how long, and what a failure comes to; leaves the words of the review to `review.ts` and connections to
 * the transport.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/webhook/
 * @module
 */
import type { CallContext } from '../../context.ts'
import { messageOf } from '../../errors.ts'
import { realTiming, type Timing } from '../../kube/api-client/backoff.ts'
import { KubeApiError } from '../../kube/api-client/error.ts'
import { readBody, type Transport } from '../../kube/api-client/transport.ts'
import type { SubjectAccessReviewVersion } from '../../kube/subject-access-review.ts'
import type { Authorizer, Decision } from '../authorizer.ts'
import { type BreakerOptions, type BreakerState, breaker } from './breaker.ts'
import { cacheKey, decisionCache } from './decision-cache.ts'
import { type Answer, controlledLength, readAnswer, reviewBody, reviewSpec } from './review.ts'

/** What happens while deciding: for metrics. */
export type WebhookEvent = 'cached' | 'asked' | 'retried' | 'failed' | 'not-asked'

/** What {@link webhookAuthorizer} needs; the defaults are kube-apiserver's. */
export interface WebhookAuthorizerOptions {
  /** To the address of the webhook, its path included. */
  readonly transport: Pick<Transport, 'send'>
  readonly apiVersion: SubjectAccessReviewVersion
  /** For a whole decision, all tries included. Below kube-apiserver's own 30 s, or it never hears of it. */
  readonly timeoutMs: number
  /** What it comes to when there is no answer: leave it to the next authorizer, or refuse. */
  readonly failurePolicy: 'no-opinion' | 'deny'
  /** Default `webhook`. */
  readonly name?: string
  /** How long an allowed request is remembered. Default 5 min; 0: not at all. */
  readonly allowedTtlMs?: number
  /** How long any other answer is remembered. Default 30 s; 0: not at all. */
  readonly otherTtlMs?: number
  /** Answers remembered, of each of the two kinds. Default 8192. */
  readonly cacheEntries?: number
  /** Tries in all, where trying again makes sense. Default 5. */
  readonly tries?: number
  /** Default: 5 decisions in a row that failed; 10 s. */
  readonly breaker?: Pick<BreakerOptions, 'failures' | 'openMs'>
  readonly timing?: Timing
  readonly observe?: (event: WebhookEvent) => void
  readonly onBreaker?: (state: BreakerState) => void
}

/** The authorizer, and how it is. */
export interface WebhookAuthorizer extends Authorizer {
  readonly cacheSize: number
  breakerState(): BreakerState
}

type Answered = Extract<Answer, { kind: 'answered' }>

const MOST_BODY = 1024 * 1024
/** As kube-apiserver: what the sender of a request chose must not fill the cache. */
const MOST_CONTROLLED = 10_000
const FIRST_PAUSE_MS = 500
const PAUSE_FACTOR = 1.5
const PAUSE_JITTER = 0.2

/** Decides by asking. Never throws for what the other side does: that is what the failure policy is for. */
export function webhookAuthorizer(options: WebhookAuthorizerOptions): WebhookAuthorizer {
  const { transport, apiVersion, timeoutMs, failurePolicy, name = 'webhook', tries = 5 } = options
  const { timing = realTiming, observe = () => {}, onBreaker } = options
  const { allowedTtlMs = 300_000, otherTtlMs = 30_000, cacheEntries: entries = 8192 } = options
  const cache = decisionCache<Answered>({ allowedTtlMs, otherTtlMs, entries, now: timing.now })
  const circuit = breaker({
    ...(options.breaker ?? { failures: 5, openMs: 10_000 }),
    now: timing.now,
    ...(onBreaker === undefined ? {} : { onChange: onBreaker }),
  })

  /** One request. Never throws: what goes wrong is no answer. */
  async function ask(body: string, signal: AbortSignal): Promise<Answer> {
    try {
      const answer = await transport.send({ method: 'POST', path: '', body, signal })
      const content = await readBody(answer, MOST_BODY, signal)
      return readAnswer(answer.status, Number(answer.headers['retry-after']), content, apiVersion)
    } catch (thrown) {
      return { kind: 'failed', cause: messageOf(thrown), retry: wasReset(thrown), retryAfterMs: 0 }
    }
  }

  /** Asks until there is an answer, there is no sense in asking again, or there is no time. */
  async function askInTime(body: string, signal: AbortSignal): Promise<Answer> {
    const until = timing.now() + timeoutMs
    for (let pause = FIRST_PAUSE_MS, tried = 1; ; tried++, pause *= PAUSE_FACTOR) {
      observe(tried === 1 ? 'asked' : 'retried')
      const answer = await ask(body, signal)
      if (answer.kind === 'answered' || !answer.retry || tried >= tries) return answer
      const wait = Math.max(answer.retryAfterMs, pause * (1 + PAUSE_JITTER * timing.random()))
      if (timing.now() + wait >= until || signal.aborted) return answer
      await timing.sleep(wait, signal)
    }
  }

  function fail(cause: string, ctx: CallContext): Decision {
    ctx.log.warn({ authorizer: name, error: cause }, 'an authorization webhook gave no answer')
    observe('failed')
    return withoutAnswer(cause)
  }

  /** The cause is for operators: what becomes of a denial's reason is read by whoever was denied. */
  function withoutAnswer(cause: string): Decision {
    if (failurePolicy === 'deny')
      return { kind: 'deny', reason: `${name}: no answer, and without one nothing is allowed` }
    return { kind: 'no-opinion', evaluationError: `${name}: ${cause}` }
  }

  function decisionOf({ allowed, denied, reason }: Answered, ctx: CallContext): Decision {
    if (allowed && denied) {
      ctx.log.error({ authorizer: name }, 'an authorization webhook both allows and denies: taken for a denial')
    }
    if (denied) return { kind: 'deny', reason }
    if (allowed) return { kind: 'allow', reason }
    return reason === '' ? { kind: 'no-opinion' } : { kind: 'no-opinion', reason }
  }

  return {
    name,
    async authorize(request, ctx) {
      const spec = reviewSpec(request, apiVersion)
      const key = cacheKey(spec)
      const remembered = cache.get(key)
      if (remembered !== undefined) {
        observe('cached')
        return decisionOf(remembered, ctx)
      }
      if (!circuit.enter()) {
        observe('not-asked')
        return withoutAnswer('not asked, it failed too often')
      }
      const startedAt = timing.now()
      const signal = AbortSignal.any([ctx.signal, AbortSignal.timeout(timeoutMs)])
      const answer = await askInTime(reviewBody(spec, apiVersion), signal)
      if (answer.kind === 'answered') {
        circuit.succeeded()
        if (controlledLength(request) < MOST_CONTROLLED) cache.set(key, answer.allowed, answer)
        return decisionOf(answer, ctx)
      }
      // Whoever asked has gone, and took the question along. Where he had waited for long, so would the next.
      const early = ctx.signal.aborted && timing.now() - startedAt < timeoutMs / 2
      if (early) circuit.abandoned()
      else circuit.failed()
      return fail(answer.cause, ctx)
    },
    get cacheSize() {
      return cache.size
    },
    breakerState: () => circuit.state(),
  }
}

/** A connection that was lost: most likely it had been idle for too long, and the next one is new. */
function wasReset(thrown: unknown): boolean {
  if (!(thrown instanceof KubeApiError) || thrown.failure !== 'unreachable') return false
  const { cause } = thrown
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'UND_ERR_SOCKET'
}
