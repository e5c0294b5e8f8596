/**
 * What Keystone's answers to a login mean: a token, a no, a wish for more, or none of these.
 *
 * @module
 */
import { timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { ArchwayError, type ErrorCode } from '../../errors.ts'
import { Secret } from '../../secret.ts'
import { judge, readJson, undecided } from '../answer.ts'
import type { RawAnswer } from '../connection.ts'
import { domain, id, name, readDocument } from '../document.ts'
import type { Target } from '../failure.ts'
import { isSendable } from '../token-shape.ts'
import { type IssuedToken, LoginIncompleteError } from './login-request.ts'
import type { Tried } from './tried.ts'

/** What a request was for, so that its answer can be told. */
export interface Asked {
  readonly target: Target
  readonly tried: Tried
  /** Names of the methods that were sent. */
  readonly methods: readonly string[]
}

const tokenDocument = z.object({
  token: z.object({
    user: z.object({ id, name, domain }),
    methods: z.array(z.string()),
    expires_at: z.iso.datetime({ offset: true }),
    project: z.object({ id, name, domain }).optional(),
    domain: domain.optional(),
    system: z.object({ all: z.boolean().optional() }).optional(),
    roles: z.array(z.object({ name })).optional(),
  }),
})

/** A method's name as Keystone's configuration has it; nothing else of an answer is repeated in a message. */
const methodName = z.string().regex(/^[a-z0-9_-]{1,32}$/i)

/** A 401 with a receipt. Identity API v3, "Multi-factor authentication". */
const receiptDocument = z.object({
  receipt: z.object({ methods: z.array(methodName) }),
  required_auth_methods: z.array(z.array(methodName)),
})

/** A 401 that lists the methods there are. */
const methodsDocument = z.object({ error: z.object({ identity: z.object({ methods: z.array(methodName) }) }) })

const errorDocument = z.object({ error: z.object({ code: z.number() }) })

/**
 * Reads the answer to a login.
 *
 * @throws ArchwayError `login_refused`, `login_incomplete` as {@link LoginIncompleteError}, or one of `keystone_…`
 *   where it is neither yes nor no. No message has anything of the body but names of methods.
 */
export function readIssued(raw: RawAnswer, asked: Asked): IssuedToken {
  const { target } = asked
  if (raw.status === 201 || raw.status === 202) {
    const token = headerOf(raw, 'x-subject-token')
    if (token === undefined || !isSendable(token)) {
      throw failed(
        'keystone_answer_invalid',
        raw,
        target,
        'no token came with it (X-Subject-Token); does something in front of Keystone drop headers?',
      )
    }
    return tokenIn(raw, new Secret(token), target)
  }
  const receipt = raw.status === 401 ? headerOf(raw, 'openstack-auth-receipt') : undefined
  if (receipt !== undefined) throw incomplete(raw, new Secret(receipt), asked)
  if (raw.status === 400 || raw.status === 409) throw objection(raw, target)
  const verdict = judge(raw, target, () => new Date())
  if (verdict.kind === 'refused') throw refused(raw, asked)
  throw failed('keystone_answer_invalid', raw, target, 'a login is answered with 201; is the URL that of Keystone?')
}

/**
 * Reads the answer to an exchange of an access token. Between it and Keystone stands a module of the web server, which
 * has a no of its own.
 */
export function readFederated(raw: RawAnswer, asked: Asked): IssuedToken {
  const challenge = headerOf(raw, 'www-authenticate') ?? ''
  if (raw.status === 401 && /^\s*bearer(\s|$)/i.test(challenge)) throw refused(raw, asked)
  if (raw.status >= 300 && raw.status < 400) {
    const remedy =
      'what stands in front of Keystone sends people to a page to log in, so it takes no access tokens at this address, or not this one'
    throw failed('keystone_answer_invalid', raw, asked.target, remedy)
  }
  return readIssued(raw, asked)
}

/** Reads what Keystone says of a token; `undefined`: it is not good. */
export function readDescribed(raw: RawAnswer, token: Secret, target: Target): IssuedToken | undefined {
  const verdict = judge(raw, target, () => new Date())
  if (verdict.kind === 'refused') return goneOrForbidden(raw, target)
  checkSubject(raw, token, target)
  return tokenIn(raw, token, target)
}

/** Reads the answer to a revocation; returns when the token is not good any more. */
export function readRevoked(raw: RawAnswer, target: Target): void {
  if (raw.status === 204) return
  if (judge(raw, target, () => new Date()).kind === 'refused') goneOrForbidden(raw, target)
  else
    throw failed(
      'keystone_answer_invalid',
      raw,
      target,
      'a revocation is answered with 204; is the URL that of Keystone?',
    )
}

function tokenIn(raw: RawAnswer, secret: Secret, target: Target): IssuedToken {
  const { token } = readDocument(tokenDocument, readJson(raw), target)
  return {
    token: secret,
    expiresAt: new Date(token.expires_at),
    expiresAtText: token.expires_at,
    methods: token.methods,
    user: token.user,
    ...(token.project && { project: token.project }),
    ...(token.domain && { domain: token.domain }),
    system: token.system?.all === true,
    roles: (token.roles ?? []).map((role) => role.name),
  }
}

/** By its default policy Keystone forbids a token of a trust with impersonation to ask about itself. */
function goneOrForbidden(raw: RawAnswer, target: Target): undefined {
  if (raw.status !== 403) return undefined
  const remedy =
    'Keystone forbids this token to ask about itself: it is of a trust, or the policy of Keystone is a strict one'
  throw failed('keystone_answer_invalid', raw, target, remedy)
}

/** Keystone repeats the token it speaks of; another one is somebody else's answer, out of a cache. */
function checkSubject(raw: RawAnswer, token: Secret, target: Target): void {
  const subject = headerOf(raw, 'x-subject-token')
  if (subject === undefined) return
  const [theirs, ours] = [Buffer.from(subject), Buffer.from(token.reveal())]
  if (theirs.length === ours.length && timingSafeEqual(theirs, ours)) return
  throw failed(
    'keystone_answer_invalid',
    raw,
    target,
    'the answer is about another token; does a cache stand in front of Keystone?',
  )
}

function incomplete(raw: RawAnswer, receipt: Secret, { target, tried }: Asked): LoginIncompleteError {
  const parsed = receiptDocument.safeParse(readJson(raw))
  const given = new Set(parsed.success ? parsed.data.receipt.methods : [])
  const rules = parsed.success ? parsed.data.required_auth_methods : []
  const missing = rules.map((rule) => rule.filter((method) => !given.has(method))).filter((rule) => rule.length > 0)
  const wish = missing.map((rule) => rule.join(' and ')).join(', or ') || 'another proof'
  const message = `${target.name}: Keystone knows ${tried.who} and wants ${wish} as well (multi-factor authentication)${idOf(raw)}`
  return new LoginIncompleteError(message, missing, receipt)
}

function refused(raw: RawAnswer, { target, tried, methods }: Asked): ArchwayError {
  const listed = methodsDocument.safeParse(readJson(raw))
  const known = listed.success ? listed.data.error.identity.methods : undefined
  const unknown = methods.find((method) => known !== undefined && !known.includes(method))
  const why =
    known !== undefined && unknown !== undefined
      ? `it does not know the method ${unknown}, only ${known.join(', ')}`
      : `it does not say why: ${tried.doubts}`
  return failed('login_refused', raw, target, `Keystone refuses ${tried.who}${tried.where}; ${why}`)
}

/** A request that Keystone itself does not take: it neither knows the credentials nor refuses them. */
function objection(raw: RawAnswer, target: Target): ArchwayError {
  const parsed = errorDocument.safeParse(readJson(raw))
  if (!parsed.success || parsed.data.error.code !== raw.status) return undecided(raw, target, () => new Date())
  const remedy =
    'Keystone does not take the request as it is; look for empty or overlong names and ids, and at the log of Keystone'
  return failed('keystone_answer_invalid', raw, target, remedy)
}

function failed(code: ErrorCode, raw: RawAnswer, target: Target, text: string): ArchwayError {
  return new ArchwayError(code, `${target.name}: answered ${raw.status}; ${text}${idOf(raw)}`)
}

/** Keystone's own request id finds the matching lines in its log; only its exact form is repeated. */
function idOf(raw: RawAnswer): string {
  const given = headerOf(raw, 'x-openstack-request-id') ?? ''
  return /^req-[0-9a-f-]{36}$/.test(given) ? ` (${given})` : ''
}

function headerOf({ headers }: RawAnswer, name: string): string | undefined {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined
  return typeof value === 'string' ? value : undefined
}
