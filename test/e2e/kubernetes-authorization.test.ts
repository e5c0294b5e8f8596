import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type KeystoneRig, type KubeApiserverRig, startKeystone, startKubeApiserver } from '../support/rigs.ts'
import { createSite, type Program, runProgram, type Site, serve, startProgram } from './program.ts'

type KubectlResult = Awaited<ReturnType<KubeApiserverRig['kubectl']>>

function webhookConfig(server: string, caFile: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'archway', cluster: { server: `${server}/webhook`, 'certificate-authority': caFile } }],
    users: [{ name: 'apiserver', user: {} }],
    contexts: [{ name: 'webhook', context: { cluster: 'archway', user: 'apiserver' } }],
    'current-context': 'webhook',
  })
}

/** kube-apiserver remembers nothing, so that every request is a question. */
const UNCACHED = [
  '--authorization-webhook-cache-authorized-ttl=0s',
  '--authorization-webhook-cache-unauthorized-ttl=0s',
] as const

/** kubectl with a token and nothing else. */
async function as(
  { url, caFile, kubectl }: KubeApiserverRig,
  site: Site,
  token: string,
  ...args: string[]
): Promise<KubectlResult> {
  const kubeconfig = await site.folder.write('kubeconfig', '')
  return kubectl([`--server=${url}`, `--certificate-authority=${caFile}`, `--token=${token}`, ...args], { kubeconfig })
}

/** Asks again until it is so: what is waited for is an event in another process. */
async function until(holds: () => Promise<boolean>, seconds: number, what: string): Promise<void> {
  const deadline = performance.now() + seconds * 1000
  while (!(await holds())) if (performance.now() > deadline) assert.fail(`not within ${seconds} s: ${what}`)
}

describe('kubectl → kube-apiserver → archway, Webhook,RBAC: a policy file', () => {
  let keystone: KeystoneRig
  let site: Site
  let archway: Program
  let cluster: KubeApiserverRig
  let alice: string
  let carol: string

  before(async () => {
    keystone = await startKeystone()
    site = await createSite()
    const { demo } = keystone.ids.projects
    // The predecessor's guide: a member of demo reads pods in `default`; utility_exec, here ops' admin, sub- and
    // non-resources; and both versions in one list.
    const policy = await site.folder.write(
      'policy.json',
      JSON.stringify([
        {
          resource: { verbs: ['get', 'list', 'watch'], resources: ['pods'], version: '*', namespace: 'default' },
          match: [
            { type: 'role', values: ['member'] },
            { type: 'project', values: ['demo'] },
          ],
        },
        {
          resource: { verbs: ['*'], resources: ['pods/exec', 'pods/log'], version: '*', namespace: 'utility' },
          match: [{ type: 'project', values: ['ops'] }],
        },
        { nonresource: { verbs: ['get'], path: '/healthz*' }, match: [{ type: 'project', values: ['ops'] }] },
        {
          users: { roles: ['member'], projects: [demo] },
          resource_permissions: { "!kube-system/['services', 'configmaps']": ['get', 'list'] },
          nonresource_permissions: { '/version': ['get'] },
        },
        {
          users: { roles: ['admin'], projects: ['ops'] },
          resource_permissions: { 'default/pods': ['get', 'list'] },
        },
      ]),
    )
    archway = await serve(site, {
      authenticators: [{ keystone: { url: keystone.url } }],
      authorizers: [{ keystonePolicy: { files: [policy] } }],
    })
    const file = await site.folder.write('webhook.yaml', webhookConfig(archway.url, site.caFile))
    cluster = await startKubeApiserver({
      flags: [
        `--authentication-token-webhook-config-file=${file}`,
        `--authorization-webhook-config-file=${file}`,
        '--anonymous-auth=false',
        ...UNCACHED,
      ],
      authorizationMode: 'Webhook,RBAC',
    })
    alice = await keystone.token('alice', 'alice-pw', 'demo')
    carol = await keystone.token('carol', 'carol-pw', 'ops')
  })
  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
    await archway?.stop()
    await keystone?.[Symbol.asyncDispose]()
    await site?.folder.remove()
  })

  async function may(token: string, ...question: string[]): Promise<string> {
    const { stdout } = await as(cluster, site, token, 'auth', 'can-i', ...question)
    return stdout.split(/\s/)[0] ?? ''
  }

  test('a member of demo lists pods in default, and may not create one', async () => {
    const list = await as(cluster, site, alice, 'get', 'pods', '-n', 'default')
    assert.equal(list.status, 0, list.stderr)
    const create = await as(cluster, site, alice, 'run', 'p', '--image=i', '-n', 'default')
    assert.equal(create.status, 1)
    assert.match(create.stderr, /User "alice" cannot create resource "pods"/)
    assert.equal(await may(alice, 'list', 'pods', '-n', 'kube-public'), 'no')
  })

  test('version 2: a negated namespace, a list, and a request without namespace that only `*` would cover', async () => {
    assert.equal(await may(alice, 'list', 'services', '-n', 'anywhere'), 'yes')
    assert.equal(await may(alice, 'get', 'configmaps', '-n', 'default'), 'yes')
    assert.equal(await may(alice, 'list', 'services', '-n', 'kube-system'), 'no')
    assert.equal(await may(alice, 'list', 'services', '--all-namespaces'), 'no')
    assert.equal(await may(alice, 'get', '/version'), 'yes')
  })

  test('version 1: sub- and non-resources', async () => {
    assert.equal(await may(carol, 'create', 'pods', '--subresource=exec', '-n', 'utility'), 'yes')
    assert.equal(await may(carol, 'get', 'pods', '--subresource=log', '-n', 'utility'), 'yes')
    assert.equal(await may(carol, 'get', 'pods', '-n', 'utility'), 'no')
    assert.equal(await may(carol, 'get', '/healthz/etcd'), 'yes')
    assert.equal(await may(alice, 'get', '/healthz/etcd'), 'no')
  })

  test('T-W12 "default/pods": ["get"] does not open a shell, by GET as by POST; the linter says why', async () => {
    assert.equal(await may(carol, 'get', 'pods', '-n', 'default'), 'yes')
    for (const verb of ['get', 'create']) {
      assert.equal(await may(carol, verb, 'pods', '--subresource=exec', '-n', 'default'), 'no')
    }
    const admin = await cluster.kubectl(['create', '-f', '-'], {
      input: JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'shell', namespace: 'default' },
        spec: { nodeName: 'none', containers: [{ name: 'c', image: 'i' }] },
      }),
    })
    assert.equal(admin.status, 0, admin.stderr)
    const exec = await as(cluster, site, carol, 'exec', 'shell', '-n', 'default', '--', 'id')
    assert.equal(exec.status, 1)
    assert.match(exec.stderr, /cannot (create|get) resource "pods\/exec"/)
    const linted = await runProgram('archway', ['policy', 'check', site.folder.path('policy.json')])
    assert.match(linted.stdout + linted.stderr, /exec/)
  })

  test('the reason of a decision names the rule', async () => {
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: {
        user: 'x',
        groups: [],
        extra: {
          'alpha.kubernetes.io/identity/project/name': ['demo'],
          'alpha.kubernetes.io/identity/project/id': ['p'],
          'alpha.kubernetes.io/identity/roles': ['member'],
          'alpha.kubernetes.io/identity/user/domain/id': ['default'],
          'alpha.kubernetes.io/identity/user/domain/name': ['Default'],
        },
        resourceAttributes: { verb: 'list', resource: 'pods', version: 'v1', namespace: 'default' },
      },
    }
    const { stdout } = await cluster.kubectl(['create', '-o', 'json', '-f', '-'], { input: JSON.stringify(review) })
    const { status } = JSON.parse(stdout)
    assert.equal(status.allowed, true)
    assert.match(status.reason, /policy\.json/)
  })

  test('RBAC behind it still has its say, and system traffic is untouched', async () => {
    await cluster.kubectl(['create', 'clusterrole', 'secrets', '--verb=list', '--resource=secrets'])
    await cluster.kubectl(['create', 'clusterrolebinding', 'alice', '--clusterrole=secrets', '--user=alice'])
    assert.equal((await as(cluster, site, alice, 'get', 'secrets')).status, 0)
    assert.equal((await cluster.kubectl(['get', 'namespaces'])).status, 0)
  })

  test('T-W13 a change of the file is in force at once; a broken one changes nothing and says so', async () => {
    const rule = (verbs: string[]) => [
      { users: { roles: ['member'], projects: ['demo'] }, resource_permissions: { 'default/pods': verbs } },
    ]
    await site.folder.write('policy.json', JSON.stringify(rule(['delete'])))
    process.kill(archway.pid, 'SIGHUP')
    await until(async () => (await may(alice, 'delete', 'pods', '-n', 'default')) === 'yes', 5, 'the change')
    assert.equal(await may(alice, 'list', 'pods', '-n', 'default'), 'no')
    await site.folder.write('policy.json', JSON.stringify([{ ...rule(['*'])[0], users: { roles: 'member' } }]))
    process.kill(archway.pid, 'SIGHUP')
    await archway.line(({ message }) => message.startsWith('reload failed'))
    assert.equal(await may(alice, 'delete', 'pods', '-n', 'default'), 'yes')
    assert.equal(await may(alice, 'list', 'pods', '-n', 'default'), 'no')
    assert.match((await archway.admin('/readyz?verbose')).body, /still in force, for: .*users\.roles/)
    assert.match((await archway.admin('/metrics')).body, /archway_reload_ok\{file="[^"]*policy\.json"\} 0/)
  })
})

describe('a policy in a ConfigMap, Node,Webhook,RBAC, by the drop-in', () => {
  let keystone: KeystoneRig
  let site: Site
  let archway: Program
  let cluster: KubeApiserverRig

  const rules = (verbs: readonly string[]): string =>
    JSON.stringify([
      { users: { roles: ['member'], projects: ['demo'] }, resource_permissions: { 'default/pods': verbs } },
    ])

  before(async () => {
    keystone = await startKeystone()
    site = await createSite()
    // The webhook is up before the cluster is: kube-apiserver needs it to start, and not the other way round.
    const dir = site.folder.path('cluster')
    archway = await startProgram(site, 'k8s-keystone-auth', [
      './bin/k8s-keystone-auth',
      ...['--tls-cert-file', site.certFile, '--tls-private-key-file', site.keyFile, '--keystone-url', keystone.url],
      ...['--policy-configmap-name', 'k8s-auth-policy', '--kubeconfig', `${dir}/kubeconfig`],
      ...['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '-v', '4'],
    ])
    assert.equal((await archway.admin('/readyz')).status, 503)
    const file = await site.folder.write('webhook.yaml', webhookConfig(archway.url, site.caFile))
    cluster = await startKubeApiserver({
      dir,
      flags: [
        `--authentication-token-webhook-config-file=${file}`,
        `--authorization-webhook-config-file=${file}`,
        ...UNCACHED,
      ],
      authorizationMode: 'Node,Webhook,RBAC',
    })
  })
  after(async () => {
    await archway?.stop()
    await cluster?.[Symbol.asyncDispose]()
    await keystone?.[Symbol.asyncDispose]()
    await site?.folder.remove()
  })

  async function apply(text: string): Promise<void> {
    const manifest = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'k8s-auth-policy', namespace: 'kube-system' },
      data: { policies: text },
    }
    const { status, stderr } = await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })
    assert.equal(status, 0, stderr)
  }

  /** What archway itself says, without kube-apiserver between: decided by the policy in force. */
  async function decides(verb: string): Promise<boolean> {
    const answer = await archway.access({
      user: 'alice',
      extra: {
        'alpha.kubernetes.io/identity/project/name': ['demo'],
        'alpha.kubernetes.io/identity/project/id': [keystone.ids.projects['demo'] ?? ''],
        'alpha.kubernetes.io/identity/roles': ['member'],
        'alpha.kubernetes.io/identity/user/domain/id': ['default'],
        'alpha.kubernetes.io/identity/user/domain/name': ['Default'],
      },
      resourceAttributes: { verb, resource: 'pods', version: 'v1', namespace: 'default' },
    })
    return answer.allowed === true
  }

  test('it listens before there is a policy; then a good change is in force within 2 seconds', async () => {
    assert.equal(await decides('list'), false)
    await apply(rules(['list']))
    await until(() => decides('list'), 2, 'the first policy')
    assert.equal(await decides('delete'), false)
    await apply(rules(['list', 'delete']))
    await until(() => decides('delete'), 2, 'the second policy')
  })

  test('T-W13 a broken change changes no decision, and an Event at the ConfigMap says why', async () => {
    for (const broken of ['[{"users": ["alice"]}]', '{"not": "json"', '', 'null x']) {
      await apply(broken)
      await archway.line(({ message }) => message === 'policy refused, the last good one stays in force')
      assert.equal(await decides('list'), true, broken)
      assert.equal(await decides('create'), false, broken)
    }
    await until(
      async () => (await cluster.kubectl(['get', 'events', '-n', 'kube-system'])).stdout.includes('PolicyRefused'),
      5,
      'the Event',
    )
  })

  test('deletion allows nothing, re-creation is taken up', async () => {
    await apply(rules(['list']))
    await cluster.kubectl(['delete', 'configmap', 'k8s-auth-policy', '-n', 'kube-system'])
    await until(async () => !(await decides('list')), 2, 'the deletion')
    await apply(rules(['watch']))
    await until(() => decides('watch'), 2, 'the re-creation')
  })

  test('the API server goes away and comes back: the policy stays, and changes are seen again', async () => {
    await cluster.stop()
    assert.equal(await decides('watch'), true)
    await cluster.start()
    assert.equal(await decides('watch'), true)
    await apply(rules(['patch']))
    await until(() => decides('patch'), 10, 'a change after the restart')
  })
})
