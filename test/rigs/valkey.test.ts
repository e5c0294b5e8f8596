/** The valkey rig does what tests rely on. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { startValkey, type ValkeyRig } from './valkey.ts'

describe('valkey', () => {
  let rig: ValkeyRig
  before(async () => {
    rig = await startValkey()
  })
  after(() => rig[Symbol.asyncDispose]())

  it('answers who knows the password, in the clear and over TLS, and nobody else', async () => {
    assert.equal(await rig.cli('PING'), 'PONG')
    const tls = ['-p', String(rig.port + 1), '--tls', '--cacert', rig.caFile]
    assert.equal(await rig.cli(...tls, 'PING'), 'PONG')
    assert.match(await rig.cli('--user', 'default', '--pass', 'wrong', '--no-auth-warning', 'PING'), /NOAUTH|WRONGPASS/)
  })

  it('keeps data and address when stopped or killed', async () => {
    await rig.cli('SET', 'kept', 'yes')
    for (const end of [rig.stop, rig.kill]) {
      await end()
      await assert.rejects(rig.cli('PING'), /refused/)
      await rig.start()
      assert.equal(await rig.cli('GET', 'kept'), 'yes')
    }
  })

  it('leaves nothing', async () => {
    const other = await startValkey()
    await other[Symbol.asyncDispose]()
    assert.equal(existsSync(other.dir), false)
  })
})
