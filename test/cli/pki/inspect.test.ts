import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer as createPlainServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { createServer } from 'node:tls'
import { stringify } from 'yaml'
import { generateKey } from '../../../src/pki/keys.ts'
import { NO_ALT_NAMES } from '../../../src/pki/names.ts'
import { readPem } from '../../../src/pki/pem.ts'
import { createRequest } from '../../../src/pki/request.ts'
import { createSite, done, pki, type Site } from './support.ts'

let site: Site
before(async () => {
  site = await createSite()
  await done(['init', site.dir])
  await done(['issue', 'apiserver', '--dir', site.dir, '--advertise-address', '127.0.0.1'])
  await done(['issue', 'user', '--cn', 'jane', '--group', 'devs', '--group', 'on call', '--dir', site.dir])
  const where = ['--kubeconfig', site.path('jane.conf'), '--server', 'https://127.0.0.1:6443']
  await done(['issue', 'user', '--cn', 'jane', '--dir', site.dir, ...where])
})
after(() => site[Symbol.asyncDispose]())

interface Document {
  readonly where: string
  readonly kind: string
  readonly subject: { readonly text: string }
  readonly chain: readonly string[]
  readonly kubernetes: { readonly kind: string; readonly username?: string; readonly groups?: readonly string[] }
  readonly altNames: { readonly dns: readonly string[]; readonly ip: readonly string[] }
  readonly daysLeft: number
  readonly findings: readonly { readonly severity: string; readonly code: string }[]
}

async function inspected(...what: readonly string[]): Promise<readonly Document[]> {
  return JSON.parse(await done(['inspect', ...what, '-o', 'json']))
}

function pem(name: string): string {
  return readFileSync(site.file(name), 'utf8')
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

describe('archway pki inspect', () => {
  test('says who Kubernetes would take the bearer for', async () => {
    const [jane, server] = await inspected(site.file('users/jane.crt'), site.file('apiserver.crt'))
    assert.deepEqual(jane?.kubernetes, { kind: 'user', username: 'jane', groups: ['devs', 'on call'], uid: '' })
    assert.equal(server?.kubernetes.kind, 'nobody')
    assert.equal(jane?.daysLeft, 29)
  })

  test('shows everything in words', async () => {
    const out = await done(['inspect', site.file('apiserver.crt')])
    for (const line of [
      /subject +CN=kube-apiserver$/m,
      /issuer +CN=kubernetes$/m,
      /valid +\S+ to \S+ \(364 days left\)$/m,
      /names +kubernetes, .*127\.0\.0\.1$/m,
      /usages +digital signature, server auth$/m,
      /key +ECDSA P-256; the certificate is signed with SHA-256$/m,
      /chain +CN=kube-apiserver → \(not here\)$/m,
      /kubernetes +nobody: it is not for clients$/m,
    ]) {
      assert.match(out, line)
    }
  })

  test('reads DER', async () => {
    const [block] = readPem(pem('apiserver.crt'))
    writeFileSync(site.path('apiserver.der'), block?.der ?? '')
    assert.equal((await inspected(site.path('apiserver.der')))[0]?.subject.text, 'CN=kube-apiserver')
  })

  test('reads kubeconfigs, and says at which place', async () => {
    const found = await inspected(site.path('jane.conf'))
    assert.deepEqual(
      found.map(({ where, kind }) => [where.replace(/^\S+ /, ''), kind]),
      [
        ['clusters.[kubernetes].cluster.certificate-authority-data', 'certificate'],
        ['users.[jane].user.client-certificate-data', 'certificate'],
        ['users.[jane].user.client-key-data', 'key'],
      ],
    )
    assert.deepEqual(found[1]?.chain, ['CN=jane', 'CN=kubernetes'])
  })

  test('follows the files that a kubeconfig names', async () => {
    const cluster = { server: 'https://a', 'certificate-authority': 'pki/ca.crt' }
    const user = { 'client-certificate': site.file('users/jane.crt'), 'client-key': site.file('users/jane.key') }
    const config = { kind: 'Config', clusters: [{ name: 'c', cluster }], users: [{ name: 'u', user }] }
    for (const [name, text] of [
      ['named.conf', stringify(config)],
      ['named.json', JSON.stringify(config, null, 2)],
    ] as const) {
      writeFileSync(site.path(name), text)
      const found = await inspected(site.path(name))
      assert.deepEqual(
        found.map(({ subject }) => subject.text),
        ['CN=kubernetes', 'O=devs, O=on call, CN=jane'],
      )
    }
  })

  for (const [form, write] of [
    ['YAML', (value: unknown) => stringify(value)],
    ['JSON', (value: unknown) => JSON.stringify(value)],
    ['one of several documents', (value: unknown) => `---\nkind: Namespace\n---\n${stringify(value)}`],
  ] as const) {
    test(`reads Secrets in ${form}, from standard input`, async () => {
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        data: { 'tls.crt': base64(pem('apiserver.crt')), 'tls.key': base64(pem('apiserver.key')) },
      }
      const { out, status } = await pki(['inspect', '-', '-o', 'json'], { input: write(secret) })
      assert.equal(status, 0)
      const found: readonly Document[] = JSON.parse(out)
      assert.deepEqual(
        found.map(({ where, kind }) => [where, kind]),
        [
          ['standard input data.tls.crt', 'certificate'],
          ['standard input data.tls.key', 'key'],
        ],
      )
      assert.ok(!out.includes(pem('apiserver.key').split('\n')[1] ?? 'nothing'))
    })
  }

  test('reads requests, of files and of the API', async () => {
    const request = await createRequest(
      await generateKey('ecdsa-p256'),
      { commonName: 'jane', organizations: ['devs'] },
      NO_ALT_NAMES,
    )
    writeFileSync(site.path('jane.csr'), request)
    writeFileSync(
      site.path('csr.yaml'),
      stringify({ kind: 'CertificateSigningRequest', spec: { request: base64(request) } }),
    )
    const found = await inspected(site.path('jane.csr'), site.path('csr.yaml'))
    assert.deepEqual(
      found.map(({ kind, subject }) => [kind, subject.text]),
      [
        ['request', 'O=devs, CN=jane'],
        ['request', 'O=devs, CN=jane'],
      ],
    )
  })

  test('reads a whole folder, and puts the chains together', async () => {
    const found = await inspected(site.dir)
    const server = found.find(({ where }) => where === 'apiserver.crt')
    assert.deepEqual(server?.chain, ['CN=kube-apiserver', 'CN=kubernetes'])
    assert.ok(found.some(({ where, kind }) => where === 'etcd/ca.key' && kind === 'key'))
  })

  test('looks at a server, whatever it is worth', async () => {
    const server = createServer({ cert: pem('apiserver.crt'), key: pem('apiserver.key') }).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    try {
      const { port } = server.address() as AddressInfo
      const [found] = await inspected(`127.0.0.1:${port}`)
      assert.equal(found?.subject.text, 'CN=kube-apiserver')
      assert.ok(found?.altNames.ip.includes('127.0.0.1'))
    } finally {
      server.close()
    }
  })

  test('text of strangers cannot write on the terminal', async () => {
    const request = await createRequest(
      await generateKey('ecdsa-p256'),
      { commonName: 'jane\u202egro', organizations: [] },
      NO_ALT_NAMES,
    )
    writeFileSync(site.path('bidi.csr'), request)
    const out = await done(['inspect', site.path('bidi.csr')])
    assert.ok(!out.includes('\u202e'))
    assert.match(out, /jane\\u\{202e\}gro/)
  })

  test('text of strangers cannot write on the terminal as JSON either', async () => {
    const subject = { commonName: 'jane\u202egro', organizations: [] }
    writeFileSync(site.path('json.csr'), await createRequest(await generateKey('ecdsa-p256'), subject, NO_ALT_NAMES))
    const out = await done(['inspect', site.path('json.csr'), '-o', 'json'])
    assert.ok(!out.includes('\u202e'))
    assert.match(JSON.parse(out)[0].subject.text, /jane\u202egro/)
  })

  test('a server that sends a byte now and then is not waited for', async () => {
    const server = createPlainServer((socket) => {
      socket.write(Buffer.from([22, 3, 3, 0x40, 0])) // the beginning of a record of 16 KiB
      const drip = setInterval(() => socket.write('.'), 20)
      socket.on('error', () => {})
      socket.on('close', () => clearInterval(drip))
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    try {
      const { port } = server.address() as AddressInfo
      const { status, err } = await pki(['inspect', `127.0.0.1:${port}`, '--timeout', '1'])
      assert.equal(status, 1)
      assert.match(err, /no answer within 1 s/)
    } finally {
      server.close()
    }
  })

  test('a file of empty lines is read in no more time than it takes', async () => {
    writeFileSync(site.path('empty-lines'), '\n'.repeat(2_000_000))
    const { status, err } = await pki(['inspect', site.path('empty-lines')])
    assert.equal(status, 1)
    assert.match(err, /no certificate/)
  })

  test('what is broken is said to be, and the rest shown', async () => {
    mkdirSync(site.path('mixed'))
    writeFileSync(site.path('mixed/broken.crt'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    writeFileSync(site.path('mixed/cut.crt'), pem('apiserver.crt').slice(0, 300))
    writeFileSync(site.path('mixed/good.crt'), pem('apiserver.crt'))
    writeFileSync(site.path('mixed/README'), 'nothing of ours')
    const found = await inspected(site.path('mixed'))
    assert.deepEqual(
      found.map(({ where, kind }) => [where, kind]),
      [
        ['broken.crt', 'unreadable'],
        ['cut.crt', 'unreadable'],
        ['good.crt', 'certificate'],
      ],
    )
  })

  for (const [what, message] of [
    ['/nowhere/at/all', /is no file, no folder, and no HOST:PORT/],
    ['127.0.0.1:1', /shows no certificate/],
    ['127.0.0.1:99999', /no HOST:PORT/],
  ] as const) {
    test(`${what} is status 1`, async () => {
      const { status, err } = await pki(['inspect', what])
      assert.equal(status, 1)
      assert.match(err, message)
    })
  }

  test('a document that unfolds without end is none', async () => {
    const bomb = [
      'a: &a [x]',
      ...Array.from(
        { length: 40 },
        (_, at) => `b${at}: &b${at} [*${at === 0 ? 'a' : `b${at - 1}`}, *${at === 0 ? 'a' : `b${at - 1}`}]`,
      ),
    ]
    const { status } = await pki(['inspect', '-'], { input: `kind: Secret\n${bomb.join('\n')}\n` })
    assert.equal(status, 1)
  })
})
