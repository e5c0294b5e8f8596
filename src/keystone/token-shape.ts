/**
 * What a bearer token looks like. Any token that nobody else knew ends up here, and those that cannot be Keystone's
 * must not reach it: they fill its logs, and they are somebody's secrets.
 *
 * @module
 */
import { parseJson } from './json.ts'

/** Longest token that is sent to Keystone, in characters. Its own are near 200 (Fernet) or below 2,000 (JWS). */
export const MAX_TOKEN_LENGTH = 8192

/**
 * - `keystone`: may be one of Keystone's: Fernet, UUID, JWS, or opaque.
 * - `empty`, `too_long`, `not_ascii`: no token at all.
 * - `bootstrap`: a Kubernetes bootstrap token, `abcdef.0123456789abcdef`.
 * - `foreign_jwt`: a JOSE token (RFC 7515, 7516, 7519) that Keystone did not make.
 */
export type TokenShape = 'keystone' | 'empty' | 'too_long' | 'not_ascii' | 'bootstrap' | 'foreign_jwt'

/** Tells by its shape whether a token may be Keystone's. Never throws; linear in the token's length. */
export function tokenShape(token: string): TokenShape {
  if (token === '') return 'empty'
  if (token.length > MAX_TOKEN_LENGTH) return 'too_long'
  if (!/^[\x21-\x7e]+$/.test(token)) return 'not_ascii'
  if (/^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(token)) return 'bootstrap'
  if (isJose(token) && !isKeystoneJws(token)) return 'foreign_jwt'
  return 'keystone'
}

/** Whether a token may be Keystone's: {@link tokenShape} is `keystone`. */
export function looksLikeKeystoneToken(token: string): boolean {
  return tokenShape(token) === 'keystone'
}

/** Whether a token can stand in a request header at all. */
export function isSendable(token: string): boolean {
  const shape = tokenShape(token)
  return shape !== 'empty' && shape !== 'too_long' && shape !== 'not_ascii'
}

/** Dots, and a first part that is the beginning of a JSON object. */
function isJose(token: string): boolean {
  const dot = token.indexOf('.')
  return dot > 0 && decode(token.slice(0, dot)).trimStart().startsWith('{')
}

/**
 * Keystone's signed tokens (`[token] provider = jws`) have `openstack_methods` and more of that family, and neither an
 * issuer nor anything of Kubernetes.
 */
function isKeystoneJws(token: string): boolean {
  const parts = token.split('.', 4)
  if (parts.length !== 3) return false
  const claims = parseJson(decode(parts[1] ?? ''))
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return false
  const names = Object.keys(claims)
  if (names.includes('iss') || names.some((name) => /^kubernetes\.io(\/|$)/.test(name))) return false
  return names.some((name) => name.startsWith('openstack_'))
}

function decode(part: string): string {
  return Buffer.from(part, 'base64url').toString('utf8')
}
