/**
 * The single executable as people have it: one file, no Node and no PATH, with a real Keystone. What it does is what the
 * program on Node does.
 */

import assert from 'node:assert/strict'
import { copyFileSync, readdirSync, symlinkSync } from 'node:fs'
import { mkdir, mkdtemp, readFile } from 'node:fs/promises'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { buildExecutable, hostTarget, writeSums } from '../../tools/executable.ts'
import { type Ended, type Env, execInfo, parseCredential, startProcess } from '../cli/login-support.ts'
import { startOidcIssuer } from '../rigs/oidc-issuer.ts'
import { runInTerminal } from '../support/pty.ts'
import { freePorts, type KeystoneRig, keystoneRig, startKeystone } from '../support/rigs.ts'
import { createAuthority, createFolder, type TestFolder } from '../support/tls.ts'

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url))
const LOGIN = /^POST \/v3\/auth\/tokens/
const PROGRAMS = ['archway', 'client-keystone-auth'] as const
type Program = (typeof PROGRAMS)[number]

/** The executable, under both names. */
let site: TestFolder
let keystone: KeystoneRig
let secure: KeystoneRig
/** Of one test. */
let folder: TestFolder
let env: Env

before(async () => {
  const target = hostTarget()
  assert.ok(target, 'no target for this machine')
  site = await createFolder()
  copyFileSync(await buildExecutable({ target, out: site.path('.') }), site.path('archway'))
  symlinkSync('archway', site.path('client-keystone-auth'))
  await writeSums(site.path('.'))
  keystone = await keystoneRig()
  secure = await startKeystone({ tls: true })
})
after(async () => {
  await secure?.[Symbol.asyncDispose]()
  await site?.remove()
})

beforeEach(async () => {
  folder = await createFolder()
  await mkdir(folder.path('home'))
  env = {
    PATH: '',
    HOME: folder.path('home'),
    OS_AUTH_URL: keystone.url,
    OS_USERNAME: 'alice',
    OS_PASSWORD: 'alice-pw',
    OS_PROJECT_NAME: 'demo',
    OS_DOMAIN_NAME: 'Default',
  }
})
afterEach(() => folder.remove())

function run(program: Program, argv: readonly string[] = [], more: Env = {}): Promise<Ended> {
  return startProcess(site.path(program), argv, { ...env, ...more }).ended
}

function tokenOf({ status, stdout, stderr }: Ended): string {
  assert.equal(status, 0, stderr)
  return parseCredential(stdout).status.token
}

/** Keystone takes it as alice's: who she is it tells nobody else but an administrator. */
async function assertAlices(token: string, at: KeystoneRig = keystone): Promise<void> {
  const { status, body } = await at.api('GET', `/users/${at.ids.users['alice']}`, undefined, token)
  assert.deepEqual([status, body.user?.name], [200, 'alice'])
}

describe('the single executable', () => {
  test('is the program it is called by, from a folder without anything else', async () => {
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
    assert.deepEqual(await run('archway', ['--version']), {
      status: 0,
      signal: null,
      stdout: `${version}\n`,
      stderr: '',
    })
    const dropIn = await run('client-keystone-auth', ['--version'])
    assert.equal(dropIn.stdout, `client-keystone-auth (Archway) ${version}\n`)
    await mkdir(folder.path('elsewhere'))
    copyFileSync(site.path('archway'), folder.path('elsewhere/client-keystone-auth'))
    const copy = await startProcess(folder.path('elsewhere/client-keystone-auth'), ['--version'], env).ended
    assert.equal(copy.stdout, dropIn.stdout)
  })

  test('is made of the same bytes every time', { timeout: 120_000 }, async () => {
    const target = hostTarget()
    assert.ok(target)
    await buildExecutable({ target, out: folder.path('again') })
    await writeSums(folder.path('again'))
    assert.equal(
      await readFile(folder.path('again/SHA256SUMS'), 'utf8'),
      await readFile(site.path('SHA256SUMS'), 'utf8'),
    )
  })

  test('lists its commands, and says of any other that this is the plugin only', async () => {
    for (const argv of [['--help'], ['-h'], ['help'], []]) {
      const { status, stdout } = await run('archway', argv)
      assert.equal(status, 0)
      for (const command of ['credential', 'login', 'logout', 'whoami', 'kubeconfig']) {
        assert.match(stdout, new RegExp(`^  ${command} +\\S`, 'm'))
      }
    }
    for (const command of ['serve', 'config', 'policy', 'demo', 'toString', '__proto__']) {
      const { status, stdout, stderr } = await run('archway', [command])
      assert.deepEqual([status, stdout], [2, ''])
      assert.match(stderr, /is not in this file, which is the credential plugin only: credential, login, /)
    }
  })

  test('logs in with a password, and keeps the token', async () => {
    for (const program of PROGRAMS) {
      const argv = program === 'archway' ? ['credential'] : []
      const before = await keystone.countRequests(LOGIN)
      const first = await run(program, [...argv, ...(program === 'archway' ? [] : ['--force'])])
      await assertAlices(tokenOf(first))
      const second = await run(program, argv, { OS_PASSWORD: '' })
      assert.equal(second.stdout, first.stdout, second.stderr)
      assert.equal((await keystone.countRequests(LOGIN)) - before, 1)
    }
  })

  test('and Node have one cache', async () => {
    const onNode = await startProcess(process.execPath, [`${BIN}archway`, 'credential'], env).ended
    assert.equal((await run('archway', ['credential'], { OS_PASSWORD: '' })).stdout, onNode.stdout)
    assert.match((await run('archway', ['logout'])).stdout, /token revoked/)
    const again = await startProcess(process.execPath, [`${BIN}archway`, 'credential'], env).ended
    assert.notEqual(tokenOf(again), tokenOf(onNode))
  })

  test('T-S12 twenty at once are one login', { timeout: 120_000 }, async () => {
    const before = await keystone.countRequests(LOGIN)
    const all = await Promise.all(Array.from({ length: 20 }, () => run('archway', ['credential'])))
    assert.equal(new Set(all.map(tokenOf)).size, 1)
    assert.equal((await keystone.countRequests(LOGIN)) - before, 1)
  })

  test('logs in with an application credential', async () => {
    const { id, secret } = keystone.applicationCredential
    const none = { OS_USERNAME: '', OS_PASSWORD: '', OS_PROJECT_NAME: '', OS_DOMAIN_NAME: '' }
    const more = { ...none, OS_APPLICATION_CREDENTIAL_ID: id, OS_APPLICATION_CREDENTIAL_SECRET: secret }
    await assertAlices(tokenOf(await run('archway', ['credential'], more)))
  })

  test('trusts the authorities it is told of, and nobody else whatever the environment says', async () => {
    const stranger = await folder.write('stranger.pem', (await createAuthority('stranger')).cert)
    const more = { OS_AUTH_URL: secure.url }
    const right = await run('archway', ['credential'], { ...more, OS_CACERT: secure.caFile ?? '' })
    await assertAlices(tokenOf(right), secure)
    const before = await secure.countRequests(LOGIN)
    const wrong: readonly Env[] = [
      {},
      { OS_CACERT: stranger },
      { OS_CACERT: stranger, NODE_TLS_REJECT_UNAUTHORIZED: '0' },
      { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
      { OS_CACERT: stranger, NODE_EXTRA_CA_CERTS: secure.caFile ?? '', SSL_CERT_FILE: secure.caFile ?? '' },
    ]
    for (const trust of wrong) {
      const { status, stdout, stderr } = await run('archway', ['credential', '--force'], { ...more, ...trust })
      assert.deepEqual([status, stdout], [5, ''], JSON.stringify(trust))
      assert.match(stderr, /its certificate is not signed by/)
    }
    assert.equal(await secure.countRequests(LOGIN), before)
  })

  test('T-S12 asks for a password without showing it', { timeout: 60_000 }, async () => {
    const { screen, stdout, status } = await runInTerminal(site.path('archway'), ['credential'], {
      env: { ...env, PATH: process.env['PATH'], OS_PASSWORD: undefined },
      answers: [{ on: /Please enter password: /, send: 'alice-pw\r' }],
    })
    assert.equal(status, 0, screen)
    await assertAlices(parseCredential(stdout).status.token)
    assert.ok(!screen.includes('alice-pw'), screen)
  })

  test('Ctrl-C at the prompt ends with 130, and leaves nothing behind', { timeout: 60_000 }, async () => {
    for (const program of PROGRAMS) {
      const argv = program === 'archway' ? ['credential'] : []
      const { screen, stdout, status } = await runInTerminal(site.path(program), argv, {
        env: { ...env, PATH: process.env['PATH'], OS_PASSWORD: undefined },
        answers: [{ on: /Please enter password: /, send: '\x03' }],
      })
      assert.deepEqual([status, stdout], [130, ''], screen)
      assert.deepEqual(readdirSync(folder.path('home/.cache/archway')), ['key'])
    }
  })

  test('gets an ID token with a device code', { timeout: 60_000 }, async () => {
    await using issuer = await startOidcIssuer({})
    const flags = ['--oidc-issuer', issuer.issuer, '--oidc-client-id', 'terminal', '--oidc-flow', 'device']
    const { screen, stdout, status } = await runInTerminal(site.path('archway'), ['login', ...flags], {
      env: { PATH: process.env['PATH'], HOME: env['HOME'] },
      answers: [
        {
          on: /enter the code (\S+)/,
          send: ([, code = '']) => {
            void issuer.approveDevice(code, 'alice')
            return ''
          },
        },
      ],
    })
    assert.equal(status, 0, screen)
    assert.match(stdout, /^logged in as alice/)
  })

  test('keeps nothing in a keyring, and says so', async () => {
    const { status, stderr } = await run('archway', ['login', '--cache', 'keyring'])
    assert.equal(status, 1)
    assert.match(stderr, /the token is not kept: the keyring cannot be used: the single executable has no way to it/)
    assert.deepEqual(readdirSync(folder.path('home/.cache/archway')), ['key'])
  })

  test('fails where nobody reads its answer, as on Node', async () => {
    const statuses = await Promise.all(
      [[site.path('archway')], [process.execPath, `${BIN}archway`]].map(async (command) => {
        const line = '{ "$@"; echo $? >&3; } 3>&1 >/dev/full 2>/dev/null'
        const words = ['-c', line, 'sh', ...command, 'credential']
        return (await startProcess('/bin/sh', words, env).ended).stdout
      }),
    )
    assert.equal(statuses[0], statuses[1])
    assert.match(statuses[0] ?? '', /^[1-9]/)
  })
})

describe('what lies about where the executable is run', () => {
  /** Runs in a folder full of files that Bun would read, and with variables that other runtimes obey. */
  async function runAmong(argv: readonly string[], more: Env = {}): Promise<Ended> {
    const evil = 'throw new Error("canary: code of the working folder was run")'
    await folder.write('evil.js', evil)
    const settings = [
      'OS_AUTH_URL=http://127.0.0.1:1/canary',
      'OS_USERNAME=canary',
      'OS_PASSWORD=canary',
      'ARCHWAY_CACHE=canary',
      'HTTP_PROXY=http://127.0.0.1:1',
      'NODE_TLS_REJECT_UNAUTHORIZED=0',
    ].join('\n')
    for (const file of ['.env', '.env.local', '.env.production', '.env.development']) await folder.write(file, settings)
    const bunfig = `preload = ["./evil.js"]\n[run]\npreload = ["./evil.js"]\n[define]\n"process.env.OS_USERNAME" = "'canary'"\n`
    for (const file of ['bunfig.toml', '.bunfig.toml', 'home/.bunfig.toml']) await folder.write(file, bunfig)
    const own = JSON.stringify({ name: 'archway', version: '99.9.9-canary', type: 'commonjs', main: 'evil.js' })
    await folder.write('package.json', own)
    await folder.write('tsconfig.json', JSON.stringify({ compilerOptions: { paths: { '*': ['./evil.js'] } } }))
    await mkdir(folder.path('node_modules'), { recursive: true })
    const line = 'cd "$1" && shift && exec "$@"'
    const command = ['-c', line, 'sh', folder.path('.'), site.path('archway'), ...argv]
    return startProcess('/bin/sh', command, { ...env, XDG_CONFIG_HOME: folder.path('home'), ...more }).ended
  }

  test('is not looked at: no file of the working folder, nor of the home, is a setting or code', async () => {
    const got = await runAmong(['credential'])
    await assertAlices(tokenOf(got))
    assert.equal(got.stderr, '')
    assert.doesNotMatch((await runAmong(['--version'])).stdout, /canary/)
    // Nothing of them fills a gap either.
    const gaps = await runAmong(['credential', '--force'], { OS_AUTH_URL: '', OS_USERNAME: '', OS_PASSWORD: '' })
    assert.equal(gaps.status, 4, gaps.stderr)
    assert.doesNotMatch(gaps.stderr, /canary/)
  })

  test('variables of Node, and of debuggers, start no code and open no port', async () => {
    const variables: readonly Env[] = [
      { NODE_OPTIONS: '--require ./evil.js --inspect=127.0.0.1:0', NODE_PATH: folder.path('.') },
      { BUN_INSPECT: '127.0.0.1:0', BUN_INSPECT_PRELOAD: './evil.js', BUN_INSPECT_CONNECT_TO: '127.0.0.1:1' },
      { BUN_OPTIONS: '--env-file=.env' },
      { BUN_CONFIG_PRELOAD: './evil.js', BUN_PRELOAD: './evil.js', BUN_INSTALL: folder.path('.') },
    ]
    for (const more of variables) {
      const got = await runAmong(['credential'], more)
      await assertAlices(tokenOf(got))
      assert.equal(got.stderr, '', JSON.stringify(more))
    }
  })

  test('its own flags are not the runtime’s', async () => {
    for (const argv of [
      ['--preload', './evil.js'],
      ['--inspect'],
      ['-e', 'console.log("canary")'],
      ['run', 'evil.js'],
    ]) {
      const { status, stdout, stderr } = await runAmong(argv)
      assert.deepEqual([status, stdout], [2, ''])
      assert.match(stderr, /^archway: "[^"]+" is not in this file/)
    }
  })
})

describe('the same words on Node and in the executable', () => {
  interface Case {
    readonly program: Program
    readonly argv: readonly string[]
    readonly more?: Env
  }

  /** Without what differs between any two logins. */
  async function told({ program, argv, more = {} }: Case, command: readonly [string, ...string[]]): Promise<object> {
    // A path of one length, since help is broken into lines.
    const home = await mkdtemp(folder.path('home-'))
    const [name, ...before] = command
    const { status, signal, stdout, stderr } = await startProcess(name, [...before, ...argv], {
      ...env,
      HOME: home,
      ...more,
    }).ended
    const [out, err] = [stdout, stderr].map((text) =>
      text
        .replaceAll(home, 'HOME')
        .replace(/"token": "[^"]+"/, '"token": "…"')
        .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
        .replace(/req-[0-9a-f-]{36}/g, 'REQUEST')
        // Node alone adds it, to an error of TLS.
        .replace('; if the root CA is installed locally, try running Node.js with --use-system-ca', ''),
    )
    return { program, argv, status, signal, out, err }
  }

  async function compare(cases: readonly Case[]): Promise<readonly { readonly status?: number }[]> {
    const results: { readonly status?: number }[] = []
    for (const one of cases) {
      const [onNode, alone] = await Promise.all([
        told(one, [process.execPath, `${BIN}${one.program}`]),
        told(one, [site.path(one.program)]),
      ])
      assert.deepEqual(alone, onNode)
      results.push(alone)
    }
    return results
  }

  const statusesOf = (results: readonly { readonly status?: number }[]) => results.map(({ status }) => status)

  test('help, versions and wrong command lines', { timeout: 240_000 }, async () => {
    const commands = ['credential', 'login', 'logout', 'whoami', 'kubeconfig'] as const
    await compare(
      commands.flatMap((command) =>
        [['--help'], ['--nonsense'], ['extra'], ['--user-name']].map((rest) => ({
          program: 'archway' as const,
          argv: [command, ...rest],
        })),
      ),
    )
    const statuses = statusesOf(
      await compare([
        { program: 'archway', argv: ['--version'] },
        { program: 'client-keystone-auth', argv: ['--help'] },
        { program: 'client-keystone-auth', argv: ['--version'] },
        { program: 'client-keystone-auth', argv: ['--nonsense'] },
        { program: 'client-keystone-auth', argv: ['-v', 'x'] },
      ]),
    )
    assert.deepEqual(statuses, [0, 0, 0, 1, 1])
  })

  const failures = 'settings that cannot be used, servers that are not there or not to be trusted, refusals'
  for (const program of PROGRAMS) {
    test(`${failures}: ${program}`, { timeout: 240_000 }, () => compareFailures(program))
  }

  async function compareFailures(program: Program): Promise<void> {
    const port = await freePorts()
    const stranger = await folder.write('stranger.pem', (await createAuthority('stranger')).cert)
    const broken = await folder.write('broken.pem', 'no certificate')
    const clouds = await folder.write('clouds.yaml', 'clouds: {a: {auth: {')
    const info = (version: string) => execInfo({ interactive: false }, version)
    const table: readonly (readonly [status: number, more: Env])[] = [
      [0, {}],
      [0, info('v1')],
      [0, info('v1beta1')],
      [0, { HOME: '/proc/nowhere' }],
      [0, { OS_AUTH_URL: secure.url, OS_CACERT: secure.caFile ?? '' }],
      [2, { OS_AUTH_URL: 'ftp://keystone.example' }],
      [2, { OS_CLOUD: 'a', OS_CLIENT_CONFIG_FILE: clouds }],
      [2, { OS_AUTH_URL: secure.url, OS_CACERT: broken }],
      [2, { OS_AUTH_URL: secure.url, OS_CACERT: folder.path('missing.pem') }],
      [2, { ARCHWAY_CACHE: 'nonsense' }],
      [2, { KUBERNETES_EXEC_INFO: '{' }],
      [2, info('v9')],
      [3, { OS_USERNAME: 'alice-who-is-not', OS_PASSWORD: 'wrong-canary' }],
      [4, { OS_PASSWORD: '' }],
      [4, { OS_AUTH_URL: '', OS_USERNAME: '' }],
      [5, { OS_AUTH_URL: `http://127.0.0.1:${port}/v3` }],
      [5, { OS_AUTH_URL: secure.url }],
      [5, { OS_AUTH_URL: secure.url, OS_CACERT: stranger }],
      [5, { OS_AUTH_URL: secure.url.replace('https:', 'http:') }],
      [5, { OS_AUTH_URL: keystone.url.replace('http:', 'https:') }],
    ]
    const argv = program === 'archway' ? ['credential'] : []
    const statuses = statusesOf(await compare(table.map(([, more]) => ({ program, argv, more }))))
    // Of the drop-in every failure is 1, as it always was.
    const expected = table.map(([status]) => (program === 'archway' ? status : Math.min(status, 1)))
    assert.deepEqual(statuses, expected)
  }

  test('what people ask for', { timeout: 240_000 }, async () => {
    const port = await freePorts()
    const server = secure.url.replace('/v3', '')
    const ca = secure.caFile ?? ''
    const stranger = await folder.write('stranger.pem', (await createAuthority('stranger')).cert)
    const print = ['kubeconfig', '--server', server, '--ca-file', ca, '--print', '--no-check']
    const table: readonly (readonly [status: number, ...argv: string[]])[] = [
      [0, 'login'],
      [0, 'login', '-v'],
      [2, 'login', '--cache', 'none'],
      [0, 'logout'],
      [0, 'logout', '--all'],
      [0, 'whoami'],
      [0, 'whoami', '-o', 'json'],
      [5, 'whoami', '--webhook', `https://127.0.0.1:${port}/webhook`],
      [5, 'whoami', '--webhook', secure.url, '--webhook-ca-file', stranger],
      [5, 'whoami', '--webhook', secure.url, '--webhook-ca-file', ca],
      [0, ...print],
      [1, 'kubeconfig', '--server', server, '--ca-file', stranger],
      [1, 'kubeconfig', '--server', server, '--ca-from-server'],
    ]
    const results = await compare(table.map(([, ...argv]) => ({ program: 'archway', argv })))
    assert.deepEqual(
      statusesOf(results),
      table.map(([status]) => status),
    )
  })

  test('kubeconfig names the program it is, where there is none in PATH', async () => {
    const server = secure.url.replace('/v3', '')
    const { status, stdout } = await run('archway', [
      'kubeconfig',
      '--server',
      server,
      '--ca-file',
      secure.caFile ?? '',
    ])
    assert.equal(status, 1)
    assert.ok(stdout.includes(`--command ${site.path('archway')}\n`), stdout)
  })
})
