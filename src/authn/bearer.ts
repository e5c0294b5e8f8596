/**
 * The bearer token of an Authorization header, read as kube-apiserver reads it. Owns the header's grammar; leaves the
 * judgement of the token to the authenticators.
 *
 * @module
 */
import { headerText } from './header-text.ts'

/** What Go's `strings.TrimSpace` takes off; `String.prototype.trim` takes U+FEFF too, and leaves U+0085. */
const OUTER_SPACE = /^\p{White_Space}+|\p{White_Space}+$/gu

/**
 * The token, or undefined when the header has none: another scheme, the scheme alone, or two spaces after it. What
 * follows the token after a space is ignored; a tab does not separate.
 *
 * Takes the value as `node:http` hands it over, one character a byte, and reads those as UTF-8; bytes that are not
 * UTF-8 stay as they are.
 */
export function bearerToken(authorization: string): string | undefined {
  const [scheme, token] = headerText(authorization).replace(OUTER_SPACE, '').split(' ', 2)
  return scheme?.toLowerCase() === 'bearer' && token !== '' ? token : undefined
}
