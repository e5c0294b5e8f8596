/** `archway signer` with a real kube-apiserver: its own signer name, by a policy, in several replicas. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { after, afterEach, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { accessSource } from '../../src/kube/api-client/access.ts'
import { realTiming } from '../../src/kube/api-client/backoff.ts'
import { type KubeClient, kubeClient } from '../../src/kube/api-client/client.ts'
import { kubeconfigAccess } from '../../src/kube/api-client/kubeconfig.ts'
import { type Transport, transport } from '../../src/kube/api-client/transport.ts'
import { type CertificateSigningRequest, type NewCsr, stateOf } from '../../src/kube/certificate-signing-request.ts'
import { certificateRequests } from '../../src/kube/certificates-client.ts'
import { createAuthority } from '../../src/pki/issuing.ts'
import { generateKey, keyPem } from '../../src/pki/keys.ts'
import { awaitCertificate, type CertificateOutcome } from '../../src/signer/await-certificate.ts'
import { HOSTILE } from '../signer/hostile.ts'
import { type TestCsr, testCsr } from '../signer/support.ts'
import { type KubeApiserverRig, startKubeApiserver } from '../support/rigs.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'

const ROOT = new URL('../../', import.meta.url)
const EXAMPLES = fileURLToPath(new URL('examples/csr/', ROOT))
const SIGNER = 'example.com/people'

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

interface LogLine {
  readonly message: string
  readonly [field: string]: unknown
}

interface Replica {
  readonly child: ChildProcess
  readonly lines: readonly LogLine[]
  /** Resolves with the first line, written or to come, that fits. */
  line(fits: (line: LogLine) => boolean): Promise<LogLine>
}

describe('archway signer', () => {
  let cluster: KubeApiserverRig
  let folder: TestFolder
  const replicas = new Set<Replica>()
  const wires: Transport[] = []
  const clients = new Map<string, KubeClient>()
  let admin: KubeClient
  before(async () => {
    folder = await createFolder()
    const tokens = await folder.write('tokens.csv', 'jane-token,jane,1,"people"\nmallory-token,mallory,2,"strangers"\n')
    cluster = await startKubeApiserver({ flags: [`--token-auth-file=${tokens}`], controllers: true })
    for (const file of ['requester.yaml', 'signer.yaml']) {
      const { status, stderr } = await cluster.kubectl(['apply', '-f', EXAMPLES + file])
      assert.equal(status, 0, stderr)
    }
    const strangers = [
      'create',
      'clusterrolebinding',
      'strangers',
      '--clusterrole=archway-csr-requester',
      '--group=strangers',
    ]
    assert.equal((await cluster.kubectl(strangers)).status, 0)
    admin = connect(cluster.kubeconfig)
    for (const name of ['jane', 'mallory']) clients.set(name, connect(await kubeconfigOf(name, `${name}-token`)))
    await newAuthority('people-ca')
    await writeFile(folder.path('policy.yaml'), await readFile(`${EXAMPLES}policy.yaml`))
    await kubeconfigOf('signer', await serviceAccountToken())
  })
  afterEach(async () => {
    for (const replica of replicas) await kill(replica)
  })
  after(async () => {
    for (const wire of wires) await wire.close()
    await cluster?.[Symbol.asyncDispose]()
    await folder?.remove()
  })

  function connect(kubeconfig: string): KubeClient {
    const wire = transport({
      access: accessSource({ load: () => kubeconfigAccess({ path: kubeconfig }), log: silent }),
    })
    wires.push(wire)
    return kubeClient({ transport: wire })
  }

  function kubeconfigOf(name: string, token: string): Promise<string> {
    return folder.write(
      `${name}.kubeconfig`,
      JSON.stringify({
        'current-context': 'rig',
        clusters: [{ name: 'rig', cluster: { server: cluster.url, 'certificate-authority': cluster.caFile } }],
        users: [{ name, user: { token } }],
        contexts: [{ name: 'rig', context: { cluster: 'rig', user: name } }],
      }),
    )
  }

  /** The signer runs with no more rights than its manifest gives. */
  async function serviceAccountToken(): Promise<string> {
    const path = '/api/v1/namespaces/archway/serviceaccounts/archway-signer/token'
    const answer = await admin.create(path, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} })
    return String((answer['status'] as { readonly token: string }).token)
  }

  async function newAuthority(commonName: string): Promise<void> {
    const key = await generateKey('ecdsa-p256')
    const now = Date.now()
    const { certificatePem } = await createAuthority(key, {
      commonName,
      notBefore: new Date(now - 3_600_000),
      notAfter: new Date(now + 365 * 86_400_000),
    })
    await writeFile(folder.path('people-ca.key'), keyPem(key).reveal(), { mode: 0o600 })
    await writeFile(folder.path('people-ca.crt'), certificatePem)
  }

  function start(identity: string): Replica {
    const files = ['--policy', folder.path('policy.yaml'), '--ca-cert', folder.path('people-ca.crt')]
    const more = ['--ca-key', folder.path('people-ca.key'), '--kubeconfig', folder.path('signer.kubeconfig')]
    const rest = [
      '--lease',
      'archway/archway-signer',
      '--identity',
      identity,
      '--admin-listen',
      '',
      '--log-format',
      'json',
    ]
    const args = ['src/cli/main.ts', 'signer', ...files, ...more, ...rest]
    const run = `import('./src/cli/main.ts').then(async ({ main }) => process.exit(await main({ program: 'archway', argv: process.argv.slice(1) })))`
    const child = spawn(process.execPath, ['--input-type=module', '-e', run, '--', ...args.slice(1)], {
      cwd: fileURLToPath(ROOT),
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const lines: LogLine[] = []
    const waiting = new Set<() => void>()
    createInterface({ input: child.stderr ?? assert.fail() }).on('line', (text) => {
      lines.push(text.startsWith('{') ? JSON.parse(text) : { message: text })
      for (const look of waiting) look()
    })
    const replica: Replica = {
      child,
      lines,
      line: (fits) =>
        new Promise((resolve, reject) => {
          const look = (): void => {
            const found = lines.find(fits)
            if (found === undefined) return
            waiting.delete(look)
            resolve(found)
          }
          child.once('exit', (status) => reject(new Error(`it ended (${status}): ${JSON.stringify(lines)}`)))
          waiting.add(look)
          look()
        }),
    }
    replicas.add(replica)
    return replica
  }

  async function leading(replica: Replica): Promise<Replica> {
    await replica.line(({ message }) => message === 'this replica leads')
    return replica
  }

  async function stop(replica: Replica): Promise<number | null> {
    const exit = once(replica.child, 'exit')
    replica.child.kill('SIGTERM')
    const [status] = await exit
    replicas.delete(replica)
    return status
  }

  async function kill(replica: Replica): Promise<void> {
    const exit = once(replica.child, 'exit')
    replica.child.kill('SIGKILL')
    await exit
    replicas.delete(replica)
  }

  async function ask(options: TestCsr): Promise<CertificateSigningRequest> {
    const { request, signerName, usages, expirationSeconds } = await testCsr({ signerName: SIGNER, ...options })
    const wanted: NewCsr = { name: { generateName: 'test-' }, request, signerName, usages, expirationSeconds }
    const client = clients.get(options.username ?? 'jane') ?? assert.fail()
    return certificateRequests(client).create(wanted)
  }

  function answered(name: string): Promise<CertificateOutcome> {
    const signal = AbortSignal.timeout(120_000)
    return awaitCertificate({ client: admin, requests: certificateRequests(admin), name, signal, timing: realTiming })
  }

  async function certificate(name: string): Promise<X509Certificate> {
    const outcome = await answered(name)
    return outcome.kind === 'issued' ? new X509Certificate(outcome.certificate) : assert.fail(JSON.stringify(outcome))
  }

  test('approves and signs what the policy grants, and keeps a record', async () => {
    const replica = await leading(start('first'))
    const csr = await ask({ organizations: ['people'] })
    const issued = await certificate(csr.name)
    const authority = new X509Certificate(await readFile(folder.path('people-ca.crt')))
    assert.ok(issued.checkIssued(authority) && issued.verify(authority.publicKey))
    assert.equal(issued.subject, 'O=people\nCN=jane')
    assert.equal(issued.ca, false)
    const life = issued.validToDate.getTime() - issued.validFromDate.getTime()
    assert.equal(life, 8 * 3_600_000, 'the default of the policy')
    const now = (await certificateRequests(admin).get(csr.name)) ?? assert.fail()
    assert.equal(stateOf(now), 'Approved,Issued')
    assert.equal(now.conditions[0]?.reason, 'GrantedByPolicy')

    const record = await replica.line(({ message }) => message === 'certificate issued')
    assert.equal(record['csr'], csr.name)
    assert.equal(record['signer'], SIGNER)
    assert.equal(record['serial'], issued.serialNumber.toLowerCase())
    assert.equal(record['notAfter'], issued.validToDate.toISOString())
    assert.deepEqual(record['requester'], { username: 'jane', uid: '1', groups: ['people', 'system:authenticated'] })
    assert.equal(record['subject'], 'O=people, CN=jane')
    assert.equal(await stop(replica), 0)
  })

  // The API server itself refuses unknown usages, and 1.20 does not know expirationSeconds.
  const acceptedByTheApi = HOSTILE.filter(
    ({ title }) =>
      !['a usage nobody knows', 'a year too long', 'a signature with SHA-1', 'an RSA key of 1024 bits'].includes(title),
  )
  test(`T-S10 denies every hostile request, and says why (${acceptedByTheApi.length})`, async () => {
    const replica = await leading(start('hostile'))
    const asked = await Promise.all(
      acceptedByTheApi.map(async ({ title, csr }) => ({ title, name: (await ask(await csr())).name })),
    )
    for (const { title, name } of asked) {
      const outcome = await answered(name)
      assert.equal(outcome.kind, 'denied', `${title}: ${JSON.stringify(outcome)}`)
      assert.match(outcome.kind === 'denied' ? outcome.message : '', /^PolicyBreach: ./)
    }
    const weak = HOSTILE.find(({ title }) => title === 'an RSA key of 1024 bits') ?? assert.fail()
    const outcome = await answered((await ask(await weak.csr())).name)
    assert.match(outcome.kind === 'denied' ? outcome.message : '', /RSA with 1024 bits is weak/)
    assert.equal(await stop(replica), 0)
  })

  test('T-S10 fails what somebody has approved in spite of the policy', async () => {
    const replica = await leading(start('approved'))
    await stop(replica)
    const { name } = await ask({ organizations: ['system:masters'] })
    assert.equal((await cluster.kubectl(['certificate', 'approve', name])).status, 0)
    const after = await leading(start('approved-2'))
    const outcome = await answered(name)
    assert.equal(outcome.kind, 'failed')
    assert.match(
      outcome.kind === 'failed' ? outcome.message : '',
      /^PolicyBreach: group "?system:masters|system:masters/,
    )
    assert.equal(await stop(after), 0)
  })

  test('never lives longer than the policy lets it, whatever the cluster has made of the wish', async () => {
    const replica = await leading(start('long'))
    const { name, expirationSeconds } = await ask({ expirationSeconds: 366 * 86_400 })
    const outcome = await answered(name)
    if (expirationSeconds === undefined) {
      assert.ok(outcome.kind === 'issued', '1.20 does not know the wish')
      const { validToDate } = new X509Certificate(outcome.certificate)
      assert.ok(validToDate.getTime() - Date.now() <= 8 * 3_600_000)
    } else assert.equal(outcome.kind, 'denied')
    assert.equal(await stop(replica), 0)
  })

  test('a second request for the same is another certificate; one that is removed meanwhile stops nothing', async () => {
    const replica = await leading(start('twice'))
    const requests = certificateRequests(admin)
    const [one, other, removed] = [await ask({}), await ask({}), await ask({})]
    await requests.remove(removed)
    const serials = [(await certificate(one.name)).serialNumber, (await certificate(other.name)).serialNumber]
    assert.notEqual(serials[0], serials[1])
    assert.equal((await answered(removed.name)).kind, 'gone')
    await certificate((await ask({})).name)
    assert.equal(await stop(replica), 0)
  })

  test('leaves other signers alone', async () => {
    const replica = await leading(start('alone'))
    const { name } = await ask({ signerName: 'example.com/other' })
    await certificate((await ask({})).name)
    assert.equal(stateOf((await certificateRequests(admin).get(name)) ?? assert.fail()), 'Pending')
    assert.equal(await stop(replica), 0)
  })

  test('of two replicas one signs; when it is killed the other takes over; no request is answered twice', async () => {
    const first = await leading(start('one'))
    const second = start('two')
    await second.line(({ message }) => message === 'ready')
    const before = await Promise.all(Array.from({ length: 5 }, () => ask({})))
    for (const { name } of before)
      await first.line(({ message, csr }) => message === 'certificate issued' && csr === name)
    await kill(first)
    const waiting = await Promise.all(Array.from({ length: 5 }, () => ask({})))
    for (const { name } of waiting)
      await second.line(({ message, csr }) => message === 'certificate issued' && csr === name)
    for (const { name } of [...before, ...waiting]) await certificate(name)
    const issued = [...first.lines, ...second.lines].filter(({ message }) => message === 'certificate issued')
    const named = issued
      .map(({ csr }) => csr)
      .filter((name) => [...before, ...waiting].some((one) => one.name === name))
    assert.equal(new Set(named).size, 10)
    assert.equal(named.length, 10, 'one line for each')
    assert.ok(!second.lines.some(({ csr }) => before.some(({ name }) => name === csr)))
    assert.equal(await stop(second), 0)
  })

  test('a replica that ends gives the Lease back, so that the next need not wait', async () => {
    const replica = await leading(start('giving'))
    assert.equal(await stop(replica), 0)
    const lease = await admin.get('/apis/coordination.k8s.io/v1/namespaces/archway/leases/archway-signer')
    assert.equal((lease['spec'] as { readonly holderIdentity?: string }).holderIdentity ?? '', '')
  })

  test('a new authority and a new policy are taken up; a policy that is wrong is not', async () => {
    const replica = await leading(start('reload'))
    await newAuthority('people-ca-2')
    await replica.line(({ message, file }) => message === 'files reloaded' && file === 'signer-authority')
    assert.match((await certificate((await ask({})).name)).issuer, /CN=people-ca-2/)

    const policy = await readFile(folder.path('policy.yaml'), 'utf8')
    await writeFile(folder.path('policy.yaml'), policy.replace('expect: granted', 'expect: refused'))
    await replica.line(({ message }) => message.startsWith('reload failed'))
    await certificate((await ask({})).name)

    const { name } = await ask({ username: 'mallory' })
    assert.equal((await answered(name)).kind, 'denied')
    await writeFile(folder.path('policy.yaml'), policy.replace('groups: [people]', 'groups: [people, strangers]'))
    await replica.line(({ message, file }) => message === 'files reloaded' && file === 'signer-policy')
    await certificate((await ask({ username: 'mallory' })).name)
    assert.equal(await stop(replica), 0)
  })
})
