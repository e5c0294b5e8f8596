/**
 * A JSON Web Key Set (RFC 7517): which of its keys may verify what. Keys that cannot be used are left out, so that one
 * of a kind we do not know keeps none of the others from working.
 *
 * @module
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { fits, SIGNING_ALGORITHMS, type SigningAlgorithm } from './algorithms.ts'

/** Keys of one set that are read. */
const MAX_KEYS = 100
/** Keys that are tried on a token that does not name its key. */
const MAX_TRIED = 10

/** What is asked of a key, from the unverified header. */
export interface WantedKey {
  /** `undefined`: the token names none, so each that fits is tried. */
  readonly keyId: string | undefined
  readonly algorithm: SigningAlgorithm
}

export interface KeySet {
  /** Keys that can be used at all. */
  readonly size: number
  find(wanted: WantedKey): readonly KeyObject[]
}

const jwk = z.looseObject({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  kid: z.string().optional(),
  use: z.string().optional(),
  key_ops: z.array(z.string()).optional(),
  alg: z.string().optional(),
})
const jwks = z.object({ keys: z.array(z.unknown()) })

interface UsableKey {
  readonly keyId: string | undefined
  readonly algorithm: string | undefined
  readonly key: KeyObject
}

/** The set of a parsed document; `undefined` where it is none. */
export function readKeySet(document: unknown): KeySet | undefined {
  const parsed = jwks.safeParse(document)
  if (!parsed.success) return undefined
  const usable = parsed.data.keys.slice(0, MAX_KEYS).flatMap(toUsable)
  return {
    size: usable.length,
    find({ keyId, algorithm }) {
      const candidates = usable.filter(
        (candidate) =>
          (keyId === undefined || candidate.keyId === keyId) &&
          (candidate.algorithm ?? algorithm) === algorithm &&
          fits(candidate.key, algorithm),
      )
      return candidates.slice(0, MAX_TRIED).map(({ key }) => key)
    },
  }
}

function toUsable(value: unknown): UsableKey[] {
  const parsed = jwk.safeParse(value)
  if (!parsed.success) return []
  const { kid, use = 'sig', key_ops: operations = ['verify'], alg } = parsed.data
  if (use !== 'sig' || !operations.includes('verify')) return []
  try {
    const key = createPublicKey({ key: parsed.data, format: 'jwk' })
    return SIGNING_ALGORITHMS.some((algorithm) => fits(key, algorithm)) ? [{ keyId: kid, algorithm: alg, key }] : []
  } catch {
    return []
  }
}
