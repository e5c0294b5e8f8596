/**
 * Keyed digests of tokens: what stands in memory where a token must not. HMAC-SHA-256 (RFC 2104) under a key made
 * for the process, so that a digest means nothing outside of it.
 *
 * The construction is written out over the one-shot `crypto.hash`: `createHmac` makes a native object for every
 * digest, which with its collection costs more than the two hashes, on a path every review takes.
 *
 * @module
 */
import { hash, randomBytes } from 'node:crypto'

/** Gives the digest of a text, in base64url. */
export type KeyedDigest = (text: string) => string

const BLOCK = 64
const DIGEST = 32
const INNER_PAD = 0x36
const OUTER_PAD = 0x5c
/** Texts up to this many bytes go through one buffer that is kept. */
const KEPT = 8192

/** Makes a digest function; the key is random unless given (up to 64 bytes), and does not leave it. */
export function keyedDigest(key: Buffer = randomBytes(32)): KeyedDigest {
  if (key.length > BLOCK) throw new RangeError(`a key is at most ${BLOCK} bytes`)
  const kept = Buffer.alloc(BLOCK + KEPT)
  const innerPad = padded(key, INNER_PAD)
  innerPad.copy(kept)
  const outer = Buffer.concat([padded(key, OUTER_PAD), Buffer.alloc(DIGEST)])

  return (text) => {
    if (text.length * 3 > KEPT) return finish(Buffer.concat([innerPad, Buffer.from(text)]))
    const end = BLOCK + kept.write(text, BLOCK)
    const digest = finish(kept.subarray(0, end))
    kept.fill(0, BLOCK, end)
    return digest
  }

  function finish(inner: Buffer): string {
    outer.write(hash('sha256', inner, 'binary'), BLOCK, 'binary')
    return hash('sha256', outer, 'base64url')
  }
}

function padded(key: Buffer, pad: number): Buffer {
  const block = Buffer.alloc(BLOCK, pad)
  for (const [i, byte] of key.entries()) block[i] = byte ^ pad
  return block
}
