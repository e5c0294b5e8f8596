import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ArchwayError, InvalidDocumentError } from '../../../src/errors.ts'
import { accessSource, type ClusterAccess } from '../../../src/kube/api-client/access.ts'
import { inClusterAccess, isInCluster } from '../../../src/kube/api-client/in-cluster.ts'
import { kubeconfigAccess } from '../../../src/kube/api-client/kubeconfig.ts'
import { readSmallFile } from '../../../src/kube/api-client/small-file.ts'
import { servingCertificate } from '../../../src/pki/self-signed.ts'
import { Secret } from '../../../src/secret.ts'
import { recordingLog } from '../../reload/support.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')

function filesOf(files: Readonly<Record<string, string>>) {
  return async (path: string): Promise<string> => {
    const content = files[path]
    if (content === undefined) throw new ArchwayError('file_invalid', `${path}: cannot be read (ENOENT)`)
    return content
  }
}

describe('in a pod', () => {
  const FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'
  const files = { [`${FOLDER}/token`]: 'tok\n', [`${FOLDER}/ca.crt`]: 'CA', [`${FOLDER}/namespace`]: 'archway\n' }
  const env = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }

  test('address, authority, token and namespace are those of its service account', async () => {
    const { token, ...rest } = await inClusterAccess({ env, read: filesOf(files) })
    assert.equal(token?.reveal(), 'tok')
    assert.deepEqual(rest, {
      server: 'https://10.96.0.1:443',
      tls: { ca: 'CA', cert: undefined, key: undefined, serverName: undefined },
      namespace: 'archway',
    })
  })

  test('an IPv6 address is put into brackets', async () => {
    const { server } = await inClusterAccess({
      env: { ...env, KUBERNETES_SERVICE_HOST: 'fd00::1' },
      read: filesOf(files),
    })
    assert.equal(server, 'https://[fd00::1]:443')
  })

  test('elsewhere, or without a token, it is said what is missing', async () => {
    assert.equal(isInCluster({}), false)
    assert.equal(isInCluster(env), true)
    await assert.rejects(inClusterAccess({ env: {}, read: filesOf(files) }), /KUBERNETES_SERVICE_HOST/)
    await assert.rejects(
      inClusterAccess({ env, read: filesOf({ ...files, [`${FOLDER}/token`]: ' \n' }) }),
      /token: is empty/,
    )
    await assert.rejects(inClusterAccess({ env, read: filesOf({}) }), /serviceaccount\//)
  })
})

describe('by a kubeconfig', () => {
  const PATH = '/home/ann/.kube/config'
  const config = (over: { readonly cluster?: object; readonly user?: object; readonly rest?: object } = {}) =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'main',
      contexts: [
        { name: 'other', context: { cluster: 'c2', user: 'u' } },
        { name: 'main', context: { cluster: 'c', user: 'u', namespace: 'team' } },
        { name: 'nobody', context: { cluster: 'c' } },
      ],
      clusters: [
        {
          name: 'c',
          cluster: { server: 'https://api.test:6443/', 'certificate-authority': 'ca.pem', ...over.cluster },
        },
        { name: 'c2', cluster: { server: 'https://two.test/base', 'certificate-authority-data': base64('CA2') } },
      ],
      users: [{ name: 'u', user: over.user ?? { token: 'tok' } }],
      extensions: [{ name: 'x' }],
      ...over.rest,
    })
  const files = {
    '/home/ann/.kube/ca.pem': 'CA',
    '/etc/cert.pem': 'CERT',
    '/etc/key.pem': 'KEY',
    '/run/token': ' file-token\n',
  }
  const load = (text: string, context?: string) =>
    kubeconfigAccess({
      path: PATH,
      read: filesOf({ ...files, [PATH]: text }),
      ...(context === undefined ? {} : { context }),
    })

  async function problems(text: string, context?: string): Promise<string[]> {
    try {
      await load(text, context)
    } catch (thrown) {
      assert.ok(thrown instanceof InvalidDocumentError, String(thrown))
      assert.equal(thrown.where, PATH)
      return thrown.problems.map(({ path, message }) => `${path}: ${message}`)
    }
    assert.fail('it was accepted')
  }

  test('the current context counts, or the one that is named', async () => {
    const main = await load(config())
    assert.equal(main.server, 'https://api.test:6443/')
    assert.equal(main.namespace, 'team')
    assert.equal(main.token?.reveal(), 'tok')
    assert.equal(main.tls.ca, 'CA', 'relative to the kubeconfig')
    const other = await load(config(), 'other')
    assert.deepEqual([other.server, other.tls.ca, other.namespace], ['https://two.test/base', 'CA2', 'default'])
    assert.equal((await load(config(), 'nobody')).token, undefined)
  })

  test('data goes before a file, a token file before a token', async () => {
    const user = {
      'client-certificate': '/etc/cert.pem',
      'client-key': '/etc/other.pem',
      'client-key-data': base64('KEY-DATA'),
      token: 'old',
      tokenFile: '/run/token',
    }
    const { tls, token } = await load(
      config({ user, cluster: { 'certificate-authority-data': base64('CA-DATA'), 'tls-server-name': 'name.test' } }),
    )
    assert.deepEqual(tls, { ca: 'CA-DATA', cert: 'CERT', key: 'KEY-DATA', serverName: 'name.test' })
    assert.equal(token?.reveal(), 'file-token')
  })

  const refused: readonly [string, string, readonly string[]][] = [
    [
      'a program to run',
      config({ user: { exec: { command: 'aws' } } }),
      ['user.exec: is a program to run, which Archway does not do. Give a client certificate, a token or a tokenFile'],
    ],
    [
      'an auth provider',
      config({ user: { 'auth-provider': { name: 'gcp' } } }),
      ['user.auth-provider: is gone from Kubernetes. Give a client certificate, a token or a tokenFile'],
    ],
    [
      'a password',
      config({ user: { username: 'u', password: 'p' } }),
      [
        'user.username: is basic authentication, gone from Kubernetes. Give a client certificate, a token or a tokenFile',
      ],
    ],
    [
      'impersonation',
      config({ user: { token: 't', as: 'root' } }),
      ['user.as: is impersonation. Give the credentials of the account itself'],
    ],
    [
      'half a key pair',
      config({ user: { 'client-certificate': '/etc/cert.pem' } }),
      ['user: client certificate and client key come together'],
    ],
    [
      'no check of the server, and a proxy',
      config({ cluster: { 'insecure-skip-tls-verify': true, 'proxy-url': 'http://p' } }),
      [
        'cluster.insecure-skip-tls-verify: lets anybody be the API server. Name its CA in certificate-authority',
        'cluster.proxy-url: is not supported',
      ],
    ],
    ['plain http', config({ cluster: { server: 'http://api.test' } }), ['cluster.server: is not an https:// address']],
    [
      'no context',
      config({ rest: { 'current-context': '' } }),
      ['current-context: is empty, and no context was named'],
    ],
    ['a context that is not there', config({ rest: { 'current-context': 'x' } }), ['contexts: none is called "x"']],
    ['a cluster that is not there', config({ rest: { clusters: null } }), ['clusters: none is called "c"']],
    ['a user that is not there', config({ rest: { users: [] } }), ['users: none is called "u"']],
    [
      'wrong types',
      config({ user: { token: 7 } }),
      ['users[0].user.token: Invalid input: expected string, received number'],
    ],
    ['no YAML', 'token: "secret\n: [', [': is not YAML']],
    ['no object', 'hello', [': Invalid input: expected object, received string']],
  ]
  for (const [what, text, expected] of refused) {
    test(`refused: ${what}`, async () => assert.deepEqual(await problems(text), expected))
  }

  test('a file it names and that is not there is told', async () => {
    await assert.rejects(load(config({ user: { tokenFile: 'gone' } })), /\/home\/ann\/\.kube\/gone: cannot be read/)
  })
})

describe('credentials that change while we run', () => {
  let pem: { readonly ca: string; readonly certificate: string; readonly key: string }
  before(async () => {
    pem = await servingCertificate({ names: ['x'], addresses: [], days: 1 })
  })
  const access = (token: string, over: Partial<ClusterAccess['tls']> = {}): ClusterAccess => ({
    server: 'https://api.test',
    tls: { ca: undefined, cert: undefined, key: undefined, serverName: undefined, ...over },
    token: new Secret(token),
    namespace: 'default',
  })

  test('are read again after a while, or when they were refused, and not in between', async () => {
    let reads = 0
    let now = 0
    const source = accessSource({
      load: async () => access(`t${++reads}`),
      log: recordingLog(),
      freshMs: 100,
      now: () => now,
    })
    const tokens = async () => (await source.current()).token?.reveal()
    assert.deepEqual([await tokens(), await tokens()], ['t1', 't1'])
    now = 100
    assert.deepEqual(await Promise.all([tokens(), tokens()]), ['t2', 't2'], 'one read for both')
    source.refresh()
    assert.equal(await tokens(), 't3')
  })

  test('stay the same object while they say the same, so that connections are kept', async () => {
    const source = accessSource({ load: async () => access('t'), log: recordingLog(), freshMs: 0 })
    assert.equal(await source.current(), await source.current())
  })

  test('that cannot be read or used leave the last good ones; at the start they are an error', async () => {
    const log = recordingLog()
    let load = async () => access('good', { cert: pem.certificate, key: pem.key, ca: pem.ca })
    const source = accessSource({ load: () => load(), log, freshMs: 0 })
    const good = await source.current()
    load = async () => access('bad', { cert: pem.certificate, key: 'nonsense' })
    assert.equal(await source.current(), good)
    assert.equal(await source.current(), good)
    load = async () => {
      throw new Error('gone')
    }
    assert.equal(await source.current(), good)
    assert.equal(log.lines.length, 2, 'once for each cause')
    load = async () => access('better')
    assert.equal((await source.current()).token?.reveal(), 'better')
    const never = accessSource({ load: async () => access('t', { ca: 'x', cert: 'nonsense' }), log })
    await assert.rejects(never.current(), ArchwayError)
  })

  test('T-S1 never show their token', () => {
    assert.ok(!JSON.stringify(access('s3cret')).includes('s3cret'))
  })
})

describe('a small file', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'archway-access-'))
  })
  after(() => rm(dir, { recursive: true }))

  test('is read; one that is large or missing is refused by name', async () => {
    await writeFile(join(dir, 'token'), 'tök')
    await writeFile(join(dir, 'large'), Buffer.alloc(1024 * 1024 + 1))
    assert.equal(await readSmallFile(join(dir, 'token')), 'tök')
    await assert.rejects(readSmallFile(join(dir, 'large')), /large: cannot be read \(is longer than 1 MiB\)/)
    await assert.rejects(readSmallFile(join(dir, 'gone')), /gone: cannot be read \(ENOENT/)
  })
})
