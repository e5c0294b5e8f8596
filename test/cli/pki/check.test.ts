import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { createSite, done, pki, type Site } from './support.ts'

const DAY_MS = 86_400_000

/** A folder with one of each, for ten years and one. */
async function cluster(): Promise<Site> {
  const site = await createSite()
  await done(['init', site.dir])
  await done(['issue', 'apiserver', '--dir', site.dir, '--advertise-address', '127.0.0.1'])
  await done(['issue', 'front-proxy-client', '--dir', site.dir])
  const where = ['--kubeconfig', site.file('admin.conf'), '--server', 'https://127.0.0.1:6443']
  await done(['issue', 'admin', '--dir', site.dir, ...where])
  return site
}

interface Item {
  readonly name: string
  readonly state: string
  readonly findings: readonly { readonly severity: string; readonly code: string; readonly message: string }[]
}

async function checked(site: Site, ...args: readonly string[]) {
  const { status, out } = await pki(['check', site.dir, '-o', 'json', ...args])
  const items: readonly Item[] = JSON.parse(out)
  const codes = items.flatMap(({ name, findings }) => findings.map(({ code }) => `${name} ${code}`))
  return { status, items, codes }
}

function inDays(days: number): Date {
  return new Date(Date.now() + days * DAY_MS)
}

describe('archway pki check', () => {
  test('finds nothing against what init and issue have made', async () => {
    await using site = await cluster()
    const { status, items, codes } = await checked(site)
    assert.deepEqual([status, codes], [0, []])
    assert.deepEqual(
      items.map(({ name }) => name),
      ['apiserver', 'ca', 'etcd/ca', 'front-proxy-ca', 'front-proxy-client', 'webhook-ca', 'admin.conf', 'sa'],
    )
  })

  for (const [days, args, status] of [
    [330, [], 0],
    [340, [], 1],
    [360, [], 2],
    [366, [], 2],
    [330, ['--warn-days', '60'], 1],
    [340, ['--warn-days', '40', '--critical-days', '30'], 2],
  ] as const) {
    test(`T-S11 ${days} days later, ${args.join(' ') || 'by default'}: status ${status}`, async () => {
      await using site = await cluster()
      assert.equal((await pki(['check', site.dir, ...args], { now: inDays(days) })).status, status)
    })
  }

  test('T-S11 a certificate for hours is reported when a third of them is left, not all its life', async () => {
    await using site = await createSite()
    await done(['init', site.dir])
    await done(['issue', 'user', '--cn', 'jane', '--hours', '12', '--dir', site.dir])
    const status = async (hours: number): Promise<number> =>
      (await pki(['check', site.dir], { now: inDays(hours / 24) })).status
    assert.deepEqual([await status(1), await status(9), await status(11)], [0, 1, 2])
  })

  test('T-H7 the authority of front proxies may not be that of clients', async () => {
    await using site = await cluster()
    for (const end of ['crt', 'key']) copyFileSync(site.file(`ca.${end}`), site.file(`front-proxy-ca.${end}`))
    const { status, codes } = await checked(site)
    assert.equal(status, 2)
    assert.ok(codes.includes('front-proxy-ca authority_shared'))
  })

  for (const [what, spoil, status, code] of [
    [
      'the key of another',
      (s: Site) => copyFileSync(s.file('ca.key'), s.file('apiserver.key')),
      2,
      'apiserver key_mismatch',
    ],
    [
      'the key of another authority',
      (s: Site) => copyFileSync(s.file('etcd/ca.key'), s.file('ca.key')),
      2,
      'ca key_mismatch',
    ],
    [
      'no authority for it',
      (s: Site) => rmSync(s.file('front-proxy-ca.crt')),
      2,
      'front-proxy-client chain_incomplete',
    ],
    ['one by the wrong authority', wrongAuthority, 2, 'front-proxy-client wrong_authority'],
    ['a key that others may read', (s: Site) => chmodSync(s.file('apiserver.key'), 0o644), 2, 'apiserver file_mode'],
    ['a key that its group may read', (s: Site) => chmodSync(s.file('apiserver.key'), 0o640), 1, 'apiserver file_mode'],
    ['a kubeconfig others may read', (s: Site) => chmodSync(s.file('admin.conf'), 0o644), 2, 'admin.conf file_mode'],
    ['a certificate that is none', (s: Site) => writeFileSync(s.file('x.crt'), 'x'), 3, 'x file_unreadable'],
    ['a key that is none', (s: Site) => writeFileSync(s.file('apiserver.key'), 'x'), 3, 'apiserver file_unreadable'],
    [
      'a kubeconfig that is none',
      (s: Site) => writeFileSync(s.file('admin.conf'), ': ['),
      3,
      'admin.conf file_unreadable',
    ],
    ['sa.pub of another key', otherPublicKey, 2, 'sa key_mismatch'],
    ['an authority without its key', (s: Site) => rmSync(s.file('ca.key')), 0, 'ca key_missing'],
    [
      'a rotation that is not finished',
      (s: Site) => done(['rotate', 'ca', 'ca', '--dir', s.dir, '--step', 'prepare']),
      0,
      'ca (rotation) rotation_open',
    ],
  ] as const) {
    test(`finds ${what}: status ${status}`, async () => {
      await using site = await cluster()
      await spoil(site)
      const found = await checked(site)
      assert.ok(found.codes.includes(code), found.codes.join())
      assert.equal(found.status, status)
    })
  }

  test('what could not be told does not hide what is critical', async () => {
    await using site = await cluster()
    writeFileSync(site.file('x.crt'), 'x')
    chmodSync(site.file('apiserver.key'), 0o644)
    assert.equal((await pki(['check', site.dir])).status, 2)
  })

  test('an encrypted key is compared where its passphrase is told', async () => {
    await using site = await createSite()
    writeFileSync(site.path('passphrase'), 'secret\n')
    const passphrase = ['--passphrase-file', site.path('passphrase')]
    await done(['init', site.dir, ...passphrase])
    assert.equal((await pki(['check', site.dir])).status, 3)
    assert.equal((await pki(['check', site.dir, ...passphrase])).status, 0)
  })

  test('writes Prometheus text', async () => {
    await using site = await cluster()
    const out = await done(['check', site.dir, '-o', 'prometheus'])
    assert.match(
      out,
      /^archway_pki_certificate_not_after_timestamp_seconds\{name="apiserver",subject="CN=kube-apiserver"\} \d{10}$/m,
    )
    assert.match(out, /^archway_pki_findings\{name="apiserver",severity="critical"\} 0$/m)
    assert.match(out, /^# TYPE archway_pki_findings gauge$/m)
  })

  test('a folder that is not there, or holds nothing, is status 3', async () => {
    await using site = await createSite()
    assert.equal((await pki(['check', site.path('nowhere')])).status, 3)
    assert.equal((await pki(['check', site.path('.')])).status, 3)
  })
})

async function wrongAuthority(site: Site): Promise<void> {
  await done([
    'issue',
    'user',
    '--cn',
    'front-proxy-client',
    '--dir',
    site.dir,
    '--out',
    site.file('front-proxy-client'),
    '--replace',
  ])
}

function otherPublicKey(site: Site): void {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  writeFileSync(site.file('sa.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
  assert.notEqual(readFileSync(site.file('sa.pub')).length, 0)
}
