import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { run, testIo } from './support.ts'

const PROGRAM = 'k8s-keystone-auth'
const COMPLETE = [
  '--tls-cert-file=/nonexistent/c',
  '--tls-private-key-file=/nonexistent/k',
  '--keystone-url=https://k/v3',
]

describe('k8s-keystone-auth', () => {
  test('--help and --version end with status 0', async () => {
    for (const argv of [['--help'], ['-h'], ['--help=true']]) {
      const { status, out } = await run(PROGRAM, argv)
      assert.equal(status, 0)
      for (const flag of [
        '--listen',
        '--keystone-policy-file',
        '--sync-configmap-name',
        '$OS_AUTH_URL',
        '--user-agent',
      ]) {
        assert.ok(out.includes(flag), flag)
      }
    }
    assert.match((await run(PROGRAM, ['--version'])).out, /^k8s-keystone-auth \(Archway\) \d/)
  })

  test('what is missing is one line each, status 1', async () => {
    const { status, err } = await run(PROGRAM, [])
    assert.equal(status, 1)
    assert.deepEqual(
      err
        .trim()
        .split('\n')
        .map((line) => line.split(':')[0]),
      ['Error', 'Error', 'Error'],
    )
    for (const variable of ['OS_AUTH_URL', 'TLS_CERT_FILE', 'TLS_PRIVATE_KEY_FILE']) assert.ok(err.includes(variable))
  })

  test('an unknown flag prints the usage, then the error, status 1', async () => {
    const { status, err } = await run(PROGRAM, [...COMPLETE, '--no-such-flag'])
    assert.equal(status, 1)
    assert.match(err, /Usage:[\s\S]+Error: .*--no-such-flag/)
  })

  test('takes underscores, `=`, every form of -v, and ignores positional arguments', async () => {
    const forms = [
      [
        './bin/k8s-keystone-auth',
        '--tls_cert_file',
        '/nonexistent/c',
        '--tls_private_key_file=/nonexistent/k',
        '--keystone_url=https://k/v3',
      ],
      ...[
        ['-v', '4'],
        ['-v=10'],
        ['-v4'],
        ['--v=100'],
        ['--v', '0'],
        ['--vmodule=a=1'],
        ['--log-flush-frequency', '5s'],
      ].map((more) => [...COMPLETE, ...more]),
      [...COMPLETE, '--user-agent', 'a/b c', '--user-agent=d'],
      [...COMPLETE, '--', '--ignored'],
    ]
    for (const argv of forms) {
      const { status, err } = await run(PROGRAM, argv)
      assert.equal(status, 1, argv.join(' '))
      assert.match(err, /\/nonexistent\/c/, argv.join(' ')) // it got as far as reading the certificate
    }
  })

  test('variables give what flags leave open, and flags beat them', async () => {
    const env = {
      OS_AUTH_URL: 'https://k/v3',
      TLS_CERT_FILE: '/nonexistent/env',
      TLS_PRIVATE_KEY_FILE: '/nonexistent/k',
    }
    assert.match((await run(PROGRAM, [], testIo(env))).err, /\/nonexistent\/env/)
    assert.match((await run(PROGRAM, ['--tls-cert-file=/nonexistent/flag'], testIo(env))).err, /\/nonexistent\/flag/)
  })

  test('a URL that cannot be Keystone is a mistake of the configuration', async () => {
    const { status, err } = await run(PROGRAM, [...COMPLETE.slice(0, 2), '--keystone-url=https://user:pw@k/v3'])
    assert.equal(status, 1)
    assert.match(err, /keystone\.url/)
    assert.equal(err.includes('pw@'), false)
  })
})
