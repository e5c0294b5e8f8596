/**
 * Addresses of API servers: reads what was configured, and refuses what could not work or means more than an address.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'

/** Where one API server is. */
export interface UpstreamUrl {
  /** `host:port`, an IPv6 address in brackets: what people, logs and metrics call it. */
  readonly name: string
  /** Host name or address, in small letters, an IPv6 address without brackets. */
  readonly host: string
  readonly port: number
}

const EXAMPLE = 'write it like https://10.0.0.1:6443'

/**
 * Reads the URL of one API server: `https://10.0.0.1:6443`. Without a port it is 443, as in every URL.
 *
 * @throws ArchwayError `config_invalid`; the message never repeats the text, which may hold a password.
 */
export function parseUpstreamUrl(text: string): UpstreamUrl {
  if (/[\s\\]/.test(text)) throw invalid('it has blanks or backslashes in it', 'write the plain address')
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) throw invalid('it is not a URL', EXAMPLE)
  if (url.protocol !== 'https:') throw invalid('its scheme is not https', EXAMPLE)
  // The text, not the parsed URL: an empty user name, query or fragment leaves no trace there.
  if (!/^https:\/\/[^/]/i.test(text)) throw invalid('it has no host', EXAMPLE)
  if (/^https:\/\/[^/?#]*@/i.test(text)) {
    throw invalid('it has a user name in it', `write https://${url.host}; the client certificate is the credential`)
  }
  if (/[?#]/.test(text)) throw invalid('it has a query or a fragment', `write https://${url.host}`)
  if (!/^https:\/\/[^/]*\/?$/i.test(text)) {
    throw invalid('it has a path', `write https://${url.host}; requests keep the path they come with`)
  }
  if (url.port === '0') throw invalid('its port is 0', EXAMPLE)
  const port = url.port === '' ? 443 : Number(url.port)
  return { name: `${url.hostname}:${port}`, host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port }
}

/**
 * Reads them all. Names that differ may still be one machine; that is found by nobody here.
 *
 * @throws ArchwayError `config_invalid` for none, for one that {@link parseUpstreamUrl} refuses, and for two that are
 *   the same: it would be asked twice as often as the others, and ejected by halves.
 */
export function parseUpstreamUrls(texts: readonly string[]): readonly UpstreamUrl[] {
  const urls = texts.map(parseUpstreamUrl)
  if (urls.length === 0) {
    throw new ArchwayError('config_invalid', `no API server is named: give at least one upstream, ${EXAMPLE}`)
  }
  const names = urls.map(({ name }) => name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice === undefined) return urls
  throw new ArchwayError('config_invalid', `upstream ${twice} stands there twice: name each API server once`)
}

function invalid(fault: string, remedy: string): ArchwayError {
  return new ArchwayError('config_invalid', `the URL of an API server cannot be used: ${fault}; ${remedy}`)
}
