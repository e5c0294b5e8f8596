import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { lstatSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { readCertificates } from '../../../src/pki/certificate.ts'
import { firstAddress } from '../../../src/pki/profiles.ts'
import { createSite, done, pki } from './support.ts'

function certificate(path: string) {
  const [found] = readCertificates(readFileSync(path, 'utf8'), path)
  return found ?? assert.fail(path)
}

describe('archway pki init', () => {
  test("lays out a cluster's authorities as kubeadm does", async () => {
    await using site = await createSite()
    await done(['init', site.dir])
    assert.deepEqual(site.names(), [
      'ca.crt',
      'ca.key',
      'etcd',
      'etcd/ca.crt',
      'etcd/ca.key',
      'front-proxy-ca.crt',
      'front-proxy-ca.key',
      'sa.key',
      'sa.pub',
      'webhook-ca.crt',
      'webhook-ca.key',
    ])
    const names = ['ca', 'etcd/ca', 'front-proxy-ca'].map((name) => certificate(site.file(`${name}.crt`)).subject.text)
    assert.deepEqual(names, ['CN=kubernetes', 'CN=etcd-ca', 'CN=front-proxy-ca'])
    const { isAuthority, pathLength, usages, key } = certificate(site.file('ca.crt'))
    assert.deepEqual([isAuthority, pathLength, key.text], [true, 0, 'ECDSA P-256'])
    assert.deepEqual(usages.keyUsages, ['digital signature', 'cert sign', 'crl sign'])
  })

  test('T-S14 keys are for nobody but their owner', async () => {
    await using site = await createSite()
    await done(['init', site.dir])
    for (const name of site.names()) {
      const { mode } = lstatSync(site.file(name))
      const wanted = name.endsWith('.key') ? 0o600 : name === 'etcd' ? 0o700 : 0o644
      assert.equal(mode & 0o777, wanted, name)
    }
  })

  test('makes nothing again that is there, but what it is asked to', async () => {
    await using site = await createSite()
    await done(['init', site.dir])
    const before = Object.fromEntries(
      ['ca.key', 'sa.key', 'webhook-ca.key'].map((name) => [name, read(site.file(name))]),
    )
    assert.match(await done(['init', site.dir]), /^kept .*ca\.crt/)
    assert.match(await done(['init', site.dir, '--replace', 'webhook-ca']), /^replaced .*webhook-ca\.crt/m)
    assert.equal(read(site.file('ca.key')), before['ca.key'])
    assert.equal(read(site.file('sa.key')), before['sa.key'])
    assert.notEqual(read(site.file('webhook-ca.key')), before['webhook-ca.key'])
  })

  test('leaves an authority alone of which only the certificate is there', async () => {
    await using site = await createSite()
    await done(['init', site.dir])
    const kept = certificate(site.file('ca.crt')).pem
    await using other = await createSite()
    await done(['init', other.dir])
    writeFileSync(other.file('ca.crt'), kept)
    await done(['init', other.dir])
    assert.equal(certificate(other.file('ca.crt')).pem, kept)
  })

  test('says of a key alone, which a run that was cut off has left, and makes nothing', async () => {
    await using site = await createSite()
    await done(['init', site.dir])
    rmSync(site.file('etcd/ca.crt'))
    rmSync(site.file('webhook-ca.key'))
    rmSync(site.file('webhook-ca.crt'))
    const { status, err } = await pki(['init', site.dir])
    assert.equal(status, 1)
    assert.match(err, /etcd\/ca\.key: is there, and no .*--replace etcd\/ca/)
    assert.ok(!site.has('webhook-ca.crt'))
    await done(['init', site.dir, '--replace', 'etcd/ca'])
    assert.ok(site.has('etcd/ca.crt') && site.has('webhook-ca.crt'))
  })

  test('T-S14 nothing is written through a link', async () => {
    await using site = await createSite()
    await done(['init', site.dir])
    await using other = await createSite()
    symlinkSync(site.dir, other.dir)
    const { status, err } = await pki(['init', other.dir, '--replace', 'ca'])
    assert.equal(status, 1)
    assert.match(err, /it is a link/)
  })

  test('Ed25519 is taken where Kubernetes takes it', async () => {
    await using site = await createSite()
    const { status, err } = await pki(['init', site.dir, '--key-algorithm', 'ed25519'])
    assert.equal(status, 0)
    assert.equal(err, 'archway: sa has a key of ecdsa-p256: Kubernetes takes no ed25519 there\n')
    for (const name of ['ca', 'front-proxy-ca', 'etcd/ca']) {
      assert.equal(certificate(site.file(`${name}.crt`)).key.text, 'Ed25519')
    }
    assert.equal(createPrivateKey(read(site.file('sa.key'))).asymmetricKeyType, 'ec')
  })

  test('keys under a passphrase are encrypted, but for that of the service accounts', async () => {
    await using site = await createSite()
    writeFileSync(site.path('passphrase'), 'correct horse\nignored\n')
    await done(['init', site.dir, '--passphrase-file', site.path('passphrase')])
    assert.match(read(site.file('ca.key')), /BEGIN ENCRYPTED PRIVATE KEY/)
    assert.match(read(site.file('sa.key')), /BEGIN PRIVATE KEY/)
    const issue = ['issue', 'scheduler', '--dir', site.dir]
    assert.match((await pki(issue)).err, /is encrypted; name its passphrase/)
    await done([...issue, '--passphrase-file', site.path('passphrase')])
    writeFileSync(site.path('wrong'), 'battery staple\n')
    const wrong = await pki([...issue, '--passphrase-file', site.path('wrong'), '--replace'])
    assert.equal(wrong.status, 1)
    assert.doesNotMatch(wrong.err, /battery|horse/)
  })

  test('name constraints are in the authorities that certify servers', async () => {
    await using site = await createSite()
    const limits = [
      '--permit-dns',
      'cluster.local,example.org',
      '--permit-ip',
      '10.0.0.0/8',
      '--exclude-dns',
      'no.example.org',
    ]
    await done(['init', site.dir, ...limits])
    assert.ok(certificate(site.file('ca.crt')).nameConstraints !== undefined)
    assert.equal(certificate(site.file('front-proxy-ca.crt')).nameConstraints, undefined)
    assert.ok(new X509Certificate(read(site.file('ca.crt'))).ca)
  })

  for (const [flags, message] of [
    [['--permit-ip', '10.0.0.0'], /expected a network/],
    [['--permit-dns', 'a b'], /expected a domain/],
    [['--path-length', 'x'], /expected a number/],
    [['--replace', 'all'], /--replace all: expected/],
    [['--days', '0'], /more than nothing/],
  ] as const) {
    test(`${flags.join(' ')} is refused, and nothing made`, async () => {
      await using site = await createSite()
      const { status, err } = await pki(['init', site.dir, ...flags])
      assert.ok(status > 0)
      assert.match(err, message)
      assert.equal(site.has('ca.crt'), false)
    })
  }
})

describe('the first address of a network of services', () => {
  for (const [network, address] of [
    ['10.96.0.0/12', '10.96.0.1'],
    ['10.100.7.9/12', '10.96.0.1'],
    ['192.168.0.128/25', '192.168.0.129'],
    ['fd00:10:96::/112', 'fd00:10:96::1'],
  ] as const) {
    test(`${network} → ${address}`, () => assert.equal(firstAddress(network), address))
  }

  for (const network of ['10.96.0.0', '10.96.0.0/32', '10.96.0.0/33', 'x/8', '::/129']) {
    test(`${network} has none`, () => assert.throws(() => firstAddress(network), { code: 'certificate_not_issued' }))
  }
})

function read(path: string): string {
  return readFileSync(path, 'utf8')
}
