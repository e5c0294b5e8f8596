/**
 * The way to the issuer: one request, bounded in time and size, to nobody but the address it was meant for. Owns TLS
 * and what a broken connection means; knows nothing of OAuth.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import type { CustomFetch, CustomFetchOptions } from 'openid-client'
import { ArchwayError, messageOf } from '../errors.ts'
import { isConfidential } from './address.ts'

/** Longest answer, in bytes: a discovery document, keys or tokens. */
const MAX_BODY_BYTES = 1024 * 1024

/** Longest head of an answer, in bytes. */
const MAX_HEADER_BYTES = 32 * 1024

export interface TransportOptions {
  /** The only authorities that are trusted; absent: Node's and the system's. */
  readonly caFile?: string
  /** Default true. */
  readonly verify?: boolean
  readonly timeoutMs: number
  readonly userAgent: string
}

export interface Transport {
  /**
   * What openid-client sends its requests with. Redirects are answers like any other.
   *
   * @throws ArchwayError `oidc_unreachable`, `oidc_answer_invalid` (too long, not HTTP), `file_invalid` (caFile),
   * `credential_interrupted` when `signal` aborts.
   */
  fetch(signal?: AbortSignal): CustomFetch
}

/** Opens nothing and reads nothing before the first request. */
export function createTransport({ caFile, verify = true, timeoutMs, userAgent }: TransportOptions): Transport {
  let context: Promise<SecureContext> | undefined
  return {
    fetch: (signal) => async (address, options) => {
      const url = new URL(address)
      if (!isConfidential(url)) {
        throw invalid(url, 'the discovery document names an address without TLS, which is not spoken to')
      }
      if (signal?.aborted) throw interrupted(signal)
      const tls = url.protocol === 'https:'
      if (tls) context ??= trusted(caFile)
      const expiry = AbortSignal.timeout(timeoutMs)
      try {
        return await exchange(url, {
          method: options.method,
          headers: { ...options.headers, 'user-agent': userAgent },
          body: bodyOf(options),
          agent: false, // a connection for each request: there are few, and none has to be kept from going stale
          maxHeaderSize: MAX_HEADER_BYTES,
          signal: AbortSignal.any([expiry, ...(signal === undefined ? [] : [signal])]),
          ...(tls ? { rejectUnauthorized: verify, secureContext: await context } : {}),
        })
      } catch (thrown) {
        if (signal?.aborted) throw interrupted(signal)
        if (expiry.aborted)
          throw unreachable(url, `no answer within ${timeoutMs} ms; look at the network and the issuer`)
        throw thrown instanceof ArchwayError ? thrown : connectionFailure(url, thrown)
      }
    },
  }
}

/** What an aborted flow ends with. A reason that is an {@link ArchwayError} stands. */
export function interrupted(signal: AbortSignal): ArchwayError {
  if (signal.reason instanceof ArchwayError) return signal.reason
  return new ArchwayError('credential_interrupted', 'the login was broken off')
}

interface Exchange extends RequestOptions {
  readonly body: string | undefined
  readonly secureContext?: SecureContext | undefined
}

function exchange(url: URL, { body, ...options }: Exchange): Promise<Response> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp
    const sent = send(url, options, (answer) => {
      collect(url, answer).then(resolve, (thrown: unknown) => {
        sent.destroy()
        reject(thrown)
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

async function collect(url: URL, answer: IncomingMessage): Promise<Response> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer) {
    const part = Buffer.from(chunk)
    size += part.length
    if (size > MAX_BODY_BYTES) throw invalid(url, 'the answer is longer than 1 MiB')
    chunks.push(part)
  }
  const { statusCode = 0, headersDistinct } = answer
  if (statusCode < 200 || statusCode > 599) throw invalid(url, `it answered HTTP ${statusCode}`)
  const headers = new Headers()
  for (const [name, values = []] of Object.entries(headersDistinct)) {
    for (const value of values) headers.append(name, value)
  }
  const bodiless = statusCode === 204 || statusCode === 205 || statusCode === 304
  return new Response(bodiless ? null : Buffer.concat(chunks), { status: statusCode, headers })
}

function bodyOf({ body }: CustomFetchOptions): string | undefined {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string' || body instanceof URLSearchParams) return body.toString()
  throw new ArchwayError('internal', 'a request to the issuer has a body that is neither text nor a form')
}

async function trusted(caFile: string | undefined): Promise<SecureContext> {
  const ca =
    caFile === undefined
      ? [...new Set([...getCACertificates('default'), ...getCACertificates('system')])]
      : await readAuthorities(caFile)
  return createSecureContext({ ca, minVersion: 'TLSv1.2' })
}

/** Node takes a CA text without any certificate and trusts nobody; say it here, where the file is known. */
async function readAuthorities(caFile: string): Promise<string[]> {
  let text: string
  try {
    text = await readFile(caFile, 'utf8')
  } catch (error) {
    throw new ArchwayError('file_invalid', `caFile: ${messageOf(error)}`)
  }
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) {
    throw new ArchwayError('file_invalid', `caFile: ${caFile} has no certificate in it (-----BEGIN CERTIFICATE-----)`)
  }
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block)
    } catch {
      throw new ArchwayError('file_invalid', `caFile: certificate ${index + 1} in ${caFile} cannot be read`)
    }
  }
  return blocks
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'INVALID_CA',
])

const REMEDIES: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'its certificate has expired; renew it (or set the clock here)'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet; look at the clock here'],
  ['EAI_AGAIN', 'the name server did not answer; look at the DNS'],
  ['ECONNREFUSED', 'nothing listens there; is the address right, and the issuer running?'],
  ['ECONNRESET', 'the connection was lost; was the issuer restarted, or does that port not speak TLS?'],
  ['EHOSTUNREACH', 'there is no way to that host; look at routes and firewalls'],
  ['ENETUNREACH', 'there is no way to that network; look at routes and firewalls'],
  ['ENOTFOUND', 'the host name is not known; is it spelled right, and in the DNS?'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is for another name; use a name that is in the certificate'],
  ['ETIMEDOUT', 'no connection was made in time; look at the address, the network and firewalls'],
])

/** By the error's code alone: messages of TLS and of the parser can repeat what was received. */
function connectionFailure(url: URL, thrown: unknown): ArchwayError {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'no code'
  if (code === 'HPE_HEADER_OVERFLOW') return invalid(url, 'the head of the answer is longer than 32 KiB')
  if (code.startsWith('HPE_')) return invalid(url, `the answer is not HTTP (${code}); is that port the issuer's?`)
  if (UNTRUSTED.has(code)) {
    return unreachable(
      url,
      `its certificate is not signed by an authority trusted here; name the authority as caFile (${code})`,
    )
  }
  const isTls = code === 'EPROTO' || code.startsWith('ERR_SSL_')
  const remedy = isTls ? 'TLS could not be agreed; is that port a TLS one?' : 'the connection failed'
  return unreachable(url, `${REMEDIES.get(code) ?? remedy} (${code})`)
}

function unreachable(url: URL, fault: string): ArchwayError {
  return new ArchwayError('oidc_unreachable', `${url.origin}${url.pathname}: ${fault}`, { retryAfter: 1 })
}

function invalid(url: URL, fault: string): ArchwayError {
  return new ArchwayError('oidc_answer_invalid', `${url.origin}${url.pathname}: ${fault}`)
}
