/**
 * Basic credentials of an Authorization header (RFC 7617), read as kube-apiserver read them up to 1.18.
 *
 * @module
 */

/**
 * User name and password, or undefined where the header has none: another scheme, base64 that is not, no colon. Split
 * at the first colon. What is not UTF-8 becomes ill-formed text, which is nobody's name and nobody's password: read in
 * another encoding it could be somebody's.
 */
export function basicCredential(authorization: string): { username: string; password: string } | undefined {
  const encoded = /^basic ([A-Za-z0-9+/]*={0,2})$/i.exec(authorization)?.[1]
  if (encoded === undefined || encoded.length % 4 !== 0) return undefined
  const bytes = Buffer.from(encoded, 'base64')
  const colon = bytes.indexOf(':')
  if (colon < 0) return undefined
  return { username: textOf(bytes.subarray(0, colon)), password: textOf(bytes.subarray(colon + 1)) }
}

function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return bytes.toString('latin1').replace(/[\x80-\xff]/g, (byte) => String.fromCharCode(0xdc00 | byte.charCodeAt(0)))
  }
}
