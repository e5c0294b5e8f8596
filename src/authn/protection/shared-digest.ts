/**
 * The digest that replicas have in common, so that one counts what another saw. A digest under a key of the process
 * (`keyed-digest.ts`) means nothing to the next process; this one is under a key made of a secret that all are given.
 *
 * @module
 */
import { hkdfSync } from 'node:crypto'
import { ArchwayError } from '../../errors.ts'
import type { Secret } from '../../secret.ts'
import { type KeyedDigest, keyedDigest } from '../keyed-digest.ts'

/** A shorter secret could be tried out, and the names behind the digests with it. */
const MIN_LENGTH = 32

/** @throws ArchwayError `config_invalid`: the secret is short. White space at its ends is no part of it. */
export function sharedDigest(secret: Secret): KeyedDigest {
  const text = secret.reveal().trim()
  if (text.length < MIN_LENGTH) {
    const remedy = `of ${MIN_LENGTH} characters or more, such as \`openssl rand -hex 32\` prints`
    throw new ArchwayError('config_invalid', `keyFile: expected a secret ${remedy}`)
  }
  return keyedDigest(Buffer.from(hkdfSync('sha256', text, '', 'archway login counters', 32)))
}
