/** The Keystone rig does what tests rely on. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { before, describe, it } from 'node:test'
import { freePorts, type KeystoneRig, keystoneRig, startKeystone } from '../support/rigs.ts'

describe('the shared Keystone', () => {
  let rig: KeystoneRig
  before(async () => {
    rig = await keystoneRig()
  })

  it('lets a seeded user in and knows its groups', async () => {
    const token = await rig.token('alice', 'alice-pw', 'demo')
    const { status, body } = await rig.api('GET', `/users/${rig.ids.users['alice']}/groups`, undefined, token)
    assert.equal(status, 200)
    assert.deepEqual(
      body.groups.map((group: { name: string }) => group.name),
      ['k8s-devs'],
    )
  })

  it('refuses a wrong password in words', async () => {
    await assert.rejects(rig.token('alice', 'wrong'), /did not let alice in: 401/)
  })

  it('counts each request exactly once, as soon as it is answered', async () => {
    const before = await rig.countRequests(/^GET \/v3\/auth\/projects 401$/)
    for (let turn = 1; turn <= 5; turn++) {
      await rig.api('GET', '/auth/projects', undefined, 'no-token')
      assert.equal(await rig.countRequests(/^GET \/v3\/auth\/projects 401$/), before + turn)
    }
  })

  it('forgets a revoked token', async () => {
    const token = await rig.token('bob', 'bob-pw', 'demo')
    await rig.revoke(token)
    assert.equal((await rig.api('GET', '/auth/projects', undefined, token)).status, 401)
  })
})

describe("a test's own Keystone", () => {
  it('stops, comes back at the same address with its data, and leaves nothing', async () => {
    const rig = await startKeystone()
    const token = await rig.token('carol', 'carol-pw', 'ops')
    await rig.stop()
    await assert.rejects(rig.token('carol', 'carol-pw', 'ops'), /ECONNREFUSED/)
    assert.equal(await rig.countRequests(/^POST \/v3\/auth\/tokens 201$/), 1)
    await rig.start()
    assert.equal((await rig.api('GET', '/auth/projects', undefined, token)).status, 200)
    assert.equal(await rig.countRequests(/^POST \/v3\/auth\/tokens 201$/), 1)
    await rig[Symbol.asyncDispose]()
    assert.equal(existsSync(rig.dir), false)
  })

  it('serves TLS from a CA of its own, and an application credential', async () => {
    const rig = await startKeystone({ tls: true })
    assert.match(rig.url, /^https:/)
    assert.ok(rig.caFile)
    const { id, secret } = rig.applicationCredential
    const login = {
      auth: { identity: { methods: ['application_credential'], application_credential: { id, secret } } },
    }
    const { status, body } = await rig.api('POST', '/auth/tokens', login)
    assert.equal(status, 201)
    assert.equal(body.token.project.name, 'demo')
    await rig[Symbol.asyncDispose]()
  })
})

it('finds ports in a row that are free to listen on', async () => {
  const first = await freePorts(3)
  const servers = [0, 1, 2].map((offset) => createServer().listen(first + offset, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  for (const server of servers) server.close()
})
