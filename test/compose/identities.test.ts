import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import type { AuthnResult } from '../../src/authn/authenticator.ts'
import { type Identities, openIdentities } from '../../src/compose/identities.ts'
import { loadConfig } from '../../src/config/load.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts'
import { callContext } from '../support/context.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'

const users = (entries: Readonly<Record<string, string>>): string =>
  Object.entries(entries)
    .map(([name, password]) => `${name}:{SHA}${createHash('sha1').update(password).digest('base64')}\n`)
    .join('')

describe('passwords of all sources', () => {
  let folder: TestFolder
  before(async () => {
    folder = await createFolder()
  })
  after(() => folder.remove())

  interface Opened extends AsyncDisposable {
    readonly identities: Identities
    readonly metrics: Metrics
    readonly path: string
    login(username: string, password: string, address?: string): Promise<string>
    count(event: string): Promise<number>
  }

  async function open(over: object = {}): Promise<Opened> {
    const path = await folder.write('users.htpasswd', users({ alice: 'alice-pw', bob: 'bob-pw' }))
    const text = JSON.stringify({ authenticators: [{ passwordFile: { path } }], ...over })
    const metrics = createMetrics('0.0.0-test')
    const identities = await openIdentities({
      config: loadConfig({ file: { path: 'archway.yaml', text }, door: 'none' }),
      metrics,
      log: await createLogger({ level: 'error', format: 'json', write: () => {} }),
      version: '0.0.0-test',
    })
    return {
      identities,
      metrics,
      path,
      async login(username, password, address = '192.0.2.1') {
        const credentials = Buffer.from(`${username}:${password}`).toString('base64')
        const headers = [['Authorization', `Basic ${credentials}`]] as const
        return told(await identities.requests.authenticate({ headers, address }, callContext()))
      },
      async count(event) {
        const { values } = await metrics.loginEvents.get()
        return values.find(({ labels }) => labels.event === event)?.value ?? 0
      },
      [Symbol.asyncDispose]: async () => identities.close(),
    }
  }

  function told(result: AuthnResult): string {
    return result.kind === 'authenticated' ? result.user.username : result.kind === 'rejected' ? result.code : 'skipped'
  }

  test('T-S4 guesses at one address are refused unseen, counted, and keep nobody out elsewhere', async () => {
    await using opened = await open({
      loginProtection: { pair: { free: 2, firstDelay: '1h', longestDelay: '1h', forgetAfter: '2h' } },
    })
    const { login, count } = opened
    for (const guess of ['a', 'b']) assert.equal(await login('alice', guess), 'login_failed')
    assert.equal(await login('alice', 'c'), 'login_locked')
    assert.equal(await login('alice', 'alice-pw'), 'login_locked')
    assert.equal(await login('bob', 'bob-pw'), 'bob')
    assert.equal(await login('alice', 'alice-pw', '198.51.100.7'), 'alice')
    assert.deepEqual([await count('failed'), await count('delayed')], [2, 2])
  })

  test('a good password is remembered, a bad one never', async () => {
    await using opened = await open()
    const { login, identities, metrics } = opened
    for (let n = 0; n < 3; n++) assert.equal(await login('alice', 'alice-pw'), 'alice')
    for (let n = 0; n < 3; n++) assert.equal(await login('bob', 'wrong'), 'login_failed')
    assert.deepEqual(
      identities.caches.map(({ source, cache }) => [source, cache.size]),
      [['passwords', 1]],
    )
    const { values } = await metrics.cacheEvents.get()
    assert.equal(values.find(({ labels }) => labels.event === 'hit')?.value, 2)
  })

  test('a changed password file makes forget what was remembered', async () => {
    await using opened = await open()
    const { login, identities } = opened
    assert.equal(await login('alice', 'alice-pw'), 'alice')
    await folder.write('users.htpasswd', users({ alice: 'other-pw' }))
    await Promise.all(identities.files.map((file) => file.check()))
    assert.equal(await login('alice', 'alice-pw'), 'login_failed')
    assert.equal(await login('alice', 'other-pw'), 'alice')
  })

  test('T-S4 counters that cannot be shared are replaced by those in memory: nobody unprotected, nobody kept out', async () => {
    const keyFile = await folder.write('counters.key', `${'k'.repeat(64)}\n`)
    const valkey = { url: 'redis://127.0.0.1:1', keyFile }
    const pair = { free: 1, firstDelay: '1h', longestDelay: '1h', forgetAfter: '2h' }
    await using opened = await open({ loginProtection: { pair, valkey } })
    assert.equal(await opened.login('bob', 'bob-pw'), 'bob')
    assert.equal(await opened.login('alice', 'wrong'), 'login_failed')
    assert.equal(await opened.login('alice', 'guess'), 'login_locked')
    assert.ok((await opened.count('fallback')) > 0)
    const short = await folder.write('short.key', 'short\n')
    await assert.rejects(open({ loginProtection: { valkey: { ...valkey, keyFile: short } } }), {
      code: 'config_invalid',
    })
    await assert.rejects(open({ loginProtection: { valkey: { ...valkey, keyFile: '/nonexistent' } } }), {
      code: 'file_invalid',
      message: /loginProtection\.valkey\.keyFile/,
    })
  })

  test('T-W6 a reserved group of the file stays out', async () => {
    const path = await folder.write('own.htpasswd', users({ alice: 'alice-pw' }))
    const groupsFile = await folder.write('groups.csv', 'alice,u1,"system:masters,devs"\n')
    await using opened = await open({ authenticators: [{ passwordFile: { path, groupsFile } }] })
    const headers = [['Authorization', `Basic ${Buffer.from('alice:alice-pw').toString('base64')}`]] as const
    const result = await opened.identities.requests.authenticate({ headers }, callContext())
    assert.ok(result.kind === 'authenticated')
    assert.deepEqual([result.user.uid, result.user.groups], ['u1', ['devs', 'system:authenticated']])
  })
})

describe('readiness', () => {
  test('the one source that is down makes unready, one of several is told as away', async () => {
    const away = { keystone: { url: 'http://127.0.0.1:1/v3' } }
    const open = async (authenticators: readonly object[]): Promise<Identities> =>
      openIdentities({
        config: loadConfig({ file: { path: 'archway.yaml', text: JSON.stringify({ authenticators }) }, door: 'none' }),
        metrics: createMetrics('0.0.0-test'),
        log: await createLogger({ level: 'error', format: 'json', write: () => {} }),
        version: '0.0.0-test',
      })
    const one = await open([away])
    await assert.rejects(async () => one.checks[0]?.check(), { code: 'keystone_unreachable' })
    await one.close()
    const two = await open([away, { anonymous: {} }])
    const result = await two.checks[0]?.check()
    assert.equal(result?.ok, true)
    assert.match(result.detail ?? '', /^away: /)
    await two.close()
  })
})
