/** The drop-in plugin: the predecessor's command line, output and words. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { judge } from '../credential/client-go.ts'
import { reply } from '../support/fake-keystone.ts'
import { execInfo, type Person, parseCredential, somebody } from './login-support.ts'

const NAME = 'client-keystone-auth'

let alice: Person
beforeEach(async () => {
  alice = await somebody()
})
afterEach(() => alice[Symbol.asyncDispose]())

describe(NAME, () => {
  test('prints what it always printed, byte for byte, with the expiry Keystone gave', async () => {
    const expires = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+Z$/, '')
    const document = {
      token: {
        methods: ['password'],
        user: { id: 'a', name: 'alice', domain: { id: 'default', name: 'Default' } },
        expires_at: `${expires}.678900Z`,
      },
    }
    alice.keystone.script(reply(201, document, { 'X-Subject-Token': 'gAAAAABtoken' }))
    const { status, out, err } = await alice.run(NAME, [])
    assert.deepEqual([status, err], [0, ''])
    assert.equal(
      out,
      [
        '{',
        '\t"apiVersion": "client.authentication.k8s.io/v1beta1",',
        '\t"kind": "ExecCredential",',
        '\t"status": {',
        '\t\t"token": "gAAAAABtoken",',
        `\t\t"expirationTimestamp": "${expires}.6789Z"`,
        '\t}',
        '}',
        '',
      ].join('\n'),
    )
  })

  test('[C-12] answers in the version that is asked for', async () => {
    for (const [line, version] of [
      ['1.20', 'v1alpha1'],
      ['1.20', 'v1beta1'],
      ['1.24', 'v1'],
    ] as const) {
      const { out, status } = await alice.run(NAME, [], execInfo({}, version))
      const stanza = { apiVersion: `client.authentication.k8s.io/${version}`, interactiveMode: 'IfAvailable' }
      assert.equal(judge(line, stanza, { stdout: out, exit: status }).ok, true)
    }
  })

  test('[C-03] takes the kubeconfig of the guide: flags and variables together', async () => {
    const env = { OS_AUTH_URL: '', OS_DOMAIN_NAME: '' }
    const argv = ['--domain-name=Default', `--keystone-url=${alice.keystone.url}`]
    assert.equal((await alice.run(NAME, argv, env)).status, 0)
  })

  test('takes the flags of its predecessor, underscores and positional arguments included', async () => {
    const argv = ['--user_name', 'alice', '-v=6', '--vmodule=x=1', '--log-flush-frequency', '5s', 'ignored']
    assert.equal((await alice.run(NAME, argv, { OS_USERNAME: '' })).status, 0)
  })

  test('[C-13] keeps the token, and --force does not look', async () => {
    const first = await alice.run(NAME, [])
    assert.equal((await alice.run(NAME, [])).out, first.out)
    assert.equal(alice.logins(), 1)
    await alice.run(NAME, ['--force'])
    assert.equal(alice.logins(), 2)
  })

  test('archway credential finds what it kept, and the other way round', async () => {
    const { out } = await alice.run(NAME, [])
    const other = await alice.run('archway', ['credential'])
    assert.equal(parseCredential(other.out).status.token, parseCredential(out).status.token)
  })

  test('says that it calls when it logs in', async () => {
    await alice.run(NAME, [])
    const [first] = alice.keystone.requests
    assert.match(first?.headers['user-agent'] ?? '', /^client-keystone-auth\/\d+\.\d+\.\d+$/)
  })

  test('--help, -h and --version end with 0', async () => {
    for (const argv of [['--help'], ['-h'], ['--version']]) {
      const { status, out, err } = await alice.run(NAME, argv)
      assert.deepEqual([status, err], [0, ''])
      assert.match(out, /^client-keystone-auth/)
    }
  })
})

describe(`${NAME} fails with status 1 and nothing on stdout`, () => {
  const cases: Readonly<Record<string, readonly [readonly string[], Readonly<Record<string, string>>, RegExp]>> = {
    '[C-11] for wrong credentials': [[], { OS_PASSWORD: 'canary' }, /^Invalid user credentials were provided\n$/],
    'for wrong credentials, in detail': [
      ['-v', '1'],
      { OS_PASSWORD: 'canary' },
      /\nInvalid user credentials were provided\n.*refuses.*alice/,
    ],
    'for missing settings': [[], { OS_PASSWORD: '' }, /^Failed to read openstack env vars: .*OS_PASSWORD.*\n$/],
    'for settings that do not fit': [['--cert=x'], {}, /^Failed to read openstack env vars: .*--key.*\n$/],
    'for a CA file that cannot be read': [
      ['--cacert=/nonexistent/ca', '--keystone-url=https://127.0.0.1:1'],
      {},
      /^An error occurred: failed: Cannot read .*\/nonexistent\/ca.*\n$/,
    ],
    'where nobody answers': [['--keystone-url', 'http://127.0.0.1:1'], {}, /^An error occurred: .*127\.0\.0\.1:1.*\n$/],
    '[C-01] for an unknown flag, with its usage': [
      ['--pasword=canary'],
      { OS_USERNAME: 'canary', OS_PASSWORD: 'canary' },
      /Usage:\n {2}client-keystone-auth(.|\n)*\nError: unknown flag --pasword.*\n$/,
    ],
    'for a verbosity that is none': [['-v', 'canary'], {}, /Error: invalid argument for "-v, --v" flag.*\n$/],
    'for a request it cannot read': [[], { KUBERNETES_EXEC_INFO: '[' }, /KUBERNETES_EXEC_INFO: is not JSON\n$/],
  }
  for (const [name, [argv, env, message]] of Object.entries(cases)) {
    test(name, async () => {
      const { status, out, err } = await alice.run(NAME, argv, env)
      assert.deepEqual([status, out], [1, ''])
      assert.match(err, message)
      assert.ok(!err.includes('canary'), err)
    })
  }
})

describe('T-S1 client-keystone-auth', () => {
  test('shows no secret at -v 10', async () => {
    const runs = [
      await alice.run(NAME, ['-v', '10']),
      await alice.run(NAME, ['-v', '10', '--force']),
      await alice.run(NAME, ['-v', '10', '--force', '--password', 'flag-canary']),
    ]
    const [first] = runs
    const { token } = parseCredential(first?.out ?? '').status
    const told = runs.map(({ err }) => err).join('')
    assert.match(told, /^client-keystone-auth: cache \(file\): /)
    assert.ok(!told.includes('canary') && !told.includes(token), told)
  })
})
