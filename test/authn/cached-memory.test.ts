import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { cached } from '../../src/authn/cached.ts'
import { callContext } from '../support/context.ts'
import { authenticated, timesInHeap } from './support.ts'

test('T-W7 no token stays in memory as text once it was looked up', async () => {
  // Never as a string of ours, which would be found as well.
  const token = Buffer.from(randomBytes(24).map((byte) => 0x61 + (byte % 26)))
  const cache = cached(
    { name: 'plain', authenticate: async () => authenticated({ source: 'a-source-that-is-remembered' }) },
    { ttlMs: 60_000, negativeTtlMs: 0, entries: 10, lookupTimeoutMs: 60_000 },
  )
  await cache.authenticate(token.toString(), callContext())
  assert.equal(cache.size, 1)
  assert.equal(await timesInHeap(token), 0)
  assert.ok((await timesInHeap(Buffer.from('a-source-that-is-remembered'))) > 0, 'the search finds what is alive')
})
