/**
 * What the issuer's answers and openid-client's complaints mean to the person at the terminal. No message has a token,
 * a code or a password in it, also where the issuer quotes one; and no control characters, since it goes to a terminal.
 *
 * @module
 */
import {
  AuthorizationResponseError,
  ClientError,
  ResponseBodyError,
  WWWAuthenticateChallengeError,
} from 'openid-client'
import { ArchwayError } from '../errors.ts'
import type { Secret } from '../secret.ts'

/** What was being done, for the message and for what must not be in it. */
export interface Doing {
  /** What the issuer was asked: `https://issuer: token request`. */
  readonly what: string
  /** Values that were sent. */
  readonly secrets: readonly Secret[]
}

const MAX_QUOTED = 200

/** Shorter ones are no secrets, and parts of other words. */
const SHORTEST_SECRET = 4

const REMEDIES: ReadonlyMap<string, string> = new Map([
  ['access_denied', 'the login was refused'],
  ['invalid_client', 'look at the client id, and whether this client has to have a secret'],
  ['invalid_grant', 'wrong credentials, or the code or refresh token is no longer good: log in again'],
  ['invalid_scope', 'look at the scopes that are asked for'],
  ['unauthorized_client', 'allow this way of logging in for the client at the issuer, or choose another'],
  ['unsupported_grant_type', 'allow this way of logging in for the client at the issuer, or choose another'],
])

/** The issuer could not tell, whatever the HTTP status. */
const FAULTS: ReadonlySet<string> = new Set(['server_error', 'temporarily_unavailable'])

/** The OAuth error code in an answer of the issuer, e.g. `authorization_pending`; `undefined` for anything else. */
export function oauthError(thrown: unknown): string | undefined {
  return thrown instanceof ResponseBodyError || thrown instanceof AuthorizationResponseError ? thrown.error : undefined
}

/** The ArchwayError for anything openid-client throws. */
export async function toArchwayError(thrown: unknown, doing: Doing): Promise<ArchwayError> {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof ArchwayError) return error
  }
  if (thrown instanceof AuthorizationResponseError) return refused(thrown.error, thrown.error_description, doing)
  if (thrown instanceof ResponseBodyError) {
    if (couldNotTell(thrown.status)) return failed(thrown.status, doing)
    return refused(thrown.error, thrown.error_description, doing)
  }
  if (thrown instanceof WWWAuthenticateChallengeError) return challenged(thrown, doing)
  if (thrown instanceof ClientError && thrown.cause instanceof Response) return unexpected(thrown.cause, doing)
  return invalid(`the answer does not hold (${reasons(thrown)})`, doing)
}

function refused(error: string, description: string | undefined, doing: Doing): ArchwayError {
  const said = [error, ...(description === undefined ? [] : [description])].join(': ')
  const quoted = quote(said, doing.secrets)
  if (FAULTS.has(error)) {
    return new ArchwayError('oidc_unreachable', `${doing.what}: the issuer failed: ${quoted}`, { retryAfter: 1 })
  }
  const remedy = REMEDIES.get(error)
  const code = error === 'expired_token' ? 'oidc_timeout' : 'oidc_refused'
  return new ArchwayError(
    code,
    `${doing.what}: the issuer refused: ${quoted}${remedy === undefined ? '' : ` (${remedy})`}`,
  )
}

/** 401 with `WWW-Authenticate`: what is wrong stands in the body, where the issuer keeps to RFC 6749, section 5.2. */
async function challenged({ status, response }: WWWAuthenticateChallengeError, doing: Doing): Promise<ArchwayError> {
  if (status !== 401) return unexpected(response, doing)
  const body: unknown = await response.json().catch(() => undefined)
  const said = typeof body === 'object' && body !== null ? body : {}
  const error = 'error' in said && typeof said.error === 'string' ? said.error : 'invalid_client'
  const description = 'error_description' in said && typeof said.error_description === 'string'
  return refused(error, description ? String(said.error_description) : undefined, doing)
}

function unexpected(response: Response, doing: Doing): ArchwayError {
  const { status } = response
  if (couldNotTell(status)) return failed(status, doing)
  if (status >= 300 && status < 400)
    return invalid(`it redirects (HTTP ${status}), and redirects are not followed`, doing)
  if (status >= 400) return invalid(`it answered HTTP ${status}, without saying why`, doing)
  return invalid('the answer is not the JSON that was expected', doing)
}

function couldNotTell(status: number): boolean {
  return status >= 500 || status === 429 || status === 408
}

function failed(status: number, doing: Doing): ArchwayError {
  const fault = status < 500 ? 'the issuer is busy' : 'the issuer failed'
  return new ArchwayError('oidc_unreachable', `${doing.what}: ${fault} (HTTP ${status}); try again`, { retryAfter: 1 })
}

function invalid(fault: string, doing: Doing): ArchwayError {
  return new ArchwayError('oidc_answer_invalid', `${doing.what}: ${fault}`)
}

/**
 * The messages from the outside in, of openid-client's own errors only: they name a field and never its value. What is
 * beneath them (JSON.parse) quotes the answer.
 */
function reasons(thrown: unknown): string {
  const messages: string[] = []
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if ('code' in error && String(error.code).startsWith('OAUTH_')) messages.push(error.message)
  }
  return messages.length === 0 ? 'it cannot be read' : [...new Set(messages)].join(': ')
}

/** What somebody else wrote, without what is secret of it, made fit for a terminal and cut short. */
export function quote(text: string, secrets: readonly Secret[]): string {
  const safe = secrets
    .map((secret) => secret.reveal())
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    .flatMap(spellings)
    .reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text)
  const clean = safe
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ')
    .replace(/ {2,}/g, ' ')
    .trim()
  return clean.length > MAX_QUOTED ? `${clean.slice(0, MAX_QUOTED)}…` : clean
}

/** As it is, as part of a URL, and as a form sends it. */
function spellings(secret: string): string[] {
  return [secret, encodeURIComponent(secret.toWellFormed()), new URLSearchParams({ '': secret }).toString().slice(1)]
}
