/** The authenticator: authorities beside each other, names, what is remembered, and files that change. */

import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import type { AuthnResult } from '../../../src/authn/authenticator.ts'
import { type IdentityRules, identityGate } from '../../../src/authn/identity-gate.ts'
import { certificateTrust } from '../../../src/authn/x509/certificate-identity.ts'
import { frontProxyVerifier } from '../../../src/authn/x509/front-proxy.ts'
import { callContext } from '../../support/context.ts'
import {
  AUTHORITY,
  type AuthorityContent,
  authenticatorOf,
  CLIENT,
  type Issued,
  type IssueOptions,
  opensslCa,
  presented,
  type UnderTest,
} from './support.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const ca = opensslCa()
after(() => ca.remove())

let root: Issued
let other: Issued
before(async () => {
  root = await ca.issue({ subject: '/CN=root', extensions: AUTHORITY })
  other = await ca.issue({ subject: '/CN=other', extensions: AUTHORITY })
})

const client = (options: Partial<IssueOptions> = {}): Promise<Issued> =>
  ca.issue({ subject: '/O=devs/CN=jane', issuer: root, ...options })

async function ask(under: UnderTest | AuthorityContent, leaf: Issued, ...more: Issued[]): Promise<AuthnResult> {
  const { authenticator } = 'authenticator' in under ? under : await authenticatorOf(under)
  return authenticator.authenticate(presented(leaf.cert, ...more.map(({ cert }) => cert)), callContext())
}

/** `jane (a, b)`, or the outcome. */
async function whois(under: UnderTest | AuthorityContent, leaf: Issued): Promise<string> {
  const result = await ask(under, leaf)
  if (result.kind === 'skipped') return 'skipped'
  return result.kind === 'rejected' ? result.code : `${result.user.username} (${result.user.groups.join(', ')})`
}

describe('names', () => {
  const names = (subject: string): Promise<string> => client({ subject }).then((leaf) => whois({ ca: root.cert }, leaf))

  test('the last common name, every organization in the order of the DER', async () => {
    assert.equal(await names('/CN=first/O=b/CN=last/O=a/O=b'), 'last (b, a, b)')
    assert.equal(await names('/O=b+O=a/O=0/CN=jane'), 'jane (a, b, 0)')
    assert.equal(await names('/O=a\\/b,c/CN=김철수'), '김철수 (a/b,c)')
    assert.equal(await names('/OU=unit/CN=jane/emailAddress=jane@example.org'), 'jane ()')
    assert.equal(await names('/O=devs'), 'skipped')
  })

  test('the uid, if there is one and it is something', async () => {
    const result = await ask({ ca: root.cert }, await client({ subject: '/CN=jane/k8sUid=u-1' }))
    assert.equal(result.kind === 'authenticated' && result.user.uid, 'u-1')
    assert.equal(await names('/CN=jane/k8sUid=u-1/k8sUid=u-1'), 'identity_invalid')
  })

  test('W6: pass the gate with the id of the certificate, and without reserved names', async () => {
    const { authenticator } = await authenticatorOf({ ca: root.cert })
    const rules: IdentityRules = { usernamePrefix: '', groupPrefix: '', reservedGroups: 'drop', allowReserved: [] }
    const gated = (trusted: ReadonlyMap<string, typeof certificateTrust>) =>
      identityGate(authenticator, { ...rules, trusted })
    const leaf = await client({ subject: '/O=system:masters/O=devs/CN=jane' })
    const certificate = presented(leaf.cert)
    const result = await gated(new Map([['x509', certificateTrust]])).authenticate(certificate, callContext())
    assert(result.kind === 'authenticated')
    assert.deepEqual(result.user.groups, ['devs'])
    const digest = createHash('sha256').update(new X509Certificate(leaf.cert).raw).digest('hex')
    assert.deepEqual([...result.user.extra], [['authentication.kubernetes.io/credential-id', [`X509SHA256=${digest}`]]])
    const elsewhere = await gated(new Map([['ldap', certificateTrust]])).authenticate(certificate, callContext())
    assert.equal(elsewhere.kind === 'authenticated' && elsewhere.user.extra.size, 0)
    assert.equal(certificateTrust.extraKey?.('authentication.kubernetes.io/node-name'), false)
    const reserved = presented((await client({ subject: '/CN=System:admin' })).cert)
    assert.deepEqual(await gated(new Map()).authenticate(reserved, callContext()), {
      kind: 'rejected',
      code: 'username_reserved',
      source: 'x509',
    })
  })
})

describe('several authorities', () => {
  test('W6: give names of their own', async () => {
    const under = await authenticatorOf([
      { ca: root.cert, usernamePrefix: 'a:', groupPrefix: 'ga:' },
      { ca: other.cert, usernamePrefix: 'b:', groupPrefix: 'gb:' },
    ])
    assert.equal(await whois(under, await client()), 'a:jane (ga:devs)')
    assert.equal(await whois(under, await client({ issuer: other })), 'b:jane (gb:devs)')
    assert.equal(await whois(under, await ca.issue({ subject: '/CN=jane' })), 'certificate_untrusted')
  })

  test('say the most that one of them can say', async () => {
    const crl = await ca.crl(other, { nextUpdate: '20290101000000Z' })
    const under = await authenticatorOf([{ ca: root.cert }, { ca: other.cert, crl }], { now: () => NOW })
    const old = await client({ issuer: other, notAfter: '20290101000000Z' })
    assert.equal(await whois(under, old), 'certificate_expired')
    await assert.rejects(whois(under, await client({ issuer: other })), {
      code: 'certificate_status_unknown',
      message: '/crl1.pem: has no list of "other" in force; fetch the current one, or set requireCrl: false',
    })
    assert.equal(await whois(under, await client()), 'jane (devs)')
  })

  test('do not share a certificate: the prefix would hang on their order', async () => {
    const twice = [{ ca: root.cert }, { ca: other.cert + root.cert, usernamePrefix: 'b:' }]
    const message = '/ca1.pem: shares an authority with /ca.pem; leave it in one of them'
    await assert.rejects(authenticatorOf(twice), { code: 'file_invalid', message })
    await authenticatorOf({ ca: root.cert + root.cert })
  })
})

describe('what is remembered', () => {
  test('ends with the certificate, whatever was said before', async () => {
    let now = NOW
    const under = await authenticatorOf({ ca: root.cert }, { now: () => now })
    const leaf = await client({ notAfter: '20300101010000Z' })
    const result = await ask(under, leaf)
    assert.deepEqual(result.kind === 'authenticated' && result.expiresAt, new Date('2030-01-01T01:00:00Z'))
    assert.equal(await ask(under, leaf), result, 'not judged again')
    now = new Date('2030-01-01T01:00:00.001Z')
    assert.equal(await whois(under, leaf), 'certificate_expired')
    now = new Date('2029-12-31T00:00:00Z') // a clock set back
    assert.notEqual(await ask(under, leaf), result)
  })

  test('a refusal is not for long', async () => {
    let now = NOW
    const under = await authenticatorOf({ ca: root.cert }, { now: () => now })
    const leaf = await client({ notBefore: '20300101000001Z' })
    const refused = await ask(under, leaf)
    assert.deepEqual(refused, { kind: 'rejected', code: 'certificate_not_yet_valid', source: 'x509' })
    assert.equal(await ask(under, leaf), refused, 'not judged again')
    now = new Date('2030-01-01T00:00:11Z')
    assert.equal(await whois(under, leaf), 'jane (devs)')
  })

  test('W7: refusals push out nobody who is known', async () => {
    const under = await authenticatorOf({ ca: root.cert }, { now: () => NOW, entries: 1 })
    const leaf = await client()
    const known = await ask(under, leaf)
    await ask(under, await client({ issuer: other }))
    await ask(under, await client({ subject: '/O=nobody' }))
    assert.equal(await ask(under, leaf), known)
  })

  test('is of everything that was shown', async () => {
    const under = await authenticatorOf({ ca: root.cert })
    const middle = await ca.issue({ subject: '/CN=middle', issuer: root, extensions: AUTHORITY })
    const leaf = await client({ issuer: middle })
    assert.equal((await ask(under, leaf)).kind, 'rejected')
    assert.equal((await ask(under, leaf, middle)).kind, 'authenticated')
    assert.equal((await ask(under, leaf)).kind, 'rejected')
  })
})

describe('files that change', () => {
  test('S9 S11: what a new list revokes is refused at once, what was remembered included', async () => {
    let changes = 0
    const onChange = (): void => {
      changes += 1
    }
    const under = await authenticatorOf({ ca: root.cert, crl: await ca.crl(root) }, { now: () => NOW, onChange })
    const leaf = await client()
    assert.equal(await whois(under, leaf), 'jane (devs)')
    under.files.write('/crl.pem', await ca.crl(root, { revoked: [leaf.cert] }))
    assert.equal(await under.authenticator.check(), 'reloaded')
    assert.equal(changes, 1)
    assert.equal(await whois(under, leaf), 'certificate_revoked')
  })

  test('S9: broken ones leave the last good in force, and it is said', async () => {
    const crl = await ca.crl(root)
    const under = await authenticatorOf({ ca: root.cert, crl }, { now: () => NOW })
    const leaf = await client()
    for (const [path, content, good] of [
      ['/ca.pem', root.cert.slice(0, 100), root.cert],
      ['/ca.pem', other.cert.replace('MII', 'MIJ'), root.cert],
      ['/crl.pem', crl.slice(0, 100), crl],
      ['/crl.pem', await ca.crl(await ca.issue({ subject: '/CN=root', extensions: AUTHORITY })), crl],
    ] as const) {
      under.files.write(path, content)
      assert.equal(await under.authenticator.check(), 'failed')
      const { ok, error = '' } = under.authenticator.status()
      assert(!ok && error.startsWith(`${path}: `), error)
      assert.equal(await whois(under, leaf), 'jane (devs)')
      under.files.write(path, good)
      await under.authenticator.check()
      assert(under.authenticator.status().ok)
    }
  })

  test('authorities are swapped as a whole', async () => {
    const under = await authenticatorOf({ ca: root.cert })
    const [mine, theirs] = [await client(), await client({ issuer: other })]
    assert.equal(await whois(under, mine), 'jane (devs)')
    under.files.write('/ca.pem', other.cert)
    assert.equal(await under.authenticator.check(), 'reloaded')
    assert.deepEqual([await whois(under, mine), await whois(under, theirs)], ['certificate_untrusted', 'jane (devs)'])
  })

  test('must be good at the start', async () => {
    await assert.rejects(authenticatorOf({ ca: '' }), {
      code: 'file_invalid',
      message: /^\/ca\.pem: has no CERTIFICATE/,
    })
  })
})

describe('a front proxy', () => {
  test('T-H7: is one by its authority and its name, exactly, and while it is valid', async () => {
    let now = NOW
    const options = { ca: Buffer.from(root.cert), allowedNames: ['front-proxy'], now: () => now }
    const frontProxy = frontProxyVerifier(options)
    const judge = async (subject: string, more: Partial<IssueOptions> = {}) =>
      frontProxy(presented((await client({ subject, ...more })).cert))
    const mine = presented((await client({ subject: '/CN=front-proxy', notAfter: '20300101010000Z' })).cert)
    assert.equal(frontProxy(mine), undefined)
    for (const subject of ['/CN=Front-Proxy', '/CN=front-proxy/CN=x', '/O=front-proxy', '/CN=front-proxy ']) {
      assert.equal(await judge(subject), 'certificate_forbidden', subject)
    }
    assert.equal(await judge('/CN=front-proxy', { issuer: other }), 'certificate_untrusted')
    const server = CLIENT.map((line) => line.replace('clientAuth', 'serverAuth'))
    assert.equal(await judge('/CN=front-proxy', { extensions: server }), 'certificate_untrusted')
    now = new Date('2030-01-01T02:00:00Z')
    assert.equal(frontProxy(mine), 'certificate_untrusted')
  })

  test('is none when it was revoked, and it cannot be told without a list in force', async () => {
    const leaf = await client({ subject: '/CN=front-proxy' })
    const common = { ca: Buffer.from(root.cert), allowedNames: [], now: () => NOW }
    const revoked = frontProxyVerifier({ ...common, crl: Buffer.from(await ca.crl(root, { revoked: [leaf.cert] })) })
    assert.equal(revoked(presented(leaf.cert)), 'certificate_untrusted')
    const late = frontProxyVerifier({
      ...common,
      crl: Buffer.from(await ca.crl(root, { nextUpdate: '20290101000000Z' })),
    })
    assert.throws(() => late(presented(leaf.cert)), { code: 'certificate_status_unknown' })
  })
})
