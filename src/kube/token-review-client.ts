/**
 * Asking a webhook: sends a TokenReview the way kube-apiserver does and says what kube-apiserver would make of the
 * answer.
 *
 * @module
 */
import { Agent, request } from 'undici/index.js' // by its file: Bun, in the single executable, puts another library under its name
import { messageOf } from '../errors.ts'
import type { Secret } from '../secret.ts'
import type { UserInfo } from '../user.ts'
import { asObject, type Fields, member, optionalString, stringList } from './fields.ts'
import { parseStrictJson } from './strict-json.ts'
import type { TokenReviewVersion } from './token-review.ts'

export interface TokenReviewClientOptions {
  /** Address of the webhook, path included. */
  readonly url: string
  readonly apiVersion: TokenReviewVersion
  readonly token: Secret
  readonly audiences: readonly string[]
  readonly tls: {
    readonly ca?: Buffer
    readonly cert?: Buffer
    readonly key?: Buffer
    /** Accept any certificate: for trying things out only. */
    readonly insecure?: boolean
  }
  readonly timeoutMs: number
}

/** What kube-apiserver would make of the answer. */
export type TokenReviewVerdict =
  | {
      readonly kind: 'authenticated'
      readonly user: UserInfo
      /** Those of the audiences asked that the token is good for; empty when none were asked. */
      readonly audiences: readonly string[]
    }
  /** A clean no, which kube-apiserver remembers. */
  | { readonly kind: 'rejected' }
  /** No verdict: kube-apiserver logs the cause, answers 401 and asks again next time. */
  | {
      readonly kind: 'undecided'
      readonly cause: string
      /** `status.error`, where that is the cause. */
      readonly error?: string
    }

export interface TokenReviewReply {
  readonly verdict: TokenReviewVerdict
  /** HTTP status; absent where no answer came. */
  readonly httpStatus?: number
  readonly requestId?: string
  /** Body of the answer as it came, but for the token where the other side echoed it. */
  readonly body: string
  readonly milliseconds: number
}

const MOST_BODY = 1024 * 1024

/** Sends one TokenReview. Never throws for what the other side does; that is the verdict. */
export async function reviewToken(options: TokenReviewClientOptions): Promise<TokenReviewReply> {
  const { ca, cert, key, insecure = false } = options.tls
  const agent = new Agent({
    connect: {
      rejectUnauthorized: !insecure,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    },
  })
  const startedAt = performance.now()
  const elapsed = (): number => Math.round((performance.now() - startedAt) * 1000) / 1000
  try {
    const response = await request(options.url, {
      dispatcher: agent,
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, */*' },
      body: tokenReviewRequest(options),
      signal: AbortSignal.timeout(options.timeoutMs),
    })
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of response.body) {
      const part = Buffer.from(chunk)
      size += part.length
      if (size > MOST_BODY) throw new Error('the answer is longer than 1 MiB')
      chunks.push(part)
    }
    const body = Buffer.concat(chunks)
    const requestId = response.headers['x-request-id']
    return {
      verdict: withoutToken(judge(response.statusCode, body, options), options.token),
      httpStatus: response.statusCode,
      body: cutOut(options.token, body.toString('utf8')),
      milliseconds: elapsed(),
      ...(typeof requestId === 'string' ? { requestId } : {}),
    }
  } catch (thrown) {
    return { verdict: { kind: 'undecided', cause: causeOf(thrown) }, body: '', milliseconds: elapsed() }
  } finally {
    await agent.destroy()
  }
}

/** The body kube-apiserver sends. */
export function tokenReviewRequest(
  options: Pick<TokenReviewClientOptions, 'apiVersion' | 'token' | 'audiences'>,
): string {
  const { apiVersion, token, audiences } = options
  return JSON.stringify({
    kind: 'TokenReview',
    apiVersion,
    metadata: { creationTimestamp: null },
    spec: { token: token.reveal(), ...(audiences.length > 0 ? { audiences } : {}) },
    status: { user: {} },
  })
}

/** A webhook may echo the token, as k8s-keystone-auth does. What leaves here is shown to people and kept by CI. */
function cutOut(token: Secret, text: string): string {
  const value = token.reveal()
  if (value.length < 8) return text // no secret, and perhaps a part of every word
  return text.replaceAll(JSON.stringify(value).slice(1, -1), '[redacted]').replaceAll(value, '[redacted]')
}

function withoutToken(verdict: TokenReviewVerdict, token: Secret): TokenReviewVerdict {
  if (verdict.kind !== 'undecided') return verdict
  const { cause, error } = verdict
  return { ...verdict, cause: cutOut(token, cause), ...(error === undefined ? {} : { error: cutOut(token, error) }) }
}

function judge(httpStatus: number, body: Buffer, asked: TokenReviewClientOptions): TokenReviewVerdict {
  if (httpStatus < 200 || httpStatus > 206) {
    return { kind: 'undecided', cause: `HTTP ${httpStatus}${sentence(body)}` }
  }
  try {
    return judgeTokenReview(asObject(parseStrictJson(body) ?? {}, 'the answer'), asked)
  } catch (thrown) {
    return { kind: 'undecided', cause: messageOf(thrown) }
  }
}

/** What an answered TokenReview says. Throws for what has the wrong shape. */
export function judgeTokenReview(
  document: Fields,
  asked: Pick<TokenReviewClientOptions, 'apiVersion' | 'audiences'>,
): TokenReviewVerdict {
  const apiVersion = optionalString(document, 'apiVersion', 'apiVersion')
  if (apiVersion !== '' && apiVersion !== asked.apiVersion) {
    return { kind: 'undecided', cause: `the answer is ${apiVersion}, asked was ${asked.apiVersion}` }
  }
  const kind = optionalString(document, 'kind', 'kind')
  if (kind !== '' && kind !== 'TokenReview') return { kind: 'undecided', cause: `the answer is a ${kind}` }
  return judgeStatus(asObject(member(document, 'status') ?? {}, 'status'), asked.audiences)
}

/** Everything is read before anything is decided: a wrong type anywhere makes the answer none. */
function judgeStatus(status: Fields, asked: readonly string[]): TokenReviewVerdict {
  const authenticated = member(status, 'authenticated') ?? false
  if (typeof authenticated !== 'boolean') throw new TypeError('status.authenticated is not true or false')
  const error = optionalString(status, 'error', 'status.error')
  const given = stringList(status, 'audiences', 'status.audiences', 1000)
  const user = readUser(asObject(member(status, 'user') ?? {}, 'status.user'))
  if (!authenticated) {
    if (error === '') return { kind: 'rejected' }
    return { kind: 'undecided', cause: `refused with status.error: ${error}`, error }
  }
  // Without audiences in the answer, kube-apiserver takes the token to be good for its own.
  const audiences = given.length === 0 ? asked : given.filter((audience) => asked.includes(audience))
  if (asked.length > 0 && audiences.length === 0) return { kind: 'rejected' }
  return { kind: 'authenticated', user, audiences }
}

function readUser(user: Fields): UserInfo {
  const extra = asObject(member(user, 'extra') ?? {}, 'status.user.extra')
  return {
    username: optionalString(user, 'username', 'status.user.username'),
    uid: optionalString(user, 'uid', 'status.user.uid'),
    groups: stringList(user, 'groups', 'status.user.groups', 100_000),
    extra: new Map(Object.keys(extra).map((key) => [key, stringList(extra, key, 'status.user.extra', 100_000)])),
  }
}

/** The message of a Status object, or a short text, for people. */
function sentence(body: Buffer): string {
  try {
    const message = optionalString(asObject(parseStrictJson(body), 'body'), 'message', 'message')
    return message === '' ? '' : `: ${message}`
  } catch {
    const text = body.toString('utf8', 0, 200).replace(/\s+/g, ' ').trim()
    return text === '' ? '' : `: ${text}`
  }
}

function causeOf(thrown: unknown): string {
  const inner = thrown instanceof Error && thrown.message === 'fetch failed' ? thrown.cause : thrown
  const message = messageOf(inner)
  return message === '' && inner instanceof AggregateError ? inner.errors.map(messageOf).join('; ') : message
}
