import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sharedDigest } from '../../../src/authn/protection/shared-digest.ts'
import { Secret } from '../../../src/secret.ts'

const SECRET = '0123456789abcdef0123456789abcdef'

test('is the same for the same secret, however its file ends, and another for another', () => {
  const digest = sharedDigest(new Secret(SECRET))('alice')
  assert.match(digest, /^[\w-]{43}$/)
  assert.equal(sharedDigest(new Secret(`${SECRET}\n`))('alice'), digest)
  assert.notEqual(sharedDigest(new Secret(SECRET.toUpperCase()))('alice'), digest)
  assert.notEqual(sharedDigest(new Secret(SECRET))('bob'), digest)
})

test('T-S4 a secret that could be tried out is refused', () => {
  for (const short of ['', 'hunter2', SECRET.slice(1), `${SECRET.slice(1)} \n\n`]) {
    assert.throws(() => sharedDigest(new Secret(short)), { code: 'config_invalid', message: /32 characters or more/ })
  }
})
