/** From a key to kubectl: certificates through the API, signed by the real kube-controller-manager. */
import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Ran, run, testIo } from '../cli/support.ts'
import { type KubeApiserverRig, startKubeApiserver } from '../support/rigs.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'

const EXAMPLES = fileURLToPath(new URL('../../examples/csr/', import.meta.url))

describe('certificates through the API', () => {
  let cluster: KubeApiserverRig
  let folder: TestFolder
  const kubeconfigs = new Map<string, string>()
  before(async () => {
    folder = await createFolder()
    const tokens = await folder.write(
      'tokens.csv',
      'john-token,john,1,"people"\nboss-token,boss,2,"csr-approvers"\nstranger-token,stranger,3\n',
    )
    cluster = await startKubeApiserver({ flags: [`--token-auth-file=${tokens}`], controllers: true })
    for (const name of ['john', 'boss', 'stranger']) {
      kubeconfigs.set(
        name,
        await folder.write(
          `${name}.kubeconfig`,
          JSON.stringify({
            'current-context': 'rig',
            clusters: [{ name: 'rig', cluster: { server: cluster.url, 'certificate-authority': cluster.caFile } }],
            users: [{ name, user: { token: `${name}-token` } }],
            contexts: [{ name: 'rig', context: { cluster: 'rig', user: name } }],
          }),
        ),
      )
    }
    for (const file of ['requester.yaml', 'approver.yaml']) {
      const { status, stderr } = await cluster.kubectl(['apply', '-f', EXAMPLES + file])
      assert.equal(status, 0, stderr)
    }
  })
  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
    await folder?.remove()
  })

  /** Runs a command as somebody of the cluster. */
  function as(name: string, ...args: readonly string[]): Promise<Ran> {
    return run('archway', ['csr', ...args, '--kubeconfig', kubeconfigs.get(name) ?? cluster.kubeconfig], testIo())
  }

  async function good(ran: Promise<Ran>): Promise<string> {
    const { status, out, err } = await ran
    assert.equal(status, 0, err)
    return out
  }

  test('john makes a key and asks, the administrator looks and approves, john fetches and is john', async () => {
    const key = folder.path('john.key')
    const name = (await good(as('john', 'new', '--user', 'john', '--group', 'people', '--key', key, '--submit'))).trim()
    assert.match(name, /^john-\w+$/)
    assert.equal((await stat(key)).mode & 0o777, 0o600)

    const [listed] = JSON.parse(await good(as('boss', 'list', '--pending', '-o', 'json')))
    assert.equal(listed.name, name)
    assert.equal(listed.state, 'Pending')
    assert.deepEqual(listed.requester.groups, ['people', 'system:authenticated'])
    assert.deepEqual(listed.request, {
      commonName: 'john',
      organizations: ['people'],
      names: { dns: [], ip: [], email: [], uri: [] },
      key: 'ECDSA P-256',
      wantsAuthority: false,
    })
    assert.deepEqual(
      listed.findings.map(({ code }: { code: string }) => code),
      ['life-by-signer'],
    )
    assert.match(await good(as('boss', 'approve', name, '--yes')), /approved "john-/)

    const mine = folder.path('own.kubeconfig')
    const fetched = await as('john', 'fetch', name, '--key', key, '--write-kubeconfig', mine)
    assert.equal(fetched.status, 0, fetched.err)
    assert.match(fetched.err, /certificate for "john", until/)
    assert.equal((await stat(mine)).mode & 0o777, 0o600)

    const forbidden = await cluster.kubectl(['get', 'secrets'], { kubeconfig: mine })
    assert.match(forbidden.stderr, /User "john" cannot list/)
    const allowed = await cluster.kubectl(['auth', 'can-i', 'create', 'certificatesigningrequests'], {
      kubeconfig: mine,
    })
    assert.equal(allowed.stdout.trim(), 'yes', 'by group people, which the certificate carries')
    assert.match(await good(as('boss', 'list')), new RegExp(`${name}.*Approved,Issued`))
  })

  test('T-S10 an approver with every right still has to name what is wrong', async () => {
    const key = folder.path('foreign.key')
    const name = (
      await good(as('john', 'new', '--user', 'boss', '--group', 'csr-approvers', '--key', key, '--submit'))
    ).trim()
    const refused = await as('boss', 'approve', name, '--yes')
    assert.equal(refused.status, 1)
    assert.match(refused.out, /"john" asks to become "boss"/)
    assert.match(refused.err, /not approved, for foreign-user, foreign-group/)
    assert.match(await good(as('boss', 'show', name)), /state +Pending/)
    assert.match(await good(as('boss', 'deny', name, '--yes', '--message', 'ask for yourself')), /denied/)
    const approve = ['approve', name, '--yes', '--i-know', 'foreign-user', '--i-know', 'foreign-group']
    const opposite = await as('boss', ...approve)
    assert.equal(opposite.status, 1)
    assert.match(opposite.err, /denied already/)
    const fetched = await as('john', 'fetch', name, '--key', key)
    assert.equal(fetched.status, 1)
    assert.match(fetched.err, /denied: "ArchwayDeny: ask for yourself"/)
  })

  test('a certificate for another key is not written', async () => {
    const [key, other] = [folder.path('one.key'), folder.path('other.key')]
    const name = (await good(as('john', 'new', 'one', '--user', 'john', '--key', key, '--submit'))).trim()
    await good(as('john', 'new', '--user', 'john', '--key', other))
    await good(as('boss', 'approve', name, '--yes'))
    const { status, out, err } = await as('john', 'fetch', name, '--key', other)
    assert.deepEqual({ status, out }, { status: 1, out: '' })
    assert.match(err, /for another key/)
  })

  test('fetch waits for what is approved only later, and removes the request where that is allowed', async () => {
    const key = folder.path('later.key')
    const name = (await good(as('', 'new', '--user', 'kubernetes-admin', '--key', key, '--submit'))).trim()
    const fetching = as('', 'fetch', name, '--key', key, '--delete')
    await good(as('', 'approve', name, '--yes'))
    assert.match(await good(fetching), /^-----BEGIN CERTIFICATE-----\n/)
    const gone = await as('', 'show', name)
    assert.equal(gone.status, 1)
    assert.match(gone.err, /there is no request/)
  })

  test('the right to look and the right to decide are the cluster’s to give', async () => {
    const { status, err } = await as('stranger', 'list')
    assert.equal(status, 1)
    assert.match(err, /HTTP 403/)
    const key = folder.path('self.key')
    const name = (await good(as('john', 'new', '--user', 'john', '--key', key, '--submit'))).trim()
    const self = await as('john', 'approve', name, '--yes')
    assert.equal(self.status, 1)
    assert.match(self.err, /HTTP 403/)
  })

  test('what a manifest of csr new says is what kubectl creates', async () => {
    const key = folder.path('kubectl.key')
    const manifest = await good(as('john', 'new', 'by-kubectl', '--user', 'john', '--key', key))
    const { status, stderr } = await cluster.kubectl(['create', '-f', '-'], { input: manifest })
    assert.equal(status, 0, stderr)
    const shown = await good(as('boss', 'show', 'by-kubectl'))
    assert.match(shown, /asked by +kubernetes-admin/)
    assert.match(shown, /hostile +foreign-user +"kubernetes-admin" asks to become "john"/)
  })
})

describe('certificates through v1beta1, of a cluster that has nothing newer', () => {
  let cluster: KubeApiserverRig
  let folder: TestFolder
  before(async () => {
    folder = await createFolder()
    cluster = await startKubeApiserver({ flags: ['--runtime-config=certificates.k8s.io/v1=false'] })
  })
  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
    await folder?.remove()
  })

  test('asked for, approved, signed by hand with the cluster’s authority, fetched, used', async () => {
    const csr = async (...args: readonly string[]): Promise<string> => {
      const { status, out, err } = await run('archway', ['csr', ...args, '--kubeconfig', cluster.kubeconfig], testIo())
      assert.equal(status, 0, err)
      return out
    }
    const key = folder.path('jane.key')
    const name = (await csr('new', '--user', 'jane', '--group', 'people', '--key', key, '--submit')).trim()
    const known = ['--i-know', 'foreign-user', '--i-know', 'foreign-group']
    const early = await run('archway', [
      ...['csr', 'sign', name, '--ca-cert', cluster.caFile, '--ca-key', cluster.caKeyFile],
      ...[...known, '--kubeconfig', cluster.kubeconfig],
    ])
    assert.equal(early.status, 1)
    assert.match(early.err, /it is Pending; what is signed is Approved/)
    await csr('approve', name, '--yes', ...known)
    await csr('sign', name, '--ca-cert', cluster.caFile, '--ca-key', cluster.caKeyFile, '--lifetime', '1h', ...known)
    const mine = folder.path('jane.kubeconfig')
    await csr('fetch', name, '--key', key, '--write-kubeconfig', mine, '--out', folder.path('jane.crt'), '--link')
    assert.match(await csr('list'), new RegExp(`${name}.*Approved,Issued`))
    const { stderr } = await cluster.kubectl(['get', 'secrets'], { kubeconfig: mine })
    assert.match(stderr, /User "jane" cannot list/)
  })
})
