import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { quote } from '../../src/oidc/failure.ts'
import { Secret } from '../../src/secret.ts'

describe('what an issuer says, quoted', () => {
  it('has no control, format or separator characters in it, and is short', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 1000 }), (text) => {
        const quoted = quote(text, [])
        assert.doesNotMatch(quoted, /[\p{C}\p{Zl}\p{Zp}]/u)
        assert.ok(quoted.length <= 201)
      }),
    )
  })

  it('T-S1 has no secret in it, as it is or coded, wherever it stands', () => {
    const secret = fc
      .string({ unit: 'grapheme-ascii', minLength: 4, maxLength: 60 })
      .filter((text) => text.trim() === text)
    fc.assert(
      fc.property(secret, fc.string(), fc.string(), (value, before, after) => {
        for (const written of [
          value,
          encodeURIComponent(value),
          new URLSearchParams({ '': value }).toString().slice(1),
        ]) {
          const quoted = quote(`${before}${written}${after}`, [new Secret(value)])
          if (!'[redacted]'.includes(value)) assert.ok(!quoted.includes(value), quoted)
        }
      }),
    )
  })

  it('is cut after the secret was taken out, so that no part of one is left', () => {
    const token = 'T'.repeat(300)
    assert.equal(quote(`bad token ${token}`, [new Secret(token)]), 'bad token [redacted]')
  })

  it('can quote beside a secret that is no good text', () => {
    assert.equal(quote('wrong', [new Secret('\ud800\ud800\ud800\ud800')]), 'wrong')
  })

  it('leaves ordinary text as it is', () => {
    assert.equal(quote('grant request is invalid, 잘못된 요청', []), 'grant request is invalid, 잘못된 요청')
  })
})
