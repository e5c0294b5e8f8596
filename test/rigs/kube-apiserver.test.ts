/** The kube-apiserver rig does what tests rely on. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { Agent, request } from 'undici'
import { type ApiServer, type KubeApiserverRig, startKubeApiserver } from '../support/rigs.ts'

describe('a kube-apiserver', () => {
  let rig: KubeApiserverRig
  before(async () => {
    rig = await startKubeApiserver({ controllers: true })
  })
  after(() => rig[Symbol.asyncDispose]())

  it('obeys its admin', async () => {
    const { status, stdout, stderr } = await rig.kubectl(['get', 'namespace', 'default', '-o', 'name'])
    assert.equal(status, 0, stderr)
    assert.equal(stdout.trim(), 'namespace/default')
  })

  it('hands on what kubectl says of a failure', async () => {
    const { status, stderr } = await rig.kubectl(['get', 'namespace', 'nowhere'])
    assert.equal(status, 1)
    assert.match(stderr, /"nowhere" not found/)
  })

  it('believes the names its front proxy gives', async () => {
    const { caFile, url, frontProxy } = rig
    const dispatcher = new Agent({
      connect: {
        ca: await readFile(caFile),
        cert: await readFile(frontProxy.certFile),
        key: await readFile(frontProxy.keyFile),
      },
    })
    const headers = { 'x-remote-user': 'alice', 'x-remote-group': 'system:authenticated' }
    const { statusCode, body } = await request(`${url}/api/v1/secrets`, { dispatcher, headers })
    assert.equal(statusCode, 403)
    assert.match(await body.text(), /User \\"alice\\" cannot list resource \\"secrets\\"/)
    await dispatcher.close()
  })

  it('comes back at the same address with its objects and other flags', async () => {
    const made = await rig.kubectl(['create', 'namespace', 'kept'])
    assert.equal(made.status, 0, made.stderr)
    await rig.stop()
    await rig.start(['--anonymous-auth=false'])
    assert.equal((await rig.kubectl(['get', 'namespace', 'kept'])).status, 0)
    const dispatcher = new Agent({ connect: { ca: await readFile(rig.caFile) } })
    const { statusCode } = await request(`${rig.url}/version`, { dispatcher })
    assert.equal(statusCode, 401)
    await dispatcher.close()
  })

  it('says why it does not start', async () => {
    await assert.rejects(startKubeApiserver({ flags: ['--no-such-flag'] }), /unknown flag: --no-such-flag/)
  })
})

describe('two kube-apiservers on one etcd', () => {
  let rig: KubeApiserverRig
  before(async () => {
    rig = await startKubeApiserver({ servers: 2 })
  })
  after(() => rig[Symbol.asyncDispose]())

  const on = (server: ApiServer, ...args: readonly string[]): ReturnType<KubeApiserverRig['kubectl']> =>
    rig.kubectl([`--server=${server.url}`, ...args])

  it('show the same objects', async () => {
    const [first, second] = rig.servers as readonly [ApiServer, ApiServer]
    assert.equal(first.url, rig.url)
    const made = await on(first, 'create', 'namespace', 'shared')
    assert.equal(made.status, 0, made.stderr)
    const seen = await on(second, 'get', 'namespace', 'shared', '-o', 'name')
    assert.equal(seen.stdout.trim(), 'namespace/shared', seen.stderr)
  })

  it('one is killed and comes back, the other goes on', async () => {
    const [first, second] = rig.servers as readonly [ApiServer, ApiServer]
    await first.kill()
    assert.match((await on(first, 'get', 'namespaces')).stderr, /refused/)
    assert.equal((await on(second, 'create', 'namespace', 'meanwhile')).status, 0)
    await first.again()
    assert.equal((await on(first, 'get', 'namespace', 'meanwhile')).status, 0)
  })
})
