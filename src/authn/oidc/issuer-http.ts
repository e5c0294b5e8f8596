/**
 * Asking an issuer for a JSON document. Owns TLS, limits and what a failure is called; leaves when to ask to
 * `issuer-keys.ts`.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import { getCACertificates } from 'node:tls'
import { Agent, request } from 'undici'
import { ArchwayError, type ErrorCode, messageOf } from '../../errors.ts'
import { structureProblem } from '../../json.ts'
import { guardedLookup } from '../../keystone/address.ts'

/** Longest document taken, in bytes. */
const MAX_BYTES = 512 * 1024
const LIMITS = { maxDepth: 16, maxKeys: 1024 }

export interface DocumentRequest {
  readonly url: URL
  /** PEM; nothing but these authorities is trusted then. */
  readonly ca: string | undefined
  readonly signal: AbortSignal
}

/** Gives the parsed document. */
export type GetDocument = (request: DocumentRequest) => Promise<unknown>

/**
 * One GET on a connection of its own. Redirects are answers like any other, and not the right one: an issuer says
 * where its keys are.
 *
 * @throws ArchwayError `oidc_unreachable`, `oidc_timeout`, `oidc_answer_invalid`; the message has nothing of the body.
 */
export const getDocument: GetDocument = async ({ url, ca, signal }) => {
  const agent = new Agent({
    connect: {
      minVersion: 'TLSv1.2',
      ...(url.protocol === 'https:' ? { ca: ca ?? systemAuthorities() } : {}),
      lookup: guardedLookup({ allowLoopback: true }),
    },
    allowH2: false,
    maxResponseSize: MAX_BYTES,
    maxHeaderSize: 16 * 1024,
  })
  const target = `GET ${url.origin}${url.pathname}`
  try {
    const answer = await request(url, { dispatcher: agent, signal, headers: { accept: 'application/json' } })
    if (answer.statusCode !== 200) throw statusFailure(target, answer.statusCode)
    return parseDocument(target, Buffer.from(await answer.body.arrayBuffer()))
  } catch (thrown) {
    throw thrown instanceof ArchwayError ? thrown : connectionFailure(target, thrown, signal)
  } finally {
    agent.destroy().catch(() => {})
  }
}

function systemAuthorities(): string[] {
  return [...new Set([...getCACertificates('default'), ...getCACertificates('system')])]
}

/** Checks a text of authorities. Throws a `TypeError` that says what is wrong. */
export function checkAuthorities(pem: string): void {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw new TypeError('has no certificate in it; it must be PEM (-----BEGIN CERTIFICATE-----)')
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block)
    } catch {
      throw new TypeError(`certificate ${index + 1} cannot be read`)
    }
  }
}

function parseDocument(target: string, body: Buffer): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
    const document: unknown = JSON.parse(text)
    if (structureProblem(text, LIMITS) === undefined) return document
  } catch {
    // The message of a SyntaxError quotes the text.
  }
  throw failure('oidc_answer_invalid', `${target}: the answer is not JSON; is it the address of the issuer?`)
}

function statusFailure(target: string, status: number): ArchwayError {
  if (status >= 300 && status < 400) {
    const remedy = 'it redirects, which is not followed; write the final address'
    return failure('oidc_answer_invalid', `${target}: answered ${status}; ${remedy}`)
  }
  if (status >= 500 || status === 429 || status === 408) {
    return failure('oidc_unreachable', `${target}: answered ${status}; look at the issuer`)
  }
  return failure('oidc_answer_invalid', `${target}: answered ${status}; is it the address of the issuer?`)
}

/** By the code alone, which names the cause; some messages hold bytes of what was received. */
function connectionFailure(target: string, thrown: unknown, signal: AbortSignal): ArchwayError {
  if (signal.aborted) return failure('oidc_timeout', `${target}: no answer in time (${messageOf(signal.reason)})`)
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'no connection'
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') {
    return failure('oidc_answer_invalid', `${target}: the answer is longer than ${MAX_BYTES} bytes`)
  }
  const remedy = TLS_TROUBLE.test(code) ? 'is its authority the one in `caFile`?' : 'address, network, TLS?'
  return failure('oidc_unreachable', `${target}: ${code}; ${remedy}`)
}

const TLS_TROUBLE = /CERT|ISSUER|SIGNATURE/

function failure(code: ErrorCode, message: string): ArchwayError {
  return new ArchwayError(code, message, { retryAfter: 5 })
}
