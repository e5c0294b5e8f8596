/**
 * A private key as `@peculiar/x509` wants it, and what it signs with. Owns which hash goes with which key.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto'
import { ArchwayError, messageOf } from '../errors.ts'
import { publicOf } from './keys.ts'

type SigningAlgorithm =
  | { readonly name: 'ECDSA'; readonly namedCurve: string; readonly hash: string }
  | { readonly name: 'RSASSA-PKCS1-v1_5'; readonly hash: string }
  | { readonly name: 'Ed25519' }

export interface SigningKeys {
  readonly algorithm: SigningAlgorithm
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
}

type CryptoKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>

/** Throws `key_unusable` for a key nothing can be signed with. */
export async function signingKeys(key: KeyObject): Promise<SigningKeys> {
  const algorithm = algorithmOf(key)
  const [pkcs8, spki] = [
    key.export({ type: 'pkcs8', format: 'der' }),
    publicOf(key).export({ type: 'spki', format: 'der' }),
  ]
  const [privateKey, publicKey] = await Promise.all([
    crypto.subtle.importKey('pkcs8', new Uint8Array(pkcs8), algorithm, true, ['sign']),
    crypto.subtle.importKey('spki', new Uint8Array(spki), algorithm, true, ['verify']),
  ])
  return { algorithm, privateKey, publicKey }
}

/** No certificate begins like this, so a signature of it is good for nothing else. */
const PROOF = new TextEncoder().encode('archway: a proof that this key signs')

/** Throws `key_unusable` where what the one key signs is not signed to the other. */
export async function proveKeys({ algorithm, privateKey, publicKey }: SigningKeys): Promise<void> {
  try {
    const signature = await crypto.subtle.sign(algorithm, privateKey, PROOF)
    if (await crypto.subtle.verify(algorithm, publicKey, signature, PROOF)) return
  } catch (cause) {
    throw new ArchwayError('key_unusable', `the key signs nothing (${messageOf(cause)})`, { cause })
  }
  throw new ArchwayError('key_unusable', 'the two halves of the key do not belong together')
}

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): SigningAlgorithm {
  switch (asymmetricKeyType) {
    case 'rsa':
      return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
    case 'ed25519':
      return { name: 'Ed25519' }
    case 'ec': {
      const found = CURVES.get(asymmetricKeyDetails?.namedCurve ?? '')
      if (found !== undefined) return found
    }
  }
  throw new ArchwayError(
    'key_unusable',
    `a key of type ${asymmetricKeyType} signs nothing here; use ECDSA, RSA or Ed25519`,
  )
}

const CURVES: ReadonlyMap<string, SigningAlgorithm> = new Map([
  ['prime256v1', { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }],
  ['secp384r1', { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' }],
  ['secp521r1', { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' }],
])
