/** archway credential: what is printed, what is kept, how it fails, and what it takes to start. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { globSync, readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { exitStatusOf } from '../../src/credential/exit-status.ts'
import { ArchwayError, type ErrorCode } from '../../src/errors.ts'
import { type ClientLine, judge, playSequence } from '../credential/client-go.ts'
import { hang, keystoneError, reply } from '../support/fake-keystone.ts'
import { execInfo, PASSWORD, type Person, parseCredential, somebody } from './login-support.ts'

let alice: Person
beforeEach(async () => {
  alice = await somebody()
})
afterEach(() => alice[Symbol.asyncDispose]())

const credential = (...argv: string[]) => ['credential', ...argv]

describe('archway credential', () => {
  test('prints one ExecCredential, and the second time without asking Keystone', async () => {
    const first = await alice.run('archway', credential())
    assert.deepEqual([first.status, first.err], [0, ''])
    const { apiVersion, kind, status } = parseCredential(first.out)
    assert.deepEqual([apiVersion, kind], ['client.authentication.k8s.io/v1beta1', 'ExecCredential'])
    assert.match(status.token, /^gAAAAAB/)
    const { length } = alice.keystone.requests
    const second = await alice.run('archway', credential())
    assert.equal(second.out, first.out)
    assert.equal(alice.keystone.requests.length, length)
  })

  test('says an expiry that is a minute before the one Keystone has given', async () => {
    const expiresAt = new Date(Date.now() + 3_600_000)
    const { out } = await alice.run('archway', credential())
    const said = new Date(parseCredential(out).status.expirationTimestamp)
    const early = (expiresAt.getTime() - said.getTime()) / 1000
    assert.ok(early > 0 && early < 62, `${early} s`) // Keystone's hour began a moment after ours
  })

  for (const [line, version] of [
    ['1.20', 'v1alpha1'],
    ['1.20', 'v1beta1'],
    ['1.24', 'v1beta1'],
    ['1.24', 'v1'],
  ] as const) {
    test(`its answer to ${version} is one that client-go ${line} takes`, async () => {
      const { out, status } = await alice.run('archway', credential(), execInfo({}, version))
      const stanza = { apiVersion: `client.authentication.k8s.io/${version}`, interactiveMode: 'IfAvailable' }
      const judged = judge(line, stanza, { stdout: out, exit: status })
      assert.equal(judged.ok, true)
      assert.equal(judged.ok && judged.token, parseCredential(out).status.token)
    })
  }

  for (const line of ['1.20', '1.24'] as const satisfies readonly ClientLine[]) {
    test(`client-go ${line} gets another token after a 401, and goes on with it`, async () => {
      const stanza = { apiVersion: 'client.authentication.k8s.io/v1beta1', interactiveMode: 'IfAvailable' }
      const info = execInfo(line === '1.20' ? {} : { interactive: false }, 'v1beta1')
      const tokens: string[] = []
      const plugin = async () => {
        const { out, status } = await alice.run('archway', credential(), info)
        tokens.push(`Bearer ${parseCredential(out).status.token}`)
        return { stdout: out, exit: status }
      }
      const seen = await playSequence(line, stanza, plugin, [200, 401, 200, 200])
      assert.equal(seen.pluginRuns, 2)
      const [first = '', second = ''] = tokens
      assert.notEqual(first, second)
      assert.deepEqual(seen.authorizationSeen, [first, first, second, second])
    })
  }

  test('v1alpha1 with a 401 in it gets a new token at once', async () => {
    const first = await alice.run('archway', credential())
    const info = execInfo({ response: { header: {}, code: 401 } }, 'v1alpha1')
    const second = await alice.run('archway', credential(), info)
    assert.notEqual(parseCredential(second.out).status.token, parseCredential(first.out).status.token)
  })

  test('one process with two clusters is not taken to have been refused', async () => {
    const cluster = (server: string) => execInfo({ cluster: { server, config: null }, interactive: false })
    await alice.run('archway', credential(), cluster('https://one:6443'))
    await alice.run('archway', credential(), cluster('https://two:6443'))
    assert.equal(alice.logins(), 1)
    await alice.run('archway', credential(), cluster('https://one:6443'))
    assert.equal(alice.logins(), 2)
  })

  test('--force logs in anew; --cache none keeps nothing', async () => {
    await alice.run('archway', credential())
    await alice.run('archway', credential('--force'))
    assert.equal(alice.logins(), 2)
    await alice.run('archway', credential('--cache', 'none'))
    await alice.run('archway', credential(), { ARCHWAY_CACHE: 'none' })
    assert.equal(alice.logins(), 4)
  })

  test('the extension of the cluster fills in what flags and environment leave open', async () => {
    const { OS_AUTH_URL = '', OS_PROJECT_NAME: _, ...rest } = alice.env
    const config = { 'keystone-url': OS_AUTH_URL, 'project-name': 'demo', password: 'cluster-canary', other: { x: 1 } }
    const info = execInfo({ cluster: { server: 'https://k', config }, interactive: false })
    const io = { OS_AUTH_URL: '', OS_PROJECT_NAME: '', OS_PASSWORD: rest['OS_PASSWORD'] ?? '' }
    const ran = await alice.run('archway', credential(), { ...io, ...info })
    assert.equal(ran.status, 0)
    assert.match(ran.err, /warning: password of the cluster in the kubeconfig is not taken/)
    assert.ok(!ran.err.includes('canary'))
    const elsewhere = execInfo({ cluster: { server: 'https://k', config: { 'keystone-url': 'http://127.0.0.1:1' } } })
    assert.equal((await alice.run('archway', credential('--force'), elsewhere)).status, 0)
  })
})

describe('archway credential fails', () => {
  interface Case {
    readonly argv?: readonly string[]
    readonly env?: Readonly<Record<string, string>>
    readonly before?: () => void
    readonly status: number
    readonly message: RegExp
  }
  const cases: Readonly<Record<string, () => Case>> = {
    'for an unknown flag': () => ({ argv: ['--pasword=x'], status: 2, message: /unknown flag --pasword.*--password/ }),
    'for a word that is no flag': () => ({ argv: ['now'], status: 2, message: /takes flags only/ }),
    'for a cache it does not know': () => ({ argv: ['--cache', 'x'], status: 2, message: /file, keyring or none/ }),
    'for a request it cannot read': () => ({
      env: { KUBERNETES_EXEC_INFO: '{' },
      status: 2,
      message: /KUBERNETES_EXEC_INFO: is not JSON/,
    }),
    'for a version nobody knows': () => ({ env: execInfo({}, 'v9'), status: 2, message: /v1beta1/ }),
    'for a certificate without its key': () => ({ argv: ['--cert', 'x'], status: 2, message: /--key/ }),
    'for a CA that is not there': () => ({
      argv: ['--cacert', '/nonexistent/ca.pem', '--keystone-url', 'https://127.0.0.1:1'],
      status: 2,
      message: /\/nonexistent\/ca\.pem/,
    }),
    'for a wrong password': () => ({ env: { OS_PASSWORD: 'wrong-canary' }, status: 3, message: /refuses/ }),
    'where something has to be asked': () => ({
      env: { OS_PASSWORD: '' },
      status: 4,
      message: /password \(OS_PASSWORD or --password\)/,
    }),
    'where a browser is needed': () => ({
      argv: ['--oidc-issuer', 'https://issuer.example', '--oidc-client-id', 'x', '--auth-type', 'oidc'],
      status: 4,
      message: /archway login/,
    }),
    'where nobody answers': () => ({
      env: { OS_AUTH_URL: 'http://127.0.0.1:1' },
      status: 5,
      message: /127\.0\.0\.1:1/,
    }),
    'where it is no Keystone': () => ({
      before: () => alice.keystone.always(reply(200, 'hello')),
      status: 5,
      message: /is it the Identity API\?/,
    }),
    '[C-14] where no token comes': () => ({
      before: () => alice.keystone.always(reply(201, { token: {} })),
      status: 5,
      message: /X-Subject-Token/,
    }),
  }
  for (const [name, make] of Object.entries(cases)) {
    test(`${name}: stdout stays empty, one line says why, and the status tells`, async () => {
      const { argv = [], env = {}, before, status, message } = make()
      before?.()
      const ran = await alice.run('archway', credential(...argv), env)
      assert.deepEqual([ran.status, ran.out], [status, ''])
      assert.match(ran.err, message)
      assert.match(ran.err, /^archway: [^\n]+\n$/)
      assert.ok(!ran.err.includes('canary'), ran.err)
    })
  }

  test('T-S12 a client that runs it again and again sends a wrong password once', async () => {
    for (let i = 0; i < 5; i++) {
      const { status } = await alice.run('archway', credential(), { ...execInfo(), OS_PASSWORD: 'wrong' })
      assert.equal(status, 3)
    }
    assert.equal(alice.logins(), 1)
    assert.equal((await alice.run('archway', credential(), execInfo())).status, 0)
  })

  test('the status of a cause does not change', () => {
    const statuses: Readonly<Partial<Record<ErrorCode, number>>> = {
      credential_settings_invalid: 2,
      file_invalid: 2,
      login_refused: 3,
      oidc_refused: 3,
      credential_input_needed: 4,
      login_incomplete: 4,
      keystone_unreachable: 5,
      keystone_timeout: 5,
      keystone_answer_invalid: 5,
      oidc_unreachable: 5,
      oidc_timeout: 5,
      oidc_answer_invalid: 5,
      credential_unusable: 5,
      credential_locked: 6,
      credential_interrupted: 130,
      internal: 1,
    }
    for (const [code, status] of Object.entries(statuses)) {
      assert.equal(exitStatusOf(new ArchwayError(code as ErrorCode, 'x')), status, code)
    }
    assert.equal(exitStatusOf(new TypeError('x')), 1)
  })
})

describe('archway credential --help', () => {
  test('[C-01] shows flags, variables and statuses, and no value of any', async () => {
    const env = { OS_PASSWORD: 'canary', OS_USERNAME: 'canary', OS_APPLICATION_CREDENTIAL_SECRET: 'canary' }
    for (const argv of [credential('--help'), credential('-h'), ['help', 'credential']]) {
      const { status, out, err } = await alice.run('archway', argv, env)
      assert.deepEqual([status, err], [0, ''])
      for (const text of [
        '--keystone-url URL',
        '$OS_PASSWORD',
        '--cache KIND',
        '--force',
        'Examples:\n  archway',
        '130',
      ]) {
        assert.ok(out.includes(text), text)
      }
      assert.ok(!out.includes('canary'))
    }
  })
})

const sample401 = reply(401, keystoneError(401))

describe('T-S1 archway credential', () => {
  test('shows no secret in any output, at any verbosity, whatever happens', async () => {
    const canaries = {
      OS_PASSWORD: PASSWORD,
      OS_TOKEN: 'token-canary',
      OS_APPLICATION_CREDENTIAL_SECRET: 'secret-canary',
      ARCHWAY_OIDC_CLIENT_SECRET: 'client-canary',
    }
    const errors: string[] = []
    const outputs: string[] = []
    for (const [argv, script] of [
      [['-v']],
      [['-v', '--force']],
      [['-v', '--force', '--auth-type', 'v3password'], sample401],
      [['-v', '--password', 'flag-canary']],
      [['-v', '--password', 'flag-canary', '--force', '--auth-type', 'v3password'], reply(500, 'token-canary')],
      [['-v', '--auth-type', 'v3token'], reply(201, { token: 'token-canary' }, { 'X-Subject-Token': 'token-canary' })],
      [['-v', '--application-credential-id', 'x'], sample401],
      [['-v', '--application-credential-id', 'x', '--force'], reply(403, '{"token-canary')],
      [['-v', '--application-credential-secret=flag-canary', '--nope=value-canary']],
      [['--password']],
    ] as const) {
      if (script !== undefined) alice.keystone.script(script)
      const ran = await alice.run('archway', credential(...argv), canaries)
      errors.push(ran.err)
      outputs.push(ran.out)
    }
    const tokens = outputs.filter((text) => text !== '').map((text) => parseCredential(text).status.token)
    assert.ok(tokens.length >= 2)
    const all = errors.join('\n')
    assert.ok(all.includes('logged in as alice'), all)
    for (const secret of ['canary', ...tokens]) assert.ok(!all.includes(secret), all)
    assert.ok(!outputs.join('\n').includes('canary'))
  })

  test('a fault nobody foresaw shows where it was, and not what it was about', async () => {
    const ran = await alice.run('archway', credential(), {}, (io) => ({
      ...io,
      deliver: () => {
        JSON.parse('token-canary')
      },
    }))
    assert.deepEqual([ran.status, ran.out], [1, ''])
    assert.match(ran.err, /^archway: a fault of Archway itself \(SyntaxError\); please report it\n {4}at /)
    assert.ok(!ran.err.includes('token-canary'))
  })
})

describe('archway credential as a process', () => {
  test('a kept token needs nothing but what is listed here', { timeout: 60_000 }, async () => {
    await alice.start('archway', credential()).ended
    const hook = await alice.folder.write(
      'hook.cjs',
      `const urls = []
      require('node:module').registerHooks({ load: (url, context, next) => { urls.push(url); return next(url, context) } })
      process.on('exit', () => {
        const builtin = process.moduleLoadList.filter((name) => name.startsWith('NativeModule ')).map((name) => name.slice(13))
        require('node:fs').writeSync(2, JSON.stringify({ urls, builtin }))
      })`,
    )
    const { status, stderr } = await alice.start('archway', credential(), { node: ['--require', hook] }).ended
    assert.equal(status, 0, stderr)
    const loaded: { urls: readonly string[]; builtin: readonly string[] } = JSON.parse(stderr)
    const own = loaded.urls
      .filter((url) => url.startsWith('file:'))
      .map((url) => url.replace(/^.*\/(src|bin|node_modules)\//, '$1/'))
    const expected =
      /^(bin\/launch\.cjs|bin\/archway|src\/cli\/(main|io|credential|login-session)\.ts|src\/(build|errors|secret|json)\.ts|src\/credential\/(exec-[a-z]+|exit-status|obtain|plain-text|plan)\.ts|src\/credential\/(cache|settings)\/[a-z-]+\.ts)$/
    assert.deepEqual(
      own.filter((file) => !expected.test(file)),
      [],
    )
    assert.ok(own.includes('src/credential/cache/file-store.ts'), own.join(' '))
    assert.ok(!own.includes('src/credential/cache/lock.ts'))
    const heavy = ['net', 'tls', 'http', 'https', 'dns', 'zlib', 'child_process', 'worker_threads', 'readline', 'tty']
    assert.deepEqual(
      loaded.builtin.filter((name) => heavy.includes(name)),
      [],
    )
  })

  test('T-S12 a signal while Keystone is asked leaves nothing: no object, no lock, no credential', async () => {
    for (const [signal, expected] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
      ['SIGHUP', 129],
    ] as const) {
      const arrived = Promise.withResolvers<void>()
      alice.keystone.always((request, response) => {
        hang(request, response)
        arrived.resolve()
      })
      const { child, ended } = alice.start('archway', credential())
      await Promise.race([arrived.promise, ended])
      child.kill(signal)
      const { status, stdout, stderr } = await ended
      assert.deepEqual([status, stdout, stderr], [expected, '', 'archway: interrupted\n'])
      const left = readdirSync(alice.folder.path('home/.cache/archway'))
      assert.deepEqual(left, ['key'], signal)
    }
  })

  test('T-S12 nobody who reads is a failure with a status, and the token is kept for the next one', async () => {
    const { child, ended } = alice.start('archway', credential())
    child.stdout?.destroy()
    const { status, stderr } = await ended
    assert.equal(status, 1)
    assert.match(stderr, /^archway: .*EPIPE/)
    assert.equal((await alice.start('archway', credential()).ended).status, 0)
    assert.equal(alice.logins(), 1)
  })

  test('T-S14 what is kept can be read by its owner alone', async () => {
    await alice.start('archway', credential()).ended
    const folder = alice.folder.path('home/.cache/archway')
    const { stdout } = await alice.start('archway', credential()).ended
    const { token } = parseCredential(stdout).status
    const files = globSync('*', { cwd: folder })
    assert.ok(files.length >= 2)
    const holding = files.filter((file) => readFileSync(`${folder}/${file}`, 'utf8').includes(token))
    assert.equal(holding.length, 1)
    for (const file of files) assert.ok(!file.includes('alice') && !file.includes('demo'))
  })

  test('what it was started with is what the machine shows', async () => {
    const arrived = Promise.withResolvers<void>()
    alice.keystone.always(() => arrived.resolve())
    const { child, ended } = alice.start('archway', credential('--user-name', 'alice'))
    await Promise.race([arrived.promise, ended])
    const line = process.platform === 'linux' ? readFileSync(`/proc/${child.pid}/cmdline`, 'latin1') : ''
    assert.ok(!line.includes(PASSWORD))
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    await gone
    await ended
  })
})
