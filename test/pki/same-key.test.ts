import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generateKey, isSameKey, KEY_ALGORITHMS } from '../../src/pki/keys.ts'
import { NO_ALT_NAMES } from '../../src/pki/names.ts'
import { createRequest } from '../../src/pki/request.ts'

test('comparing keys of two kinds leaves nothing behind that breaks the next use of a key', async () => {
  const kinds = KEY_ALGORITHMS.filter((name) => name !== 'rsa-3072' && name !== 'rsa-4096')
  const keys = await Promise.all(kinds.map((kind) => generateKey(kind)))
  for (const [at, one] of keys.entries()) {
    for (const [other, two] of keys.entries()) {
      assert.equal(isSameKey(one, two), at === other, `${kinds[at]} and ${kinds[other]}`)
      await createRequest(one, { commonName: 'jane', organizations: [] }, NO_ALT_NAMES)
    }
  }
})
