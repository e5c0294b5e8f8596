import assert from 'node:assert/strict'
import { createHmac, randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { keyedDigest } from '../../src/authn/keyed-digest.ts'

describe('keyed digests of tokens', () => {
  test('T-W7 are HMAC-SHA-256, whatever the text and the key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.string({ unit: 'binary', maxLength: 5000 }), (key, text) => {
        const expected = createHmac('sha256', Buffer.from(key)).update(text).digest('base64url')
        assert.equal(keyedDigest(Buffer.from(key))(text), expected)
      }),
    )
  })

  test('are the same for texts on either side of the kept buffer', () => {
    const key = randomBytes(32)
    const digest = keyedDigest(key)
    for (const length of [0, 1, 2730, 2731, 2732, 8192, 100_000]) {
      for (const letter of ['a', '한']) {
        const text = letter.repeat(length)
        assert.equal(digest(text), createHmac('sha256', key).update(text).digest('base64url'), `${length}`)
      }
    }
  })

  test('a shorter text leaves nothing of the longer one before it', () => {
    const digest = keyedDigest(Buffer.alloc(32, 1))
    const alone = keyedDigest(Buffer.alloc(32, 1))('short')
    digest('a much longer text than the next')
    assert.equal(digest('short'), alone)
  })

  test('differ between processes: the key is made at random', () => {
    assert.notEqual(keyedDigest()('token'), keyedDigest()('token'))
  })

  test('a key that HMAC would hash first is refused', () => {
    assert.throws(() => keyedDigest(Buffer.alloc(65)), RangeError)
  })
})
