/**
 * Signing algorithms (RFC 7518, 8037, 9864): those that can be allowed, and which key each takes. Only public keys
 * verify here: `none` and the HMAC algorithms are in no list.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto'

export const SIGNING_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const

export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number]

const CURVES: ReadonlyMap<SigningAlgorithm, string> = new Map([
  ['ES256', 'prime256v1'],
  ['ES384', 'secp384r1'],
  ['ES512', 'secp521r1'],
])

/** RFC 7518, sections 3.3 and 3.5. */
const MIN_RSA_BITS = 2048

export function isSigningAlgorithm(value: unknown): value is SigningAlgorithm {
  return SIGNING_ALGORITHMS.some((algorithm) => algorithm === value)
}

/** Whether a public key is of the type, and strong enough, for an algorithm. */
export function fits(key: KeyObject, algorithm: SigningAlgorithm): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (algorithm === 'EdDSA' || algorithm === 'Ed25519') return type === 'ed25519'
  const curve = CURVES.get(algorithm)
  if (curve !== undefined) return type === 'ec' && details?.namedCurve === curve
  return type === 'rsa' && (details?.modulusLength ?? 0) >= MIN_RSA_BITS
}
