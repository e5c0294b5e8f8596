/** The nginx rig does what tests rely on. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { after, before, describe, it } from 'node:test'
import { Agent, request } from 'undici'
import { type NginxRig, startNginx } from './nginx.ts'

describe('nginx', () => {
  let rig: NginxRig
  let behind: Server
  let dispatcher: Agent
  const seen: (string | string[] | undefined)[] = []

  before(async () => {
    rig = await startNginx()
    dispatcher = new Agent({ connect: { ca: rig.ca } })
    const clients = { ca: rig.ca, requestCert: true, rejectUnauthorized: true }
    behind = createServer({ ...rig.upstream, ...clients }, ({ headers }, response) => {
      seen.push(headers['x-remote-user'])
      response.end('from behind')
    })
    behind.listen(rig.behind, '127.0.0.1')
    await once(behind, 'listening')
  })
  after(async () => {
    await dispatcher?.close()
    behind?.closeAllConnections()
    behind?.close()
    await rig?.[Symbol.asyncDispose]()
  })

  function ask(headers: Record<string, string>) {
    return request(`${rig.url}/x`, { dispatcher, headers })
  }

  it('lets in who has the password, and names him behind it, over mutual TLS', async () => {
    const { username, password } = rig.account
    const basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
    const answer = await ask({ authorization: basic, 'x-remote-user': 'somebody else' })
    assert.deepEqual([answer.statusCode, await answer.body.text()], [200, 'from behind'])
    assert.deepEqual(seen, [username])
  })

  it('lets in nobody else', async () => {
    const refused = await ask({ 'x-remote-user': 'alice' })
    await refused.body.dump()
    assert.equal(refused.statusCode, 401)
    assert.equal(seen.length, 1)
  })

  it('says which version it is', () => {
    assert.match(rig.version, /^nginx\/\d+\.\d+\.\d+$/)
  })

  it('leaves nothing', async () => {
    const other = await startNginx()
    await other[Symbol.asyncDispose]()
    assert.equal(existsSync(other.dir), false)
  })
})
