/**
 * What went wrong on the way to an LDAP server and back, and what to do about it.
 *
 * @module
 */
import { ArchwayError, type ErrorCode } from '../errors.ts'
import type { ServerAddress } from './url.ts'

export type LdapErrorCode = Extract<ErrorCode, `ldap_${string}`>

export interface ServerErrorOptions {
  readonly cause?: unknown
  /** The server is of no use to anybody for now. Absent: it may only be this one request. */
  readonly sick?: boolean
  /** The connection ended before the answer; one that was kept may have been dead for a while. */
  readonly lost?: boolean
}

/** One server could not tell; another one may. */
export class ServerError extends ArchwayError {
  readonly sick: boolean
  readonly lost: boolean

  constructor(code: LdapErrorCode, message: string, { cause, sick = false, lost = false }: ServerErrorOptions = {}) {
    super(code, message, { retryAfter: 1, ...(cause === undefined ? {} : { cause }) })
    this.sick = sick
    this.lost = lost
  }
}

/** No server could tell. With one server it is that one's error. */
export function combinedFailure(failures: readonly ServerError[]): ArchwayError {
  const [first, ...others] = failures
  if (first !== undefined && others.length === 0) return first
  const code = others.every((other) => other.code === first?.code) ? first?.code : undefined
  return new ArchwayError(code ?? 'ldap_unreachable', failures.map(({ message }) => message).join('; '), {
    cause: new AggregateError(failures),
    retryAfter: 1,
  })
}

const UNTRUSTED = 'its certificate is not signed by an authority trusted here; name the authority as `caFile`'

const REMEDIES: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'its certificate, or that of an authority, has expired; renew it (or set the clock here)'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet; look at the clock here'],
  ['CERT_UNTRUSTED', UNTRUSTED],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', UNTRUSTED],
  ['EAI_AGAIN', 'the name server did not answer; look at the DNS'],
  ['ECONNREFUSED', 'nothing listens there; is the directory running, and is the port right?'],
  ['ECONNRESET', 'the connection was lost; was the server restarted, or does that port not speak TLS?'],
  ['EHOSTUNREACH', 'there is no way to that host; look at routes and firewalls'],
  ['ENETUNREACH', 'there is no way to that network; look at routes and firewalls'],
  ['ENOTFOUND', 'the host name is not known; is it spelled right, and in the DNS?'],
  ['EPIPE', 'the connection was lost; was the server restarted?'],
  [
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'that port does not speak TLS; is it one for StartTLS (ldap: and `startTls: true`)?',
  ],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is for another name; use a name that is in the certificate'],
  ['ETIMEDOUT', 'no connection was made in time; look at the address, the network and firewalls'],
  ['SELF_SIGNED_CERT_IN_CHAIN', UNTRUSTED],
  ['UNABLE_TO_GET_ISSUER_CERT', UNTRUSTED],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', UNTRUSTED],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', UNTRUSTED],
])

/** For a socket's error, or its end without one. */
export function connectionFailure(error: unknown, { url }: ServerAddress): ServerError {
  if (error instanceof ServerError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
  const remedy =
    REMEDIES.get(code ?? '') ?? (code === undefined ? 'the connection was closed' : 'the connection failed')
  return new ServerError(
    code === 'ETIMEDOUT' ? 'ldap_timeout' : 'ldap_unreachable',
    `${url}: ${remedy}${code === undefined ? '' : ` (${code})`}`,
    { sick: true, lost: true, ...(error instanceof Error && 'syscall' in error ? { cause: error } : {}) },
  )
}

/** For an answer that is not what LDAP says it has to be. */
export function malformed({ url }: ServerAddress, fault: string): ServerError {
  return new ServerError('ldap_answer_invalid', `${url}: ${fault}; is it an LDAP server, and of sound mind?`, {
    sick: true,
  })
}

/** What one needs to know of the result codes (RFC 4511 appendix A) that decide nothing. */
const RESULTS: ReadonlyMap<number, { readonly code: LdapErrorCode; readonly text: string; readonly sick?: boolean }> =
  new Map([
    [1, { code: 'ldap_answer_invalid', text: 'operationsError; Active Directory says so to who has not bound' }],
    [3, { code: 'ldap_timeout', text: 'timeLimitExceeded; is the attribute of the filter indexed?' }],
    [4, { code: 'ldap_answer_invalid', text: "sizeLimitExceeded by the server's own limit; narrow the search" }],
    [8, { code: 'ldap_answer_invalid', text: 'strongerAuthRequired; use ldaps: or `startTls: true`' }],
    [
      10,
      { code: 'ldap_answer_invalid', text: 'a referral, which is never followed; name the server that holds the base' },
    ],
    [11, { code: 'ldap_answer_invalid', text: 'adminLimitExceeded; narrow the search, or index its attributes' }],
    [13, { code: 'ldap_answer_invalid', text: 'confidentialityRequired; use ldaps: or `startTls: true`' }],
    [32, { code: 'ldap_answer_invalid', text: 'noSuchObject; is the base right, and may the account see it?' }],
    [34, { code: 'ldap_answer_invalid', text: 'invalidDNSyntax; look at the base and the DN template' }],
    [50, { code: 'ldap_answer_invalid', text: 'insufficientAccessRights; may the account search there?' }],
    [51, { code: 'ldap_unreachable', text: 'busy', sick: true }],
    [52, { code: 'ldap_unreachable', text: 'unavailable', sick: true }],
    [53, { code: 'ldap_unreachable', text: 'unwillingToPerform' }],
  ])

/** For a result that is neither a yes nor a no. The server's own words stay out: they may repeat what was sent. */
export function resultFailure(code: number, doing: string, { url }: ServerAddress): ServerError {
  const row = RESULTS.get(code)
  const message = `${url}: ${doing}: result ${code}${row === undefined ? '' : `, ${row.text}`}`
  return new ServerError(row?.code ?? 'ldap_answer_invalid', message, { sick: row?.sick === true })
}
