/**
 * Which addresses are spoken to: https, and plain http where nobody is in between. Holds for the issuer that was
 * configured and for every address its discovery document names.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'

const WELL_KNOWN = '/.well-known/'

/** Where the discovery document is, and what the issuer has to call itself in it. */
export interface IssuerAddress {
  readonly discovery: URL
  /** Absent where the document's own address was configured: then whatever stands in it. */
  readonly issuer?: string
}

/** @throws ArchwayError `credential_settings_invalid`, naming the field. */
export function issuerAddress(text: string): IssuerAddress {
  const url = URL.parse(text)
  if (url === null) throw invalid('it is no URL; write https://HOST/…, as the issuer writes it itself')
  if (!isConfidential(url))
    throw invalid('it has to begin with https: (plain http is for 127.0.0.1 and localhost only)')
  if (url.username !== '' || url.password !== '') throw invalid('it must not have a user name or password in it')
  if (url.hash !== '') throw invalid('it must not have a fragment (#…)')
  if (url.pathname.includes(WELL_KNOWN)) return { discovery: url }
  if (text.includes('?')) throw invalid('an issuer has no query (?…)')
  const discovery = new URL(url)
  discovery.pathname = `${url.pathname.replace(/\/$/, '')}${WELL_KNOWN}openid-configuration`
  return { discovery, issuer: text }
}

/** https, or http to this machine. */
export function isConfidential(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url))
}

export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

function invalid(fault: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', `issuer: ${fault}`)
}
