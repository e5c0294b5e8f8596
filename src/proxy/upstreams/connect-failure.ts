/**
 * Why there is no connection to an API server, and what to do about it: from the codes of Node and OpenSSL to a
 * sentence for whoever set this up.
 *
 * @module
 */
import { messageOf } from '../../errors.ts'
import { UpstreamFailure } from '../upstream/upstream.ts'
import { ADDRESS_REFUSED } from './addresses.ts'

/** Code of the error for a connection that was not made in time. */
export const CONNECT_TIMEOUT = 'ERR_CONNECT_TIMEOUT'

const UNTRUSTED = "this CA did not sign the API server's certificate; put the right one into the upstream CA file"
const DISTRUSTED =
  'it does not take the front-proxy certificate: a CA it asks for clients by must have signed it ' +
  '(--requestheader-client-ca-file of the API server)'
const NO_TLS = 'that port does not speak TLS; is it the secure port of an API server?'
const NO_VERSION = 'it has no TLS 1.2 or later; upgrade it'

const REMEDIES: ReadonlyMap<string, string> = new Map([
  [ADDRESS_REFUSED, 'the name leads to loopback or link-local addresses only; if that is meant, write the address'],
  ['CERT_HAS_EXPIRED', 'its certificate, or that of an authority, has expired; renew it (or set the clock here)'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet; look at the clock here'],
  ['CERT_SIGNATURE_FAILURE', UNTRUSTED],
  ['CERT_UNTRUSTED', UNTRUSTED],
  [CONNECT_TIMEOUT, 'no connection was made in time; look at the address, the network and firewalls'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', UNTRUSTED],
  ['EAI_AGAIN', 'the name server did not answer; look at the DNS'],
  ['ECONNREFUSED', 'nothing listens there; is the API server running, and is the port right?'],
  [
    'ECONNRESET',
    'the connection was closed before it was made; was the server stopped, or does the port speak no TLS?',
  ],
  ['EHOSTUNREACH', 'there is no way to that host; look at routes and firewalls'],
  ['EMFILE', 'this process has no more descriptors; raise the limit of open files (ulimit -n)'],
  ['ENETUNREACH', 'there is no way to that network; look at routes and firewalls'],
  ['ENOTFOUND', 'the host name is not known; is it spelled right, and in the DNS?'],
  ['EPROTO', NO_TLS],
  ['ERR_SSL_HTTP_REQUEST', NO_TLS],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', NO_TLS],
  ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', DISTRUSTED],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'the front-proxy certificate has expired; renew it'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN', DISTRUSTED],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', DISTRUSTED],
  ['ERR_SSL_TLSV1_ALERT_ACCESS_DENIED', DISTRUSTED],
  ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', NO_VERSION],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', DISTRUSTED],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', NO_VERSION],
  ['ERR_SSL_WRONG_VERSION_NUMBER', NO_TLS],
  ['ETIMEDOUT', 'no connection was made in time; look at the address, the network and firewalls'],
  ['SELF_SIGNED_CERT_IN_CHAIN', UNTRUSTED],
  ['UNABLE_TO_GET_ISSUER_CERT', UNTRUSTED],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', UNTRUSTED],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', UNTRUSTED],
])

/** What is wrong here and not there: it says nothing of the server. */
const OUR_OWN: ReadonlySet<string> = new Set([
  'EACCES',
  'EADDRNOTAVAIL',
  'EAGAIN',
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'EPERM',
])

/** The failure for an error of a socket, of TLS, or of looking the name up. `server` is its name for people. */
export function connectFailure(error: unknown, server: string): UpstreamFailure {
  if (error instanceof UpstreamFailure) return error
  // A system error says which call and which address. Others hold certificates.
  const cause = error instanceof Error && 'syscall' in error ? { cause: error } : {}
  return new UpstreamFailure('unreachable', `${server}: ${explained(error)}`, cause)
}

/** A sentence for what broke a connection, whenever that was; TLS 1.3 tells of a certificate after the handshake. */
export function explained(error: unknown): string {
  const code = codeOf(error)
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return nameMismatch(error)
  const remedy = code === undefined ? undefined : REMEDIES.get(code)
  return remedy === undefined ? messageOf(error) : `${remedy} (${code})`
}

/** Whether this machine, and not the server, is to blame: descriptors, ports, memory. */
export function isOurFault(failure: UpstreamFailure): boolean {
  return OUR_OWN.has(codeOf(failure.cause) ?? '')
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function nameMismatch(error: unknown): string {
  return `its certificate is for other names (${namesIn(error)}); give one of them as --upstream-server-name, or use it in the URL`
}

/** The names of the certificate that was shown, for the log: printable, and not without end. */
function namesIn(error: unknown): string {
  const shown: unknown = error instanceof Error && 'cert' in error ? error.cert : undefined
  const names: unknown = shown instanceof Object && 'subjectaltname' in shown ? shown.subjectaltname : undefined
  if (typeof names !== 'string' || names === '') return 'it has none'
  const text = names.replaceAll('IP Address:', 'IP:').replace(/[^\x20-\x7e]/g, '?')
  return text.length > 300 ? `${text.slice(0, 300)} …` : text
}
