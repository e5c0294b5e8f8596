/** The cluster's authority is replaced under a running kube-apiserver, while somebody asks it something all the time. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from 'node:tls'
import { openAuthority } from '../../src/pki/issuing.ts'
import { generateKey, keyPem, publicOf, readKey } from '../../src/pki/keys.ts'
import { NO_ALT_NAMES } from '../../src/pki/names.ts'
import { Secret } from '../../src/secret.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'
import {
  type Answer,
  type Credentials,
  clusterPorts,
  credentialsOf,
  makeControlPlane,
  type PkiCluster,
  pki,
  startCluster,
  until,
} from './pki-servers.ts'

/** Requests one after the other, each on a connection of its own, with what the kubeconfig holds at that moment. */
interface Traffic {
  readonly failed: readonly Answer[]
  readonly count: number
  stop(): Promise<void>
}

const PACE_MS = 100

function traffic(cluster: PkiCluster, kubeconfig: string): Traffic {
  const failed: Answer[] = []
  let count = 0
  let isOver = false
  const running = (async () => {
    while (!isOver) {
      const answer = await cluster.get('/api/v1/namespaces/kube-system', await credentialsOf(kubeconfig))
      count += 1
      if (answer.status !== 200) failed.push(answer)
      await pause(PACE_MS)
    }
  })()
  return {
    failed,
    get count() {
      return count
    },
    async stop() {
      isOver = true
      await running
    },
  }
}

describe('T-S11 an authority is rotated with traffic running', () => {
  let folder: TestFolder
  let cluster: PkiCluster
  let asking: Traffic
  let old: Credentials
  const kubeconfig = (): string => join(cluster.pki, 'super-admin.conf')
  const rotate = (step: string): Promise<string> => pki('rotate', 'ca', 'ca', '--dir', cluster.pki, '--step', step)

  before(async () => {
    folder = await createFolder()
    const [dir, port] = [folder.path('pki'), await clusterPorts()]
    await makeControlPlane(dir, port)
    cluster = await startCluster(dir, port)
    old = await credentialsOf(kubeconfig())
    await until(async () => (await cluster.get('/api/v1/namespaces/kube-system', old)).status === 200)
    asking = traffic(cluster, kubeconfig())
  })
  after(async () => {
    await asking?.stop()
    await cluster?.stop()
    await folder?.remove()
  })

  /** As if the new authority issued already: nothing else shows that kube-apiserver has read the bundle. */
  async function clientOfNext(): Promise<Credentials> {
    const read = (name: string): Promise<string> => readFile(join(cluster.pki, name), 'utf8')
    const next = openAuthority(
      await read('ca.next.crt'),
      readKey(new Secret(await read('ca.next.key')), { where: 'ca.next.key' }),
    )
    const key = await generateKey('ecdsa-p256')
    const { certificatePem } = await next.issue(publicOf(key), {
      subject: { commonName: 'early', organizations: ['system:masters'] },
      altNames: NO_ALT_NAMES,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      keyUsages: ['digital signature'],
      extendedKeyUsages: ['client auth'],
    })
    return { ca: await read('ca.crt'), cert: certificatePem, key: keyPem(key).reveal() }
  }

  function servedFingerprint(): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: cluster.port, rejectUnauthorized: false })
      socket.once('error', reject)
      socket.once('secureConnect', () => {
        const found = socket.getPeerX509Certificate()?.fingerprint256 ?? ''
        socket.destroy()
        resolve(found)
      })
    })
  }

  test('prepare: kube-apiserver comes to trust both, without a restart', async () => {
    assert.match(await rotate('prepare'), /two are trusted, the old one issues/)
    const early = await clientOfNext()
    await until(async () => (await cluster.get('/api/v1/namespaces/kube-system', early)).status === 200)
    assert.deepEqual(asking.failed, [])
  })

  test('issue: it comes to serve a certificate of the new one, and the old clients are still let in', async () => {
    const before = await servedFingerprint()
    assert.match(await rotate('issue'), /renewed apiserver,/)
    assert.notEqual((await credentialsOf(kubeconfig())).cert, old.cert)
    await until(async () => (await servedFingerprint()) !== before)
    const trustsBoth = { ...old, ca: await readFile(join(cluster.pki, 'ca.crt'), 'utf8') }
    assert.equal((await cluster.get('/api/v1/namespaces/kube-system', trustsBoth)).status, 200)
    assert.deepEqual(asking.failed, [])
  })

  test('finish: certificates of the old one are worth nothing', async () => {
    assert.match(await rotate('finish'), /no rotation is going on/)
    const stale = { ...old, ca: (await credentialsOf(kubeconfig())).ca }
    await until(async () => (await cluster.get('/api/v1/namespaces/kube-system', stale)).status === 401)
    assert.deepEqual(asking.failed, [])
  })

  test('no request has failed, from the first step to the last', async () => {
    const before = asking.count
    await until(async () => asking.count > before + 3)
    assert.ok(asking.count > 50, `${asking.count} requests`)
    assert.deepEqual(asking.failed, [])
  })
})
