/** A keyring that cannot be used: a miss, a sentence, no plain file, and nobody who waits for ever. With a real one: test/e2e. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { openKeyringStore } from '../../../src/credential/cache/keyring-store.ts'
import type { CredentialStore } from '../../../src/credential/cache/store.ts'
import { credentialOf, filesOf, filled, inCache, newHome, SUBJECT } from './cache-rig.ts'

const uid = process.geteuid?.()

/** A store whose keyring is looked for at `bus`. */
function openAt(bus: string, home: string, more: { readonly limitMs?: number; readonly program?: string } = {}) {
  const env = { PATH: process.env['PATH'], DBUS_SESSION_BUS_ADDRESS: bus }
  return openKeyringStore({ env, home, platform: process.platform, uid, ...more })
}

/** Writes and reads; gives back the problem. */
async function problemOf(store: CredentialStore): Promise<string> {
  const key = store.keyOf(SUBJECT)
  await store.write(key, credentialOf('canary'))
  assert.equal(await store.read(key), undefined)
  assert.deepEqual(await store.list(), [])
  return store.problem() ?? ''
}

describe('T-S12: without a keyring', { skip: process.platform !== 'linux' }, () => {
  it('nothing is kept, and the reason is told in one line', async () => {
    const home = newHome()
    const problem = await problemOf(openAt(`unix:path=${home}/no-bus`, home))
    assert.match(problem, /^the keyring cannot be used: .*(DBus|D-Bus).*$/)
    assert.deepEqual([...filesOf(inCache(home)).keys()], ['key'])
  })

  it('a login is not asked to wait for a bus that says nothing', async () => {
    const home = newHome()
    const sockets: Socket[] = []
    const server = createServer((socket) => sockets.push(socket)).listen(join(home, 'bus'))
    await once(server, 'listening')
    const problem = await problemOf(openAt(`unix:path=${home}/bus`, home, { limitMs: 400 }))
    assert.match(problem, /^the keyring cannot be used: it did not answer within 0.4 s; unlock it$/)
    assert.deepEqual([...filesOf(inCache(home)).keys()], ['key'])
    for (const socket of sockets) socket.destroy()
    server.close()
  })

  it('what asks it may be missing altogether', async () => {
    const home = newHome()
    const problem = await problemOf(openAt('', home, { program: join(home, 'missing.ts') }))
    assert.match(problem, /^the keyring cannot be used: the program that asks it has failed$/)
  })

  it('an entry of a plain file is not read, and is removed by a logout', async () => {
    const { home, key } = await filled()
    const store = openAt('', home)
    assert.equal(store.keyOf(SUBJECT), key)
    assert.equal(await store.read(key), undefined)
    assert.equal(store.problem(), undefined, 'nobody had to ask the keyring')
    await store.remove(key)
    assert.deepEqual([...filesOf(inCache(home)).keys()], ['key'])
  })
})
