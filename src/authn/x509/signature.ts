/**
 * Signatures of certificates and CRLs: which algorithms and keys count, and whether one holds. Those of Go's
 * crypto/x509: RSA PKCS #1 and PSS, ECDSA, each with SHA-256, 384 or 512, and Ed25519. MD5, SHA-1 and DSA do not count;
 * neither do RSA keys below 1024 bits, nor those above 8192 or with exponents above 31 bits, made to keep a server busy.
 *
 * @module
 */
import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { countOf, type Der, MalformedError, membersOf, oidOf, TAG } from './der.ts'

/** How something was signed. */
export interface SignatureAlgorithm {
  readonly keyType: 'rsa' | 'ec' | 'ed25519'
  /** As OpenSSL calls it; Ed25519 has its own. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | undefined
  readonly isPss: boolean
}

type Hash = NonNullable<SignatureAlgorithm['hash']>

const HASHES: ReadonlyMap<string, Hash> = new Map([
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
])
const SALT_BYTES: Readonly<Record<Hash, number>> = { sha256: 32, sha384: 48, sha512: 64 }
const RSA_PSS = '1.2.840.113549.1.1.10'
const MGF1 = '1.2.840.113549.1.1.8'
const ED25519 = '1.3.101.112'

const PLAIN: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ['1.2.840.113549.1.1.11', { keyType: 'rsa', hash: 'sha256', isPss: false }],
  ['1.2.840.113549.1.1.12', { keyType: 'rsa', hash: 'sha384', isPss: false }],
  ['1.2.840.113549.1.1.13', { keyType: 'rsa', hash: 'sha512', isPss: false }],
  ['1.2.840.10045.4.3.2', { keyType: 'ec', hash: 'sha256', isPss: false }],
  ['1.2.840.10045.4.3.3', { keyType: 'ec', hash: 'sha384', isPss: false }],
  ['1.2.840.10045.4.3.4', { keyType: 'ec', hash: 'sha512', isPss: false }],
])

const CURVES: ReadonlySet<string> = new Set(['secp224r1', 'prime256v1', 'secp384r1', 'secp521r1'])
const RSA_BITS = { min: 1024, max: 8192 } as const
const MAX_EXPONENT = 2n ** 31n - 1n

/** Reads an AlgorithmIdentifier; `undefined` for one that does not count. */
export function signatureAlgorithm(der: Der): SignatureAlgorithm | undefined {
  if (der.tag !== TAG.sequence || der.children.length > 2) throw new MalformedError('signature algorithm: is malformed')
  const [type, parameters] = der.children
  const oid = oidOf(type, 'signature algorithm')
  if (oid === RSA_PSS) return pssAlgorithm(parameters)
  if (oid === ED25519)
    return parameters === undefined ? { keyType: 'ed25519', hash: undefined, isPss: false } : undefined
  return PLAIN.get(oid)
}

/** PSS as everybody makes it: one hash for all, the salt as long as it, the default trailer (RFC 8017, A.2.3). */
function pssAlgorithm(parameters: Der | undefined): SignatureAlgorithm | undefined {
  if (parameters === undefined) return undefined
  const members = membersOf(parameters, TAG.sequence, 'PSS parameters')
  const hash = hashOf(members.takeIf(0xa0)?.children)
  const [mask] = members.takeIf(0xa1)?.children ?? []
  const [salt] = members.takeIf(0xa2)?.children ?? []
  const [trailer] = members.takeIf(0xa3)?.children ?? []
  members.end()
  if (hash === undefined || mask === undefined || salt === undefined) return undefined // the defaults mean SHA-1
  const fits =
    mask.tag === TAG.sequence &&
    mask.children[0]?.oid === MGF1 &&
    hashOf(mask.children.slice(1)) === hash &&
    salt.tag === TAG.integer &&
    countOf(salt, 'PSS salt length') === SALT_BYTES[hash] &&
    (trailer === undefined || (trailer.tag === TAG.integer && countOf(trailer, 'PSS trailer') === 1))
  return fits ? { keyType: 'rsa', hash, isPss: true } : undefined
}

/** The hash of an AlgorithmIdentifier that is the only member of `wrapper`; its parameters are NULL or absent. */
function hashOf(wrapper: readonly Der[] = []): Hash | undefined {
  const [algorithm, more] = wrapper
  const [oid, parameters, rest] = algorithm?.children ?? []
  if (algorithm?.tag !== TAG.sequence || more !== undefined || rest !== undefined) return undefined
  if (parameters !== undefined && (parameters.tag !== TAG.null || parameters.content.length > 0)) return undefined
  return HASHES.get(oid?.oid ?? '')
}

/** Reads a SubjectPublicKeyInfo; `undefined` for a key that does not count. */
export function publicKeyOf(spki: Uint8Array): KeyObject | undefined {
  const key = keyOrNone(spki)
  const { modulusLength = 0, publicExponent = 0n, namedCurve = '' } = key?.asymmetricKeyDetails ?? {}
  switch (key?.asymmetricKeyType) {
    case 'rsa':
      return modulusLength >= RSA_BITS.min && modulusLength <= RSA_BITS.max && publicExponent <= MAX_EXPONENT
        ? key
        : undefined
    case 'ec':
      return CURVES.has(namedCurve) ? key : undefined
    case 'ed25519':
      return key
    default:
      return undefined
  }
}

function keyOrNone(spki: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}

/** Something signed: the bytes and what is claimed of them. */
export interface Signed {
  readonly signedBytes: Uint8Array
  /** `undefined`: one that does not count. */
  readonly algorithm: SignatureAlgorithm | undefined
  readonly signature: Uint8Array
}

/** Whether the signature is by this key. */
export function isSignedBy({ signedBytes, algorithm, signature }: Signed, key: KeyObject): boolean {
  if (algorithm === undefined || key.asymmetricKeyType !== algorithm.keyType) return false
  const { hash, isPss } = algorithm
  const padding =
    isPss && hash !== undefined
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: SALT_BYTES[hash] }
      : algorithm.keyType === 'rsa'
        ? { padding: constants.RSA_PKCS1_PADDING }
        : {}
  try {
    return verify(hash, signedBytes, { key, ...padding }, signature)
  } catch {
    return false // OpenSSL's word for a signature that is none
  }
}
