import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { Agent, request } from 'undici'
import { type KeystoneRig, type KubeApiserverRig, startKeystone, startKubeApiserver } from '../support/rigs.ts'
import { createSite, type Program, type Site, serve, startProgram } from './program.ts'

/** The file of `--authentication-token-webhook-config-file`. */
function webhookConfig(server: string, caFile: string, client?: { cert: string; key: string }): string {
  const user = client === undefined ? {} : { 'client-certificate': client.cert, 'client-key': client.key }
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'archway', cluster: { server: `${server}/webhook`, 'certificate-authority': caFile } }],
    users: [{ name: 'apiserver', user }],
    contexts: [{ name: 'webhook', context: { cluster: 'archway', user: 'apiserver' } }],
    'current-context': 'webhook',
  })
}

type KubectlResult = Awaited<ReturnType<KubeApiserverRig['kubectl']>>

/** Every request with who made it, so that uid and extra can be read as kube-apiserver has them. */
const AUDIT_POLICY = JSON.stringify({
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
})

describe('kubectl → kube-apiserver → archway → Keystone', () => {
  let keystone: KeystoneRig
  let site: Site
  let archway: Program
  let cluster: KubeApiserverRig
  let flags: readonly string[]

  before(async () => {
    keystone = await startKeystone()
    site = await createSite()
    archway = await serve(site, {
      authenticators: [{ keystone: { url: keystone.url } }],
      cache: { ttl: '0s', negativeTtl: '0s' },
    })
    const auditPolicy = await site.folder.write('audit-policy.yaml', AUDIT_POLICY)
    const config = await site.folder.write('webhook.yaml', webhookConfig(archway.url, site.caFile))
    flags = [
      `--authentication-token-webhook-config-file=${config}`,
      `--audit-policy-file=${auditPolicy}`,
      `--audit-log-path=${site.folder.path('audit.log')}`,
    ]
    cluster = await startKubeApiserver({ flags: [...flags, '--authentication-token-webhook-version=v1'] })
    const { demo } = keystone.ids.projects
    await admin('create', 'clusterrole', 'reader', '--verb=list', '--resource=pods')
    await admin('create', 'clusterrolebinding', 'project-demo', '--clusterrole=reader', `--group=${demo}`)
    await admin('create', 'clusterrolebinding', 'korean', '--clusterrole=reader', '--group=개발팀')
    await admin('create', 'clusterrole', 'writer', '--verb=list', '--resource=configmaps')
    await admin('create', 'clusterrolebinding', 'korean-user', '--clusterrole=writer', '--user=김철수')
  })
  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
    await archway?.stop()
    await keystone?.[Symbol.asyncDispose]()
    await site?.folder.remove()
  })

  async function admin(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await cluster.kubectl(args)
    assert.equal(status, 0, stderr)
    return stdout
  }

  /** kubectl with a token and nothing else. */
  async function as(token: string, ...args: string[]): Promise<KubectlResult> {
    return on(cluster, token, ...args)
  }

  async function on(
    { url, caFile, kubectl }: KubeApiserverRig,
    token: string,
    ...args: string[]
  ): Promise<KubectlResult> {
    const kubeconfig = await site.folder.write('kubeconfig', '')
    return kubectl([`--server=${url}`, `--certificate-authority=${caFile}`, `--token=${token}`, ...args], {
      kubeconfig,
    })
  }

  async function auditedUser(username: string): Promise<Record<string, unknown>> {
    const text = await readFile(site.folder.path('audit.log'), 'utf8')
    const users = text
      .split('\n')
      .filter(Boolean)
      .map((line) => (JSON.parse(line) as { user: Record<string, unknown> }).user)
    return users.findLast((user) => user['username'] === username) ?? {}
  }

  for (const version of ['v1', 'v1beta1']) {
    describe(`asked in ${version}`, () => {
      before(async () => {
        if (version === 'v1') return
        await cluster.stop()
        await cluster.start([...flags, `--authentication-token-webhook-version=${version}`])
      })

      test("alice's token makes her alice, in her groups and her project", async () => {
        const token = await keystone.token('alice', 'alice-pw', 'demo')
        const pods = await as(token, 'get', 'pods')
        assert.equal(pods.status, 0, pods.stderr)
        const secrets = await as(token, 'get', 'secrets')
        assert.equal(secrets.status, 1)
        assert.match(secrets.stderr, /User "alice" cannot list resource "secrets"/)
        const { groups, uid, extra } = await auditedUser('alice')
        const { demo } = keystone.ids.projects
        assert.equal(uid, keystone.ids.users['alice'])
        assert.deepEqual(groups, ['k8s-devs', demo, 'system:authenticated'])
        const identity = extra as Record<string, string[]>
        assert.deepEqual(identity['alpha.kubernetes.io/identity/project/name'], ['demo'])
        assert.deepEqual(identity['alpha.kubernetes.io/identity/user/domain/name'], ['Default'])
        assert.equal(identity['alpha.kubernetes.io/identity/roles']?.includes('member'), true)
      })

      test('a self-review of access sees the same identity', async () => {
        const token = await keystone.token('alice', 'alice-pw', 'demo')
        assert.equal((await as(token, 'auth', 'can-i', 'list', 'pods')).stdout.trim(), 'yes')
        assert.equal((await as(token, 'auth', 'can-i', 'delete', 'pods')).stdout.trim(), 'no')
      })

      test('a token that is not good is a 401', async () => {
        const { status, stderr } = await as('gAAAAAB-nothing', 'get', 'pods')
        assert.equal(status, 1)
        assert.match(stderr, /Unauthorized/)
      })
    })
  }

  test('T-H14 names in Korean and other scripts arrive as they are', async () => {
    const { demo } = keystone.ids.projects
    const make = async (kind: string, body: object): Promise<string> =>
      (await keystone.api('POST', `/${kind}s`, { [kind]: { domain_id: 'default', ...body } })).body[kind].id
    const user = await make('user', { name: '김철수', password: 'pw' })
    await keystone.api('PUT', `/projects/${demo}/users/${user}/roles/${keystone.ids.roles['member']}`)
    for (const name of ['개발팀', 'größe', '团队', 'مهندسين']) {
      await keystone.api('PUT', `/groups/${await make('group', { name })}/users/${user}`)
    }
    const token = await keystone.token('김철수', 'pw', 'demo')
    for (const resource of ['pods', 'configmaps']) {
      const { status, stderr } = await as(token, 'get', resource)
      assert.equal(status, 0, stderr)
    }
    const { groups } = await auditedUser('김철수')
    assert.deepEqual(
      [...(groups as string[])].sort(),
      [demo, 'größe', 'system:authenticated', 'مهندسين', '团队', '개발팀'].sort(),
    )
  })

  test('T-W3 a bad token used 100 times reaches Keystone once', async () => {
    const bad = `gAAAAAB${'z'.repeat(120)}`
    const refused = /auth\/tokens.* 401$/
    const before = await keystone.countRequests(refused)
    const dispatcher = new Agent({ connect: { ca: await readFile(cluster.caFile) }, connections: 4 })
    const statuses = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const answer = await request(`${cluster.url}/api/v1/namespaces/default/pods`, {
          dispatcher,
          headers: { authorization: `Bearer ${bad}` },
        })
        await answer.body.dump()
        return answer.statusCode
      }),
    )
    await dispatcher.close()
    assert.deepEqual([...new Set(statuses)], [401])
    // Archway remembers nothing here: it is kube-apiserver that has understood the refusal.
    assert.equal((await keystone.countRequests(refused)) - before, 1)
  })

  test('T-W4 a service account token of another cluster never reaches Keystone', async () => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = { iss: 'https://kubernetes.default.svc', sub: 'system:serviceaccount:default:default', aud: ['x'] }
    const foreign = `${part({ alg: 'RS256', kid: 'other' })}.${part(claims)}.${'A'.repeat(342)}`
    const before = await keystone.countRequests(/./)
    assert.match((await as(foreign, 'get', 'pods')).stderr, /Unauthorized/)
    assert.equal(await keystone.countRequests(/./), before)
  })

  test('T-W3 after an outage the first good token works: nobody was remembered as refused', async () => {
    const token = await keystone.token('bob', 'bob-pw', 'demo')
    await keystone.stop()
    const down = await as(token, 'get', 'pods')
    assert.equal(down.status, 1)
    await keystone.start()
    const back = await as(token, 'get', 'pods')
    assert.equal(back.status, 0, back.stderr)
  })

  test('T-W5 with client certificates required, kube-apiserver needs one of the CA', async () => {
    const clients = (await createSite()).authority
    const clientCAFile = await site.folder.write('clients-ca.crt', clients.cert)
    const client = await clients.client({ commonName: 'kube-apiserver' })
    const cert = await site.folder.write('client.crt', client.cert)
    const key = await site.folder.write('client.key', client.key)
    const tls = { certFile: site.certFile, keyFile: site.keyFile, clientCAFile, clientNames: ['kube-apiserver'] }
    await using strict = await serve(site, {
      server: { listen: '127.0.0.1:0', tls },
      authenticators: [{ keystone: { url: keystone.url } }],
    })
    const file = await site.folder.write('mtls.yaml', webhookConfig(strict.url, site.caFile, { cert, key }))
    await cluster.stop()
    await cluster.start([`--authentication-token-webhook-config-file=${file}`])
    const pods = await as(await keystone.token('alice', 'alice-pw', 'demo'), 'get', 'pods')
    assert.equal(pods.status, 0, pods.stderr)

    const anonymous = await site.folder.write('no-certificate.yaml', webhookConfig(strict.url, site.caFile))
    await cluster.stop()
    await cluster.start([`--authentication-token-webhook-config-file=${anonymous}`])
    const refused = await as(await keystone.token('alice', 'alice-pw', 'demo'), 'get', 'pods')
    assert.match(refused.stderr, /Unauthorized/)
    assert.match(await cluster.log('apiserver'), /tls: (certificate required|bad certificate)/)
  })

  test('the drop-in serves a manifest of its predecessor, authorization included: no opinion, and RBAC decides', async () => {
    const args = ['./bin/k8s-keystone-auth', '--tls-cert-file', site.certFile, '--tls-private-key-file', site.keyFile]
    await using dropIn = await startProgram(site, 'k8s-keystone-auth', [
      ...args,
      ...['--keystone-url', keystone.url, '--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'],
    ])
    const file = await site.folder.write('drop-in.yaml', webhookConfig(dropIn.url, site.caFile))
    await using other = await startKubeApiserver({
      flags: [`--authentication-token-webhook-config-file=${file}`, `--authorization-webhook-config-file=${file}`],
      authorizationMode: 'Node,Webhook,RBAC',
    })
    const { demo } = keystone.ids.projects
    await other.kubectl(['create', 'clusterrole', 'reader', '--verb=list', '--resource=pods'])
    await other.kubectl(['create', 'clusterrolebinding', 'demo', '--clusterrole=reader', `--group=${demo}`])
    const token = await keystone.token('alice', 'alice-pw', 'demo')
    const pods = await on(other, token, 'get', 'pods')
    assert.equal(pods.status, 0, pods.stderr)
    assert.match((await on(other, token, 'get', 'secrets')).stderr, /Forbidden/)
  })

  test('T-S1 no token stands in what archway wrote', async () => {
    assert.equal(/gAAAA/.test(archway.output()), false)
    assert.equal(/eyJ/.test(archway.output()), false)
  })
})
