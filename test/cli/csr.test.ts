/** `archway csr` without a cluster, or with a scripted one: files, flags, questions. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { Command } from 'commander'
import { parse } from 'yaml'
import { addCsrCommands } from '../../src/cli/csr/csr.ts'
import { parseCsr } from '../../src/kube/certificate-signing-request.ts'
import { createAuthority, openAuthority } from '../../src/pki/issuing.ts'
import { generateKey, isSameKey, keyPem, publicOf, readKey } from '../../src/pki/keys.ts'
import { readRequest } from '../../src/pki/request.ts'
import { Secret } from '../../src/secret.ts'
import { json, type ScriptedServer, startServer, status } from '../kube/api-client/support.ts'
import { client } from '../pki/support.ts'
import { requestWith } from '../signer/hostile.ts'
import { testCsr } from '../signer/support.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'
import { type Ran, run, testIo } from './support.ts'

let folder: TestFolder
beforeEach(async () => {
  folder = await createFolder()
})
afterEach(() => folder.remove())

function csr(...args: readonly string[]): Promise<Ran> {
  return run('archway', ['csr', ...args], testIo({ HOME: folder.path('home') }))
}

describe('csr new', () => {
  const jane = (...args: readonly string[]) => csr('new', '--user', 'jane', '--key', folder.path('jane.key'), ...args)

  test('S14 makes a key for nobody else, and a request signed by it', async () => {
    const { status: code, out, err } = await jane('--group', 'people', '--group', 'devs', '--expiration', '8h')
    assert.equal(code, 0, err)
    const path = folder.path('jane.key')
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    const made = parseCsr(parse(out))
    assert.deepEqual(parse(out).metadata, { generateName: 'jane-' })
    assert.equal(made.signerName, 'kubernetes.io/kube-apiserver-client')
    assert.deepEqual(made.usages, ['digital signature', 'client auth'])
    assert.equal(made.expirationSeconds, 28_800)
    const request = readRequest(made.request)
    assert.deepEqual(request.subject.organizations, ['people', 'devs'])
    const key = readKey(new Secret(await readFile(path, 'utf8')), { where: path })
    assert.ok(isSameKey(request.publicKey, key))
    assert.ok(!`${out}${err}`.includes('PRIVATE KEY'))
  })

  test('uses the key that is there, and overwrites nothing', async () => {
    await jane()
    const before = await readFile(folder.path('jane.key'), 'utf8')
    const { status: code, err } = await jane()
    assert.equal(code, 0)
    assert.match(err, /using the key/)
    assert.equal(await readFile(folder.path('jane.key'), 'utf8'), before)
  })

  test('S14 does not write through a link', async () => {
    await symlink(folder.path('elsewhere'), folder.path('jane.key'))
    const { status: code } = await jane()
    assert.notEqual(code, 0)
    await assert.rejects(stat(folder.path('elsewhere')))
  })

  test('S14 says of a key that others may read', async () => {
    await writeFile(folder.path('jane.key'), keyPem(await generateKey('ecdsa-p256')).reveal(), { mode: 0o644 })
    assert.match((await jane()).err, /lets every user of this machine at a file that holds secrets/)
  })

  test('a key under a passphrase is made and used with it', async () => {
    const passphrase = ['--passphrase-file', await folder.write('passphrase', 'correct horse\n')]
    assert.equal((await jane(...passphrase)).status, 0)
    assert.match(await readFile(folder.path('jane.key'), 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/)
    assert.equal((await jane(...passphrase)).status, 0)
    assert.notEqual((await jane()).status, 0)
  })

  test('usages are those that the signer takes', async () => {
    const usages = async (...args: readonly string[]) => parse((await jane(...args)).out).spec.usages
    assert.deepEqual(
      await usages(
        '--signer',
        'kubernetes.io/kubelet-serving',
        '--user',
        'system:node:n1',
        '--group',
        'system:nodes',
        '--dns',
        'n1',
      ),
      ['digital signature', 'key encipherment', 'server auth'],
    )
    assert.deepEqual(await usages('--usage', 'client auth'), ['client auth'])
  })

  const WRONG: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['a lifetime below ten minutes', ['--expiration', '5m'], /spec\.expirationSeconds: is less than 600/],
    ['a usage the API does not know', ['--usage', 'clientauth'], /spec\.usages\[0\]: is no usage/],
    ['a signer that is none', ['--signer', 'people'], /spec\.signerName: is no name of a signer/],
    [
      'what its signer would refuse',
      ['--signer', 'kubernetes.io/kubelet-serving'],
      /would refuse it: the organization/,
    ],
    ['legacy-unknown in v1', ['--signer', 'kubernetes.io/legacy-unknown'], /not for requests of v1/],
  ]
  for (const [title, args, message] of WRONG) {
    test(`refuses ${title}, and keeps no key`, async () => {
      const { status: code, err } = await jane(...args)
      assert.equal(code, 2)
      assert.match(err, message)
      await assert.rejects(stat(folder.path('jane.key')))
    })
  }

  test('takes a request that was made elsewhere', async () => {
    const { request } = await testCsr({ username: 'Jane Doe' })
    const { status: code, out } = await csr('new', '--csr', await folder.write('jane.csr', request))
    assert.equal(code, 0)
    assert.equal(parse(out).metadata.generateName, 'jane-doe-')
    assert.equal(parseCsr(parse(out)).request, request)
  })
})

describe('csr sign FILE', () => {
  let files: readonly string[]
  beforeEach(async () => {
    const key = await generateKey('ecdsa-p256')
    const now = Date.now()
    const { certificatePem } = await createAuthority(key, {
      commonName: 'people-ca',
      notBefore: new Date(now - 60_000),
      notAfter: new Date(now + 90 * 86_400_000),
    })
    files = [
      '--ca-cert',
      await folder.write('ca.crt', certificatePem),
      '--ca-key',
      await folder.write('ca.key', keyPem(key).reveal()),
    ]
  })
  const people = ['--known-signer', 'example.com/people']
  async function manifest(options: Parameters<typeof testCsr>[0] = {}): Promise<string> {
    return folder.write('request.yaml', JSON.stringify((await testCsr(options)).object))
  }

  test('signs what has nothing against it, for as long as is said', async () => {
    const {
      status: code,
      out,
      err,
    } = await csr('sign', await manifest(), ...files, ...people, '--requester', 'jane', '--lifetime', '1h')
    assert.equal(code, 0, err)
    const { subject, validToDate } = new X509Certificate(out)
    assert.equal(subject, 'CN=jane')
    assert.ok(validToDate.getTime() <= Date.now() + 3_600_000)
  })

  test('S10 what a file says of who asks proves nothing', async () => {
    const { status: code, err } = await csr('sign', await manifest(), ...files, ...people)
    assert.equal(code, 1)
    assert.match(err, /not signed, for foreign-user/)
    assert.equal((await csr('sign', await manifest(), ...files, ...people, '--i-know', 'foreign-user')).status, 0)
  })

  test('S10 --i-know is for the findings it names and no others', async () => {
    const file = await manifest({ organizations: ['system:masters'] })
    const { status: code, err } = await csr(
      'sign',
      file,
      ...files,
      ...people,
      '--requester',
      'jane',
      '--i-know',
      'foreign-user',
    )
    assert.equal(code, 1)
    assert.match(err, /not signed, for cluster-admin/)
  })

  test('with a policy that alone decides', async () => {
    const policy = await folder.write(
      'policy.yaml',
      'signers: {example.com/people: {lifetime: {default: 1h, most: 2h}, rules: [{name: r, requester: {groups: [people]}, commonName: "{username}"}]}}',
    )
    const as = (name: string) =>
      csr('sign', file, ...files, '--policy', policy, '--requester', name, '--requester-group', 'people')
    const file = await manifest()
    assert.equal((await as('jane')).status, 0)
    const { status: code, err } = await as('john')
    assert.equal(code, 1)
    assert.match(err, /"john" may not be certified as "jane"/)
  })

  test('a PEM request needs to be told what for', async () => {
    const { request } = await testCsr()
    const file = await folder.write('jane.csr', request)
    const pem = ['sign', file, ...files, '--requester', 'jane', ...people, '--signer', 'example.com/people']
    assert.equal((await csr(...pem)).status, 2)
    const { status: code, err } = await csr(...pem, '--usage', 'client auth', '--out', folder.path('jane.crt'))
    assert.equal(code, 0, err)
    assert.match(await readFile(folder.path('jane.crt'), 'utf8'), /^-----BEGIN CERTIFICATE-----/)
  })

  test('a manifest that refers to itself is read as any other', async () => {
    const { object } = await testCsr({ usages: ['client auth'] })
    const manifest = `${JSON.stringify(object).slice(0, -1)}, "mine": &a [*a]}`
    const { status: code, err } = await csr(
      'sign',
      await folder.write('circle.yaml', manifest),
      ...files,
      '--requester',
      'jane',
      '--known-signer',
      'example.com/people',
      '--requester-group',
      'people',
    )
    assert.equal(code, 0, err)
  })

  test('a key that is not the authority’s signs nothing', async () => {
    await writeFile(folder.path('ca.key'), keyPem(await generateKey('ecdsa-p256')).reveal())
    const { status: code, err } = await csr('sign', await manifest(), ...files, '--requester', 'jane')
    assert.equal(code, 1)
    assert.match(err, /not that of the authority/)
  })
})

describe('with a cluster', () => {
  let server: ScriptedServer
  before(async () => {
    server = await startServer()
  })
  after(() => server.close())
  beforeEach(async () => {
    server.seen.splice(0)
    await mkdir(folder.path('home/.kube'), { recursive: true })
    await writeFile(folder.path('home/.kube/config'), kubeconfig({ token: 't0ken' }))
  })

  function kubeconfig(user: object): string {
    const ca = Buffer.from(server.ca).toString('base64')
    return JSON.stringify({
      'current-context': 'a',
      clusters: [{ name: 'a', cluster: { server: server.url, 'certificate-authority-data': ca } }],
      users: [{ name: 'a', user }],
      contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
    })
  }

  /** One request, that takes what is put to it. */
  async function serve(options: Parameters<typeof testCsr>[0] = {}): Promise<void> {
    const { object } = await testCsr({
      signerName: 'kubernetes.io/kube-apiserver-client',
      expirationSeconds: 3600,
      ...options,
    })
    server.script = ({ method, path, body }, response) => {
      if (path === '/apis/certificates.k8s.io/v1') json(response, { kind: 'APIResourceList' })
      else if (method === 'PUT') json(response, JSON.parse(body))
      else if (path.endsWith('/jane-1')) json(response, object)
      else status(response, 404, 'NotFound')
    }
  }

  /** Approves with somebody, or nobody, at the keyboard. */
  async function approve(
    answer: string | undefined,
    ...args: readonly string[]
  ): Promise<Ran & { readonly asked: readonly string[] }> {
    const io = testIo({ HOME: folder.path('home') })
    const asked: string[] = []
    const program = new Command('archway').exitOverride()
    let code = 0
    const prompt = {
      ask: async ({ prompt: text }: { readonly prompt: string }) => {
        asked.push(text)
        return answer ?? ''
      },
      close: () => {},
    }
    addCsrCommands(
      program,
      io,
      (given) => (code = given),
      () => (answer === undefined ? undefined : prompt),
    )
    try {
      await program.parseAsync(['csr', 'approve', 'jane-1', ...args], { from: 'user' })
    } catch (thrown) {
      assert.ok(thrown instanceof Error && 'status' in thrown && typeof thrown.status === 'number', String(thrown))
      return { status: thrown.status, out: io.printed.out, err: thrown.message, asked }
    }
    return { status: code, ...io.printed, asked }
  }
  const puts = () => server.seen.filter(({ method }) => method === 'PUT')

  test('approving asks, and takes nothing but yes for yes', async () => {
    await serve()
    for (const answer of ['', 'y', 'no', 'yes please']) {
      const { status: code, asked } = await approve(answer)
      assert.deepEqual([code, asked], [1, ['Approve "jane-1"? (yes or no) ']], answer)
    }
    assert.equal(puts().length, 0)
    assert.equal((await approve('yes')).status, 0)
    assert.equal(puts()[0]?.path, '/apis/certificates.k8s.io/v1/certificatesigningrequests/jane-1/approval')
    const sent = parseCsr(JSON.parse(puts()[0]?.body ?? ''))
    assert.equal(sent.resourceVersion, '1')
    assert.deepEqual(sent.conditions, [
      { type: 'Approved', status: 'True', reason: 'ArchwayApprove', message: 'approved with archway csr approve' },
    ])
  })

  test('nobody at the keyboard has to say --yes', async () => {
    await serve()
    assert.equal((await approve(undefined)).status, 2)
    assert.equal((await approve(undefined, '--yes')).status, 0)
  })

  test('S10 hostile findings are named one by one, and stand in the record', async () => {
    await serve({ commonName: 'john', organizations: ['admins'] })
    const refused = await approve('yes', '--i-know', 'foreign-user')
    assert.deepEqual([refused.status, refused.asked], [1, []])
    assert.match(refused.err, /not approved, for foreign-group\./)
    const known = await approve('yes', '--i-know', 'foreign-user', '--i-know', 'foreign-group')
    assert.equal(known.status, 0, known.err)
    const [condition] = parseCsr(JSON.parse(puts()[0]?.body ?? '')).conditions
    assert.equal(condition?.message, 'approved with archway csr approve, in spite of foreign-user, foreign-group')
  })

  test('S10 what cannot be read cannot be approved, whatever is known', async () => {
    await serve({ request: 'junk' })
    const { status: code, err } = await approve('yes', '--yes')
    assert.equal(code, 1)
    assert.match(err, /nobody can tell what is asked for/)
  })

  test('S10 --digest is of this request or of none', async () => {
    await serve()
    const shown = await csr('show', 'jane-1', '-o', 'json')
    const { digest } = JSON.parse(shown.out)
    assert.equal((await approve(undefined, '--yes', '--digest', digest)).status, 0)
    await serve({ organizations: ['people'] })
    const { status: code, err } = await approve(undefined, '--yes', '--digest', digest)
    assert.equal(code, 1)
    assert.match(err, /another request/)
  })

  test('H14 names of strangers have no hold on the terminal', async () => {
    const request = await requestWith([{ CN: [{ utf8String: 'ja\u001b]0;ne\u0007\u202e' }] }])
    await serve({ username: '\u001b[2Jjane\u202e', request })
    for (const args of [
      ['show', 'jane-1'],
      ['show', 'jane-1', '-o', 'json'],
    ]) {
      const { out } = await csr(...args)
      assert.doesNotMatch(out, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
    }
  })

  describe('fetch', () => {
    /** The certificate of another subject, for the key of the request, with text around it. */
    async function answered(
      subject: { commonName: string; organizations: readonly string[] },
      { around = '', passphrase, flags = [] }: { around?: string; passphrase?: Secret; flags?: readonly string[] } = {},
    ) {
      const key = await generateKey('ecdsa-p256')
      await folder.write('jane.key', keyPem(key, passphrase).reveal())
      const dates = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) }
      const caKey = await generateKey('ecdsa-p256')
      const ca = await createAuthority(caKey, { commonName: 'people-ca', ...dates })
      const authority = openAuthority(ca.certificatePem, caKey)
      const { certificatePem } = await authority.issue(publicOf(key), { ...client({ subject }), ...dates })
      const { object } = await testCsr({ key, organizations: ['people'], conditions: ['Approved'] })
      const certificate = Buffer.from(`${around}${certificatePem}${around}`).toString('base64')
      server.script = ({ path }, response) => {
        if (path === '/apis/certificates.k8s.io/v1') json(response, { kind: 'APIResourceList' })
        else json(response, { ...object, status: { certificate } })
      }
      const ran = await csr('fetch', 'jane-1', '--key', folder.path('jane.key'), ...flags)
      return { ...ran, certificatePem }
    }

    test('S10 says in what the certificate is not what was asked for', async () => {
      const { status: code, err } = await answered({ commonName: 'john', organizations: ['people', 'admins'] })
      assert.equal(code, 0, err)
      assert.match(err, /warning: it is for "john"; asked for was "jane"/)
      assert.match(err, /warning: its groups are "people", "admins"; asked for were "people"/)
    })

    test('says nothing of one that is what was asked for', async () => {
      const {
        status: code,
        out,
        err,
        certificatePem,
      } = await answered({ commonName: 'jane', organizations: ['people'] })
      assert.deepEqual([code, out], [0, certificatePem], err)
      assert.doesNotMatch(err, /warning/)
    })

    test('H14 what stands around the certificate is not written', async () => {
      const subject = { commonName: 'jane', organizations: ['people'] }
      const {
        status: code,
        out,
        err,
        certificatePem,
      } = await answered(subject, {
        around: 'text \u001b]0;of a stranger\u0007\n',
      })
      assert.deepEqual([code, out], [0, certificatePem], err)
    })

    test('S14 says that a kubeconfig holds a key without its passphrase, and makes none that kubectl could not use', async () => {
      const subject = { commonName: 'jane', organizations: ['people'] }
      const passphrase = new Secret('correct horse')
      const file = ['--passphrase-file', await folder.write('passphrase', 'correct horse\n')]
      const into = ['--write-kubeconfig', folder.path('jane.kubeconfig')]
      const written = await answered(subject, { passphrase, flags: [...file, ...into] })
      assert.equal(written.status, 0, written.err)
      assert.match(written.err, /warning: .*jane\.kubeconfig holds the key without its passphrase/)
      assert.equal((await stat(folder.path('jane.kubeconfig'))).mode & 0o777, 0o600)
      const linked = await answered(subject, {
        passphrase,
        flags: [...file, ...into, '--link', '--out', folder.path('jane.crt')],
      })
      assert.equal(linked.status, 2)
      assert.match(linked.err, /--link .*passphrase/)
      await assert.rejects(stat(folder.path('jane.crt')))
    })
  })

  test('a credential plugin is run as kubectl would', async () => {
    await serve()
    const plugin =
      '#!/bin/sh\necho \'{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"by-plugin"}}\'\n'
    await writeFile(folder.path('home/.kube/plugin'), plugin, { mode: 0o755 })
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: './plugin', interactiveMode: 'Never' }
    await writeFile(folder.path('home/.kube/config'), kubeconfig({ exec }))
    const { status: code, err } = await csr('show', 'jane-1')
    assert.equal(code, 0, err)
    assert.equal(server.seen[0]?.headers.authorization, 'Bearer by-plugin')
  })

  test('no answer is another ending than a no', async () => {
    server.script = (_, response) => status(response, 403, 'Forbidden')
    assert.equal((await csr('list')).status, 1)
    server.script = (_, response) => status(response, 500, 'InternalError')
    assert.equal((await csr('list')).status, 3)
    assert.equal((await csr('list', '--kubeconfig', folder.path('none'))).status, 2)
  })
})
