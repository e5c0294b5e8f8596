/** `archway kubeconfig`, against a server that answers as an API server would; the real one is in test/e2e. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import { createServer as createPlainServer } from 'node:net'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { Command } from 'commander'
import { parse } from 'yaml'
import { ExitError } from '../../src/cli/io.ts'
import { addKubeconfigCommand } from '../../src/cli/kubeconfig.ts'
import { pinOf } from '../../src/credential/kubeconfig/certificates.ts'
import { freePorts } from '../support/rigs.ts'
import { createAuthority, createFolder, type TestAuthority, type TestFolder } from '../support/tls.ts'
import { type Ran, testIo } from './support.ts'

/** What the API server does for one test. */
interface Behaviour {
  /** Answer to a SelfSubjectReview of the newest version; 404 where it knows none. */
  review: { status: number; body: object }
  root: { status: number; body: object }
  clusterInfo: string | undefined
}

const BODY_401 = { kind: 'Status', status: 'Failure', reason: 'Unauthorized', code: 401 }

let authority: TestAuthority
let stranger: TestAuthority
let servers: {
  readonly good: Server
  readonly chain: Server
  readonly old: Server
  readonly misnamed: Server
  readonly foreign: Server
}
let seen: { readonly url: string; readonly authorization: string | undefined }[]
let behaviour: Behaviour
let folder: TestFolder

before(async () => {
  authority = await createAuthority('kubernetes')
  stranger = await createAuthority('somebody else')
  const good = await authority.server()
  const old = await authority.server({ notBefore: new Date(0), notAfter: new Date(86_400_000) })
  const misnamed = await authority.server({ dnsNames: ['api.internal', 'kubernetes'], ipAddresses: ['10.0.0.1'] })
  servers = {
    good: await listen(good),
    chain: await listen({ cert: good.cert + authority.cert, key: good.key }),
    old: await listen(old),
    misnamed: await listen(misnamed),
    foreign: await listen(await stranger.server()),
  }
})
after(() => {
  for (const server of Object.values(servers)) {
    server.closeAllConnections()
    server.close()
  }
})
beforeEach(async () => {
  seen = []
  behaviour = {
    review: {
      status: 201,
      body: {
        kind: 'SelfSubjectReview',
        status: { userInfo: { username: 'alice', groups: ['k8s-devs', 'system:authenticated'] } },
      },
    },
    root: { status: 403, body: {} },
    clusterInfo: undefined,
  }
  folder = await createFolder()
  await writeFile(folder.path('ca.crt'), authority.cert)
  await mkdir(folder.path('bin'))
  await plugin('archway', answer())
})
afterEach(() => folder.remove())

async function listen({ cert, key }: { readonly cert: string; readonly key: string }): Promise<Server> {
  const server = createServer({ cert, key }, (request, response) => {
    const { url = '', headers } = request
    seen.push({ url, authorization: headers.authorization })
    const send = ({ status, body }: { readonly status: number; readonly body: object }): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    request.resume().once('end', () => {
      const known = headers.authorization === undefined || headers.authorization === 'Bearer good-token'
      if (!known) send({ status: 401, body: BODY_401 })
      else if (url === '/version') send({ status: 200, body: { gitVersion: 'v1.30.1' } })
      else if (url.endsWith('/v1/selfsubjectreviews')) send(behaviour.review)
      else if (url === '/') send(behaviour.root)
      else if (url.endsWith('/cluster-info') && behaviour.clusterInfo !== undefined) {
        send({ status: 200, body: { data: { kubeconfig: behaviour.clusterInfo } } })
      } else send({ status: 404, body: { kind: 'Status', code: 404 } })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

function urlOf(server: Server): string {
  const address = server.address()
  return `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

/** A plugin for PATH that keeps what it was told in `NAME.log`. */
async function plugin(name: string, script: string): Promise<string> {
  const path = folder.path(`bin/${name}`)
  const log = folder.path(`${name}.log`)
  await writeFile(path, `#!/bin/sh\nprintf '%s\\n' "$*" "$KUBERNETES_EXEC_INFO" "$OS_USERNAME" > '${log}'\n${script}\n`)
  await chmod(path, 0o755)
  return path
}

function answer({ token = 'good-token', version = 'v1beta1', expires = '2030-01-02T03:04:05Z' } = {}): string {
  return `echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/${version}","status":{"token":"${token}","expirationTimestamp":"${expires}"}}'`
}

/** Runs the command with a home of its own; `bin/` of the folder is all of PATH. */
async function kubeconfig(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const io = testIo({ HOME: folder.path('home'), PATH: folder.path('bin'), ...env })
  let status = 0
  const program = new Command('archway')
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .exitOverride((exit) => {
      throw new ExitError(exit.exitCode === 0 ? 0 : 2, '')
    })
  addKubeconfigCommand(program, io, (code) => {
    status = code
  })
  try {
    await program.parseAsync(['kubeconfig', ...args], { from: 'user' })
  } catch (thrown) {
    if (!(thrown instanceof ExitError)) throw thrown
    status = thrown.status
    io.err(`${thrown.message}\n`)
  }
  return { status, ...io.printed }
}

const config = (): string => folder.path('home/.kube/config')
const server = (one: Server = servers.good): readonly string[] => [
  '--server',
  urlOf(one),
  '--ca-file',
  folder.path('ca.crt'),
]
const readConfig = async () => parse(await readFile(config(), 'utf8')) as Record<string, unknown>

interface Written {
  readonly clusters: readonly { readonly name: string; readonly cluster: Readonly<Record<string, string>> }[]
  readonly users: readonly {
    readonly name: string
    readonly user: {
      readonly exec: {
        apiVersion: string
        command: string
        args: string[] | null
        env: unknown
        installHint: string
        interactiveMode: string
        provideClusterInfo: boolean
      }
    }
  }[]
  readonly contexts: readonly { readonly name: string; readonly context: Readonly<Record<string, string>> }[]
  readonly 'current-context': string
}

async function printed(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Written> {
  const { status, out, err } = await kubeconfig([...server(), '--print', '--no-check', ...args], env)
  assert.equal(status, 0, err)
  return parse(out) as Written
}

async function execOf(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const [user] = (await printed(args, env)).users
  return user?.user.exec ?? assert.fail('no user')
}

describe('archway kubeconfig', () => {
  test('writes what works, and says what it found', async () => {
    const { status, out, err } = await kubeconfig([...server(), '--name', 'prod', '-n', 'team'])
    assert.equal(status, 0, err + out)
    assert.match(out, /^certificate {2}verified by .*ca\.crt: "localhost", until /m)
    assert.match(out, /^server {7}https:\/\/127\.0\.0\.1:\d+ was reached: Kubernetes v1\.30\.1$/m)
    assert.match(out, /^program {6}archway gave a token, good until 2030-01-02T03:04:05Z$/m)
    assert.match(out, /^credentials {2}accepted: alice, groups k8s-devs, system:authenticated$/m)
    assert.match(out, /^try it: kubectl --context prod get pods$/m)
    assert.deepEqual(await readConfig(), {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: 'prod',
          cluster: {
            server: urlOf(servers.good),
            'certificate-authority-data': Buffer.from(authority.cert).toString('base64'),
          },
        },
      ],
      contexts: [{ name: 'prod', context: { cluster: 'prod', user: 'prod', namespace: 'team' } }],
      'current-context': 'prod',
      users: [
        {
          name: 'prod',
          user: {
            exec: {
              apiVersion: 'client.authentication.k8s.io/v1beta1',
              command: 'archway',
              args: ['credential'],
              env: null,
              installHint:
                'This cluster takes credentials from the program archway, which was not found in PATH.\n' +
                'Install Archway, or ask whoever gave you this kubeconfig where to get it.',
              interactiveMode: 'IfAvailable',
              provideClusterInfo: false,
            },
          },
        },
      ],
    })
    assert.equal((await stat(config())).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(folder.path('home/.kube')), ['config'])
    // The token went to the server that was verified, and to nothing else.
    assert.deepEqual(
      seen.map(({ authorization }) => authorization),
      [undefined, 'Bearer good-token'],
    )
  })

  test('again: nothing to change, and the file is not touched', async () => {
    await kubeconfig([...server(), '--name', 'prod'])
    const before = await stat(config())
    const { status, out } = await kubeconfig([...server(), '--name', 'prod'])
    assert.equal(status, 0)
    assert.match(out, /^nothing to change$/m)
    assert.equal((await stat(config())).ino, before.ino)
  })

  test('again without --name and --ca-file: the entries it made are known again', async () => {
    await kubeconfig(server())
    const written = await readFile(config(), 'utf8')
    const { status, out } = await kubeconfig(['--server', urlOf(servers.good)])
    assert.equal(status, 0, out)
    assert.match(out, /verified by the CA of cluster "127\.0\.0\.1:\d+"/)
    assert.match(out, /^nothing to change$/m)
    assert.match((await kubeconfig([])).out, /^nothing to change$/m)
    assert.equal(await readFile(config(), 'utf8'), written)
  })

  test('--no-check contacts nobody and runs nothing', async () => {
    const args = [
      '--server',
      `https://127.0.0.1:${await freePorts()}`,
      '--ca-file',
      folder.path('ca.crt'),
      '--no-check',
    ]
    const { status, out } = await kubeconfig(args, { PATH: '/nowhere' })
    assert.equal(status, 0, out)
    assert.match(out, /not looked at; trusted: .*ca\.crt/)
    assert.deepEqual(seen, [])
  })

  test('an entry that differs is shown and kept, unless --overwrite is given', async () => {
    await mkdir(folder.path('home/.kube'), { recursive: true })
    const old = `# mine
users:
- name: prod   # keep this
  user:
    token: CANARY
    exec: {command: old, apiVersion: x, args: [--password, canary]}
current-context: other
`
    await writeFile(config(), old)
    const refused = await kubeconfig([...server(), '--name', 'prod'])
    assert.equal(refused.status, 1)
    assert.match(refused.out, /user prod is in .*config already, and differs:/)
    assert.match(refused.out, /- token: \[redacted\]/)
    assert.match(refused.out, /- exec\.command: "old"\n {2}\+ exec\.command: "archway"/)
    assert.doesNotMatch(refused.out + refused.err, /CANARY|canary/)
    assert.equal(await readFile(config(), 'utf8'), old)
    assert.equal(
      seen.some(({ authorization }) => authorization !== undefined),
      false,
    )

    const { status, out } = await kubeconfig([...server(), '--name', 'prod', '--overwrite', '--backup'])
    assert.equal(status, 0, out)
    const text = await readFile(config(), 'utf8')
    assert.match(text, /^# mine\nusers:\n- name: prod {3}# keep this\n {2}user:\n {4}exec:\n/)
    assert.doesNotMatch(text, /CANARY|canary/)
    assert.match(text, /^current-context: other$/m)
    const [, backup = ''] = /the old file is (.*)$/m.exec(out) ?? []
    assert.equal(await readFile(backup, 'utf8'), old)
  })

  test('--dry-run says what would be written, and writes nothing', async () => {
    const { status, out } = await kubeconfig([...server(), '--name', 'prod', '--set-current', '--dry-run'])
    assert.equal(status, 0)
    assert.match(
      out,
      /would write:\n.*config: cluster prod, new\n.*user prod, new\n.*context prod, new\n.*current context prod/,
    )
    await assert.rejects(stat(folder.path('home')), { code: 'ENOENT' })
  })

  test('--print writes the kubeconfig to stdout and everything else to stderr', async () => {
    const { status, out, err } = await kubeconfig([...server(), '--print'])
    assert.equal(status, 0, err)
    assert.deepEqual(Object.keys(parse(out) as object), [
      'apiVersion',
      'clusters',
      'contexts',
      'current-context',
      'kind',
      'users',
    ])
    assert.match(err, /credentials {2}accepted: alice/)
    await assert.rejects(stat(folder.path('home')), { code: 'ENOENT' })
  })

  test('the cluster of the current context is taken, and its entry left as it is', async () => {
    await mkdir(folder.path('home/.kube'), { recursive: true })
    const old = `current-context: admin
clusters:
- name: kubernetes
  cluster:
    server: ${urlOf(servers.good)}/
    certificate-authority: ../../ca.crt # beside
contexts:
- name: admin
  context: {cluster: kubernetes, user: kubernetes-admin}
`
    await writeFile(config(), old)
    const { status, out } = await kubeconfig([])
    assert.equal(status, 0, out)
    const text = await readFile(config(), 'utf8')
    assert.ok(text.startsWith(old))
    const { clusters, contexts, 'current-context': current } = (await readConfig()) as unknown as Written
    assert.equal(clusters.length, 1)
    assert.deepEqual(contexts[1], {
      name: 'archway@kubernetes',
      context: { cluster: 'kubernetes', user: 'archway@kubernetes' },
    })
    assert.equal(current, 'admin')
  })

  test('a cluster that switches verification off is not taken over', async () => {
    await mkdir(folder.path('home/.kube'), { recursive: true })
    const insecure = `clusters:\n- name: a\n  cluster: {server: "${urlOf(servers.good)}", insecure-skip-tls-verify: true}\n`
    await writeFile(config(), insecure)
    const { status, out } = await kubeconfig(['--server', urlOf(servers.good)])
    assert.equal(status, 1)
    assert.match(out, /is not by the authorities of this system/)
    assert.equal(await readFile(config(), 'utf8'), insecure)
  })
})

describe('the exec block', () => {
  test('T-S12 has what is given and what the environment has, and no secret', async () => {
    const env = {
      OS_AUTH_URL: 'https://keystone.example:5000/v3',
      OS_USERNAME: 'alice',
      OS_TENANT_NAME: 'demo',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_DEFAULT_DOMAIN: 'default',
      OS_CACERT: 'keystone-ca.pem',
      OS_REGION_NAME: 'RegionOne',
      OS_INSECURE: 'true',
      OS_PASSWORD: 'CANARY-1',
      OS_TOKEN: 'CANARY-2',
      OS_APPLICATION_CREDENTIAL_SECRET: 'CANARY-3',
      ARCHWAY_OIDC_CLIENT_SECRET: 'CANARY-4',
      OS_PASSCODE: 'CANARY-5',
      OS_ACCESS_TOKEN: 'CANARY-6',
    }
    const args = [...server(), '--print', '--no-check', '--user-name', 'bob', '--oidc-scope', 'a', '--oidc-scope=b']
    const { status, out, err } = await kubeconfig(args, env)
    assert.equal(status, 0, err)
    assert.doesNotMatch(out + err, /CANARY/)
    const exec = (parse(out) as Written).users[0]?.user.exec
    assert.deepEqual(exec?.args, [
      'credential',
      '--keystone-url=https://keystone.example:5000/v3',
      '--user-name=bob',
      '--user-domain-name=Default',
      '--project-name=demo',
      `--cacert=${process.cwd()}/keystone-ca.pem`,
      '--oidc-scope=a',
      '--oidc-scope=b',
    ])
    assert.deepEqual(exec?.env, [{ name: 'OS_DEFAULT_DOMAIN', value: 'default' }])
    for (const name of ['OS_PASSWORD', 'OS_TOKEN', 'OS_APPLICATION_CREDENTIAL_SECRET', 'OS_PASSCODE']) {
      assert.match(err, new RegExp(`not written, being secret: .*${name}`))
    }
    assert.match(err, /not written: OS_INSECURE/)
  })

  test('T-S1 a secret on the command line is refused and not repeated', async () => {
    for (const flag of ['--password=CANARY', '--application-credential-secret=CANARY', '--passcode=CANARY']) {
      const { status, out, err } = await kubeconfig([...server(), '--no-check', '--print', flag])
      assert.equal(status, 2)
      assert.match(err, /is a secret and goes into no kubeconfig; set OS_/)
      assert.doesNotMatch(out + err, /CANARY/)
    }
    const { status, err } = await kubeconfig([
      ...server(),
      '--no-check',
      '--print',
      '--keystone-url',
      'https://a:CANARY@k/v3',
    ])
    assert.equal(status, 2)
    assert.doesNotMatch(err, /CANARY/)
  })

  test('the drop-in gets its settings as variables, and v1beta1', async () => {
    const env = { OS_AUTH_URL: 'https://k/v3', OS_PASSWORD: 'CANARY' }
    const exec = await execOf(['--command', 'client-keystone-auth', '--user-name=bob', '--insecure'], env)
    assert.equal(exec.args, null)
    assert.deepEqual(exec.env, [
      { name: 'OS_AUTH_URL', value: 'https://k/v3' },
      { name: 'OS_USERNAME', value: 'bob' },
      { name: 'OS_INSECURE', value: 'true' },
    ])
    assert.equal(exec.apiVersion, 'client.authentication.k8s.io/v1beta1')
  })

  test('a path is absolute, a name is not looked up', async () => {
    assert.equal((await execOf(['--command', './bin/archway'])).command, `${process.cwd()}/bin/archway`)
    assert.equal((await execOf(['--command', 'archway'])).command, 'archway')
  })

  test('the version: as asked; v1beta1 for what is printed; by kubectl for this machine', async () => {
    assert.equal((await execOf(['--api-version', 'v1'])).apiVersion, 'client.authentication.k8s.io/v1')
    assert.equal((await execOf([])).apiVersion, 'client.authentication.k8s.io/v1beta1')
    const versions = [
      ['v1.21.14', 'v1beta1'],
      ['v1.22.0', 'v1'],
      ['v1.32.4-dispatcher', 'v1'],
      ['v2.0.0', 'v1'],
      ['nonsense', 'v1beta1'],
    ] as const
    for (const [gitVersion, expected] of versions) {
      await plugin('kubectl', `echo '{"clientVersion": {"major": "1", "gitVersion": "${gitVersion}"}}'`)
      const { status } = await kubeconfig([...server(), '--no-check', '--overwrite'])
      assert.equal(status, 0)
      const [user] = ((await readConfig()) as unknown as Written).users
      assert.equal(user?.user.exec.apiVersion, `client.authentication.k8s.io/${expected}`, gitVersion)
    }
  })

  test('the program is told what kubectl would tell it', async () => {
    const { status, out } = await kubeconfig([...server(), '--user-name', 'alice', '--provide-cluster-info'])
    assert.equal(status, 0, out)
    const [args, info = ''] = (await readFile(folder.path('archway.log'), 'utf8')).split('\n')
    assert.equal(args, 'credential --user-name=alice')
    assert.deepEqual(JSON.parse(info), {
      kind: 'ExecCredential',
      apiVersion: 'client.authentication.k8s.io/v1beta1',
      spec: {
        cluster: {
          server: urlOf(servers.good),
          'certificate-authority-data': Buffer.from(authority.cert).toString('base64'),
          config: null,
        },
        interactive: process.stdin.isTTY === true,
      },
    })
  })
})

describe('whom to trust', () => {
  const untrusted = ['is not by', '--ca-file']

  test('a certificate by another CA: refused, with the digests of what was presented', async () => {
    const { status, out } = await kubeconfig(['--server', urlOf(servers.foreign), '--ca-file', folder.path('ca.crt')])
    assert.equal(status, 1)
    for (const part of untrusted) assert.ok(out.includes(part), out)
    assert.match(out, /nobody vouches for this yet/)
    assert.match(out, /pin {10}sha256:[0-9a-f]{64}/)
    assert.deepEqual(
      seen.filter(({ authorization }) => authorization !== undefined),
      [],
    )
    await assert.rejects(stat(folder.path('home')), { code: 'ENOENT' })
  })

  test('without a CA nothing is trusted because it was met first', async () => {
    for (const args of [[], ['--ca-from-server']]) {
      const { status, out } = await kubeconfig(['--server', urlOf(servers.chain), ...args])
      assert.equal(status, 1)
      assert.ok(out.includes(`--ca-from-server --ca-pin ${pinOf(new X509Certificate(authority.cert))}`), out)
      await assert.rejects(stat(folder.path('home')), { code: 'ENOENT' })
    }
  })

  test('a pin of the CA that the server sends along, by key or by fingerprint', async () => {
    const certificate = new X509Certificate(authority.cert)
    for (const pin of [pinOf(certificate), certificate.fingerprint256, pinOf(certificate).slice(7).toUpperCase()]) {
      const { status, out } = await kubeconfig(['--server', urlOf(servers.chain), '--ca-pin', pin, '--print'])
      assert.equal(status, 0, out)
      const data = (parse(out) as Written).clusters[0]?.cluster['certificate-authority-data'] ?? ''
      assert.equal(Buffer.from(data, 'base64').toString(), authority.cert)
    }
  })

  test('a pin of the CA that kubeadm publishes, where the server sends only its own certificate', async () => {
    const publish = (ca: string): void => {
      const data = Buffer.from(ca).toString('base64')
      behaviour.clusterInfo = `clusters:\n- name: ""\n  cluster: {certificate-authority-data: ${data}}\n`
    }
    publish(authority.cert)
    const args = [
      '--server',
      urlOf(servers.good),
      '--ca-from-server',
      '--ca-pin',
      pinOf(new X509Certificate(authority.cert)),
    ]
    const { status, out } = await kubeconfig([...args, '--print'])
    assert.equal(status, 0, out)
    publish(stranger.cert)
    const other = await kubeconfig([...args, '--print'])
    assert.equal(other.status, 1)
    assert.match(other.err, /nothing that .* presents has this pin/)
    assert.equal(other.out, '')
    // What a stranger publishes with the stranger's pin: it is not by whom the server's certificate is.
    const strange = [...args.slice(0, 4), pinOf(new X509Certificate(stranger.cert)), '--print']
    assert.equal((await kubeconfig(strange)).status, 1)
  })

  test("a pin of the server's own certificate is refused: it changes with every renewal", async () => {
    const presented = await kubeconfig(['--server', urlOf(servers.good)])
    const [, own = ''] = /pin {10}(sha256:\w+)/.exec(presented.out) ?? []
    const { status, out } = await kubeconfig(['--server', urlOf(servers.good), '--ca-pin', own])
    assert.equal(status, 1)
    assert.match(out, /server's own certificate/)
  })

  test('another name: says which names the certificate has, and --tls-server-name is one', async () => {
    const { status, out } = await kubeconfig(server(servers.misnamed))
    assert.equal(status, 1)
    assert.match(out, /is not for 127\.0\.0\.1, but for: api\.internal, kubernetes, 10\.0\.0\.1/)
    assert.match(out, /--tls-server-name api\.internal/)
    const named = await kubeconfig([...server(servers.misnamed), '--tls-server-name', 'api.internal', '--print'])
    assert.equal(named.status, 0, named.err)
    assert.equal((parse(named.out) as Written).clusters[0]?.cluster['tls-server-name'], 'api.internal')
  })

  test('a certificate that has expired: says when', async () => {
    const { status, out } = await kubeconfig(server(servers.old))
    assert.equal(status, 1)
    assert.match(out, /has expired/)
    assert.match(out, /1970-01-02T00:00:00\.000Z/)
  })

  test('a server that is not there, and one that speaks no TLS', async () => {
    const port = await freePorts()
    const gone = await kubeconfig(['--server', `https://127.0.0.1:${port}`])
    assert.equal(gone.status, 1)
    assert.match(gone.out, /cannot be reached \(.*ECONNREFUSED/)
    const plain = createPlainServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(0, '127.0.0.1')
    await once(plain, 'listening')
    const address = plain.address()
    const { status, out } = await kubeconfig([
      '--server',
      `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    ])
    plain.close()
    assert.equal(status, 1)
    assert.match(out, /does not speak TLS/)
  })

  test('wrong command lines', async () => {
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [[], /--server is missing/],
      [['--server', 'http://a:6443'], /its scheme is not https/],
      [['--server', 'https://a:CANARY@b'], /has a user name/],
      [['--server', 'https://a?x'], /a query/],
      [['--server', 'https://'], /not an address/],
      [['--server', 'a', '--ca-pin', 'sha256:12'], /--ca-pin: is not sha256/],
      [[...server(), '--ca-pin', '0'.repeat(64)], /either --ca-file, or --ca-from-server/],
      [['--server', 'a', '--ca-file', '/nowhere'], /--ca-file: .*ENOENT/],
      [['--server', 'a', '--ca-file', '/etc/hostname'], /has no certificate in it/],
      [[...server(), '--name', 'a\nb'], /control characters/],
      [[...server(), '--print', '--dry-run'], /cannot be used with/],
    ]
    for (const [args, message] of wrong) {
      const { status, err } = await kubeconfig(args)
      assert.equal(status, 2, err)
      assert.match(err, message)
      assert.doesNotMatch(err, /CANARY/)
    }
  })
})

describe('what does not work is said, with what to do, and nothing is written', () => {
  async function fails(message: RegExp, args: readonly string[] = []): Promise<string> {
    const { status, out } = await kubeconfig([...server(), ...args])
    assert.equal(status, 1, out)
    assert.match(out, message)
    assert.match(out, /nothing was written; --no-check/)
    await assert.rejects(stat(folder.path('home')), { code: 'ENOENT' })
    return out
  }

  test('the program is not in PATH', async () => {
    const { status, out } = await kubeconfig(server(), { PATH: '/nowhere' })
    assert.equal(status, 1)
    assert.match(
      out,
      /archway is not in PATH, so kubectl cannot run it\.\n +Put it there, or name it: --command \/.*bin\/archway$/m,
    )
  })

  test('the program fails', async () => {
    await plugin('archway', 'echo "no password" >&2; exit 3')
    await fails(/archway failed \(status 3\)/)
  })

  const unusable: readonly (readonly [string, string, RegExp])[] = [
    ['nothing', '', /it printed nothing/],
    ['a log line as well', `echo starting; ${answer()}`, /not one JSON object/],
    ['another version', answer({ version: 'v1' }), /did not answer in client.authentication.k8s.io\/v1beta1/],
    ['an empty token', answer({ token: '' }), /neither a token nor a certificate/],
    ['a token with a blank', answer({ token: 'a b' }), /no HTTP header/],
    ['no time', answer({ expires: '2030-01-02' }), /no time with a zone/],
    [
      'a number for a token',
      `echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":1}}'`,
      /is not text/,
    ],
    ['something else', `echo '{"kind":"Status"}'`, /no ExecCredential/],
    ['too much', 'while :; do echo CANARY; done', /more than 1 MiB/],
  ]
  for (const [what, script, message] of unusable) {
    test(`the program says ${what}`, async () => {
      await plugin('archway', script)
      assert.doesNotMatch(await fails(message), /CANARY/)
    })
  }

  test('401: the API server does not know this kind of token', async () => {
    await plugin('archway', answer({ token: 'CANARY-token' }))
    const out = await fails(
      /credentials {2}401: the API server does not take this credential\.\n.*--authentication-token-webhook-config-file/,
    )
    assert.doesNotMatch(out, /CANARY/)
  })

  test('what answers is no Kubernetes API', async () => {
    behaviour.review = { status: 200, body: { hello: 'world' } }
    await fails(/what answers is not a Kubernetes API/)
  })

  test('taken for nobody', async () => {
    behaviour.review.body = { kind: 'SelfSubjectReview', status: { userInfo: { username: 'system:anonymous' } } }
    await fails(/takes this for nobody/)
  })

  test('an answer that says nothing', async () => {
    behaviour.review = { status: 500, body: {} }
    await fails(/answered 500, which says nothing about the credential/)
  })
})

describe('as whom', () => {
  test('403 is somebody without this right: fine', async () => {
    const message =
      'selfsubjectreviews.authentication.k8s.io is forbidden: User "alice" cannot create resource "selfsubjectreviews"'
    behaviour.review = { status: 403, body: { kind: 'Status', message } }
    const { status, out } = await kubeconfig([...server(), '--dry-run'])
    assert.equal(status, 0)
    assert.match(out, /credentials {2}accepted: alice$/m)
  })

  test('an API server before 1.26 tells it by what it refuses', async () => {
    behaviour.review = { status: 404, body: { kind: 'Status' } }
    behaviour.root = { status: 403, body: { kind: 'Status', message: 'forbidden: User "bob" cannot get path "/"' } }
    assert.match((await kubeconfig([...server(), '--dry-run'])).out, /accepted: bob$/m)
    behaviour.root = { status: 200, body: { paths: ['/api'] } }
    assert.match((await kubeconfig([...server(), '--dry-run'])).out, /accepted \(the API server does not say as whom\)/)
  })

  test('its words cannot take hold of the terminal', async () => {
    behaviour.review.body = {
      kind: 'SelfSubjectReview',
      status: { userInfo: { username: 'a\u001b[2J\u202e', groups: ['\u009b'] } },
    }
    const { out } = await kubeconfig([...server(), '--dry-run'])
    assert.doesNotMatch(out.replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f\u202e]/)
  })
})

describe('signals', () => {
  test('Ctrl-C while kubectl has the lock: nothing is written', async () => {
    await mkdir(folder.path('home/.kube'), { recursive: true })
    await writeFile(config(), '# mine\n')
    await writeFile(`${config()}.lock`, '')
    const io = testIo({ HOME: folder.path('home') })
    const ready = Promise.withResolvers<void>()
    const program = new Command('archway')
    const listening: typeof io = {
      ...io,
      onSignal(signals, listener) {
        ready.resolve()
        return io.onSignal(signals, listener)
      },
    }
    addKubeconfigCommand(program, listening, () => assert.fail('was done'))
    const run = program.parseAsync(['kubeconfig', ...server(), '--no-check'], { from: 'user' })
    await ready.promise
    io.signal('SIGINT')
    await assert.rejects(run, (thrown: unknown) => thrown instanceof ExitError && thrown.status === 130)
    assert.equal(await readFile(config(), 'utf8'), '# mine\n')
  })
})
