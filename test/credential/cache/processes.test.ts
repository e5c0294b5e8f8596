/** Many processes on one cache, and processes that are killed. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { filesOf, inCache, killed, newHome, openIn, pluginCommand, run, started } from './cache-rig.ts'

it('T-S12: 50 at once on a new home log in once, and all get that token', async () => {
  const home = newHome()
  const logins = join(home, 'logins')
  const command = pluginCommand({ does: 'login', kind: 'file', home, user: 'alice', logins })
  const tokens = await Promise.all(Array.from({ length: 50 }, () => run(command)))
  assert.equal(readFileSync(logins, 'utf8'), 'login\n')
  assert.equal(new Set(tokens).size, 1)
  assert.match(tokens[0] ?? '', /^token-of-\d+$/)
  assert.deepEqual(leftovers(home), [])
})

it('T-S12: a holder that was killed is followed by one process at a time', async () => {
  const home = newHome()
  const logins = join(home, 'turns')
  for (let round = 0; round < 3; round++) {
    await killed(await started({ does: 'hold', kind: 'file', home, user: 'alice' }))
    const command = pluginCommand({ does: 'turn', kind: 'file', home, user: 'alice', logins })
    await Promise.all(Array.from({ length: 12 }, () => run(command)))
  }
  assert.equal(readFileSync(logins, 'utf8'), 'in\nout\n'.repeat(3 * 12))
  assert.deepEqual(leftovers(home), [])
})

it('T-S12: killed at any moment of a write, the entry is one that was written, and the next gets in', async () => {
  const home = newHome()
  const store = openIn(home)
  const key = store.keyOf({ provider: 'keystone', user: 'alice' })
  for (let round = 0; round < 25; round++) {
    const child = await started({ does: 'churn', kind: 'file', home, user: 'alice' })
    const dots = Math.floor(Math.random() * 4)
    for (let dot = 0; dot < dots; dot++) if (child.stdout !== null) await once(child.stdout, 'data')
    for (let spin = Math.random() * 200_000; spin > 0; spin--); // to another point of its turn
    await killed(child)
    const token = (await store.read(key))?.token.reveal() ?? ''
    assert.match(token, /^(\d+-)\1*$/, 'not a whole token')
    const lock = await store.lock(key, 30_000)
    assert.ok(lock, 'the lock of a dead process was not taken over')
    await lock.release()
  }
  assert.equal(store.problem(), undefined)
})

/** Of locks; temporary files of killed processes stay until they are old. */
function leftovers(home: string): string[] {
  return [...filesOf(inCache(home)).keys()].filter((name) => name.includes('.lock'))
}
