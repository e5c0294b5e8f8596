/** The keyring rig does what tests rely on. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { onKeyring } from './keyring.ts'
import { newFolder } from './script.ts'

/** Asks the bus whether there is a keyring. */
const HAS_KEYRING = `dbus-send --session --print-reply --dest=org.freedesktop.DBus / \
  org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets | grep -o 'true\\|false'`

it('brings a bus with a keyring, or without one', async () => {
  const home = newFolder('keyring')
  for (const [state, has] of [
    ['run', 'true'],
    ['locked', 'true'],
    ['bare', 'false'],
  ] as const) {
    assert.equal(await onKeyring(state, home, ['sh', '-c', HAS_KEYRING]), has, state)
  }
})

it('keeps its keyring in the home it is given, and ends with the command', async () => {
  const home = newFolder('keyring')
  const output = await onKeyring('run', home, ['sh', '-c', 'echo "$HOME $DBUS_SESSION_BUS_ADDRESS"'])
  assert.match(output, new RegExp(`^${home} unix:`))
  assert.ok(existsSync(join(home, '.local/share/keyrings/login.keyring')))
  const [, socket] = /path=([^,]+)/.exec(output) ?? []
  assert.equal(existsSync(socket ?? ''), false)
})

it('hands on the status of the command, and what it says', async () => {
  const home = newFolder('keyring')
  await assert.rejects(onKeyring('run', home, ['sh', '-c', 'echo out; echo err >&2; exit 7']), (error) => {
    assert.ok(error instanceof Error)
    assert.deepEqual({ ...error, cmd: '' }, { ...error, cmd: '', code: 7, stdout: 'out\n', stderr: 'err\n' })
    return true
  })
})
