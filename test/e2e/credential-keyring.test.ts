/** The cache that a real Secret Service opens: GNOME Keyring, one session after another. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { filesOf, inCache, newHome, pluginCommand } from '../credential/cache/cache-rig.ts'
import type { PluginJob } from '../credential/cache/plugin-program.ts'
import { type KeyringState, onKeyring } from '../support/rigs.ts'

const NOTHING = { before: 0, after: 0, locked: true, listed: 0 }

async function report(state: KeyringState, home: string, more: Partial<PluginJob> = {}) {
  const job: PluginJob = { does: 'report', kind: 'keyring', home, user: 'alice', ...more }
  return JSON.parse(await onKeyring(state, home, pluginCommand(job)))
}

function sealedIn(home: string): string[] {
  return readdirSync(inCache(home)).filter((name) => name.endsWith('.sealed'))
}

describe('a credential in the keyring', () => {
  it('comes back in the next session, whatever its length, and is nowhere to be read', async () => {
    const home = newHome()
    const first = await report('run', home, { tokenLength: 50_000 })
    assert.deepEqual(first, { before: 0, after: 50_000, locked: true, listed: 1, problem: '' })
    const next = await report('run', home)
    assert.deepEqual(next, { before: 50_000, after: 10, locked: true, listed: 1, problem: '' })
    for (const [name, content] of filesOf(inCache(home))) {
      assert.doesNotMatch(content, /t{5}|alice|token/, name)
      assert.equal(statSync(inCache(home, name)).mode & 0o777, 0o600)
    }
    assert.equal(sealedIn(home).length, 1)
  })

  it('T-S12: takes the place of one in a plain file', async () => {
    const home = newHome()
    await report('run', home, { kind: 'file' })
    const { before, after } = await report('run', home)
    assert.deepEqual([before, after], [0, 10])
    assert.deepEqual(
      readdirSync(inCache(home)).filter((name) => name.endsWith('.json')),
      [],
    )
  })

  it('T-S12: 12 at once on a new keyring log in once', async () => {
    const home = newHome()
    const logins = join(home, 'logins')
    const crowd = 'for _ in $(seq 12); do "$@" & done; wait'
    const job: PluginJob = { does: 'login', kind: 'keyring', home, user: 'alice', logins }
    const output = await onKeyring('run', home, ['bash', '-c', crowd, 'bash', ...pluginCommand(job)])
    const tokens = output.split('\n')
    assert.equal(tokens.length, 12)
    assert.equal(new Set(tokens).size, 1)
    assert.equal(readFileSync(logins, 'utf8'), 'login\n')
  })

  it('is a miss when the keyring is locked, and then nothing is kept', async () => {
    const home = newHome()
    await report('run', home)
    const files = filesOf(inCache(home))
    const { problem, ...rest } = await report('locked', home)
    assert.match(problem, /^the keyring cannot be used: .*dismissed/)
    assert.deepEqual(rest, NOTHING)
    assert.deepEqual(filesOf(inCache(home)), files)
    assert.equal((await report('run', home)).before, 10)
  })

  it('is a miss when there is no keyring, and is never kept in a plain file instead', async () => {
    const home = newHome()
    const { problem, ...rest } = await report('bare', home)
    assert.match(problem, /^the keyring cannot be used: .*org\.freedesktop\.secrets/)
    assert.deepEqual(rest, NOTHING)
    assert.deepEqual(readdirSync(inCache(home)), ['key'])
  })

  it('is a miss when the keyring is another one by now, and is replaced', async () => {
    const home = newHome()
    await report('run', home)
    rmSync(join(home, '.local'), { recursive: true })
    assert.deepEqual(await report('run', home), { before: 0, after: 10, locked: true, listed: 1, problem: '' })
  })

  it('T-S12: is a miss when any byte of its file is another, or it is under another name', async () => {
    const home = newHome()
    await report('run', home)
    const [name = ''] = sealedIn(home)
    const whole = readFileSync(inCache(home, name))
    for (const at of [0, 1, 13, 29, whole.length - 1]) {
      const spoilt = Buffer.from(whole)
      spoilt[at] = (spoilt[at] ?? 0) ^ 1
      writeFileSync(inCache(home, name), spoilt)
      assert.equal((await report('run', home)).before, 0, `byte ${at}`)
    }
    await report('run', home, { user: 'bob' })
    const [other = ''] = sealedIn(home).filter((file) => file !== name)
    writeFileSync(inCache(home, other), readFileSync(inCache(home, name)))
    assert.equal((await report('run', home, { user: 'bob' })).before, 0)
  })
})
