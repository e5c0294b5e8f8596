/**
 * The webhook in process: no socket, authenticator and authorizer that say what a test tells them to.
 *
 * @module
 */
import type { AuthnResult } from '../../src/authn/authenticator.ts'
import { SKIPPED } from '../../src/authn/authenticator.ts'
import type { Attributes, Decision } from '../../src/authz/authorizer.ts'
import type { CallContext } from '../../src/context.ts'
import type { HttpAnswer, HttpRequest } from '../../src/http.ts'
import { type Observation, type WebhookLog, type WebhookOptions, webhook } from '../../src/webhook/webhook.ts'
import { type FakeAuthenticator, fakeAuthenticator } from '../authn/support.ts'
import { type FakeAuthorizer, fakeAuthorizer } from '../authz/support.ts'

export interface WebhookLine {
  readonly level: 'decision' | 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

export interface WebhookSetup {
  readonly authenticator: FakeAuthenticator
  readonly authorizer: FakeAuthorizer
  readonly observations: Observation[]
  readonly lines: WebhookLine[]
  /** Posts a body, as kube-apiserver does unless told otherwise. */
  ask(body: unknown, over?: Partial<HttpRequest>): Promise<HttpAnswer>
}

export interface WebhookFakes extends Partial<Omit<WebhookOptions, 'authenticator' | 'authorizer'>> {
  readonly authenticate?: (token: string, ctx: CallContext) => AuthnResult | Promise<AuthnResult>
  readonly recall?: (token: string, ctx: CallContext) => AuthnResult | undefined
  readonly authorize?: (attributes: Attributes, ctx: CallContext) => Decision | Promise<Decision>
}

export function webhookSetup(fakes: WebhookFakes = {}): WebhookSetup {
  const { authenticate = () => SKIPPED, recall, authorize = () => ({ kind: 'no-opinion' }), ...over } = fakes
  const authenticator = Object.assign(fakeAuthenticator(authenticate), recall === undefined ? {} : { recall })
  const authorizer = fakeAuthorizer(authorize)
  const observations: Observation[] = []
  const lines: WebhookLine[] = []
  const at = (level: WebhookLine['level']) => (fields: object, message: string) => {
    lines.push({ level, fields: { ...fields }, message })
  }
  const log: WebhookLog = {
    debug: at('debug'),
    decision: at('decision'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  }
  const handler = webhook({
    authenticator,
    authorizer,
    log,
    observe: (observation) => observations.push(observation),
    tokenLength: 1000,
    explainRefusals: false,
    ...over,
  })
  return {
    authenticator,
    authorizer,
    observations,
    lines,
    async ask(body, request = {}) {
      return handler({
        method: 'POST',
        path: '/webhook',
        contentType: 'application/json',
        body: Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
        requestId: 'r-1',
        remoteAddress: '192.0.2.7',
        signal: new AbortController().signal,
        ...request,
      })
    },
  }
}

export function tokenReview(token: unknown = 't', over: object = {}): object {
  return { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', spec: { token, ...over } }
}

export function accessReview(over: object = {}): object {
  const spec = { user: 'jane', groups: ['dev'], nonResourceAttributes: { verb: 'get', path: '/healthz' }, ...over }
  return { kind: 'SubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', spec }
}

/** The body of an answer, which is always one JSON object. */
export function bodyOf(answer: HttpAnswer): Readonly<Record<string, unknown>> {
  return JSON.parse(answer.body) as Readonly<Record<string, unknown>>
}
