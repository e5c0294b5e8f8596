import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { compilePolicy, keystonePolicy, parsePolicy } from '../../src/authz/keystone-policy/index.ts'
import { readRecording } from '../../src/authz/recording/reader.ts'
import { replay } from '../../src/authz/recording/replay.ts'
import { json, listOf, object, startServer } from '../kube/api-client/support.ts'
import { callContext } from '../support/context.ts'
import { asks, createSite, type Running, type Site, start, until } from './support.ts'

/** Members of demo may do this to pods in `default`. */
function policyText(...verbs: readonly string[]): string {
  return JSON.stringify([
    { users: { roles: ['member'], projects: ['demo'] }, resource_permissions: { 'default/pods': verbs } },
  ])
}

/** A role, and who has it everywhere. */
function rbacText(user: string, verb: string, resource: string): string {
  const group = 'rbac.authorization.k8s.io'
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'List',
    items: [
      {
        apiVersion: `${group}/v1`,
        kind: 'ClusterRole',
        metadata: { name: `${verb}-${resource}` },
        rules: [{ apiGroups: [''], resources: [resource], verbs: [verb] }],
      },
      {
        apiVersion: `${group}/v1`,
        kind: 'ClusterRoleBinding',
        metadata: { name: `${user}-${verb}-${resource}` },
        roleRef: { apiGroup: group, kind: 'ClusterRole', name: `${verb}-${resource}` },
        subjects: [{ apiGroup: group, kind: 'User', name: user }],
      },
    ],
  })
}

function abacLine(user: string, resource: string): string {
  const spec = { user, namespace: '*', resource, apiGroup: '*' }
  return JSON.stringify({ apiVersion: 'abac.authorization.kubernetes.io/v1beta1', kind: 'Policy', spec })
}

const DIGEST = ['archway_policy_digest_high', 'archway_policy_digest_low'] as const

async function digestOf(service: Running): Promise<readonly (number | undefined)[]> {
  return Promise.all(DIGEST.map((name) => service.metric(name)))
}

let site: Site
let policy: object
let rbac: object
let abac: object
before(async () => {
  site = await createSite()
  const manifests = site.folder.path('rbac')
  await mkdir(manifests)
  await writeFile(`${manifests}/roles.json`, rbacText('alice', 'list', 'pods'))
  await writeFile(`${manifests}/more.json`, rbacText('alice', 'list', 'secrets'))
  policy = { keystonePolicy: { files: [await site.folder.write('policy.json', policyText('get', 'list'))] } }
  rbac = { rbac: { manifests } }
  abac = {
    abac: { path: await site.folder.write('abac.jsonl', `${abacLine('alice', 'pods')}\n${abacLine('bob', '*')}`) },
  }
})
after(() => site.remove())

describe('a SubjectAccessReview, from the listener to the authorizers and back', () => {
  test('for whoever a TokenReview made of a Keystone token: policy, then RBAC, then ABAC', async () => {
    await using service = await start(site, { authorizers: [policy, rbac, abac] })
    const alice = await service.login(site.keystone.issue({ user: 'alice', project: 'demo', roles: ['member'] }))
    const got = await service.access(asks(alice, 'get'))
    assert.equal(got.allowed, true)
    assert.match(got.reason ?? '', /policy\.json/)
    // All three allow this, and only the first was asked.
    assert.match((await service.access(asks(alice, 'list'))).reason ?? '', /policy\.json/)
    const secrets = await service.access(asks(alice, 'list', { resource: 'secrets' }))
    assert.equal(secrets.allowed, true)
    assert.match(secrets.reason ?? '', /RBAC/)
    const deleted = await service.access(asks(alice, 'delete'))
    assert.equal(deleted.allowed, true)
    assert.match(deleted.reason ?? '', /ABAC|abac/)
    const nothing = await service.access(asks(alice, 'delete', { resource: 'secrets' }))
    assert.deepEqual([nothing.allowed, nothing.denied ?? false], [false, false])
  })

  test('rules for Keystone users apply to nobody else, who is left to the others', async () => {
    await using service = await start(site, { authorizers: [policy, abac] })
    const [carol, bob] = [{ user: 'carol', groups: ['demo', 'member'] }, { user: 'bob' }]
    assert.equal((await service.access(asks(carol, 'get'))).allowed, false)
    assert.equal((await service.access(asks(bob, 'get'))).allowed, true)
  })

  test('the order is that of the configuration', async () => {
    await using service = await start(site, { authorizers: [abac, rbac, policy] })
    const alice = await service.login(site.keystone.issue({ user: 'alice', project: 'demo', roles: ['member'] }))
    assert.match((await service.access(asks(alice, 'list'))).reason ?? '', /ABAC|abac/)
  })

  test('a denial ends the question: a hard one in the policy, and everything else where all is denied', async () => {
    const files = [site.folder.path('policy.json')]
    for (const authorizers of [
      [{ keystonePolicy: { files, hardDeny: true } }, abac],
      [{ alwaysDeny: { hard: true } }, { alwaysAllow: {} }],
    ]) {
      await using service = await start(site, { authorizers })
      const alice = await service.login(site.keystone.issue({ user: 'alice', project: 'demo', roles: ['member'] }))
      const { allowed, denied } = await service.access(asks(alice, 'delete'))
      assert.deepEqual([allowed, denied], [false, true])
    }
  })

  test('without a denial whoever comes next decides', async () => {
    await using service = await start(site, { authorizers: [{ alwaysDeny: {} }, { alwaysAllow: {} }] })
    assert.equal((await service.access(asks({ user: 'anybody' }, 'delete'))).allowed, true)
  })

  test('without authorizers there is no opinion on anything', async () => {
    await using service = await start(site, {})
    assert.deepEqual(await service.access(asks({ user: 'anybody' }, 'get')), { allowed: false })
    assert.deepEqual(await digestOf(service), [0, 0])
  })
})

describe('T-W13 policies in force', () => {
  test('are in readiness, with digest and number of rules', async () => {
    await using service = await start(site, { authorizers: [policy] })
    const { status, body } = await service.admin('/readyz?verbose')
    assert.equal(status, 200)
    assert.match(body, /^\[\+\]keystone-policy ok: 1 rules, sha256 [0-9a-f]{12}, in force since 20\d\d-/m)
    assert.match(body, /^\[\+\]\S*policy\.json ok: loaded /m)
    assert.equal((await service.admin('/readyz/keystone-policy')).status, 200)
    assert.equal(await service.metric('archway_policy_rules'), 1)
  })

  test('have a digest in the metrics that is equal on services that decide alike, and on no others', async () => {
    const files = await Promise.all([
      site.folder.write('same.json', policyText('get', 'list')),
      site.folder.write('other.json', policyText('get')),
    ])
    const digests: string[] = []
    for (const sources of [
      [site.folder.path('policy.json')],
      files.slice(0, 1), // the same text elsewhere
      files.slice(1),
      files,
      files.toReversed(),
    ]) {
      await using service = await start(site, { authorizers: [{ keystonePolicy: { files: sources } }] })
      const digest = await digestOf(service)
      for (const half of digest) assert.ok(Number.isSafeInteger(half) && (half ?? 0) > 0, `${half}`)
      digests.push(digest.join())
    }
    assert.equal(digests[0], digests[1])
    assert.equal(new Set(digests).size, 4)
  })

  test('change with their file; a broken change leaves them, and readiness says why', async () => {
    const path = await site.folder.write('live.json', policyText('get'))
    await using service = await start(site, { authorizers: [{ keystonePolicy: { files: [path] } }] })
    const alice = await service.login(site.keystone.issue({ user: 'alice', project: 'demo', roles: ['member'] }))
    const may = async (verb: string): Promise<boolean> => (await service.access(asks(alice, verb))).allowed
    const first = await digestOf(service)
    await site.folder.write('live.json', policyText('list'))
    await service.reload()
    assert.deepEqual([await may('get'), await may('list')], [false, true])
    const second = await digestOf(service)
    assert.notDeepEqual(second, first)
    await site.folder.write('live.json', '[{"users": ["alice"]}]')
    await service.reload()
    assert.deepEqual([await may('get'), await may('list')], [false, true])
    assert.deepEqual(await digestOf(service), second)
    const { status, body } = await service.admin('/readyz?verbose')
    assert.equal(status, 200) // one typo must not take every replica out of service
    assert.match(body, /live\.json ok: loaded .*still in force, for: .*\[0\]\.users/)
    assert.equal(await service.metric(`archway_reload_ok{file="${path}"}`), 0)
  })

  test('of a ConfigMap: not ready until it is known, followed afterwards; the watch ends with the service', async () => {
    const api = await startServer()
    const ca = Buffer.from(api.ca).toString('base64')
    const kubeconfig = await site.folder.write(
      'kubeconfig',
      JSON.stringify({
        clusters: [{ name: 'c', cluster: { server: api.url, 'certificate-authority-data': ca } }],
        users: [{ name: 'u', user: { token: 't0ken' } }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    )
    const service = await start(site, {
      authorizers: [{ keystonePolicy: { configMaps: ['policy'] } }],
      kubernetes: { kubeconfig },
    })
    const alice = await service.login(site.keystone.issue({ user: 'alice', project: 'demo', roles: ['member'] }))
    const before = await service.admin('/readyz?verbose')
    assert.equal(before.status, 503)
    assert.match(before.body, /\[-\]keystone-policy failed: not loaded yet: kube-system\/policy/)
    assert.equal((await service.access(asks(alice, 'get'))).allowed, false)

    let closed = false
    const policies = { data: { policies: policyText('get') } }
    api.script = ({ path, query }, response) => {
      assert.equal(path, '/api/v1/namespaces/kube-system/configmaps')
      if (query.get('watch') !== '1') json(response, listOf(5, object('policy', 5, policies, 'kube-system')))
      else
        response
          .on('close', () => (closed = true))
          .writeHead(200)
          .flushHeaders()
    }
    await until(async () => (await service.admin('/readyz')).status === 200, 'the policy')
    assert.equal((await service.access(asks(alice, 'get'))).allowed, true)
    await until(() => api.seen.some(({ query }) => query.get('watch') === '1'), 'the watch')
    await service.stop()
    await until(() => closed, 'the end of the watch')
    await api.close()
  })
})

test('T-W13 a shadow policy that cannot be used keeps nobody from starting', async () => {
  const shadow = await site.folder.write('broken-shadow.json', '{')
  const files = [site.folder.path('policy.json')]
  await using service = await start(site, { authorizers: [{ keystonePolicy: { files, shadowFiles: [shadow] } }] })
  assert.equal((await service.admin('/readyz')).status, 200)
})

test('T-W13 a shadow policy counts what it would decide otherwise, and changes nothing', async () => {
  const shadow = await site.folder.write('shadow.json', policyText('get', 'delete'))
  const files = [site.folder.path('policy.json')]
  await using service = await start(site, { authorizers: [{ keystonePolicy: { files, shadowFiles: [shadow] } }] })
  const alice = await service.login(site.keystone.issue({ user: 'alice', project: 'demo', roles: ['member'] }))
  const decisions = []
  for (const verb of ['get', 'list', 'delete', 'watch'])
    decisions.push((await service.access(asks(alice, verb))).allowed)
  assert.deepEqual(decisions, [true, true, false, false])
  const counted = (outcome: string): Promise<number | undefined> =>
    service.metric(`archway_shadow_decisions_total{authorizer="keystone-policy",outcome="${outcome}"}`)
  await until(async () => (await counted('same')) === 2, 'comparisons')
  assert.equal(await counted('would-allow'), 1)
  assert.equal(await counted('would-not-allow'), 1)
  // Its rules are not among those in force.
  assert.equal(await service.metric('archway_policy_rules'), 1)
  await using alone = await start(site, { authorizers: [{ keystonePolicy: { files } }] })
  assert.deepEqual(await digestOf(service), await digestOf(alone))
})

test('the recorder writes what was decided for its owner only, and replay reads it', async () => {
  const path = site.folder.path('reviews.jsonl')
  const service = await start(site, { authorizers: [policy], recorder: { path } })
  const alice = await service.login(site.keystone.issue({ user: 'alice', project: 'demo', roles: ['member'] }))
  for (const verb of ['get', 'list', 'list', 'delete']) await service.access(asks(alice, verb))
  await service.stop()
  assert.equal((await stat(path)).mode & 0o777, 0o600)

  const candidate = compilePolicy([parsePolicy(policyText('get', 'delete'), { where: 'candidate.json' })], {})
  const report = await replay(
    await readRecording(createReadStream(path), path),
    keystonePolicy({ name: 'candidate', policy: () => candidate }),
    callContext(),
    { examples: 10 },
  )
  assert.equal(report.reviews, 4)
  assert.equal(report.changedReviews, 3)
  assert.deepEqual(Object.fromEntries(report.changes), { 'allow → no-opinion': 2, 'no-opinion → allow': 1 })
  assert.equal(report.unreadable.count, 0)
})
