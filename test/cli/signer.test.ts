/** `archway signer` from its command line; what it does with requests is in test/signer and test/e2e. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { main } from '../../src/cli/main.ts'
import { createAuthority } from '../../src/pki/issuing.ts'
import { generateKey, keyPem } from '../../src/pki/keys.ts'
import { json, listOf, type ScriptedServer, startServer, status } from '../kube/api-client/support.ts'
import { unusableAuthority } from '../pki/support.ts'
import { testCsr } from '../signer/support.ts'
import { freePorts } from '../support/rigs.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'
import { run, testIo } from './support.ts'

const POLICY = fileURLToPath(new URL('../../examples/csr/policy.yaml', import.meta.url))

let folder: TestFolder
let files: readonly string[]
beforeEach(async () => {
  folder = await createFolder()
  const key = await generateKey('ecdsa-p256')
  const now = Date.now()
  const { certificatePem } = await createAuthority(key, {
    commonName: 'people-ca',
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 90 * 86_400_000),
  })
  await folder.write('policy.yaml', await readFile(POLICY, 'utf8'))
  const [cert, secret] = [await folder.write('ca.crt', certificatePem), folder.path('ca.key')]
  await writeFile(secret, keyPem(key).reveal(), { mode: 0o600 })
  files = ['--policy', folder.path('policy.yaml'), '--ca-cert', cert, '--ca-key', secret, '--log-level', 'error']
})
afterEach(() => folder.remove())

describe('signer --check', () => {
  test('says that policy and authority are good', async () => {
    const { status: code, out, err } = await run('archway', ['signer', '--check', ...files])
    assert.deepEqual([code, out], [0, 'policy and authority are good: example.com/people\n'], err)
  })

  test('says which example of the policy does not hold', async () => {
    const text = await readFile(POLICY, 'utf8')
    await writeFile(folder.path('policy.yaml'), text.replace('most: 24h', 'most: 3650d'))
    const { status: code, err } = await run('archway', ['signer', '--check', ...files])
    assert.equal(code, 1)
    assert.match(err, /examples\[3\]: "no certificate for a year": is granted/)
  })

  test('says that the authority signs nothing, before anybody waits for it', async () => {
    const { certificatePem, privateKey } = await unusableAuthority()
    await folder.write('ca.crt', certificatePem)
    await writeFile(folder.path('ca.key'), keyPem(privateKey).reveal(), { mode: 0o600 })
    const { status: code, err } = await run('archway', ['signer', '--check', ...files])
    assert.equal(code, 1)
    assert.match(err, /signs nothing/)
  })

  test('says that the key is another authority’s', async () => {
    await writeFile(folder.path('ca.key'), keyPem(await generateKey('ed25519')).reveal(), { mode: 0o600 })
    const { status: code, err } = await run('archway', ['signer', '--check', ...files])
    assert.equal(code, 1)
    assert.match(err, /not that of the authority/)
    assert.ok(!err.includes('PRIVATE'))
  })
})

describe('a running signer', () => {
  let server: ScriptedServer
  beforeEach(async () => {
    server = await startServer()
  })
  afterEach(() => server.close())

  test('is ready when it watches, counts what it decides, and ends with a signal', async () => {
    const { object } = await testCsr()
    server.script = ({ method, path, query, body }, response) => {
      if (path === '/apis/certificates.k8s.io/v1') json(response, { kind: 'APIResourceList' })
      else if (method === 'PUT') json(response, JSON.parse(body))
      else if (path.endsWith('/jane-1')) json(response, object)
      else if (query.get('watch') === '1')
        response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
      else if (path.endsWith('/certificatesigningrequests')) json(response, listOf(5, object))
      else status(response, 404, 'NotFound')
    }
    const kubeconfig = await folder.write(
      'kubeconfig',
      JSON.stringify({
        'current-context': 'a',
        clusters: [
          {
            name: 'a',
            cluster: {
              server: server.url,
              'certificate-authority-data': Buffer.from(server.ca).toString('base64'),
            },
          },
        ],
        users: [{ name: 'a', user: { token: 't0ken' } }],
        contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
      }),
    )
    const admin = `127.0.0.1:${await freePorts()}`
    const io = testIo()
    const argv = ['signer', ...files, '--kubeconfig', kubeconfig, '--no-leader-election', '--admin-listen', admin]
    const ended = main({ program: 'archway', argv, io })
    const metrics = await answers(`http://${admin}/metrics`, /outcome="issued"} 1/)
    assert.match(metrics, /archway_signer_leading 1/)
    assert.match(metrics, /archway_signer_authority_not_after_seconds \d+/)
    assert.match(await answers(`http://${admin}/readyz?verbose`, /1 of 1 signers watched/), /readyz check passed/)
    const puts = server.seen.filter(({ method }) => method === 'PUT').map(({ path }) => path.split('/').at(-1))
    assert.deepEqual(puts, ['approval', 'status'])
    io.signal('SIGTERM')
    assert.equal(await ended, 0)
  })
})

/** Asks until the answer fits. */
async function answers(url: string, wanted: RegExp): Promise<string> {
  for (;;) {
    const text = await fetch(url)
      .then((answer) => answer.text())
      .catch(() => '')
    if (wanted.test(text)) return text
    await pause(20)
  }
}
