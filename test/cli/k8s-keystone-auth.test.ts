import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createFolder, type TestFolder } from '../support/tls.ts'
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

describe('k8s-keystone-auth: where the policy comes from', () => {
  let folder: TestFolder
  let good: string
  let compat: string
  before(async () => {
    folder = await createFolder()
    const policies = [
      { users: { roles: ['member'], projects: ['demo'] }, resource_permissions: { 'default/pods': ['create'] } },
    ]
    const example = { user: { name: 'jane', roles: ['member'], project: 'demo' }, verb: 'create', namespace: 'default' }
    const examples = [{ ...example, resource: 'pods/exec', expect: 'allow' }]
    good = await folder.write('policy.json', JSON.stringify(policies))
    compat = await folder.write('compat.json', JSON.stringify({ policies, examples }))
  })
  after(() => folder.remove())

  /** What it says before it ends, for want of a certificate at the latest. */
  async function ends(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    const { status, err } = await run(PROGRAM, [...COMPLETE, ...argv], testIo(env))
    assert.equal(status, 1)
    return err
  }
  /** It got beyond the policy. */
  const TAKEN = /\/nonexistent\/c\b/

  test('a file, by flag and by variable; one that cannot be used ends the start', async () => {
    assert.match(await ends([`--keystone-policy-file=${good}`]), TAKEN)
    assert.match(await ends([], { KEYSTONE_POLICY_FILE: good }), TAKEN)
    const none = folder.path('none.json')
    for (const err of [
      await ends([`--keystone-policy-file=${none}`]),
      await ends(['--keystone_policy_file', none]),
      await ends([], { KEYSTONE_POLICY_FILE: none }),
    ]) {
      assert.match(err, /none\.json/)
      assert.doesNotMatch(err, TAKEN)
    }
    const broken = await folder.write('broken.json', '[{"users": ["alice"]}]')
    assert.match(await ends([`--keystone-policy-file=${broken}`]), /broken\.json: line 1: \[0\]\.users/)
    assert.match(await ends([`--keystone-policy-file=${good}`], { KEYSTONE_POLICY_FILE: none }), TAKEN)
  })

  test('a ConfigMap, which need not be there, nor the cluster', async () => {
    const kubeconfig = ['--kubeconfig', folder.path('none.kubeconfig')]
    assert.match(await ends(['--policy-configmap-name=k8s-auth-policy', ...kubeconfig]), TAKEN)
    assert.match(await ends(kubeconfig, { KEYSTONE_POLICY_CONFIGMAP_NAME: 'k8s-auth-policy' }), TAKEN)
    for (const name of ['../secrets', 'Policy', 'a b']) {
      assert.match(await ends([`--policy-configmap-name=${name}`, ...kubeconfig]), /expected name or namespace\/name/)
    }
  })

  test('a file wins over a ConfigMap, which is not followed then', async () => {
    // The name would be a mistake, if it were looked at.
    assert.match(await ends([`--keystone-policy-file=${good}`, '--policy-configmap-name=Not-Followed']), TAKEN)
  })

  test('--policy-subresources says what its keys cover', async () => {
    const file = `--keystone-policy-file=${compat}`
    assert.match(await ends([file, '--policy-subresources=compat']), TAKEN)
    // In the others a key for pods gives no shell in them.
    for (const mode of [[], ['--policy-subresources=guarded'], ['--policy-subresources', 'strict']]) {
      assert.match(await ends([file, ...mode]), /compat\.json: line 1: examples\[0\]: expects allow/)
    }
    assert.match(await ends([file, '--policy-subresources=loose']), /subresources: [^\n]*compat/)
  })
})
