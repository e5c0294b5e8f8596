/**
 * Keys: made, written, read, judged. PKCS #8 PEM out, in the clear or encrypted; every form OpenSSL writes in. Owns
 * which algorithms there are and which keys are weak; leaves files to `key-file.ts`.
 *
 * @module
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair as generateKeyPairWithCallback,
  type KeyObject,
} from 'node:crypto'
import { promisify } from 'node:util'
import { ArchwayError } from '../errors.ts'
import { Secret } from '../secret.ts'

export const KEY_ALGORITHMS = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-3072', 'rsa-4096', 'ed25519'] as const
export type KeyAlgorithm = (typeof KEY_ALGORITHMS)[number]

const generateKeyPair = promisify(generateKeyPairWithCallback)

/** Makes a private key. */
export async function generateKey(algorithm: KeyAlgorithm): Promise<KeyObject> {
  return (await keyPairOf(algorithm)).privateKey
}

function keyPairOf(algorithm: KeyAlgorithm): Promise<{ readonly privateKey: KeyObject }> {
  switch (algorithm) {
    case 'ecdsa-p256':
      return generateKeyPair('ec', { namedCurve: 'prime256v1' })
    case 'ecdsa-p384':
      return generateKeyPair('ec', { namedCurve: 'secp384r1' })
    case 'ed25519':
      return generateKeyPair('ed25519')
    case 'rsa-2048':
    case 'rsa-3072':
    case 'rsa-4096':
      return generateKeyPair('rsa', { modulusLength: Number(algorithm.slice(4)) })
    default:
      return algorithm satisfies never
  }
}

/** PKCS #8 PEM; under a passphrase encrypted with AES-256. */
export function keyPem(key: KeyObject, passphrase?: Secret): Secret {
  const pem =
    passphrase === undefined
      ? key.export({ type: 'pkcs8', format: 'pem' })
      : key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: passphrase.reveal() })
  return new Secret(pem.toString())
}

/** SubjectPublicKeyInfo PEM. */
export function publicKeyPem(key: KeyObject): string {
  return publicOf(key).export({ type: 'spki', format: 'pem' }).toString()
}

/** The public half; of a public key itself. */
export function publicOf(key: KeyObject): KeyObject {
  return key.type === 'public' ? key : createPublicKey(key)
}

export interface ReadKeyOptions {
  /** What messages call it. */
  readonly where: string
  readonly passphrase?: Secret | undefined
}

/**
 * Reads a private key, PEM.
 *
 * @throws ArchwayError `key_unusable` where there is none, or the passphrase is missing or wrong
 */
export function readKey(pem: Secret, { where, passphrase }: ReadKeyOptions): KeyObject {
  const text = pem.reveal()
  if (isEncryptedKey(text) && passphrase === undefined) {
    throw new ArchwayError('key_unusable', `${where}: is encrypted; name its passphrase with --passphrase-file`)
  }
  try {
    return createPrivateKey({ key: text, ...(passphrase === undefined ? {} : { passphrase: passphrase.reveal() }) })
  } catch {
    // What OpenSSL has to say may quote what it read.
    const why = passphrase === undefined ? 'expected one in PEM' : 'expected one in PEM, and its passphrase'
    throw new ArchwayError('key_unusable', `${where}: is no private key that can be read; ${why}`)
  }
}

/** Whether a PEM file holds a key under a passphrase: PKCS #8, or the older way. */
export function isEncryptedKey(pem: string): boolean {
  return pem.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----') || /^Proc-Type: 4,ENCRYPTED\r?$/m.test(pem)
}

/** Whether two keys, private or public, are halves of the same. */
export function isSameKey(one: KeyObject, other: KeyObject): boolean {
  // Node leaves an error of OpenSSL behind where the types differ, which the next import of a key takes for its own.
  return one.asymmetricKeyType === other.asymmetricKeyType && publicOf(one).equals(publicOf(other))
}

/** What a key is, and what is to be thought of it. */
export interface KeyJudgement {
  /** `RSA`, `ECDSA`, `Ed25519`, or OpenSSL's word for anything else. */
  readonly algorithm: string
  /** Bits of the modulus, or of the curve. */
  readonly bits: number
  /** `RSA 2048 bits`, `ECDSA P-256`. */
  readonly text: string
  /** Why it should not be used, or Kubernetes cannot use it; undefined where it is good. */
  readonly weakness: string | undefined
}

const CURVES: ReadonlyMap<string, { readonly name: string; readonly bits: number }> = new Map([
  ['prime256v1', { name: 'P-256', bits: 256 }],
  ['secp384r1', { name: 'P-384', bits: 384 }],
  ['secp521r1', { name: 'P-521', bits: 521 }],
])
const LEAST_RSA_BITS = 2048
/** More only keeps the other side busy; Go refuses it in TLS. */
const MOST_RSA_BITS = 8192
const LEAST_EXPONENT = 65_537n
const MOST_EXPONENT = 2n ** 31n - 1n

/** Judges a key by what is sound today and by what Kubernetes, that is Go, can use. */
export function judgeKey(key: KeyObject): KeyJudgement {
  const { modulusLength = 0, publicExponent = 0n, namedCurve = '' } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return {
        algorithm: 'RSA',
        bits: modulusLength,
        text: `RSA ${modulusLength} bits`,
        weakness: weaknessOfRsa(modulusLength, publicExponent),
      }
    case 'ec': {
      const curve = CURVES.get(namedCurve)
      const { name, bits } = curve ?? { name: namedCurve, bits: 0 }
      const weakness = curve === undefined ? `curve ${namedCurve} is weak, or none that Kubernetes can use` : undefined
      return { algorithm: 'ECDSA', bits, text: `ECDSA ${name}`, weakness }
    }
    case 'ed25519':
      return { algorithm: 'Ed25519', bits: 256, text: 'Ed25519', weakness: undefined }
    default: {
      const algorithm = key.asymmetricKeyType ?? 'unknown'
      return { algorithm, bits: 0, text: algorithm, weakness: `${algorithm} is no algorithm that Kubernetes can use` }
    }
  }
}

function weaknessOfRsa(bits: number, exponent: bigint): string | undefined {
  if (bits < LEAST_RSA_BITS) return `RSA with ${bits} bits is weak; ${LEAST_RSA_BITS} are the least`
  if (bits > MOST_RSA_BITS) return `RSA with ${bits} bits is more than Kubernetes takes (${MOST_RSA_BITS})`
  if (exponent < LEAST_EXPONENT) return `RSA with exponent ${exponent} is weak; ${LEAST_EXPONENT} is usual`
  return exponent > MOST_EXPONENT ? 'its RSA exponent is larger than Kubernetes takes' : undefined
}
