/**
 * The one shape in which kube-apiserver writes a TokenReview, read by one anchored pattern: no value is built that
 * nobody looks at. Whatever differs by a byte is left to the general reader, so this decides nothing; it is only quick
 * where the bytes have a single reading (no escapes, no repeated key, nothing beyond ASCII).
 *
 * @module
 */
import type { TokenReview } from './token-review.ts'

/** `creationTimestamp` is written up to Kubernetes 1.33. A string here has neither quotes nor backslashes in it. */
const SHAPE =
  /^\{"kind":"TokenReview","apiVersion":"authentication\.k8s\.io\/(v1|v1beta1)","metadata":\{(?:"creationTimestamp":null)?\},"spec":\{"token":"([!#-[\]-~]+)"(?:,"audiences":\["([!#-[\]-~]+(?:","[!#-[\]-~]+)*)"\])?\},"status":\{"user":\{\}\}\}\n?$/

/** Longer ones are not what kube-apiserver sends, and are the general reader's to judge. */
const LONGEST = 16_384
const MOST_AUDIENCES = 64

/** The review, or `undefined` for everything that is not exactly of that shape. */
export function readCanonicalTokenReview(body: Buffer): TokenReview | undefined {
  if (body.length > LONGEST) return undefined
  const found = SHAPE.exec(body.toString('latin1'))
  if (found === null) return undefined
  const [, version, token = '', listed] = found
  const audiences = listed === undefined ? NONE : listed.split('","')
  if (audiences.length > MOST_AUDIENCES) return undefined
  return {
    kind: 'TokenReview',
    apiVersion: version === 'v1' ? 'authentication.k8s.io/v1' : 'authentication.k8s.io/v1beta1',
    token,
    audiences,
  }
}

const NONE: readonly string[] = Object.freeze([])
