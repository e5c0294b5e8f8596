import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { readCanonicalTokenReview } from '../../src/kube/canonical-token-review.ts'
import { parseAnyReview } from '../../src/kube/review.ts'

/** A TokenReview the way Go writes it: no blanks, `<`, `>`, `&` and two line separators escaped. */
function written(token: string, audiences: readonly string[], version: string, metadata: object): Buffer {
  const text = JSON.stringify({
    kind: 'TokenReview',
    apiVersion: `authentication.k8s.io/${version}`,
    metadata,
    spec: { token, ...(audiences.length > 0 ? { audiences } : {}) },
    status: { user: {} },
  })
  return Buffer.from(
    `${text.replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`,
  )
}

const WORD = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 40 })
const REVIEW = fc
  .tuple(
    fc.oneof(WORD, fc.base64String({ minLength: 1 }), fc.string({ unit: 'binary', minLength: 1 })),
    fc.array(WORD, { maxLength: 4 }),
    fc.constantFrom('v1', 'v1beta1'),
    fc.constantFrom({ creationTimestamp: null }, {}),
  )
  .filter(([token]) => token.isWellFormed())

describe('the canonical TokenReview', () => {
  test('what kube-apiserver sends for an ordinary token is canonical, before and after 1.34', () => {
    for (const version of ['v1', 'v1beta1']) {
      for (const metadata of [{ creationTimestamp: null }, {}]) {
        const body = written('gAAAAAB-x_y=', ['https://kubernetes.default.svc', 'other'], version, metadata)
        assert.deepEqual(readCanonicalTokenReview(body), parseAnyReview(body))
        assert.notEqual(readCanonicalTokenReview(written('t', [], version, metadata)), undefined)
      }
    }
  })

  test('T-W11 is read as the general reader reads it, or not at all', () => {
    fc.assert(
      fc.property(REVIEW, (review) => {
        const body = written(...review)
        const canonical = readCanonicalTokenReview(body)
        if (canonical !== undefined) assert.deepEqual(canonical, parseAnyReview(body))
      }),
      { numRuns: 1000 },
    )
  })

  test('T-W11 whatever byte is changed, put in or taken out, the two readers never differ', () => {
    const body = written('gAAAAAB-token', ['a', 'b'], 'v1', { creationTimestamp: null })
    const bytes = fc.constantFrom(...Buffer.from('"\\,:{}[] \n\0aA1'), 0x7f, 0x80, 0xc3, 0xff)
    fc.assert(
      fc.property(fc.nat(body.length), bytes, fc.constantFrom('change', 'insert', 'remove'), (at, byte, how) => {
        const rest = how === 'insert' ? at : at + 1
        const middle = how === 'remove' ? [] : [byte]
        const mutant = Buffer.concat([body.subarray(0, at), Buffer.from(middle), body.subarray(rest)])
        const canonical = readCanonicalTokenReview(mutant)
        if (canonical !== undefined) assert.deepEqual(canonical, parseAnyReview(mutant))
      }),
      { numRuns: 5000 },
    )
  })

  test('escapes, repeated keys, other orders, blanks, 65 audiences and long bodies are left to the general reader', () => {
    const canonical = written('t', ['a'], 'v1', { creationTimestamp: null }).toString()
    const others = [
      canonical.replace('"t"', '"\\u0074"'),
      canonical.replace('"token":"t"', '"token":"t","token":"u"'),
      canonical.replace('"kind"', ' "kind"'),
      canonical.replace('"token":"t"', '"token":""'),
      canonical.replace('"status":{"user":{}}', '"status":{}'),
      canonical.replace('v1"', 'v2"'),
      `${canonical}x`,
      written('t', Array(65).fill('a'), 'v1', {}).toString(),
      written('t'.repeat(20_000), [], 'v1', {}).toString(),
      '',
    ]
    for (const text of others) assert.equal(readCanonicalTokenReview(Buffer.from(text)), undefined, text.slice(0, 200))
  })
})
