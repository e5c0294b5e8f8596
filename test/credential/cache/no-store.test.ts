/** Keeping nothing on purpose. */

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { it } from 'node:test'
import { Secret } from '../../../src/secret.ts'
import { credentialOf, newHome, openIn, SUBJECT } from './cache-rig.ts'

it('nothing is kept, nothing is made, and there is no problem', async () => {
  const home = newHome()
  const store = openIn(home, 'none')
  const key = store.keyOf(SUBJECT)
  await store.write(key, credentialOf('x'))
  await store.served(key, credentialOf('x'), { pid: 1, started: '' })
  assert.equal(await store.read(key), undefined)
  assert.equal(await store.wasServed(key, credentialOf('x'), { pid: 1, started: '' }), false)
  assert.deepEqual(await store.list(), [])
  await store.remove(key)
  assert.equal(store.problem(), undefined)
  assert.deepEqual(readdirSync(home), [])
})

it('names hold for one store and no other', () => {
  const [one, other] = [openIn('', 'none'), openIn('', 'none')]
  assert.equal(one.keyOf(SUBJECT), one.keyOf({ ...SUBJECT }))
  assert.notEqual(one.keyOf(SUBJECT), other.keyOf(SUBJECT))
  assert.notEqual(one.digest(new Secret('s')), other.digest(new Secret('s')))
})

it('nobody waits for a lock, unless the wait is over before it begins', async () => {
  const store = openIn('', 'none')
  assert.ok(await store.lock('x', 0))
  assert.ok(await store.lock('x', 0))
  const reason = new Error('enough')
  await assert.rejects(store.lock('x', 0, AbortSignal.abort(reason)), reason)
})
