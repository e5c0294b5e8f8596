/**
 * Where Keystone is: reads the configured URL, and refuses one that could not work.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'

/** A Keystone URL that was read. Tokens are sent to `origin` and below `path`, and nowhere else. */
export interface KeystoneUrl {
  /** Scheme, host and port: `https://keystone.example:5000`. */
  readonly origin: string
  /** Host alone; an IPv6 address stands in brackets. */
  readonly hostname: string
  /** Path without a slash at its end: ``, `/identity`, `/identity/v3`. */
  readonly path: string
  /** The path ends in `/v3`, so that it is used as it is; otherwise Keystone is asked which versions it has. */
  readonly versioned: boolean
  /** Plain `http:`: whoever is on the network between can read the tokens. */
  readonly insecure: boolean
}

/**
 * Reads the URL of a Keystone: `https://host:5000`, `https://host:5000/v3`, `https://host/identity/`.
 *
 * @throws ArchwayError `config_invalid`; the message never repeats the text, which may hold a password.
 */
export function parseKeystoneUrl(text: string): KeystoneUrl {
  if (/[\s\\]/.test(text)) throw invalid('it has blanks or backslashes in it', 'write the plain address')
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) throw invalid('it is not a URL', 'write it like https://keystone.example:5000/v3')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw invalid('its scheme is not https', 'write it like https://keystone.example:5000/v3')
  }
  if (!/^https?:\/\/[^/]/i.test(text)) throw invalid('it has no host', 'write it like https://keystone.example:5000/v3')
  // The text, not the parsed URL: an empty user name, query or fragment leaves no trace there.
  if (/^https?:\/\/[^/?#]*@/i.test(text)) {
    throw invalid('it has a user name in it', `write ${url.protocol}//${url.host}; no credentials are needed`)
  }
  if (/[?#]/.test(text)) throw invalid('it has a query or a fragment', `write ${url.origin}${url.pathname}`)
  const segments = url.pathname.split('/').filter((segment) => segment !== '')
  const last = segments.at(-1) ?? ''
  if (/^v2(\.\d+)?$/i.test(last)) {
    throw invalid('it is that of the Identity API v2.0, which Keystone no longer has', 'end it with /v3')
  }
  if (segments.slice(0, -1).includes('v3')) {
    throw invalid('it goes on after /v3', 'end it with /v3; the rest of each address is added here')
  }
  return {
    origin: url.origin,
    hostname: url.hostname,
    path: segments.map((segment) => `/${segment}`).join(''),
    versioned: last === 'v3',
    insecure: url.protocol === 'http:',
  }
}

function invalid(fault: string, remedy: string): ArchwayError {
  return new ArchwayError('config_invalid', `the Keystone URL cannot be used: ${fault}; ${remedy}`)
}
