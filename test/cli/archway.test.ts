import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { flagsOf } from '../../src/config/options.ts'
import { createFolder } from '../support/tls.ts'
import { run, testIo } from './support.ts'

describe('archway', () => {
  test('without arguments and with --help it lists the commands in groups', async () => {
    for (const argv of [[], ['--help'], ['help']]) {
      const { status, out, err } = await run('archway', argv)
      assert.equal(status, 0)
      assert.equal(err, '')
      const listed = [
        'serve',
        'credential',
        'login',
        'logout',
        'whoami',
        'kubeconfig',
        'can-i',
        'policy',
        'review',
        'config',
        'demo',
      ]
      for (const text of ['Doors:', 'Looking at things:', ...listed.map((name) => `\n  ${name} `)]) {
        assert.ok(out.includes(text), `${argv}: ${text}`)
      }
    }
  })

  test('every command has examples', async () => {
    const plain = ['credential', 'login', 'logout', 'whoami'].map((name) => [name])
    const tree = [
      ['serve'],
      ['review', 'token'],
      ['identify'],
      ['config', 'check'],
      ['config', 'reference'],
      ['passwd'],
      ['demo'],
      ['kubeconfig'],
    ]
    for (const command of [...plain, ...tree]) {
      const { status, out } = await run('archway', [...command, '--help'])
      assert.equal(status, 0)
      assert.match(out, /\nExamples:\n {2}\S/, command.join(' '))
    }
  })

  for (const [command, door] of [
    ['serve', 'webhook'],
    ['proxy', 'proxy'],
  ] as const) {
    test(`${command} --help shows every option that has a flag, with its default and its variable`, async () => {
      const { out } = await run('archway', [command, '--help'])
      const text = out.replace(/\s+/g, ' ')
      for (const { flag, env, defaultValue } of flagsOf(door)) {
        assert.ok(text.includes(`--${flag} <`), flag)
        assert.ok(text.includes(`env ${env}`), env)
        if (defaultValue !== undefined) assert.ok(text.includes(`default ${defaultValue}`), flag)
      }
    })
  }

  test('--version prints the version of the package', async () => {
    const { status, out } = await run('archway', ['--version'])
    assert.equal(status, 0)
    assert.match(out, /^\d+\.\d+\.\d+\n$/)
  })

  test('a wrong command or flag ends with status 2 and a suggestion', async () => {
    const command = await run('archway', ['serv'])
    assert.equal(command.status, 2)
    assert.match(command.err, /Did you mean serve\?/)
    const near = await run('archway', ['credentials'])
    assert.equal(near.status, 2)
    assert.match(near.err, /Did you mean credential\?/)
    const flag = await run('archway', ['serve', '--keystone-ur', 'x'])
    assert.equal(flag.status, 2)
    assert.match(flag.err, /Did you mean --keystone-url\?/)
  })
})

test('a reader that has gone is no fault', { timeout: 60_000 }, async () => {
  const program = fileURLToPath(new URL('../../bin/archway', import.meta.url))
  const child = spawn(process.execPath, [program, 'serve', '--help'], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  const [stderr] = await Promise.all([text(child.stderr), once(child, 'close')])
  assert.deepEqual([child.exitCode, stderr], [0, ''])
})

describe('archway config check', () => {
  test('prints every mistake with its place and a suggestion, and ends with status 1', async () => {
    const folder = await createFolder()
    const file = await folder.write(
      'archway.yaml',
      [
        'server:',
        '  lisen: 0.0.0.0:8443',
        'authenticators:',
        '  - keystone: { url: "ftp://x", timeout: soon }',
        '',
      ].join('\n'),
    )
    const { status, out, err } = await run('archway', ['config', 'check', '--config', file])
    assert.equal(status, 1)
    assert.equal(out, '')
    assert.ok(err.includes(`${file}:2:3: server.lisen: unknown key; did you mean listen?`), err)
    assert.match(err, /archway\.yaml:4:\d+: authenticators\[0\]\.keystone\.url: /)
    assert.match(err, /archway\.yaml:4:\d+: authenticators\[0\]\.keystone\.timeout: expected a duration/)
    assert.match(err, /server\.tls\.certFile: missing/)
    assert.match(err, /5 mistakes in the configuration\n$/)
    await folder.remove()
  })

  test('flags alone are a configuration', async () => {
    const flags = [
      '--tls-cert-file',
      'a',
      '--tls-private-key-file',
      'b',
      '--token-file',
      'c',
      '--keystone-url',
      'https://k/v3',
    ]
    const { status, out } = await run('archway', ['config', 'check', ...flags])
    assert.deepEqual(
      [status, out],
      [0, 'no mistakes; sources in order: token-file, keystone; authorizers in order: none\n'],
    )
  })

  test('a file that cannot be read is named', async () => {
    const { status, err } = await run('archway', ['config', 'check', '--config', '/nonexistent.yaml'])
    assert.equal(status, 1)
    assert.match(err, /\/nonexistent\.yaml/)
  })
})

describe('archway config reference', () => {
  test('prints Markdown, or a JSON Schema', async () => {
    assert.match((await run('archway', ['config', 'reference'])).out, /^# Configuration reference\n/)
    const { out } = await run('archway', ['config', 'reference', '--format', 'json-schema'])
    assert.equal(JSON.parse(out).$schema, 'https://json-schema.org/draft/2020-12/schema')
  })
})

describe('archway review token', () => {
  test('what cannot be right is told with status 2, before anything is sent', async () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['t', '--server', 'nowhere'], /expected a URL/],
      [['t', '--server', 'http://127.0.0.1/'], /https only/],
      [['t', '--ca-file', '/nonexistent.pem'], /nonexistent/],
      [['t', '--timeout', 'long'], /seconds/],
      [['t', '--api-version', 'v2'], /v1beta1/],
      [['-'], /no token/],
      [[], /no token/],
    ]
    for (const [args, message] of cases) {
      const { status, out, err } = await run('archway', ['review', 'token', ...args])
      assert.equal(status, 2, args.join(' '))
      assert.equal(out, '')
      assert.match(err, message)
    }
  })

  test('T-S12 nobody there is no verdict: status 2, and the token is not repeated', async () => {
    const io = testIo({}, 'secret-canary\n')
    const { status, out, err } = await run('archway', ['review', 'token', '--server', 'https://127.0.0.1:1'], io)
    assert.equal(status, 2)
    assert.match(out, /^no verdict \(no answer, /)
    assert.equal((out + err).includes('secret-canary'), false)
  })
})
