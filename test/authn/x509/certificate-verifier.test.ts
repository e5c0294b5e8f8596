/** Certificates made by openssl: what holds, what does not, and why. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { type CertificateVerdict, certificateVerifier } from '../../../src/authn/x509/certificate-verifier.ts'
import { AUTHORITY, CLIENT, type Issued, type IssueOptions, opensslCa, presented } from './support.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const ca = opensslCa()
after(() => ca.remove())

let root: Issued
before(async () => {
  root = await ca.issue({ subject: '/CN=root', extensions: AUTHORITY })
})

const client = (options: Partial<IssueOptions> = {}): Promise<Issued> =>
  ca.issue({ subject: '/O=devs/CN=jane', issuer: root, ...options })
const authority = (options: Partial<IssueOptions> = {}): Promise<Issued> =>
  ca.issue({ subject: '/CN=middle', issuer: root, extensions: AUTHORITY, ...options })

interface Shown {
  readonly now?: Date
  readonly by?: readonly Issued[]
  readonly crl?: string
  readonly requireCrl?: boolean
}

function verdictOf([leaf, ...others]: readonly [Issued, ...Issued[]], shown: Shown = {}): CertificateVerdict {
  const { now = NOW, by = [root], crl, ...rest } = shown
  const bundle = Buffer.from(by.map(({ cert }) => cert).join(''))
  const verifier = certificateVerifier({
    ca: bundle,
    now: () => now,
    ...rest,
    ...(crl === undefined ? {} : { crl: Buffer.from(crl) }),
  })
  return verifier.verify(presented(leaf.cert, ...others.map(({ cert }) => cert)))
}

/** `good`, or the code. */
function outcome(chain: readonly [Issued, ...Issued[]], shown?: Shown): string {
  const verdict = verdictOf(chain, shown)
  return verdict.kind === 'good' ? 'good' : verdict.code
}

describe('a client certificate', () => {
  test('holds under its authority, until the first certificate of the path ends', async () => {
    const middle = await authority({ notAfter: '20310101000000Z' })
    const leaf = await client({ issuer: middle })
    const verdict = verdictOf([leaf, middle])
    assert(verdict.kind === 'good')
    assert.deepEqual(
      verdict.path.map(({ der }) => Buffer.from(der)),
      [leaf, middle, root].map(({ cert }) => new X509Certificate(cert).raw),
    )
    assert.deepEqual(verdict.until, new Date('2031-01-01T00:00:00Z'))
  })

  test('has a first and a last moment, both of them good', async () => {
    const leaf = await client({ notBefore: '20290101000000Z', notAfter: '20310101000000Z' })
    const at = (time: string): string => outcome([leaf], { now: new Date(time) })
    assert.equal(at('2028-12-31T23:59:59.999Z'), 'certificate_not_yet_valid')
    assert.equal(at('2029-01-01T00:00:00.000Z'), 'good')
    assert.equal(at('2031-01-01T00:00:00.000Z'), 'good')
    assert.equal(at('2031-01-01T00:00:00.001Z'), 'certificate_expired')
  })

  test('is as expired as what is above it, the authority included', async () => {
    const middle = await authority({ notAfter: '20290101000000Z' })
    const leaf = await client({ issuer: middle })
    assert.equal(outcome([leaf, middle]), 'certificate_expired')
    const old = await ca.issue({ subject: '/CN=old', extensions: AUTHORITY, notAfter: '20290101000000Z' })
    const below = await client({ issuer: old })
    assert.equal(outcome([below], { by: [old] }), 'certificate_expired')
    const young = await authority({ notBefore: '20310101000000Z' })
    assert.equal(outcome([await client({ issuer: young }), young]), 'certificate_not_yet_valid')
  })

  test('of another authority is nobody, one with the same name included', async () => {
    const twin = await ca.issue({ subject: '/CN=root', extensions: AUTHORITY })
    const leaf = await client({ issuer: twin })
    assert.equal(outcome([leaf]), 'certificate_untrusted')
    assert.equal(outcome([leaf, twin]), 'certificate_untrusted')
    assert.equal(outcome([leaf], { by: [root, twin] }), 'good', 'two of one name in the bundle')
    const selfSigned = await ca.issue({ subject: '/CN=jane' })
    assert.equal(outcome([selfSigned]), 'certificate_untrusted')
    assert.equal(outcome([selfSigned], { by: [selfSigned] }), 'good', 'an anchor itself')
  })

  test('needs the issuer name byte for byte', async () => {
    const printable = await ca.issue({ subject: '/CN=ROOT', extensions: AUTHORITY, keyOf: root })
    assert.equal(outcome([await client()], { by: [printable] }), 'certificate_untrusted')
  })

  test('comes with its intermediates in any order, and with others', async () => {
    const first = await authority({ subject: '/CN=first' })
    const second = await authority({ subject: '/CN=second', issuer: first })
    const leaf = await client({ issuer: second })
    const stranger = await ca.issue({ subject: '/CN=stranger', extensions: AUTHORITY })
    assert.equal(outcome([leaf, second, first]), 'good')
    assert.equal(outcome([leaf, first, stranger, second, root]), 'good')
    assert.equal(outcome([leaf, second]), 'certificate_untrusted')
    assert.equal(outcome([leaf], { by: [second] }), 'good', 'an intermediate of the bundle is an anchor')
  })

  test('is for clients, and so is everything above it', async () => {
    const withUsage = (usage: string): string[] => ['basicConstraints=CA:FALSE', `extendedKeyUsage=${usage}`]
    for (const [usage, expected] of [
      ['serverAuth', 'certificate_usage'],
      ['codeSigning,1.2.3.4', 'certificate_usage'],
      ['serverAuth,clientAuth', 'good'],
      ['anyExtendedKeyUsage', 'good'],
    ] as const) {
      assert.equal(outcome([await client({ extensions: withUsage(usage) })]), expected, usage)
      const middle = await authority({ extensions: [...AUTHORITY, `extendedKeyUsage=${usage}`] })
      assert.equal(outcome([await client({ issuer: middle }), middle]), expected, `above: ${usage}`)
    }
    assert.equal(outcome([await client({ extensions: ['basicConstraints=CA:FALSE'] })]), 'good', 'for anything')
  })

  test('is issued by one that may issue', async () => {
    for (const extensions of [
      ['basicConstraints=critical,CA:FALSE', 'keyUsage=keyCertSign'],
      ['keyUsage=critical,keyCertSign'],
      ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,digitalSignature,cRLSign'],
    ]) {
      const middle = await authority({ extensions })
      const chain = [await client({ issuer: middle }), middle] as const
      assert.equal(outcome(chain), 'certificate_untrusted', extensions.join(' '))
      assert.equal(outcome(chain, { by: [middle] }), 'certificate_untrusted', `anchor: ${extensions.join(' ')}`)
    }
    const silent = await authority({ extensions: ['basicConstraints=CA:TRUE'] })
    assert.equal(outcome([await client({ issuer: silent }), silent]), 'good', 'no key usage: any')
  })

  test('is no further from an authority than that allows', async () => {
    const short = await authority({ subject: '/CN=short', extensions: ['basicConstraints=critical,CA:TRUE,pathlen:0'] })
    const below = await authority({ subject: '/CN=below', issuer: short })
    assert.equal(outcome([await client({ issuer: short }), short]), 'good')
    assert.equal(outcome([await client({ issuer: below }), below, short]), 'certificate_untrusted')
    assert.equal(outcome([await client({ issuer: below }), below], { by: [short] }), 'certificate_untrusted')
  })

  test('has no critical extension that is not understood, and nothing above it has', async () => {
    const unknown = '1.2.3.4=critical,ASN1:UTF8String:x'
    for (const extension of [
      unknown,
      'policyConstraints=critical,requireExplicitPolicy:0',
      'subjectAltName=critical,otherName:1.2.3.4;UTF8:x',
    ]) {
      assert.equal(outcome([await client({ extensions: [...CLIENT, extension] })]), 'certificate_untrusted', extension)
    }
    const middle = await authority({ extensions: [...AUTHORITY, unknown] })
    assert.equal(outcome([await client({ issuer: middle }), middle]), 'certificate_untrusted')
    const plain = [...CLIENT, '1.2.3.4=ASN1:UTF8String:x', 'subjectAltName=critical,DNS:a.example']
    assert.equal(outcome([await client({ extensions: plain })]), 'good')
  })

  test('is signed in a way that counts', async () => {
    const pss = (hash: string, salt = 'digest'): string[] => [
      '-md',
      hash,
      '-sigopt',
      'rsa_padding_mode:pss',
      '-sigopt',
      `rsa_pss_saltlen:${salt}`,
    ]
    const rsa = await authority({ subject: '/CN=rsa', key: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'] })
    const edwards = await authority({ subject: '/CN=ed', key: ['-algorithm', 'ED25519'] })
    const curve = (name: string) => ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${name}`]
    const large = await authority({ subject: '/CN=p521', key: curve('P-521') })
    const koblitz = await authority({ subject: '/CN=k', key: curve('secp256k1') })
    const weak = await authority({ subject: '/CN=w', key: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:768'] })
    for (const [issuer, sign, expected] of [
      [rsa, ['-md', 'sha256'], 'good'],
      [rsa, ['-md', 'sha512'], 'good'],
      [rsa, ['-md', 'sha1'], 'certificate_untrusted'],
      [rsa, ['-md', 'md5'], 'certificate_untrusted'],
      [rsa, ['-md', 'sha224'], 'certificate_untrusted'],
      [rsa, pss('sha256'), 'good'],
      [rsa, pss('sha384'), 'good'],
      [rsa, pss('sha1'), 'certificate_untrusted'],
      [rsa, pss('sha256', '20'), 'certificate_untrusted'],
      [large, ['-md', 'sha512'], 'good'],
      [large, ['-md', 'sha1'], 'certificate_untrusted'],
      [edwards, ['-md', 'null'], 'good'],
      [koblitz, [], 'certificate_untrusted'],
      [weak, [], 'certificate_untrusted'],
    ] as const) {
      const leaf = await client({ issuer, sign })
      assert.equal(outcome([leaf, issuer]), expected, `${issuer.subject} ${sign.join(' ')}`)
    }
  })

  test('with a broken signature is untrusted, wherever a bit was turned', async () => {
    const leaf = presented((await client()).cert)
    const verifier = certificateVerifier({ ca: Buffer.from(root.cert), now: () => NOW })
    assert.equal(verifier.verify(leaf).kind, 'good')
    for (let at = 0; at < leaf.leaf.length; at += 1) {
      const turned = Uint8Array.from(leaf.leaf)
      turned[at] = (turned[at] ?? 0) ^ 1
      assert.equal(verifier.verify({ leaf: turned, intermediates: [] }).kind, 'refused', `octet ${at}`)
    }
  })

  test('with something behind it, or in another encoding, is not read', async () => {
    const { leaf } = presented((await client()).cert)
    const verifier = certificateVerifier({ ca: Buffer.from(root.cert), now: () => NOW })
    const longer = Buffer.concat([leaf, Buffer.from([0])])
    const indefinite = Buffer.concat([Buffer.from([0x30, 0x80]), leaf.subarray(4), Buffer.from([0, 0])])
    const long = Buffer.concat([Buffer.from([0x30, 0x83, 0]), leaf.subarray(2)])
    for (const bytes of [longer, indefinite, long, leaf.subarray(0, -1), new Uint8Array(0)]) {
      assert.deepEqual(verifier.verify({ leaf: bytes, intermediates: [] }), {
        kind: 'refused',
        code: 'certificate_malformed',
      })
    }
  })

  test('is not looked for without end', async () => {
    // Each has the name and the key of the others in turn: there are more paths than anybody should walk.
    const twins = await Promise.all(
      Array.from({ length: 10 }, () => ca.issue({ subject: '/CN=loop', extensions: AUTHORITY })),
    )
    const crossed = await Promise.all(
      twins
        .slice(1)
        .map((twin, at) =>
          ca.issue({ subject: '/CN=loop', extensions: AUTHORITY, keyOf: twin, issuer: twins[at] ?? twin }),
        ),
    )
    const leaf = await client({ issuer: twins[9] ?? root })
    assert.equal(outcome([leaf, ...crossed]), 'certificate_untrusted')
    assert.equal(outcome([leaf, ...crossed], { by: twins.slice(0, 1) }), 'good')
    const many = await client()
    assert.equal(outcome([many, ...twins]), 'good')
    assert.equal(outcome([many, ...twins, root]), 'credential_too_large')
  })
})

describe('name constraints', () => {
  const constrained = (constraints: string): Promise<Issued> =>
    authority({ extensions: [...AUTHORITY, `nameConstraints=critical,${constraints}`] })

  for (const { constraints, good, bad } of [
    {
      constraints: 'permitted;DNS:example.org',
      good: ['DNS:example.org', 'DNS:A.Example.ORG', 'email:x@other.example'],
      bad: ['DNS:badexample.org', 'DNS:example.org.evil', 'DNS:example.org,DNS:other.example', 'DNS:example.org.'],
    },
    {
      constraints: 'excluded;DNS:a.example.org',
      good: ['DNS:example.org', 'DNS:b.example.org', 'DNS:ba.example.org'],
      bad: ['DNS:a.example.org', 'DNS:x.A.example.org', 'DNS:*.example.org', 'DNS:a.example.org.'],
    },
    {
      constraints: 'permitted;email:example.org',
      good: ['email:jane@example.org', 'DNS:other.example'],
      bad: ['email:jane@other.example', 'email:jane@example.org@other.example', 'email:jane'],
    },
    {
      constraints: 'excluded;email:root@example.org',
      good: ['email:jane@example.org', 'email:Root@example.org'],
      bad: ['email:root@EXAMPLE.org'],
    },
    {
      constraints: 'permitted;URI:.example.org',
      good: ['URI:spiffe://a.example.org/x', 'URI:https://u@b.example.org:1/'],
      bad: ['URI:spiffe://example.org/', 'URI:https://other.example/', 'URI:https://1.2.3.4/', 'URI:urn:x'],
    },
    {
      constraints: 'permitted;IP:10.0.0.0/255.0.0.0',
      good: ['IP:10.1.2.3', 'DNS:other.example'],
      bad: ['IP:11.0.0.1', 'IP:10.0.0.1,IP:2001:db8::1'],
    },
    {
      constraints: 'excluded;IP:2001:db8:0:0:0:0:0:0/ffff:ffff:0:0:0:0:0:0',
      good: ['IP:2001:db9::1', 'IP:10.0.0.1'],
      bad: ['IP:2001:db8::1'],
    },
  ]) {
    test(constraints, async () => {
      const middle = await constrained(constraints)
      const judged = async (names: string): Promise<string> => {
        const leaf = await client({ issuer: middle, extensions: [...CLIENT, `subjectAltName=${names}`] })
        return outcome([leaf, middle])
      }
      for (const names of good) assert.equal(await judged(names), 'good', names)
      for (const names of bad) assert.equal(await judged(names), 'certificate_untrusted', names)
    })
  }

  test('of directory names keep an authority to its groups', async () => {
    const section = (side: string, name: string): string[] => [
      ...AUTHORITY,
      `nameConstraints=critical,${side};dirName:base`,
      `[base]\norganizationName=${name}`,
    ]
    const permitted = await authority({ extensions: section('permitted', 'devs') })
    const excluded = await authority({ extensions: section('excluded', 'system:masters') })
    for (const [issuer, subject, expected] of [
      [permitted, '/O=devs/CN=jane', 'good'],
      [permitted, '/O=devs', 'good'],
      [permitted, '/O=Devs/CN=jane', 'certificate_untrusted'],
      [permitted, '/CN=jane/O=devs', 'certificate_untrusted'],
      [permitted, '/O=devs+O=system:masters/CN=jane', 'certificate_untrusted'],
      [permitted, '/O=system:masters/CN=jane', 'certificate_untrusted'],
      [excluded, '/O=devs/CN=jane', 'good'],
      [excluded, '/O=System:MASTERS/CN=jane', 'certificate_untrusted'],
    ] as const) {
      assert.equal(outcome([await client({ issuer, subject }), issuer]), expected, subject)
    }
  })

  test('are for everything below, and of no kind that is not judged', async () => {
    const middle = await constrained('permitted;DNS:example.org')
    const names = [...AUTHORITY, 'subjectAltName=DNS:other.example']
    const below = await authority({ subject: '/CN=below', issuer: middle, extensions: names })
    assert.equal(outcome([await client({ issuer: below }), below, middle]), 'certificate_untrusted')
    assert.equal(outcome([await client({ issuer: below }), below], { by: [middle] }), 'certificate_untrusted')
    const other = await constrained('excluded;otherName:1.2.3.4;UTF8:x')
    assert.equal(outcome([await client({ issuer: other }), other]), 'certificate_untrusted')
  })
})

describe('revocation lists', () => {
  let middle: Issued
  let leaf: Issued
  before(async () => {
    middle = await authority()
    leaf = await client({ issuer: middle })
  })
  const unknown = { code: 'certificate_status_unknown', status: 503 }

  test('S11: what is revoked is refused, the leaf and what is above it', async () => {
    const [none, ofRoot, ofMiddle] = await Promise.all([
      ca.crl(root),
      ca.crl(root, { revoked: [middle.cert] }),
      ca.crl(middle, { revoked: [leaf.cert] }),
    ])
    const clean = await ca.crl(middle)
    assert.equal(outcome([leaf, middle], { crl: none + clean }), 'good')
    assert.equal(outcome([leaf, middle], { crl: none + ofMiddle }), 'certificate_revoked')
    assert.equal(outcome([leaf, middle], { crl: ofRoot + clean }), 'certificate_revoked')
    assert.equal(outcome([leaf], { crl: ofMiddle, by: [middle] }), 'certificate_revoked')
    const direct = await client()
    assert.equal(outcome([direct], { crl: await ca.crl(root, { revoked: [direct.cert] }) }), 'certificate_revoked')
    assert.equal(
      outcome([direct], { crl: none + ofMiddle }),
      'good',
      'the same number of another issuer does not count',
    )
  })

  test('good is good until the next list is due', async () => {
    const crl = (await ca.crl(root, { nextUpdate: '20300601000000Z' })) + (await ca.crl(middle))
    const verdict = verdictOf([leaf, middle], { crl })
    assert.deepEqual(verdict.kind === 'good' && verdict.until, new Date('2030-06-01T00:00:00Z'))
  })

  test('without a list in force it cannot be told, unless none is required', async () => {
    const ofRoot = await ca.crl(root)
    const late = await ca.crl(middle, { nextUpdate: '20291231235959Z' })
    const early = await ca.crl(middle, { thisUpdate: '20300101000001Z' })
    for (const crl of [ofRoot, ofRoot + late, ofRoot + early]) {
      assert.throws(() => outcome([leaf, middle], { crl }), unknown)
      assert.equal(outcome([leaf, middle], { crl, requireCrl: false }), 'good')
    }
    assert.equal(outcome([leaf, middle], { crl: `${ofRoot}${late}${await ca.crl(middle)}` }), 'good')
  })

  test('what an old list has revoked stays revoked', async () => {
    const late = await ca.crl(middle, { nextUpdate: '20291231235959Z', revoked: [leaf.cert] })
    const crl = (await ca.crl(root)) + late
    assert.equal(outcome([leaf, middle], { crl }), 'certificate_revoked')
    assert.equal(outcome([leaf, middle], { crl, requireCrl: false }), 'certificate_revoked')
  })

  test('count only when their authority has signed them, and may', async () => {
    const twin = await ca.issue({ subject: '/CN=root', extensions: AUTHORITY })
    const forged = await ca.crl(twin)
    assert.throws(() => outcome([leaf, middle], { crl: forged }), {
      code: 'file_invalid',
      message: /^crl: X509 CRL 1: /,
    })
    const ofTwin = await ca.crl(await ca.issue({ subject: '/CN=middle', extensions: AUTHORITY }))
    const crl = (await ca.crl(root)) + ofTwin
    assert.throws(() => outcome([leaf, middle], { crl }), unknown, 'of the intermediate, by another key')
    const mute = await authority({ extensions: ['basicConstraints=CA:TRUE', 'keyUsage=keyCertSign'], keyOf: middle })
    const own = (await ca.crl(root)) + (await ca.crl(middle))
    assert.throws(() => outcome([leaf, mute], { crl: own }), unknown, 'without cRLSign')
  })

  test('that are partial, broken or none are refused as a file', async () => {
    const whole = await ca.crl(root)
    const delta = await ca.crl(root, { extensions: ['2.5.29.27=critical,ASN1:INTEGER:1'] })
    const cut = whole.slice(0, whole.length / 2)
    for (const crl of [delta, cut, '', 'x', root.cert, whole.replace('\nMI', '\nMJ')]) {
      assert.throws(() => outcome([leaf, middle], { crl }), { code: 'file_invalid', message: /^crl: / })
    }
  })

  test('may be DER', async () => {
    const direct = await client()
    const pem = await ca.crl(root, { revoked: [direct.cert] })
    const crl = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
    const verifier = certificateVerifier({ ca: Buffer.from(root.cert), crl, now: () => NOW })
    assert.deepEqual(verifier.verify(presented(direct.cert)), { kind: 'refused', code: 'certificate_revoked' })
  })
})

describe('a bundle of authorities', () => {
  test('that is cut off, empty or something else is refused', () => {
    for (const bundle of ['', 'x', root.cert.slice(0, -30), `${root.cert}-----BEGIN CERTIFICATE-----\n`, '0']) {
      assert.throws(() => certificateVerifier({ ca: Buffer.from(bundle) }), { code: 'file_invalid', message: /^ca: / })
    }
  })
})
