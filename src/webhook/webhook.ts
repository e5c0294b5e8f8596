/**
 * The webhook door: TokenReview and SubjectAccessReview in, answers out. Owns routes, the order parse → judge →
 * render, and the one place that writes answer, log line and observation; leaves sockets to `server/`, judging to
 * `authn/` and `authz/`.
 *
 * @module
 */
import type { AuthnResult, RejectionCode, TokenAuthenticator } from '../authn/authenticator.ts'
import { type Authorizer, type Decision, toAttributes, toStatus } from '../authz/authorizer.ts'
import type { CallContext, CallLog } from '../context.ts'
import { ArchwayError } from '../errors.ts'
import type { Handler, HttpAnswer, HttpRequest } from '../http.ts'
import { parseReview, type Review } from '../kube/review.ts'
import { statusAnswer } from '../kube/status.ts'
import { renderSubjectAccessReview, type SubjectAccessReview } from '../kube/subject-access-review.ts'
import { renderTokenReview, type TokenReview } from '../kube/token-review.ts'

/** What one request came to; goes into the log line and the metrics. */
export type Outcome = 'authenticated' | 'rejected' | 'allowed' | 'denied' | 'no-opinion' | 'invalid' | 'error'

export interface Observation {
  /** `none` where the request was no review. */
  readonly kind: Review['kind'] | 'none'
  readonly outcome: Outcome
  /** The source that judged a credential; absent where none did. */
  readonly source?: string
  readonly seconds: number
}

export interface WebhookLog extends CallLog {
  decision(fields: object, message: string): void
}

export interface WebhookOptions {
  readonly authenticator: TokenAuthenticator
  readonly authorizer: Authorizer
  readonly log: WebhookLog
  readonly observe: (observation: Observation) => void
  /** Longest token that is looked at, in characters. */
  readonly tokenLength: number
  /**
   * Whether refusals carry their cause in `status.error`. kube-apiserver logs it, and then asks again for every
   * request with that token.
   */
  readonly explainRefusals: boolean
  /** Milliseconds on a monotonic clock. */
  readonly clock?: () => number
}

/** Paths that take reviews. `/authenticate` is for those who are used to it from other webhooks. */
export const REVIEW_PATHS: readonly string[] = ['/webhook', '/authenticate']

export function webhook(options: WebhookOptions): Handler {
  const { clock = () => performance.now() } = options

  return (request) => {
    const startedAt = clock()
    const finish = (verdict: Verdict): HttpAnswer => {
      respond(request, verdict, (clock() - startedAt) / 1000, options)
      return verdict.answer
    }
    let kind: Observation['kind'] = 'none'
    try {
      checkRoute(request)
      const asked = parseReview(request.body)
      kind = asked.kind
      const verdict = judge(asked, request, options)
      if (!(verdict instanceof Promise)) return finish(verdict)
      return verdict.catch((thrown: unknown) => failure(thrown, asked.kind)).then(finish)
    } catch (thrown) {
      return finish(failure(thrown, kind))
    }
  }
}

/** An answer, and what is to be said of it. */
interface Verdict {
  readonly answer: HttpAnswer
  readonly kind: Observation['kind']
  readonly outcome: Outcome
  readonly source?: string
  readonly fields: object
  readonly error?: unknown
}

/** Decided at once where everything is known, as it mostly is; else later. */
function judge(asked: Review, request: HttpRequest, options: WebhookOptions): Verdict | Promise<Verdict> {
  return asked.kind === 'TokenReview'
    ? reviewToken(asked, request, options)
    : reviewAccess(asked, new RequestContext(request, [], options.log), options.authorizer)
}

function checkRoute({ method, path, contentType }: HttpRequest): void {
  if (!REVIEW_PATHS.includes(path)) throw new ArchwayError('not_found', 'no such path: reviews go to /webhook')
  if (method !== 'POST') throw new ArchwayError('method_not_allowed', 'reviews are sent with POST')
  if (contentType !== undefined && contentType !== 'application/json' && !isJsonLike(contentType)) {
    throw new ArchwayError('media_type_unsupported', 'send the review as application/json in UTF-8')
  }
}

/** JSON with parameters, or what `curl -d` says when nobody told it better; in UTF-8 either way. */
function isJsonLike(contentType: string): boolean {
  const [type = '', ...parameters] = contentType.toLowerCase().split(';')
  if (!['application/json', 'application/x-www-form-urlencoded'].includes(type.trim())) return false
  return parameters.every((parameter) => {
    const [name = '', value = ''] = parameter.split('=')
    return name.trim() !== 'charset' || /^"?utf-?8"?$/.test(value.trim())
  })
}

function reviewToken(asked: TokenReview, request: HttpRequest, options: WebhookOptions): Verdict | Promise<Verdict> {
  const { authenticator } = options
  const unfit = unfitToken(asked.token, options.tokenLength)
  if (unfit !== undefined) return ofResult({ kind: 'rejected', code: unfit, source: 'none' }, asked, options)
  const ctx = new RequestContext(request, asked.audiences, options.log)
  const known = authenticator.recall?.(asked.token, ctx)
  if (known !== undefined) return ofResult(known, asked, options)
  return authenticator.authenticate(asked.token, ctx).then((result) => ofResult(result, asked, options))
}

function ofResult(result: AuthnResult, asked: TokenReview, options: WebhookOptions): Verdict {
  if (result.kind === 'authenticated') {
    const { user, source, audiences } = result
    return {
      answer: ok(renderTokenReview(asked.apiVersion, { authenticated: true, user, audiences })),
      kind: 'TokenReview',
      outcome: 'authenticated',
      source,
      fields: { source, user: user.username, uid: user.uid, groups: user.groups.length },
    }
  }
  const { code, source } = result.kind === 'rejected' ? result : UNRECOGNIZED
  return {
    answer: ok(renderTokenReview(asked.apiVersion, { authenticated: false, ...explanation(code, options) })),
    kind: 'TokenReview',
    outcome: 'rejected',
    source,
    fields: { source, code },
  }
}

const UNRECOGNIZED = { code: 'unrecognized', source: 'none' } as const

function unfitToken(token: string, longest: number): RejectionCode | undefined {
  if (token === '') return 'credential_empty'
  return token.length > longest ? 'credential_too_large' : undefined
}

function explanation(code: RejectionCode, options: WebhookOptions): { error?: string } {
  return options.explainRefusals ? { error: code } : {}
}

async function reviewAccess(asked: SubjectAccessReview, ctx: CallContext, authorizer: Authorizer): Promise<Verdict> {
  const decision = await authorizer.authorize(toAttributes(asked), ctx)
  // kube-apiserver heeds no `evaluationError` of a webhook, and would remember the rest of the answer as a no.
  if (decision.kind === 'no-opinion' && decision.evaluationError !== undefined) {
    throw new ArchwayError('authorizers_failed', decision.evaluationError)
  }
  return {
    answer: ok(renderSubjectAccessReview(asked.apiVersion, toStatus(decision))),
    kind: 'SubjectAccessReview',
    outcome: OUTCOMES[decision.kind],
    fields: { user: asked.user, ...describeAttributes(asked.attributes), reason: decision.reason },
  }
}

/** What was asked, for the log: `kind` is the review's there, and selectors may be long. */
function describeAttributes(attributes: SubjectAccessReview['attributes']): object {
  if (attributes.kind === 'non-resource') return { verb: attributes.verb, path: attributes.path }
  const { verb, group, version, resource, subresource, namespace, name } = attributes
  return { verb, group, version, resource, subresource, namespace, name }
}

const OUTCOMES: Readonly<Record<Decision['kind'], Outcome>> = {
  allow: 'allowed',
  deny: 'denied',
  'no-opinion': 'no-opinion',
}

/** A request that ends in an error: malformed (the asker's), could not tell (an outage), or a fault of ours. */
function failure(thrown: unknown, kind: Observation['kind']): Verdict {
  // Behind a review that was understood, nothing is the asker's mistake any more, whatever a source calls it.
  const known = thrown instanceof ArchwayError && (kind === 'none' || thrown.status >= 500)
  const error = known ? thrown : new ArchwayError('internal', 'fault', { cause: thrown })
  const { status } = error
  const unavailable = status === 503
  return {
    answer: statusAnswer(status, error.publicMessage, {
      retryAfter: unavailable ? (error.retryAfter ?? 1) : undefined,
      headers: status === 405 ? ALLOW_POST : [],
    }),
    kind,
    outcome: status < 500 ? 'invalid' : 'error',
    fields: { code: error.code },
    error,
  }
}

const ALLOW_POST = [['Allow', 'POST']] as const

function ok(body: string): HttpAnswer {
  return { status: 200, body }
}

/** The one writer: one log line and one observation for every request. */
function respond(request: HttpRequest, verdict: Verdict, seconds: number, options: WebhookOptions): void {
  const { kind, outcome, source, fields, error } = verdict
  options.observe({ kind, outcome, seconds, ...(source === undefined ? {} : { source }) })
  const line = { requestId: request.requestId, kind, outcome, ...fields, ms: Math.round(seconds * 1e6) / 1e3 }
  if (error === undefined) options.log.decision(line, 'review')
  else if (outcome === 'error') {
    options.log.error({ ...line, remote: request.remoteAddress, error }, 'review could not be decided')
  } else options.log.warn({ ...line, remote: request.remoteAddress, error }, 'request refused')
}

/** Made for every review: what few of them use is made when it is asked for. */
class RequestContext implements CallContext {
  readonly #request: HttpRequest
  readonly #log: CallLog
  readonly audiences: readonly string[]

  constructor(request: HttpRequest, audiences: readonly string[], log: CallLog) {
    this.#request = request
    this.#log = log
    this.audiences = audiences
  }

  get requestId(): string {
    return this.#request.requestId
  }

  get signal(): AbortSignal {
    return this.#request.signal
  }

  get log(): CallLog {
    const log = this.#log
    const { requestId } = this.#request
    return {
      debug: (fields, message) => log.debug({ requestId, ...fields }, message),
      info: (fields, message) => log.info({ requestId, ...fields }, message),
      warn: (fields, message) => log.warn({ requestId, ...fields }, message),
      error: (fields, message) => log.error({ requestId, ...fields }, message),
    }
  }
}
