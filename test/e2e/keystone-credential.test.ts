/** The credential plugins against a real Keystone, as the processes kubectl starts. */

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { afterEach, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Ended, type Env, execInfo, parseCredential, startProcess } from '../cli/login-support.ts'
import { judge } from '../credential/client-go.ts'
import { type KeystoneRig, keystoneRig } from '../support/rigs.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url))
const LOGIN = /^POST \/v3\/auth\/tokens/

let keystone: KeystoneRig
let folder: TestFolder
let env: Env

before(async () => {
  keystone = await keystoneRig()
})

beforeEach(async () => {
  folder = await createFolder()
  await mkdir(folder.path('home'))
  env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder.path('home'),
    OS_AUTH_URL: keystone.url,
    OS_USERNAME: 'alice',
    OS_PASSWORD: 'alice-pw',
    OS_PROJECT_NAME: 'demo',
    OS_DOMAIN_NAME: 'Default',
  }
})
afterEach(() => folder.remove())

/** Started by this process, which is then the client that asks. */
function run(program: string, argv: readonly string[] = [], more: Env = {}): Promise<Ended> {
  return startProcess(process.execPath, [`${BIN}${program}`, ...argv], { ...env, ...more }).ended
}

/** Started by a process of its own, as by another kubectl. */
function runByAnother(program: string, argv: readonly string[] = [], more: Env = {}): Promise<Ended> {
  const command = ['-c', '"$@"; exit $?', 'sh', process.execPath, `${BIN}${program}`, ...argv]
  return startProcess('/bin/sh', command, { ...env, ...execInfo(), ...more }).ended
}

/** Whose a token is, by Keystone's word; `undefined`: it is not good. */
async function owner(token: string): Promise<{ user: string; project: string } | undefined> {
  const admin = await keystone.adminToken()
  const answer = await fetch(`${keystone.url}/auth/tokens`, {
    headers: { 'x-auth-token': admin, 'x-subject-token': token },
  })
  if (answer.status !== 200) return undefined
  const document = (await answer.json()) as { token: { user: { name: string }; project?: { name: string } } }
  return { user: document.token.user.name, project: document.token.project?.name ?? '' }
}

function tokenOf({ status, stdout, stderr }: Ended): string {
  assert.equal(status, 0, stderr)
  return parseCredential(stdout).status.token
}

describe('archway credential with a real Keystone', () => {
  test('logs in with a password, and is understood by client-go', async () => {
    const ended = await run('archway', ['credential'], execInfo())
    assert.deepEqual(await owner(tokenOf(ended)), { user: 'alice', project: 'demo' })
    const stanza = { apiVersion: 'client.authentication.k8s.io/v1', interactiveMode: 'IfAvailable' }
    assert.equal(judge('1.24', stanza, { stdout: ended.stdout, exit: 0 }).ok, true)
  })

  test('[C-02] logs in with an application credential by its id and secret alone', async () => {
    const { id, secret } = keystone.applicationCredential
    const more = {
      OS_USERNAME: '',
      OS_PASSWORD: '',
      OS_PROJECT_NAME: '',
      OS_DOMAIN_NAME: '',
      OS_APPLICATION_CREDENTIAL_ID: id,
      OS_APPLICATION_CREDENTIAL_SECRET: secret,
    }
    assert.deepEqual(await owner(tokenOf(await run('archway', ['credential'], more))), {
      user: 'alice',
      project: 'demo',
    })
    // [C-04] What an openrc file sets besides does not spoil it.
    const besides = { ...more, OS_PROJECT_NAME: 'demo', OS_USERNAME: 'alice' }
    assert.deepEqual(await owner(tokenOf(await run('client-keystone-auth', ['--force'], besides))), {
      user: 'alice',
      project: 'demo',
    })
  })

  test('[C-05] logs in with a cloud of clouds.yaml', async () => {
    const auth = {
      auth_url: keystone.url,
      username: 'bob',
      password: 'bob-pw',
      project_name: 'demo',
      domain_name: 'Default',
    }
    const file = await folder.write('clouds.yaml', JSON.stringify({ clouds: { demo: { auth } } }))
    const more = {
      OS_CLIENT_CONFIG_FILE: file,
      OS_AUTH_URL: '',
      OS_USERNAME: '',
      OS_PASSWORD: '',
      OS_PROJECT_NAME: '',
      OS_DOMAIN_NAME: '',
    }
    for (const program of ['archway', 'client-keystone-auth']) {
      const argv = program === 'archway' ? ['credential', '--os-cloud', 'demo'] : ['--os-cloud=demo']
      assert.deepEqual(await owner(tokenOf(await run(program, argv, more))), { user: 'bob', project: 'demo' })
    }
  })

  test('a wrong password is a refusal: nothing on stdout, and the account is tried once', async () => {
    const before = await keystone.countRequests(LOGIN)
    const wrong = { OS_PASSWORD: 'wrong-canary' }
    const first = await runByAnother('archway', ['credential'], wrong)
    assert.deepEqual([first.status, first.stdout], [3, ''])
    assert.match(first.stderr, /Keystone refuses .*alice/)
    const second = await runByAnother('client-keystone-auth', [], wrong)
    assert.deepEqual([second.status, second.stdout], [1, ''])
    assert.equal(second.stderr, 'Invalid user credentials were provided\n')
    assert.ok(!`${first.stderr}${second.stderr}`.includes('canary'))
    assert.equal((await keystone.countRequests(LOGIN)) - before, 1)
  })

  test('[C-13] the second run does not contact Keystone at all', async () => {
    const first = await runByAnother('archway', ['credential'])
    const before = await keystone.accessLog()
    const second = await runByAnother('archway', ['credential'])
    assert.equal(second.stdout, first.stdout)
    assert.equal((await keystone.accessLog()).length, before.length)
  })

  test('T-S12 fifty at once are one login', { timeout: 240_000 }, async () => {
    const before = await keystone.countRequests(LOGIN)
    const all = await Promise.all(Array.from({ length: 50 }, () => runByAnother('archway', ['credential'])))
    assert.equal(new Set(all.map(tokenOf)).size, 1)
    assert.equal((await keystone.countRequests(LOGIN)) - before, 1)
  })

  test('a revoked token is replaced for the client that asks again, and for those after it', async () => {
    const first = tokenOf(await run('archway', ['credential'], execInfo()))
    await keystone.revoke(first)
    const second = tokenOf(await run('archway', ['credential'], execInfo()))
    assert.notEqual(second, first)
    assert.deepEqual(await owner(second), { user: 'alice', project: 'demo' })
    assert.equal(tokenOf(await runByAnother('archway', ['credential'])), second)
  })

  test('T-S12 a home where nothing can be kept costs the memory, and not the login', async () => {
    const file = await folder.write('no-home', '')
    for (const HOME of [`${file}/home`, '/proc/nowhere']) {
      const quiet = await run('archway', ['credential'], { HOME })
      assert.deepEqual(await owner(tokenOf(quiet)), { user: 'alice', project: 'demo' })
      assert.equal(quiet.stderr, '')
      const told = await run('archway', ['credential', '-v'], { HOME })
      assert.match(told.stderr, /archway: the token is not kept: /)
    }
  })

  test('logout makes the token worthless', async () => {
    const token = tokenOf(await run('archway', ['credential']))
    const { status, stdout } = await run('archway', ['logout'])
    assert.equal(status, 0)
    assert.match(stdout, /alice .*project demo.*: token revoked/)
    assert.equal(await owner(token), undefined)
    const again = tokenOf(await runByAnother('archway', ['credential']))
    assert.deepEqual(await owner(again), { user: 'alice', project: 'demo' })
  })

  test('whoami has it from Keystone', async () => {
    const { status, stdout } = await run('archway', ['whoami', '-o', 'json'])
    assert.equal(status, 0)
    const [{ user, answer, about }] = JSON.parse(stdout).parts
    assert.deepEqual([user, answer], ['alice (domain Default)', 'known'])
    assert.match(about.join('\n'), /project demo \(domain Default\)\nroles .*member/)
  })

  test('an unscoped token and one for the whole system can be had as well', async () => {
    const unscoped = await run('archway', ['credential'], {
      OS_PROJECT_NAME: '',
      OS_USERNAME: 'dave',
      OS_PASSWORD: 'dave-pw',
      OS_DOMAIN_NAME: '',
    })
    assert.deepEqual(await owner(tokenOf(unscoped)), { user: 'dave', project: '' })
    const admin = { OS_USERNAME: 'admin', OS_PASSWORD: 'admin', OS_PROJECT_NAME: '', OS_SYSTEM_SCOPE: 'all' }
    assert.deepEqual(await owner(tokenOf(await run('archway', ['credential'], admin))), { user: 'admin', project: '' })
  })
})
