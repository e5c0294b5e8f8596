/**
 * Addresses as people write them: refuses those that cannot be meant, and brings two spellings of one Keystone
 * together.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'

/** Of an address that was read. */
export interface Address {
  /** As it was written. */
  readonly text: string
  /** The same for every spelling. */
  readonly canonical: string
  /** Plain http to another machine. */
  readonly readable: boolean
}

/**
 * An Identity URL. Canonical is what stands before the version, wherever that is in the path (C-09):
 * `HTTPS://K.example:443/identity/v3/` is `https://k.example/identity`.
 *
 * @throws ArchwayError `credential_settings_invalid`; it never repeats the text, which may hold a password.
 */
export function identityAddress(text: string, source: string): Address {
  const url = readUrl(text, source, 'https://keystone.example:5000/v3')
  if (text.includes('{')) throw invalid(`${source} has { in it; only {region_name} is understood, with OS_REGION_NAME`)
  if (/[?#]/.test(text)) throw invalid(`${source} has a query or a fragment: write ${url.origin}${url.pathname}`)
  const segments = url.pathname.split('/').filter((segment) => segment !== '')
  const version = segments.findIndex((segment) => /^v\d+(\.\d+)*$/i.test(segment))
  const path = version === -1 ? segments : segments.slice(0, version)
  return {
    text,
    canonical: [url.origin, ...path].join('/'),
    readable: url.protocol === 'http:' && !isLoopback(url.hostname),
  }
}

/** An issuer or its discovery document: compared to the letter, so canonical is as written. */
export function issuerAddress(text: string, source: string): string {
  readUrl(text, source, 'https://issuer.example')
  if (text.includes('#')) throw invalid(`${source} has a fragment: leave out what follows #`)
  return text
}

/** Where the issuer sends the browser back to: an address of this machine. */
export interface RedirectAddress {
  readonly port: number
  readonly host: '127.0.0.1' | 'localhost'
  readonly path: string
}

/** A redirect URI as openstackclient takes it, `http://localhost:8080/`. Issuers compare it as it is registered. */
export function redirectAddress(text: string, source: string): RedirectAddress {
  const url = readUrl(text, source, 'http://localhost:8080/')
  const { protocol, hostname, port, pathname, search, hash } = url
  if (protocol !== 'http:' || (hostname !== 'localhost' && hostname !== '127.0.0.1') || search !== '' || hash !== '') {
    throw invalid(`${source} does not lead to this machine: write http://localhost:PORT/ or http://127.0.0.1:PORT/`)
  }
  return { port: port === '' ? 80 : Number(port), host: hostname, path: pathname }
}

function readUrl(text: string, source: string, example: string): URL {
  const url = /[\s\\]/.test(text) || !URL.canParse(text) ? undefined : new URL(text)
  if (url === undefined || !/^https?:\/\/[^/]/i.test(text)) {
    throw invalid(`${source} is no URL that can be used: write it like ${example}`)
  }
  // The text, not the parsed URL: an empty user name leaves no trace there.
  if (/^https?:\/\/[^/?#]*@/i.test(text)) {
    throw invalid(`${source} has a user name in it: write ${url.protocol}//${url.host}`)
  }
  return url
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

function invalid(message: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', message)
}
