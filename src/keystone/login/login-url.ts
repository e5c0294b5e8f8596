/**
 * The identity URL of people: with a version at its end, without one, or copied with more behind it.
 *
 * @module
 */
import { type KeystoneUrl, parseKeystoneUrl } from '../url.ts'

/**
 * Reads the URL of a Keystone to log in to. What begins at the last path segment that is a version (`v3`, `v2.0`) is
 * cut off, as only v3 is spoken: `https://host/identity/v3/auth/tokens` is `https://host/identity/v3`. Without such a
 * segment Keystone has to be asked which versions it has.
 *
 * @throws ArchwayError `config_invalid`; the message never repeats the text.
 */
export function parseLoginUrl(text: string): KeystoneUrl {
  const [, server = '', path = ''] = /^(https?:\/\/[^/?#]+)(\/[^?#]*)$/i.exec(text) ?? []
  const segments = path.split('/')
  const version = segments.findLastIndex((segment) => /^v\d+(\.\d+)*$/i.test(segment))
  if (version === -1) return parseKeystoneUrl(text)
  return parseKeystoneUrl(`${server}${segments.slice(0, version).join('/')}/v3`)
}
