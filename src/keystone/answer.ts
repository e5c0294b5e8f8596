/**
 * What an answer means: Keystone's yes, Keystone's no, or neither. Only Keystone itself may say no; an error page of
 * whatever stands in front of it is an outage, not a refusal.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import { ArchwayError, type ErrorCode } from '../errors.ts'
import type { RawAnswer } from './connection.ts'
import type { Target } from './failure.ts'
import { parseJson } from './json.ts'

/** Seconds: the longest `Retry-After` that is passed on, and the one when there is none. */
const MAX_RETRY_AFTER = 5
const DEFAULT_RETRY_AFTER = 1

/** Keystone's yes with its document, or Keystone's no. */
export type Verdict =
  | { readonly kind: 'answered'; readonly document: unknown }
  | { readonly kind: 'refused'; readonly status: 401 | 403 | 404 }

/** `{"error": {"code": 401, "message": …, "title": …}}`: Identity API v3, "Error responses". */
const errorDocument = z.object({ error: z.object({ code: z.number() }) })

/**
 * Judges an answer to a request that was made with a token, or for one.
 *
 * @throws ArchwayError when it is neither yes nor no: `keystone_busy` for 429, `keystone_unreachable` for 408 and 5xx,
 *   `keystone_answer_invalid` for the rest. The message has nothing of the body.
 */
export function judge(raw: RawAnswer, target: Target, now: () => Date): Verdict {
  const { status } = raw
  if (status === 200 || status === 201 || status === 203) {
    const document = readJson(raw)
    if (document === undefined) throw refuse(target, raw, 'is not JSON', 'is it the Identity API? End the URL with /v3')
    return { kind: 'answered', document }
  }
  if ((status === 401 || status === 403 || status === 404) && isKeystoneRefusal(raw)) return { kind: 'refused', status }
  throw undecided(raw, target, now)
}

/** The JSON of an answer; `undefined` when it is not JSON by its type, its bytes or its form. */
export function readJson({ headers, body }: RawAnswer): unknown {
  if (!/^\s*application\/(json|[\w.-]+\+json)\s*(;|$)/i.test(header(headers, 'content-type') ?? '')) return undefined
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return undefined
  }
}

/** The ArchwayError for an answer that is neither yes nor no. */
export function undecided(raw: RawAnswer, target: Target, now: () => Date): ArchwayError {
  const { status } = raw
  if (status >= 300 && status < 400) return redirected(raw, target)
  if (status === 429) {
    return failed('keystone_busy', target, raw, 'Keystone has a rate limit; raise it for Archway', retryAfter(raw, now))
  }
  if (status >= 500 || status === 408) {
    const remedy = 'look at the log of Keystone, and of what stands in front of it'
    return failed('keystone_unreachable', target, raw, remedy, status === 503 ? retryAfter(raw, now) : undefined)
  }
  return refuse(target, raw, 'is not from the Identity API', meaningOf(status))
}

function meaningOf(status: number): string {
  if (status === 413 || status === 414 || status === 431) {
    return 'what stands in front of Keystone has too low a limit for headers with this token; raise it'
  }
  if (status === 400) return 'is it an https: port, addressed with http:? Or a limit for headers in front of Keystone?'
  return 'is the URL right (it ends with /v3), or did something in front of Keystone answer?'
}

function redirected(raw: RawAnswer, target: Target): ArchwayError {
  const location = header(raw.headers, 'location') ?? ''
  const url = target.name.replace(/^\w+ /, '')
  const host = URL.canParse(location, url) ? new URL(location, url).host : 'nowhere'
  const remedy = `it redirects to ${host}, which is not followed; write the final address as the Keystone URL`
  return failed('keystone_answer_invalid', target, raw, remedy)
}

function isKeystoneRefusal(raw: RawAnswer): boolean {
  const challenge = header(raw.headers, 'www-authenticate') ?? ''
  if (raw.status === 401 && /^\s*keystone(\s|$)/i.test(challenge)) return true
  const parsed = errorDocument.safeParse(readJson(raw))
  return parsed.success && parsed.data.error.code === raw.status
}

function refuse(target: Target, raw: RawAnswer, fault: string, remedy: string): ArchwayError {
  return failed('keystone_answer_invalid', target, raw, `the answer ${fault}; ${remedy}`)
}

function failed(code: ErrorCode, target: Target, raw: RawAnswer, text: string, retryAfter?: number): ArchwayError {
  // Keystone's own request id finds the matching lines in its log; only its exact form is repeated.
  const id = header(raw.headers, 'x-openstack-request-id') ?? ''
  const suffix = /^req-[0-9a-f-]{36}$/.test(id) ? ` (${id})` : ''
  const message = `${target.name}: answered ${raw.status}; ${text}${suffix}`
  return new ArchwayError(code, message, { retryAfter: retryAfter ?? DEFAULT_RETRY_AFTER })
}

/** Seconds from `Retry-After`, a number or a date (RFC 9110, section 10.2.3), from 1 to 5. */
function retryAfter(raw: RawAnswer, now: () => Date): number {
  const value = header(raw.headers, 'retry-after')?.trim() ?? ''
  const seconds = /^\d{1,9}$/.test(value) ? Number(value) : (Date.parse(value) - now().getTime()) / 1000
  if (Number.isNaN(seconds)) return DEFAULT_RETRY_AFTER
  return Math.min(MAX_RETRY_AFTER, Math.max(1, Math.ceil(seconds)))
}

/** A header that has one value; several make it unusable. */
function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined
  return typeof value === 'string' ? value : undefined
}
