/**
 * What went wrong on the way to Keystone and back, and what to do about it.
 *
 * @module
 */
import { ArchwayError, type ErrorCode } from '../errors.ts'
import { ADDRESS_REFUSED } from './address.ts'
import type { Phase } from './deadline.ts'

/** Where a request went, as far as a message has to know it. */
export interface Target {
  /** For people: `GET https://host/v3/auth/tokens`. */
  readonly name: string
  /** Whether TLS is spoken. */
  readonly tls: boolean
  /**
   * How authorities were configured, by the service's configuration or, for a login, by the variables and flags of
   * OpenStack clients; decides what helps when a certificate is not trusted.
   */
  readonly trust: 'system' | 'replace' | 'add' | 'login-system' | 'login-file'
}

const UNTRUSTED: Readonly<Record<Target['trust'], string>> = {
  system: 'its certificate is not signed by an authority trusted here; name the authority as `caFile`',
  replace:
    'its certificate is not signed by the authorities in `caFile`, and `caMode: replace` trusts no others; ' +
    'put the right one into `caFile`, or set `caMode: add`',
  'login-file':
    'its certificate is not signed by the authorities in the CA file, and no others are trusted; name the right file with --cacert or OS_CACERT',
  'login-system':
    'its certificate is not signed by an authority trusted here; name the authority with --cacert or OS_CACERT',
  add: 'its certificate is signed neither by the authorities in `caFile` nor by those of the system; add the right one to `caFile`',
}

const UNTRUSTED_CODES: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_UNTRUSTED',
  'INVALID_CA',
])

const PLAIN_TO_TLS = 'is it a TLS port, so that the URL has to begin with https:?'
const NO_CONNECTION = 'no connection was made in time; look at the address, the network and firewalls'

const REMEDIES: ReadonlyMap<string, string> = new Map([
  [
    ADDRESS_REFUSED,
    'the host name leads to loopback or link-local addresses only; if that is meant, write the address itself into the URL',
  ],
  ['CERT_HAS_EXPIRED', 'its certificate, or that of an authority, has expired; renew it (or set the clock here)'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet; look at the clock here'],
  ['EAI_AGAIN', 'the name server did not answer; look at the DNS'],
  ['ECONNREFUSED', 'nothing listens there; is Keystone running, and is the port right?'],
  ['EHOSTUNREACH', 'there is no way to that host; look at routes and firewalls'],
  ['ENETUNREACH', 'there is no way to that network; look at routes and firewalls'],
  ['ENOTFOUND', 'the host name is not known; is it spelled right, and in the DNS?'],
  ['EPROTO', 'TLS could not be agreed; is that port a TLS one (otherwise the URL begins with http:)?'],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', 'that port does not speak TLS; write the right port, or http:'],
  [
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'it asks for a client certificate; set `clientCertFile` and `clientKeyFile`',
  ],
  ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'it has no TLS 1.2 or later; upgrade it'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'it does not trust our client certificate; look at `clientCertFile`'],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'it has no TLS 1.2 or later; upgrade it'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'that port does not speak TLS; write the right port, or http:'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is for another name; use a name that is in the certificate'],
  ['ETIMEDOUT', NO_CONNECTION],
  ['UND_ERR_CONNECT_TIMEOUT', NO_CONNECTION],
  ['UND_ERR_HEADERS_OVERFLOW', 'the headers of the answer are too long; is it Keystone?'],
  ['UND_ERR_RES_EXCEEDED_MAX_SIZE', 'the answer is longer than 1 MiB; is it Keystone?'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'the answer ended early; was Keystone restarted?'],
])

/**
 * The ArchwayError for a connection that failed while in `phase`, by the error's code alone: its message and its fields
 * can repeat what was received, and Keystone quotes tokens.
 */
export function connectionFailure(error: Error, target: Target, phase: Phase): ArchwayError {
  const code = codeOf(error)
  const system = 'syscall' in error
  const message = `${target.name}: ${remedyFor(code, target, phase)} (${system ? error.message : code})`
  return new ArchwayError(errorCode(code), message, {
    retryAfter: 1,
    // A system error says which call and which address. Others hold certificates or bytes of the answer.
    ...(system ? { cause: error } : {}),
  })
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}

function errorCode(code: string): ErrorCode {
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT') return 'keystone_timeout'
  if (code === 'UND_ERR_HEADERS_OVERFLOW' || code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return 'keystone_answer_invalid'
  return isParserError(code) ? 'keystone_answer_invalid' : 'keystone_unreachable'
}

function remedyFor(code: string, target: Target, phase: Phase): string {
  if (UNTRUSTED_CODES.has(code)) return UNTRUSTED[target.trust]
  if (isParserError(code)) return `the answer is not HTTP; ${target.tls ? 'is it Keystone?' : PLAIN_TO_TLS}`
  if (code === 'ECONNRESET' || code === 'UND_ERR_SOCKET') {
    if (phase === 'connection') return 'the connection was closed before it was made; does that port speak TLS?'
    return `the connection was lost; was Keystone restarted, or is a limit in front of it?${target.tls ? '' : ` Or: ${PLAIN_TO_TLS}`}`
  }
  return REMEDIES.get(code) ?? 'the connection failed'
}

/** llhttp's codes; undici leaves them out at times, and then its error's name stands in. */
function isParserError(code: string): boolean {
  return code === 'HTTPParserError' || code.startsWith('HPE_')
}
