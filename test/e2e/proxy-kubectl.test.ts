/** kubectl through `archway proxy`, as people use it: real API servers behind it, real Keystone beside it. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { Agent, request } from 'undici'
import { findKubectls } from '../rigs/kubectl.ts'
import { type KeystoneRig, startKeystone } from '../support/rigs.ts'
import { createAuthority } from '../support/tls.ts'
import type { Program } from './program.ts'
import { spawnKubectl } from './proxy-kubectl-process.ts'
import {
  accessLines,
  type ClusterSite,
  createClusterSite,
  type Proof,
  type Ran,
  startProxy,
  stopProxy,
  until,
  writeKubeconfig,
} from './proxy-site.ts'

const KUBECTLS = await findKubectls()
const KUBECTL = KUBECTLS.at(-1)?.path ?? 'kubectl'
const PASSWORD = 'Pw-canary-77e1'
const FILE_TOKEN = 'canary-token-0b5e55ed'
const KOREAN_PASSWORD = '비밀번호-canary'
const MANY = 5000

let site: ClusterSite
let keystone: KeystoneRig
let proxy: Program
/** Who is known by which proof; all may do the same in namespace `shop`. */
let people: ReadonlyMap<string, { readonly user: string; readonly proof: Proof; readonly kubeconfig: string }>

before(async () => {
  ;[site, keystone] = await Promise.all([createClusterSite(), startKeystone()])
  const clients = await createAuthority('people CA')
  const carla = await clients.client({ commonName: 'carla', organizations: ['workers', '개발팀'] })
  const flags = {
    '--password-file': await site.folder.write('passwords.csv', passwords()),
    '--token-file': await site.folder.write('tokens.csv', `${FILE_TOKEN},robot,r1,"workers"\n`),
    '--client-ca-file': await site.folder.write('people-ca.crt', clients.cert),
    '--keystone-url': keystone.url,
  }
  proxy = await startProxy(site, Object.entries(flags).flat())
  const cert = {
    'client-certificate': await site.folder.write('carla.crt', carla.cert),
    'client-key': await site.folder.write('carla.key', carla.key),
  }
  people = new Map(
    await Promise.all(
      (
        [
          ['Basic', 'paul', { username: 'paul', password: PASSWORD }],
          ['a Keystone token', 'alice', { token: await keystone.token('alice', 'alice-pw', 'demo') }],
          ['a token of the file', 'robot', { token: FILE_TOKEN }],
          ['a client certificate', 'carla', cert],
        ] as const
      ).map(async ([name, user, proof]) => {
        const kubeconfig = await writeKubeconfig(site, proxy, user, proof)
        return [name, { user, proof, kubeconfig }] as const
      }),
    ),
  )
  await site.admin(['create', 'namespace', 'shop'])
  await site.admin(['create', 'clusterrole', 'worker', '--verb=*', '--resource=configmaps'])
  const subjects = ['--group=workers', `--group=${keystone.ids.projects['demo']}`]
  await site.admin(['create', 'rolebinding', 'workers', '-n', 'shop', '--clusterrole=worker', ...subjects])
})
after(async () => {
  if (proxy !== undefined) await stopProxy(proxy)
  await keystone?.[Symbol.asyncDispose]()
  await site?.[Symbol.asyncDispose]()
})

/** `password,user,uid,"groups"` */
function passwords(): string {
  const groups = (count: number, prefix = 'g'): string =>
    Array.from({ length: count }, (_, number) => `${prefix}${number}`).join(',')
  return [
    `${PASSWORD},paul,p1,"workers"`,
    `${KOREAN_PASSWORD},김철수,k1,"개발팀,größe,مهندسين"`,
    `${PASSWORD},of-1000-groups,m1,"${groups(1000)}"`,
    `${PASSWORD},of-2000-groups,m2,"${groups(2000)}"`,
    `${PASSWORD},of-long-groups,m3,"${groups(1000, 'unit-'.repeat(40))}"`,
    '',
  ].join('\n')
}

/** kubectl with that kubeconfig and no other way to the cluster. */
function as(kubeconfig: string, args: readonly string[], input = '', program = KUBECTL): Promise<Ran> {
  return site.cluster.kubectl(args, { program, kubeconfig, input })
}

async function works(kubeconfig: string, args: readonly string[], input = '', program = KUBECTL): Promise<string> {
  const { status, stdout, stderr } = await as(kubeconfig, args, input, program)
  assert.equal(status, 0, `kubectl ${args.join(' ')}: ${stderr}`)
  return stdout
}

const configMap = (name: string, data: object): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'shop' }, data })

for (const proof of ['Basic', 'a Keystone token', 'a token of the file', 'a client certificate']) {
  describe(`somebody with ${proof}`, () => {
    let person: { readonly user: string; readonly kubeconfig: string }
    before(() => {
      person = people.get(proof) ?? assert.fail(proof)
    })

    for (const { version, path } of KUBECTLS) {
      test(`creates, reads, changes and deletes with kubectl ${version}`, async () => {
        const name = `${person.user}-${version.replace(/[^0-9]+/g, '-').replace(/^-|-$/g, '')}`
        const run = (args: readonly string[], input = ''): Promise<string> =>
          works(person.kubeconfig, ['-n', 'shop', ...args], input, path)
        assert.match(await run(['apply', '-f', '-'], configMap(name, { a: '1' })), /created/)
        assert.match(await run(['apply', '-f', '-'], configMap(name, { a: '2', b: '김치' })), /configured/)
        assert.match(
          await run(
            ['apply', '--server-side', '--force-conflicts', '-f', '-'],
            configMap(name, { a: '2', b: '김치', c: '3' }),
          ),
          /serverside-applied/,
        )
        assert.deepEqual(JSON.parse(await run(['get', 'configmap', name, '-o', 'json'])).data, {
          a: '2',
          b: '김치',
          c: '3',
        })
        assert.match(await run(['label', 'configmap', name, 'colour=blue']), /labeled/)
        assert.match(await run(['get', 'configmaps', '-l', 'colour=blue', '-o', 'name']), new RegExp(`/${name}$`, 'm'))
        assert.match(await run(['delete', 'configmap', name]), /deleted/)
      })
    }

    test('may do what RBAC gives them, and nothing else', async () => {
      const list = await works(person.kubeconfig, ['auth', 'can-i', '--list', '-n', 'shop'])
      assert.match(list, /^configmaps\s.*\[\*\]/m)
      assert.equal((await as(person.kubeconfig, ['auth', 'can-i', 'delete', 'nodes'])).stdout.trim(), 'no')
      const { status, stderr } = await as(person.kubeconfig, ['get', 'secrets', '-n', 'kube-system'])
      assert.equal(status, 1)
      assert.match(stderr, new RegExp(`User "${person.user}" cannot list resource "secrets".*"kube-system"`))
    })

    test('watches: a change is seen while the watch goes on', async () => {
      const name = `watched-by-${person.user}`
      const watch = spawnKubectl(KUBECTL, person.kubeconfig, ['get', 'configmaps', '-n', 'shop', '-w', '-o', 'name'])
      for (const change of ['first', 'second']) {
        await site.admin(['create', 'configmap', `${name}-${change}`, '-n', 'shop'])
        await watch.shows(new RegExp(`${name}-${change}`))
      }
      await watch.stop()
    })
  })
}

test('both API servers are used', async () => {
  const basic = people.get('Basic') ?? assert.fail()
  await until('requests at both', async () => {
    await works(basic.kubeconfig, ['get', '--raw', '/version'])
    return new Set(accessLines(proxy).map(({ upstream }) => upstream)).size > 1
  })
})

test(`a list of ${MANY} objects comes whole`, async () => {
  const { kubeconfig } = people.get('Basic') ?? assert.fail()
  await createMany(MANY)
  const asked = ['get', 'configmaps', '-n', 'shop', '-l', 'many=yes', '-o', 'name']
  for (const chunks of ['--chunk-size=0', '--chunk-size=500']) {
    const listed = (await works(kubeconfig, [...asked, chunks])).trim().split('\n')
    assert.equal(listed.length, MANY)
  }
  const raw = ['get', '--raw', '/api/v1/namespaces/shop/configmaps?labelSelector=many%3Dyes']
  const [through, past] = [await works(kubeconfig, raw), await site.admin(raw)]
  assert.ok(through === past, `${through.length} characters through the proxy, ${past.length} past it`)
})

/** ConfigMaps of 1 KiB, straight to an API server. */
async function createMany(count: number): Promise<void> {
  const { cluster } = site
  const [ca, cert, key] = await Promise.all(
    [cluster.caFile, `${cluster.dir}/admin.crt`, `${cluster.dir}/admin.key`].map((file) => readFile(file)),
  )
  const dispatcher = new Agent({ connect: { ca, cert, key }, connections: 16 })
  const numbers = Array.from({ length: count }, (_, number) => number).values()
  const worker = async (): Promise<void> => {
    for (const number of numbers) {
      const metadata = { name: `many-${number}`, labels: { many: 'yes' } }
      const { statusCode, body } = await request(`${cluster.url}/api/v1/namespaces/shop/configmaps`, {
        dispatcher,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { text: 'x'.repeat(1024) } }),
      })
      await body.dump()
      assert.equal(statusCode, 201)
    }
  }
  await Promise.all(Array.from({ length: 16 }, worker))
  await dispatcher.close()
}

describe('a proof that is not good', () => {
  for (const [what, proof] of [
    ['a wrong password', { username: 'paul', password: 'canary-wrong' }],
    ['a user nobody knows', { username: 'nobody-knows', password: 'canary-wrong' }],
    ['a token nobody knows', { token: 'canary-unknown-token' }],
  ] as const) {
    test(`${what}: kubectl prints a sentence`, async () => {
      const kubeconfig = await writeKubeconfig(site, proxy, 'stranger', proof)
      for (const { path } of KUBECTLS) {
        // With credentials that were refused, 1.20 asks for others.
        const { status, stderr } = await as(
          kubeconfig,
          ['get', 'configmaps', '-n', 'shop'],
          'paul\ncanary-wrong\n',
          path,
        )
        assert.equal(status, 1)
        assert.match(stderr, /You must be logged in to the server \(.+\)/)
      }
    })
  }

  test('no proof at all: 401 with the ways there are, as a Status', async () => {
    const dispatcher = new Agent({ connect: { ca: site.authority.cert } })
    const { statusCode, headers, body } = await request(`${proxy.url}/api`, { dispatcher })
    const status = (await body.json()) as { kind?: string; reason?: string; message?: string }
    await dispatcher.close()
    assert.equal(statusCode, 401)
    assert.deepEqual([status.kind, status.reason], ['Status', 'Unauthorized'])
    const challenges = String(headers['www-authenticate'])
    assert.match(challenges, /Basic realm=/)
    assert.match(challenges, /Bearer/)
  })
})

describe('identity', () => {
  const audited = async (username: string): Promise<readonly string[]> => {
    const seen = (await site.audited()).findLast(({ user }) => user.username === username)
    return seen?.user.groups ?? assert.fail(`no API server has seen ${username}`)
  }

  test('T-H14 Korean and other names: what RBAC sees is what the password file has', async () => {
    await site.admin(['create', 'namespace', 'korea'])
    await site.admin(['create', 'rolebinding', 'k', '-n', 'korea', '--clusterrole=worker', '--group=개발팀'])
    await site.admin(['create', 'clusterrole', 'namespaces', '--verb=list', '--resource=namespaces'])
    await site.admin(['create', 'clusterrolebinding', 'k', '--clusterrole=namespaces', '--user=김철수'])
    const kubeconfig = await writeKubeconfig(site, proxy, 'korean', { username: '김철수', password: KOREAN_PASSWORD })
    for (const { path } of KUBECTLS) {
      await works(kubeconfig, ['get', 'namespaces'], '', path)
      await works(kubeconfig, ['get', 'configmaps', '-n', 'korea'], '', path)
      const { stderr } = await as(kubeconfig, ['get', 'secrets', '-n', 'kube-system'], '', path)
      assert.match(stderr, /User "김철수" cannot list resource "secrets"/)
    }
    assert.deepEqual(await audited('김철수'), ['개발팀', 'größe', 'مهندسين', 'system:authenticated'])
  })

  test('T-H14 a Korean group out of a client certificate', async () => {
    const { kubeconfig } = people.get('a client certificate') ?? assert.fail()
    await works(kubeconfig, ['get', 'configmaps', '-n', 'shop', '-o', 'name', '-l', 'none=such'])
    assert.deepEqual(await audited('carla'), ['workers', '개발팀', 'system:authenticated'])
  })

  test('T-H14 a Korean user and group of Keystone', async () => {
    const { demo = '' } = keystone.ids.projects
    const make = async (kind: string, body: object): Promise<string> =>
      (await keystone.api('POST', `/${kind}s`, { [kind]: { domain_id: 'default', ...body } })).body[kind].id
    const user = await make('user', { name: '이영희', password: 'pw' })
    await keystone.api('PUT', `/projects/${demo}/users/${user}/roles/${keystone.ids.roles['member']}`)
    await keystone.api('PUT', `/groups/${await make('group', { name: '운영팀' })}/users/${user}`)
    const token = await keystone.token('이영희', 'pw', 'demo')
    const kubeconfig = await writeKubeconfig(site, proxy, 'younghee', { token })
    await works(kubeconfig, ['get', 'configmaps', '-n', 'shop', '-o', 'name', '-l', 'none=such'])
    assert.deepEqual([...(await audited('이영희'))].sort(), [demo, 'system:authenticated', '운영팀'].sort())
  })

  test('T-H16 1,000 groups arrive, all of them', async () => {
    await site.admin(['create', 'rolebinding', 'last', '-n', 'shop', '--clusterrole=worker', '--group=g999'])
    const proof = { username: 'of-1000-groups', password: PASSWORD }
    const kubeconfig = await writeKubeconfig(site, proxy, 'of-1000-groups', proof)
    await works(kubeconfig, ['get', 'configmaps', '-n', 'shop', '-o', 'name', '-l', 'none=such'])
    assert.equal((await audited('of-1000-groups')).length, 1001)
  })

  for (const [user, sentence] of [
    ['of-2000-groups', /your groups .* take \d+ headers, and the limit is 1024/],
    ['of-long-groups', /your groups .* take \d+ bytes.*, and the limit is 131072/],
  ] as const) {
    test(`T-H16 ${user}: refused by a sentence with the limit, never cut`, async () => {
      const kubeconfig = await writeKubeconfig(site, proxy, user, { username: user, password: PASSWORD })
      const { status, stderr } = await as(kubeconfig, ['get', '--raw', '/api/v1/namespaces/shop/configmaps'])
      assert.equal(status, 1)
      assert.match(stderr, sentence)
      assert.equal(
        (await site.audited()).some((event) => event.user.username === user),
        false,
      )
    })
  }

  test('T-H7 the front-proxy certificate without headers is nobody', async () => {
    const { frontProxy, caFile, servers } = site.cluster
    const [ca, cert, key] = await Promise.all([caFile, frontProxy.certFile, frontProxy.keyFile].map((f) => readFile(f)))
    const dispatcher = new Agent({ connect: { ca, cert, key } })
    for (const { url } of servers) {
      const { statusCode, body } = await request(`${url}/api/v1/namespaces/shop/configmaps`, { dispatcher })
      assert.match(`${statusCode} ${await body.text()}`, /^(?:401|403 .*system:anonymous)/s)
    }
    await dispatcher.close()
  })

  test('T-H6 what is asked for somebody else is refused, in words', async () => {
    const { kubeconfig } = people.get('Basic') ?? assert.fail()
    const { status, stderr } = await as(kubeconfig, ['get', 'nodes', '--as=root', '--as-group=system:masters'])
    assert.equal(status, 1)
    assert.match(stderr, /[Ii]mpersonat/)
  })
})

describe('what is seen', () => {
  test('a request is one line, joined by its Audit-ID with what the API server saw', async () => {
    const { kubeconfig } = people.get('Basic') ?? assert.fail()
    await works(kubeconfig, ['get', 'configmaps', '-n', 'shop', '-o', 'name', '-l', 'mark=seen'])
    const line = await proxy.line(
      ({ message, user, verb, resource }) =>
        message === 'request' && user === 'paul' && verb === 'list' && resource === 'configmaps',
    )
    assert.deepEqual([line['namespace'], line['code'], line['outcome']], ['shop', 200, 'forwarded'])
    await until('the audit event', async () =>
      (await site.audited()).some(({ auditID }) => auditID === line['auditId']),
    )
    const event = (await site.audited()).find(({ auditID }) => auditID === line['auditId'])
    assert.deepEqual([event?.user.username, event?.user.groups], ['paul', ['workers', 'system:authenticated']])
    assert.deepEqual([event?.verb, event?.responseStatus?.code], ['list', 200])
  })

  test('T-S1 no secret stands in what was written', () => {
    const output = proxy.output()
    for (const secret of [PASSWORD, FILE_TOKEN, KOREAN_PASSWORD, 'canary-wrong', 'canary-unknown', 'gAAAA'])
      assert.equal(output.includes(secret), false, secret)
    assert.equal(output.includes(Buffer.from(`paul:${PASSWORD}`).toString('base64')), false)
  })
})
