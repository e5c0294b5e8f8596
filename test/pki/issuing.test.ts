import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseCertificate } from '../../src/authn/x509/certificate.ts'
import { identityOf } from '../../src/authn/x509/certificate-identity.ts'
import { isIssuedBy, readCertificates } from '../../src/pki/certificate.ts'
import { createAuthority, openAuthority } from '../../src/pki/issuing.ts'
import { generateKey, KEY_ALGORITHMS, publicOf } from '../../src/pki/keys.ts'
import { addressBytes } from '../../src/pki/name-constraints.ts'
import { NO_ALT_NAMES } from '../../src/pki/names.ts'
import { readRequest } from '../../src/pki/request.ts'
import { sortUsages } from '../../src/pki/usages.ts'
import { altNames, anyKey, client, later, NOW, subject, testAuthority, unusableAuthority } from './support.ts'

function only(pem: string) {
  const [certificate, ...others] = readCertificates(pem, 'test')
  assert.ok(certificate !== undefined && others.length === 0)
  return certificate
}

describe('an authority', () => {
  test('issues what was asked for: what is inspected is what was issued', async () => {
    const { authority, certificatePem } = await testAuthority()
    const key = await anyKey()
    await fc.assert(
      fc.asyncProperty(subject, altNames, async (wanted, names) => {
        const issued = await authority.issue(publicOf(key), client({ subject: wanted, altNames: names }))
        const found = only(issued.certificatePem)
        assert.equal(found.subject.commonName, wanted.commonName)
        assert.deepEqual(found.subject.organizations, wanted.organizations)
        assert.equal(found.subject.hasOthers, false)
        const { dns, email, uri, ip } = found.altNames
        assert.deepEqual({ dns, email, uri }, { dns: names.dns, email: names.email, uri: names.uri })
        assert.deepEqual(ip.map(addressBytes), names.ip.map(addressBytes))
        assert.equal(found.serial, issued.serial)
        assert.deepEqual([found.notBefore, found.notAfter], [issued.notBefore, issued.notAfter])
        assert.ok(isIssuedBy(found, only(certificatePem)))
      }),
      { numRuns: 60 },
    )
  })

  test('issues identities that kube-apiserver reads as they were meant', async () => {
    const { authority } = await testAuthority()
    const key = await anyKey()
    await fc.assert(
      fc.asyncProperty(subject, async (wanted) => {
        const { certificatePem } = await authority.issue(publicOf(key), client({ subject: wanted }))
        const user = identityOf(parseCertificate(only(certificatePem).der), { usernamePrefix: '', groupPrefix: '' })
        assert.ok(user !== undefined && user !== 'invalid')
        assert.deepEqual([user.username, user.groups], [wanted.commonName, wanted.organizations])
      }),
      { numRuns: 60 },
    )
  })

  for (const algorithm of KEY_ALGORITHMS) {
    test(`issues with and for keys of ${algorithm}`, async () => {
      const key = await generateKey(algorithm)
      const { certificatePem } = await createAuthority(key, { commonName: 'ca', notBefore: NOW, notAfter: later(2) })
      const authority = openAuthority(certificatePem, key, { now: () => NOW })
      const leaf = only((await authority.issue(publicOf(key), client())).certificatePem)
      assert.ok(new X509Certificate(leaf.pem).verify(publicOf(key)))
      assert.equal(leaf.key.weakness, undefined)
    })
  }

  test('gives each certificate a serial number of 128 bits of its own', async () => {
    const { authority } = await testAuthority()
    const key = await anyKey()
    const serials = new Set<string>()
    for (let at = 0; at < 20; at += 1) serials.add((await authority.issue(publicOf(key), client())).serial)
    assert.equal(serials.size, 20)
    for (const serial of serials) assert.match(serial, /^[4-7][\da-f]{31}$/)
  })

  test('certifies no authorities where its path length is 0', async () => {
    const { authority } = await testAuthority()
    const template = client({ ca: {} })
    await assert.rejects(authority.issue(publicOf(await anyKey()), template), { code: 'certificate_not_issued' })
  })

  test('says that a leaf is no authority, in so many words', async () => {
    const { authority } = await testAuthority()
    const leaf = only((await authority.issue(publicOf(await anyKey()), client())).certificatePem)
    assert.equal(leaf.isAuthority, false)
    assert.equal(new X509Certificate(leaf.pem).ca, false)
  })

  test('issues nothing that ends after itself, or ends it there when told to', async () => {
    const key = publicOf(await anyKey())
    const strict = await testAuthority({ notAfter: later(2) })
    await assert.rejects(strict.authority.issue(key, client({ notAfter: later(3) })), {
      code: 'certificate_not_issued',
      message: /after .*kubernetes/,
    })
    const clamping = await testAuthority({ notAfter: later(2), pastEnd: 'clamp' })
    const issued = await clamping.authority.issue(key, client({ notAfter: later(3) }))
    assert.deepEqual(issued.notAfter, later(2))
  })

  test('issues nothing once it has expired', async () => {
    const { authority } = await testAuthority({ now: () => later(4000), pastEnd: 'clamp' })
    await assert.rejects(authority.issue(publicOf(await anyKey()), client()), /has expired/)
  })

  for (const [what, template] of [
    ['a name with a line feed', client({ subject: { commonName: 'a\nb', organizations: [] } })],
    ['a group with a NUL', client({ subject: { commonName: 'a', organizations: ['x\0'] } })],
    ['half a character', client({ subject: { commonName: '\ud800', organizations: [] } })],
    ['a host name that is none', client({ altNames: { ...NO_ALT_NAMES, dns: ['a b'] } })],
    ['an address that is none', client({ altNames: { ...NO_ALT_NAMES, ip: ['10.0.0.256'] } })],
    ['no name at all', client({ subject: { commonName: '', organizations: [] } })],
    ['an end before its beginning', client({ notBefore: later(2) })],
  ] as const) {
    test(`does not issue ${what}`, async () => {
      const { authority } = await testAuthority()
      await assert.rejects(authority.issue(publicOf(await anyKey()), template), { code: 'certificate_not_issued' })
    })
  }

  test('is ready where it can issue, and says why where it cannot', async () => {
    const { authority } = await testAuthority()
    await authority.ready()
    const [expired, early] = [
      await testAuthority({ now: () => later(4000) }),
      await testAuthority({ now: () => later(-2) }),
    ]
    await assert.rejects(expired.authority.ready(), { code: 'certificate_not_issued', message: /has expired/ })
    await assert.rejects(early.authority.ready(), { code: 'certificate_not_issued', message: /is not valid before/ })
    await assert.rejects(early.authority.issue(publicOf(await anyKey()), client()), { code: 'certificate_not_issued' })
  })

  test('is not ready with a key that nothing is signed with', async () => {
    const { certificatePem, privateKey } = await unusableAuthority()
    await assert.rejects(openAuthority(certificatePem, privateKey, { now: () => NOW }).ready(), {
      code: 'key_unusable',
    })
  })

  test('is opened with its own key and no other', async () => {
    const { certificatePem } = await testAuthority()
    assert.throws(() => openAuthority(certificatePem, KEY), { code: 'key_unusable' })
  })

  test('is not made of the certificate of a leaf', async () => {
    const { authority } = await testAuthority()
    const key = await anyKey()
    const { certificatePem } = await authority.issue(publicOf(key), client())
    assert.throws(() => openAuthority(certificatePem, key), { code: 'certificate_not_issued' })
  })
})

const KEY = await generateKey('ecdsa-p256')

interface SignVector {
  readonly name: string
  readonly kind: string
  readonly csr: string
  readonly usages: readonly string[]
  readonly ttlSeconds: number
  readonly now: string
  readonly caNotAfter: string
  readonly expect: {
    readonly result: string
    readonly commonName: string
    readonly organizations: readonly string[]
    readonly subjectAltNames: readonly string[]
    readonly keyUsage: readonly string[]
    readonly extKeyUsage: readonly string[]
    readonly notBefore: string
    readonly notAfter: string
  }
}

describe("kube-controller-manager's signer, from its vectors", () => {
  const { fixtures, vectors } = JSON.parse(
    readFileSync(new URL('../vectors/csr-vectors.json', import.meta.url), 'utf8'),
  ) as { fixtures: Record<string, string>; vectors: SignVector[] }

  for (const vector of vectors.filter(({ kind, expect }) => kind === 'sign' && expect.result === 'issued')) {
    test(vector.name, async () => {
      const { expect, ttlSeconds } = vector
      const request = readRequest(fixtures[vector.csr] ?? '')
      const notBefore = new Date(Date.parse(vector.now) - 300_000)
      const options = {
        pastEnd: 'clamp',
        now: () => new Date(vector.now),
        notAfter: new Date(vector.caNotAfter),
      } as const
      const { authority } = await testAuthority(options)
      const { unknown, ...usages } = sortUsages(vector.usages)
      assert.deepEqual(unknown, [])
      const issued = await authority.issue(request.publicKey, {
        subject: request.subject,
        altNames: request.altNames,
        notBefore,
        notAfter: new Date(notBefore.getTime() + ttlSeconds * 1000),
        ...usages,
      })
      const found = only(issued.certificatePem)
      assert.equal(found.subject.commonName, expect.commonName)
      assert.deepEqual(found.subject.organizations, expect.organizations)
      assert.equal(found.notBefore.getTime(), Date.parse(expect.notBefore))
      assert.equal(found.notAfter.getTime(), Date.parse(expect.notAfter))
      const { dns, ip, email, uri } = found.altNames
      const names = Object.entries({ dns, ip, email, uri }).flatMap(([kind, list]) =>
        list.map((name) => `${kind}:${name}`),
      )
      assert.deepEqual(names, expect.subjectAltNames)
      const folded = (list: readonly string[]) => list.map((name) => name.replace(/[^a-z]/gi, '').toLowerCase()).sort()
      assert.deepEqual(
        folded(found.usages.keyUsages.map((name) => SAME.get(name) ?? name)),
        folded(expect.keyUsage ?? []),
      )
      assert.deepEqual(folded(found.usages.extendedKeyUsages), folded((expect.extKeyUsage ?? []).map(kubernetesName)))
    })
  }
})

/** Go has other words for some. */
const SAME = new Map([
  ['content commitment', 'contentCommitment'],
  ['cert sign', 'keyCertSign'],
])

function kubernetesName(go: string): string {
  return go.replace(/^ipsec/i, 'ipsec').replace(/^ms/, 'microsoft ')
}
