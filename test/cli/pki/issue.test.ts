import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { lstatSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { parse } from 'yaml'
import { isIssuedBy, readCertificates } from '../../../src/pki/certificate.ts'
import { isSameKey } from '../../../src/pki/keys.ts'
import { NO_ALT_NAMES, type SubjectAltNames } from '../../../src/pki/names.ts'
import { createRequest } from '../../../src/pki/request.ts'
import { createSite, done, pki, type Site } from './support.ts'

let site: Site
before(async () => {
  site = await createSite()
  await done(['init', site.dir, '--days', '400'])
})
after(() => site[Symbol.asyncDispose]())

function certificate(path: string) {
  const [found] = readCertificates(readFileSync(path, 'utf8'), path)
  return found ?? assert.fail(path)
}

let number = 0
function fresh(name: string): string {
  number += 1
  return site.path(`${number}-${name}`)
}

/** Issues to a path of its own and reads what came out. */
async function issued(...args: readonly string[]) {
  const out = fresh('issued')
  await done(['issue', ...args, '--dir', site.dir, '--out', out])
  const found = certificate(`${out}.crt`)
  assert.ok(isSameKey(found.publicKey, createPrivateKey(readFileSync(`${out}.key`))))
  return found
}

describe('archway pki issue', () => {
  for (const [profile, authority, subject, usages, args] of [
    [
      'apiserver-kubelet-client',
      'ca',
      'O=kubeadm:cluster-admins, CN=kube-apiserver-kubelet-client',
      ['client auth'],
      [],
    ],
    ['apiserver-etcd-client', 'etcd/ca', 'CN=kube-apiserver-etcd-client', ['client auth'], []],
    ['etcd-healthcheck-client', 'etcd/ca', 'CN=kube-etcd-healthcheck-client', ['client auth'], []],
    ['front-proxy-client', 'front-proxy-ca', 'CN=front-proxy-client', ['client auth'], []],
    ['controller-manager', 'ca', 'CN=system:kube-controller-manager', ['client auth'], []],
    ['scheduler', 'ca', 'CN=system:kube-scheduler', ['client auth'], []],
    ['admin', 'ca', 'O=kubeadm:cluster-admins, CN=kubernetes-admin', ['client auth'], []],
    ['super-admin', 'ca', 'O=system:masters, CN=kubernetes-super-admin', ['client auth'], ['--i-know']],
    ['kubelet', 'ca', 'O=system:nodes, CN=system:node:n1', ['client auth'], ['--node', 'N1']],
    ['user', 'ca', 'O=devs, O=ops, CN=jane', ['client auth'], ['--cn', 'jane', '--group', 'devs', '--group', 'ops']],
    ['etcd-server', 'etcd/ca', 'CN=n1', ['server auth', 'client auth'], ['--node', 'n1']],
    ['etcd-peer', 'etcd/ca', 'CN=n1', ['server auth', 'client auth'], ['--node', 'n1']],
    ['apiserver', 'ca', 'CN=kube-apiserver', ['server auth'], []],
    ['webhook-server', 'webhook-ca', 'CN=webhook-server', ['server auth'], ['--san', 'a.svc']],
  ] as const) {
    test(`${profile} is ${subject}, by ${authority}`, async () => {
      const found = await issued(profile, ...args)
      assert.equal(found.subject.text, subject)
      assert.deepEqual(found.usages.extendedKeyUsages, usages)
      assert.deepEqual(found.usages.keyUsages, ['digital signature'])
      assert.ok(isIssuedBy(found, certificate(site.file(`${authority}.crt`))))
      assert.equal(found.isAuthority, false)
    })
  }

  test('apiserver has the names kubeadm gives it', async () => {
    const where = ['--node', 'master-0', '--advertise-address', '10.0.0.1', '--cluster-domain', 'k8s.example']
    const more = ['--service-subnet', '10.32.0.0/16,fd00::/112', '--san', 'api.example.org,192.0.2.7']
    const { altNames } = await issued('apiserver', ...where, ...more)
    assert.deepEqual(altNames.dns, [
      'kubernetes',
      'kubernetes.default',
      'kubernetes.default.svc',
      'kubernetes.default.svc.k8s.example',
      'master-0',
      'api.example.org',
    ])
    assert.deepEqual(altNames.ip, ['10.32.0.1', 'fd00::1', '10.0.0.1', '192.0.2.7'])
  })

  test('an RSA key may encipher keys too', async () => {
    const { usages, key } = await issued('scheduler', '--key-algorithm', 'rsa-2048')
    assert.deepEqual(usages.keyUsages, ['digital signature', 'key encipherment'])
    assert.equal(key.text, 'RSA 2048 bits')
  })

  test('T-S11 a user is certified for 30 days, and for as long as is said', async () => {
    const days = async (...args: readonly string[]): Promise<number> => {
      const { notBefore, notAfter } = await issued('user', '--cn', 'jane', ...args)
      return (notAfter.getTime() - notBefore.getTime() - 300_000) / 86_400_000
    }
    assert.equal(await days(), 30)
    assert.equal(await days('--hours', '12'), 0.5)
    assert.equal(await days('--days', '1', '--hours', '12'), 1.5)
  })

  for (const [what, args, message] of [
    ['a client in system:masters', ['super-admin'], /--i-know/],
    ['a user in system:masters', ['user', '--cn', 'jane', '--group', 'system:masters'], /--i-know/],
    ['a user with a name of Kubernetes', ['user', '--cn', 'system:kube-scheduler', '--out', '/nowhere/x'], /--i-know/],
    ['a user with a group that only looks like one', ['user', '--cn', 'jane', '--group', 'System:masters'], /--i-know/],
    ['admin with another group of Kubernetes', ['admin', '--group', 'system:nodes'], /--i-know/],
    ['a server without names', ['webhook-server'], /without names does not exist/],
    ['a server in a group', ['apiserver', '--group', 'devs'], /a server is in no group/],
    ['a client with names', ['user', '--cn', 'jane', '--san', 'a.example'], /a client has no names/],
    ['a kubelet without a node', ['kubelet'], /--node/],
    ['a user without a name', ['user'], /--cn/],
    ['a node that is no host', ['kubelet', '--node', '*.example'], /is no host name/],
    ['a name that is none', ['webhook-server', '--san', 'a b'], /neither a host name nor an address/],
    ['more days than the authority has', ['scheduler', '--days', '500'], /ask for less/],
    ['a file name out of the folder', ['user', '--cn', '../../etc/passwd'], /makes no name for a file/],
  ] as const) {
    test(`refuses ${what}`, async () => {
      const { status, err } = await pki(['issue', ...args, '--dir', site.dir])
      assert.equal(status, 1)
      assert.match(err, message)
    })
  }

  test('refuses names that the authority may not certify', async () => {
    await using limited = await createSite()
    await done(['init', limited.dir, '--permit-dns', 'example.org', '--permit-ip', '10.0.0.0/8'])
    const issue = ['issue', 'webhook-server', '--dir', limited.dir, '--san']
    for (const name of ['bank.example', '192.0.2.1', 'a.example.org,bank.example']) {
      const { status, err } = await pki([...issue, name])
      assert.equal(status, 1, name)
      assert.match(err, /may not certify one of its names/)
      assert.equal(limited.has('webhook-server.crt'), false)
    }
    await done([...issue, 'a.example.org,10.0.0.1'])
  })

  test('writes over nothing that is there, unless told to', async () => {
    await done(['issue', 'scheduler', '--dir', site.dir])
    const before = readFileSync(site.file('scheduler.key'), 'utf8')
    const { status, err } = await pki(['issue', 'scheduler', '--dir', site.dir])
    assert.equal(status, 2)
    assert.match(err, /is there already; --replace/)
    assert.equal(readFileSync(site.file('scheduler.key'), 'utf8'), before)
    await done(['issue', 'scheduler', '--dir', site.dir, '--replace'])
    assert.notEqual(readFileSync(site.file('scheduler.key'), 'utf8'), before)
  })

  test('writes a kubeconfig around it, for nobody else to read', async () => {
    const path = site.path('jane.conf')
    const where = ['--kubeconfig', path, '--server', 'https://10.0.0.1:6443', '--namespace', 'dev']
    await done(['issue', 'user', '--cn', 'jane', '--dir', site.dir, ...where])
    assert.equal(lstatSync(path).mode & 0o777, 0o600)
    const { clusters, users, contexts, 'current-context': current } = parse(readFileSync(path, 'utf8'))
    assert.equal(current, 'jane@kubernetes')
    assert.deepEqual(contexts[0].context, { cluster: 'kubernetes', namespace: 'dev', user: 'jane' })
    assert.equal(clusters[0].cluster.server, 'https://10.0.0.1:6443')
    const ca = Buffer.from(clusters[0].cluster['certificate-authority-data'], 'base64').toString()
    assert.equal(ca, readFileSync(site.file('ca.crt'), 'utf8'))
    const key = Buffer.from(users[0].user['client-key-data'], 'base64')
    const [found] = readCertificates(Buffer.from(users[0].user['client-certificate-data'], 'base64').toString(), path)
    assert.ok(found !== undefined && isSameKey(found.publicKey, createPrivateKey(key)))
    assert.equal(site.has('users/jane.key'), false)
  })

  for (const [args, message] of [
    [['user', '--cn', 'j', '--kubeconfig', 'x'], /go together/],
    [['user', '--cn', 'j', '--kubeconfig', 'x', '--server', 'http://a'], /expected https/],
    [['front-proxy-client', '--kubeconfig', 'x', '--server', 'https://a'], /for clients of kube-apiserver/],
    [['apiserver', '--kubeconfig', 'x', '--server', 'https://a'], /for clients of kube-apiserver/],
    [['user', '--cn', 'j', '--csr', 'x', '--kubeconfig', 'x', '--server', 'https://a'], /needs the key/],
    [['nobody'], /./],
  ] as const) {
    test(`${args.join(' ')} is a wrong command line`, async () => {
      const { status, err } = await pki(['issue', ...args, '--dir', site.dir])
      assert.equal(status, 2)
      assert.match(err, message)
    })
  }
})

describe('archway pki issue --csr', () => {
  const JANE = { commonName: 'jane', organizations: [] as string[] }
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })

  async function requested(
    args: readonly string[],
    {
      subject = JANE,
      names = NO_ALT_NAMES,
      key = privateKey,
    }: { subject?: typeof JANE; names?: SubjectAltNames; key?: typeof privateKey } = {},
  ) {
    const path = fresh('request.csr')
    writeFileSync(path, await createRequest(key, subject, names))
    const out = fresh('from-request')
    return { ...(await pki(['issue', ...args, '--csr', path, '--dir', site.dir, '--out', out])), out }
  }

  test('certifies the key of the request and writes no key', async () => {
    const { status, out, err } = await requested(['user', '--group', 'devs'])
    assert.equal(status, 0, err)
    const found = certificate(`${out}.crt`)
    assert.equal(found.subject.text, 'O=devs, CN=jane')
    assert.ok(isSameKey(found.publicKey, privateKey))
    assert.throws(() => readFileSync(`${out}.key`))
  })

  test('takes a server whose names are granted', async () => {
    const names = { ...NO_ALT_NAMES, dns: ['a.example'] }
    const subject = { commonName: '', organizations: [] }
    assert.equal((await requested(['webhook-server', '--san', 'a.example'], { names, subject })).status, 0)
  })

  for (const [what, args, request, message] of [
    [
      'a group nobody granted',
      ['user'],
      { subject: { commonName: 'jane', organizations: ['ops'] } },
      /wants the group "ops"/,
    ],
    [
      'system:masters',
      ['user'],
      { subject: { commonName: 'jane', organizations: ['system:masters'] } },
      /wants the group/,
    ],
    ['another name', ['user', '--cn', 'john'], {}, /is for "jane", not for "john"/],
    ["a name of Kubernetes' own", ['user'], { subject: { commonName: 'system:admin', organizations: [] } }, /--i-know/],
    ['names on a client', ['user'], { names: { ...NO_ALT_NAMES, dns: ['a.example'] } }, /wants the name "a\.example"/],
    [
      'a name that only looks like another',
      ['user'],
      { subject: { commonName: 'jane\u200b', organizations: [] } },
      /characters that cannot be seen/,
    ],
    [
      'a key of RSA 1024',
      ['user'],
      { key: generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey },
      /1024 bits is weak/,
    ],
  ] as const) {
    test(`T-S10 refuses a request for ${what}`, async () => {
      const { status, err, out } = await requested(args, request as Parameters<typeof requested>[1])
      assert.equal(status, 1)
      assert.match(err, message)
      assert.throws(() => readFileSync(`${out}.crt`))
    })
  }

  test('T-S10 refuses a request that somebody has changed', async () => {
    const pem = await createRequest(privateKey, JANE, NO_ALT_NAMES)
    const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64')
    der.write('john', der.indexOf('jane'))
    const path = site.path('changed.csr')
    writeFileSync(
      path,
      `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`,
    )
    const { status, err } = await pki(['issue', 'user', '--csr', path, '--dir', site.dir])
    assert.equal(status, 1)
    assert.match(err, /is not signed by the key in it/)
  })
})
