/**
 * Addresses of LDAP servers, and whether the way to them is protected.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'

/** How the connection is protected before anything of worth is sent. */
export type Protection = 'ldaps' | 'startTls' | 'none'

/** One server. */
export interface ServerAddress {
  /** As it was written, for people. */
  readonly url: string
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  readonly port: number
  readonly protection: Protection
}

/** What `ldap:` addresses may do. Exactly one of the two, or neither where all addresses are `ldaps:`. */
export interface PlainRules {
  /** Begin with StartTLS; where the server will not, the connection is given up. */
  readonly startTls?: boolean
  /** Send everything unprotected, passwords included. */
  readonly allowPlain?: boolean
}

const DEFAULT_PORT = { 'ldap:': 389, 'ldaps:': 636 } as const

/** `ldaps://host`, `ldap://host:389`. Throws `config_invalid` that says what is wrong. */
export function parseLdapUrl(text: string, { startTls = false, allowPlain = false }: PlainRules = {}): ServerAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'ldap:' && url.protocol !== 'ldaps:') || url.hostname === '') {
    throw invalid('expected ldaps://host or ldap://host, with a port where it is not the usual one')
  }
  if (url.username !== '' || url.password !== '') throw invalid('no user or password: use bindDn and its password')
  if ((url.pathname !== '' && url.pathname !== '/') || url.search !== '' || url.hash !== '') {
    throw invalid('nothing may follow host and port; where to search is set by `base`')
  }
  const host = decodeURIComponent(url.hostname.replace(/^\[(.*)\]$/, '$1'))
  if (!/^[\w.:-]+$/.test(host)) throw invalid('the host has characters no host name has')
  if (startTls && allowPlain) throw invalid('`startTls` and `allowPlain` exclude each other')
  if (url.protocol === 'ldap:' && !startTls && !allowPlain) {
    throw invalid('passwords would be sent unprotected: write ldaps:, or set `startTls: true`')
  }
  const port = url.port === '' ? DEFAULT_PORT[url.protocol] : Number(url.port)
  return { url: text, host, port, protection: url.protocol === 'ldaps:' ? 'ldaps' : startTls ? 'startTls' : 'none' }
}

/** The text is never repeated: it may hold a password. */
function invalid(fault: string): ArchwayError {
  return new ArchwayError('config_invalid', `the address cannot be used: ${fault}`)
}
