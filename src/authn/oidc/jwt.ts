/**
 * A token as a JWT in compact form (RFC 7515, section 3.1): cut, decoded and read, nothing of it believed yet.
 *
 * @module
 */
import { type Claims, readObject } from './claims.ts'

/** Longer texts are not decoded at all. */
const MAX_DECODED = 65_536

export interface UnverifiedJwt {
  readonly header: Claims
  readonly claims: Claims
  /** What makes it unfit before any key is looked at. */
  readonly problem: string | undefined
}

/** Cuts and reads; `undefined` where the text is no JWT. Never throws, linear in the length. */
export function readJwt(token: string): UnverifiedJwt | undefined {
  if (token.length > MAX_DECODED || !/^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)) return undefined
  const parts = token.split('.')
  const [header, claims] = parts.slice(0, 2).map((part) => readObject(Buffer.from(part, 'base64url')))
  if (header === undefined || claims === undefined || !header.value.has('alg')) return undefined
  return {
    header: header.value,
    claims: claims.value,
    problem: header.problem ?? claims.problem ?? encodingProblem(parts) ?? headerProblem(header.value),
  }
}

/** Two texts that decode to the same bytes would be two tokens to whatever remembers or revokes tokens. */
function encodingProblem(parts: readonly string[]): string | undefined {
  const canonical = parts.every((part) => Buffer.from(part, 'base64url').toString('base64url') === part)
  return canonical ? undefined : 'a part is not canonical base64url'
}

/** Extensions that change what is signed, or how (RFC 7515, section 4.1.11; RFC 7797), are in no token of an issuer. */
function headerProblem(header: Claims): string | undefined {
  const extension = ['crit', 'b64', 'zip'].find((name) => header.has(name))
  return extension === undefined ? undefined : `the header has ${extension}`
}
