/** The slapd rig does what tests rely on. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { Client, InvalidCredentialsError } from 'ldapts'
import { type SlapdRig, startSlapd } from './slapd.ts'

describe('slapd', () => {
  let rig: SlapdRig
  before(async () => {
    rig = await startSlapd()
  })
  after(() => rig[Symbol.asyncDispose]())

  async function bind(url: string, dn: string, password: string): Promise<void> {
    const ca = await readFile(rig.caFile)
    const client = new Client({ url, ...(url.startsWith('ldaps:') ? { tlsOptions: { ca } } : {}) })
    try {
      await client.bind(dn, password)
    } finally {
      await client.unbind()
    }
  }
  const dnOf = (uid: string): string => `uid=${uid},ou=people,${rig.base}`

  it('lets a seeded person in, in the clear and over TLS, and refuses a wrong password', async () => {
    await bind(rig.url, dnOf('alice'), 'alice-pw')
    await bind(rig.ldapsUrl, dnOf('bob'), 'bob-pw')
    await assert.rejects(bind(rig.url, dnOf('alice'), 'bob-pw'), InvalidCredentialsError)
  })

  it('takes entries, changes them, and writes down each operation', async () => {
    const entry = { objectClass: 'inetOrgPerson', uid: 'kim', cn: '김철수', sn: '김', userPassword: 'kim-pw' }
    await rig.add(dnOf('kim'), entry)
    await bind(rig.url, dnOf('kim'), 'kim-pw')
    await rig.replace(dnOf('kim'), 'userPassword', ['other'])
    await assert.rejects(bind(rig.url, dnOf('kim'), 'kim-pw'), InvalidCredentialsError)
    const binds = (await rig.log()).filter((line) => line.includes(`BIND dn="${dnOf('kim')}" method=128`))
    assert.equal(binds.length, 2)
  })

  it('keeps data and address when stopped or killed', async () => {
    for (const end of [rig.stop, rig.kill]) {
      await end()
      await assert.rejects(bind(rig.url, dnOf('alice'), 'alice-pw'), /ECONNREFUSED/)
      await rig.start()
      await bind(rig.url, dnOf('alice'), 'alice-pw')
    }
  })

  it('leaves nothing', async () => {
    const other = await startSlapd()
    await other[Symbol.asyncDispose]()
    assert.equal(existsSync(other.dir), false)
  })
})
