/** What `archway pki` makes is all that a real cluster needs: kube-apiserver and etcd, kubectl, a front proxy. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createFolder, type TestFolder } from '../support/tls.ts'
import {
  type Credentials,
  clusterPorts,
  credentialsOf,
  makeControlPlane,
  type PkiCluster,
  pki,
  startCluster,
} from './pki-servers.ts'

for (const algorithm of ['ecdsa-p256', 'ed25519', 'rsa-2048']) {
  describe(`a cluster on nothing but certificates of archway pki, ${algorithm}`, () => {
    let folder: TestFolder
    let cluster: PkiCluster
    let superAdmin: string
    before(async () => {
      folder = await createFolder()
      const [dir, port] = [folder.path('pki'), await clusterPorts()]
      await makeControlPlane(dir, port, algorithm)
      cluster = await startCluster(dir, port)
      superAdmin = join(dir, 'super-admin.conf')
    })
    after(async () => {
      await cluster?.stop()
      await folder?.remove()
    })

    async function kubeconfigFor(name: string, ...args: readonly string[]): Promise<string> {
      const path = folder.path(`${name}.conf`)
      const here = ['--dir', cluster.pki, '--kubeconfig', path, '--server', cluster.url]
      await pki('issue', ...args, ...here, '--key-algorithm', algorithm)
      return path
    }

    /** Of the folder; the server is checked with the cluster's authority. */
    async function pair(name: string): Promise<Credentials> {
      const read = (file: string): Promise<string> => readFile(join(cluster.pki, file), 'utf8')
      return { ca: await read('ca.crt'), cert: await read(`${name}.crt`), key: await read(`${name}.key`) }
    }

    test('kubectl is let in as super-admin', async () => {
      const { status, body, error } = await cluster.kubectl(superAdmin, 'auth', 'can-i', '*', '*')
      assert.equal(status, 0, error)
      assert.equal(body.trim(), 'yes')
    })

    test('admin has the rights its group is given, and none before', async () => {
      const admin = await kubeconfigFor('admin', 'admin')
      const before = await cluster.kubectl(admin, 'get', 'nodes')
      assert.match(before.error, /User "kubernetes-admin" cannot list resource "nodes"/)
      const bind = [
        'create',
        'clusterrolebinding',
        'admins',
        '--clusterrole=cluster-admin',
        '--group=kubeadm:cluster-admins',
      ]
      assert.equal((await cluster.kubectl(superAdmin, ...bind)).status, 0)
      const { body } = await cluster.kubectl(admin, 'auth', 'can-i', '*', '*')
      assert.equal(body.trim(), 'yes')
    })

    test('a user is who the certificate says, in each of its groups', async () => {
      const jane = await kubeconfigFor(
        'jane',
        'user',
        '--cn',
        'jane',
        '--group',
        'devs',
        '--group',
        'on call, "team 2"',
      )
      assert.match((await cluster.kubectl(jane, 'get', 'pods')).error, /User "jane" cannot list resource "pods"/)
      for (const [resource, group] of [
        ['pods', 'devs'],
        ['configmaps', 'on call, "team 2"'],
      ] as const) {
        const made = [
          await cluster.kubectl(
            superAdmin,
            'create',
            'clusterrole',
            `${resource}-reader`,
            '--verb=list',
            `--resource=${resource}`,
          ),
          await cluster.kubectl(
            ...([superAdmin, 'create', 'clusterrolebinding', resource, `--clusterrole=${resource}-reader`] as const),
            `--group=${group}`,
          ),
        ]
        assert.deepEqual(
          made.map(({ status }) => status),
          [0, 0],
          made.map(({ error }) => error).join(),
        )
        assert.equal((await cluster.kubectl(jane, 'get', resource)).status, 0, group)
      }
      assert.match((await cluster.kubectl(jane, 'get', 'secrets')).error, /User "jane" cannot list resource "secrets"/)
    })

    test('a front proxy with its certificate says who is asking', async () => {
      const proxy = await pair('front-proxy-client')
      const headers = { 'X-Remote-User': 'mary', 'X-Remote-Group': 'nobodies' }
      const answer = await cluster.get('/api/v1/pods', proxy, headers)
      assert.equal(answer.status, 403)
      assert.match(answer.body, /User \\"mary\\" cannot list resource \\"pods\\"/)
      const masters = { 'X-Remote-User': 'mary', 'X-Remote-Group': 'system:masters' }
      assert.equal((await cluster.get('/api/v1/pods', proxy, masters)).status, 200)
    })

    test('T-H7 the certificate of the front proxy is nobody without the headers', async () => {
      const { status, body } = await cluster.get('/api/v1/pods', await pair('front-proxy-client'))
      assert.ok(status === 401 || /system:anonymous/.test(body), `${status} ${body}`)
    })

    test('T-H7 headers of a client that is no front proxy count for nothing', async () => {
      const kate = await credentialsOf(await kubeconfigFor('kate', 'user', '--cn', 'kate'))
      const headers = { 'X-Remote-User': 'mary', 'X-Remote-Group': 'system:masters' }
      const { status, body } = await cluster.get('/api/v1/secrets', kate, headers)
      assert.equal(status, 403)
      assert.match(body, /User \\"kate\\" cannot list/)
    })
  })
}
