import assert from 'node:assert/strict'
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type CertificateFacts, isIssuedBy, readCertificates } from '../../../src/pki/certificate.ts'
import { createSite, done, pki, type Site } from './support.ts'

const DAY_MS = 86_400_000

function certificates(path: string): readonly CertificateFacts[] {
  return readCertificates(readFileSync(path, 'utf8'), path)
}

function certificate(path: string): CertificateFacts {
  return certificates(path)[0] ?? assert.fail(path)
}

/** One made once, copied for each test: keys take time. */
let template: Site
before(async () => {
  template = await createSite()
  await done(['init', template.dir])
  await done(['issue', 'apiserver', '--dir', template.dir, '--advertise-address', '127.0.0.1'])
  await done(['issue', 'front-proxy-client', '--dir', template.dir])
  await done([
    'issue',
    'user',
    '--cn',
    'jane',
    '--group',
    'a',
    '--group',
    'b',
    '--dir',
    template.dir,
    '--key-algorithm',
    'ed25519',
  ])
  const where = ['--kubeconfig', template.file('admin.conf'), '--server', 'https://127.0.0.1:6443']
  await done(['issue', 'admin', '--dir', template.dir, ...where])
})
after(() => template[Symbol.asyncDispose]())

async function cluster(): Promise<Site> {
  const site = await createSite()
  cpSync(template.dir, site.dir, { recursive: true })
  return site
}

function backups(site: Site): readonly string[] {
  const folder = site.file('backup')
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true })
    .map((name) => String(name).replace(/^[^/]*\//, ''))
    .sort()
}

describe('archway pki rotate leafs', () => {
  test('T-S11 renews what is due, and nothing else', async () => {
    await using site = await cluster()
    const at = (days: number) => ({ now: new Date(Date.now() + days * DAY_MS) })
    assert.match(await done(['rotate', 'leafs', '--dir', site.dir], at(1)), /^nothing is due/)
    assert.match(await done(['rotate', 'leafs', '--dir', site.dir], at(21)), /^renewed users\/jane, until [^\n]*\n$/)
    const out = await done(['rotate', 'leafs', '--dir', site.dir, '--dry-run'], at(340))
    assert.deepEqual(
      out
        .split('\n')
        .map((line) => line.replace('would renew ', ''))
        .filter(Boolean),
      ['apiserver', 'front-proxy-client', 'users/jane', 'admin.conf'],
    )
  })

  test('keeps subject, names, usages, kind of key and length of life; makes another key and keeps the old files', async () => {
    await using site = await cluster()
    const before = { server: certificate(site.file('apiserver.crt')), jane: certificate(site.file('users/jane.crt')) }
    const old = readFileSync(site.file('apiserver.key'), 'utf8')
    await done(['rotate', 'leafs', '--dir', site.dir, '--all'])
    const after = { server: certificate(site.file('apiserver.crt')), jane: certificate(site.file('users/jane.crt')) }
    for (const name of ['server', 'jane'] as const) {
      assert.equal(after[name].subject.text, before[name].subject.text)
      assert.deepEqual(after[name].altNames, before[name].altNames)
      assert.deepEqual(after[name].usages, before[name].usages)
      assert.equal(after[name].key.text, before[name].key.text)
      const life = ({ notBefore, notAfter }: CertificateFacts): number => notAfter.getTime() - notBefore.getTime()
      assert.equal(life(after[name]), life(before[name]))
      assert.ok(!after[name].publicKey.equals(before[name].publicKey))
      assert.notEqual(after[name].serial, before[name].serial)
    }
    assert.ok(backups(site).includes('users/jane.key'))
    const [stamp = ''] = readdirSync(site.file('backup'))
    assert.equal(readFileSync(site.file(join('backup', stamp, 'apiserver.key')), 'utf8'), old)
    assert.equal((await pki(['check', site.dir])).status, 0)
  })

  test('T-S14 a key its group may read is nobody’s in the backup', async () => {
    await using site = await cluster()
    chmodSync(site.file('apiserver.key'), 0o640)
    await done(['rotate', 'leafs', '--dir', site.dir, '--all', '--name', 'apiserver'])
    assert.equal(statSync(site.file('apiserver.key')).mode & 0o777, 0o640, 'the one in use as it was')
    const [copy = assert.fail('no backup')] = site.names().filter((name) => /^backup\/.*apiserver\.key$/.test(name))
    assert.equal(statSync(site.file(copy)).mode & 0o777, 0o600)
  })

  test('keeps the key where it is to stay', async () => {
    await using site = await cluster()
    const before = certificate(site.file('apiserver.crt'))
    await done(['rotate', 'leafs', '--dir', site.dir, '--all', '--name', 'apiserver', '--keep-key'])
    const after = certificate(site.file('apiserver.crt'))
    assert.ok(after.publicKey.equals(before.publicKey))
    assert.notEqual(after.serial, before.serial)
  })

  test('renews in a kubeconfig, and leaves the rest of it as it is', async () => {
    await using site = await cluster()
    const text = readFileSync(site.file('admin.conf'), 'utf8')
    writeFileSync(site.file('admin.conf'), `# ours\n${text}`, { mode: 0o600 })
    await done(['rotate', 'leafs', '--dir', site.dir, '--all', '--name', 'admin.conf'])
    const lines = (all: string): readonly string[] =>
      all.split('\n').filter((line) => !/client-(certificate|key)-data/.test(line))
    assert.deepEqual(lines(readFileSync(site.file('admin.conf'), 'utf8')), lines(`# ours\n${text}`))
    assert.notEqual(readFileSync(site.file('admin.conf'), 'utf8'), `# ours\n${text}`)
  })

  test('one that cannot be renewed is said, and does not keep the others from it', async () => {
    await using site = await cluster()
    rmSync(site.file('users/jane.key'))
    const { status, out, err } = await pki(['rotate', 'leafs', '--dir', site.dir, '--all'])
    assert.equal(status, 1)
    assert.match(err, /users\/jane: its key is missing/)
    assert.match(out, /renewed apiserver/)
  })
})

describe('archway pki rotate ca', () => {
  const step = (site: Site, name: string, authority = 'ca'): Promise<string> =>
    done(['rotate', 'ca', authority, '--dir', site.dir, '--step', name])

  /** Every leaf of the authority chains to what is trusted, everywhere it is trusted. */
  async function isSound(site: Site): Promise<void> {
    const { status, out } = await pki(['check', site.dir])
    assert.equal(status, 0, out)
    const data = /certificate-authority-data: (\S+)/.exec(readFileSync(site.file('admin.conf'), 'utf8'))?.[1] ?? ''
    const trusted = readCertificates(Buffer.from(data, 'base64').toString(), 'admin.conf')
    const server = certificate(site.file('apiserver.crt'))
    assert.ok(trusted.some((one) => isIssuedBy(server, one)))
  }

  test('T-S11 goes through its steps, and each leaves everything in order', async () => {
    await using site = await cluster()
    const old = certificate(site.file('ca.crt'))
    assert.match(await step(site, 'prepare'), /kube-controller-manager: restart/)
    assert.equal(certificates(site.file('ca.crt')).length, 2)
    assert.equal(certificate(site.file('ca.issuing.crt')).fingerprint, old.fingerprint)
    assert.ok(isIssuedBy(certificate(site.file('apiserver.crt')), old))
    await isSound(site)

    await step(site, 'issue')
    const [coming] = certificates(site.file('ca.issuing.crt'))
    assert.ok(coming !== undefined && coming.fingerprint !== old.fingerprint)
    assert.ok(isIssuedBy(certificate(site.file('apiserver.crt')), coming))
    assert.equal(certificates(site.file('ca.crt')).length, 2)
    await isSound(site)

    await step(site, 'finish')
    assert.deepEqual(
      certificates(site.file('ca.crt')).map(({ fingerprint }) => fingerprint),
      [coming.fingerprint],
    )
    assert.ok(!site.names().some((name) => /^ca\.(next|old|issuing)/.test(name)))
    assert.ok(backups(site).includes('ca.old.key'))
    await isSound(site)
  })

  test('the new one has the name, the path length and the constraints of the old one', async () => {
    await using site = await createSite()
    await done(['init', site.dir, '--permit-dns', 'cluster.local', '--path-length', '1'])
    await step(site, 'prepare')
    const [old, coming] = [certificate(site.file('ca.crt')), certificate(site.file('ca.next.crt'))]
    assert.equal(coming.subject.text, old.subject.text)
    assert.equal(coming.pathLength, 1)
    assert.deepEqual(coming.nameConstraints, old.nameConstraints)
    assert.ok(!coming.publicKey.equals(old.publicKey))
  })

  test('each step does nothing more when it is done again', async () => {
    await using site = await cluster()
    for (const name of ['prepare', 'issue', 'finish']) {
      await step(site, name)
      const files = (): readonly string[] =>
        site
          .names()
          .filter((path) => /\.(crt|key|conf)$/.test(path))
          .map((path) => readFileSync(site.file(path), 'utf8'))
      const before = files()
      await step(site, name)
      assert.deepEqual(files(), before, name)
    }
  })

  test('before the last step there is a way back to where it began', async () => {
    await using site = await cluster()
    const old = certificate(site.file('ca.crt'))
    await step(site, 'prepare')
    await step(site, 'issue')
    assert.match(await step(site, 'undo'), /two are trusted, the old one issues/)
    assert.ok(isIssuedBy(certificate(site.file('apiserver.crt')), old))
    await isSound(site)
    assert.match(await step(site, 'undo'), /no rotation is going on/)
    assert.deepEqual(
      certificates(site.file('ca.crt')).map(({ fingerprint }) => fingerprint),
      [old.fingerprint],
    )
    await isSound(site)
  })

  for (const [name, reached] of [
    ['issue', []],
    ['undo', []],
    ['finish', ['prepare']],
    ['prepare', ['prepare', 'issue']],
  ] as const) {
    test(`${name} is refused ${reached.length === 0 ? 'at the beginning' : `after ${reached.join(', ')}`}`, async () => {
      await using site = await cluster()
      for (const before of reached) await step(site, before)
      const { status, err } = await pki(['rotate', 'ca', 'ca', '--dir', site.dir, '--step', name])
      assert.equal(status, 1)
      assert.match(err, /the rotation of ca is at/)
    })
  }

  test('finish is refused while something in use is by the old one', async () => {
    await using site = await cluster()
    await step(site, 'prepare')
    cpSync(site.file('apiserver.crt'), site.path('apiserver.crt'))
    cpSync(site.file('apiserver.key'), site.path('apiserver.key'))
    await step(site, 'issue')
    for (const end of ['crt', 'key']) cpSync(site.path(`apiserver.${end}`), site.file(`apiserver.${end}`))
    const { status, err } = await pki(['rotate', 'ca', 'ca', '--dir', site.dir, '--step', 'finish'])
    assert.equal(status, 1)
    assert.match(err, /apiserver: still by the old ca/)
    await step(site, 'issue')
    await step(site, 'finish')
  })

  for (const [name, reached, order] of [
    ['prepare', [], ['ca.next.key', 'ca.next.crt', 'ca.issuing.crt', 'ca.crt', 'admin.conf']],
    [
      'issue',
      ['prepare'],
      [
        'ca.old.key',
        'ca.old.crt',
        'ca.key',
        'ca.crt',
        'ca.issuing.crt',
        'ca.next.crt',
        'ca.next.key',
        'apiserver.key',
        'apiserver.crt',
      ],
    ],
    ['undo', ['prepare', 'issue'], ['ca.next.key', 'ca.next.crt', 'ca.key', 'ca.issuing.crt', 'ca.crt']],
    ['undo', ['prepare'], ['ca.crt', 'admin.conf', 'ca.issuing.crt', 'ca.next.crt']],
    ['finish', ['prepare', 'issue'], ['ca.crt', 'admin.conf', 'ca.old.crt', 'ca.old.key']],
  ] as const) {
    test(`${name} after ${reached.at(-1) ?? 'nothing'}, cut off anywhere, is done again`, async () => {
      await using start = await cluster()
      for (const before of reached) await step(start, before)
      await using end = await createSite()
      cpSync(start.dir, end.dir, { recursive: true })
      await step(end, name)
      for (let written = 1; written <= order.length; written += 1) {
        await using site = await createSite()
        cpSync(start.dir, site.dir, { recursive: true })
        for (const file of order.slice(0, written)) {
          if (existsSync(end.file(file))) cpSync(end.file(file), site.file(file))
          else rmSync(site.file(file), { force: true })
        }
        await step(site, name)
        await isSound(site)
        const rest = (of: Site): readonly string[] => of.names().filter((path) => /^ca\./.test(path))
        assert.deepEqual(rest(site), rest(end), `after ${written} files`)
      }
    })
  }

  test('an authority for something else leaves the kubeconfigs alone', async () => {
    await using site = await cluster()
    const before = readFileSync(site.file('admin.conf'), 'utf8')
    for (const name of ['prepare', 'issue', 'finish']) await step(site, name, 'front-proxy-ca')
    assert.equal(readFileSync(site.file('admin.conf'), 'utf8'), before)
    assert.ok(
      isIssuedBy(certificate(site.file('front-proxy-client.crt')), certificate(site.file('front-proxy-ca.crt'))),
    )
    await isSound(site)
  })

  test('encrypted keys stay encrypted', async () => {
    await using site = await createSite()
    writeFileSync(site.path('passphrase'), 'secret\n')
    const passphrase = ['--passphrase-file', site.path('passphrase')]
    await done(['init', site.dir, ...passphrase])
    for (const name of ['prepare', 'issue']) {
      await done(['rotate', 'ca', 'ca', '--dir', site.dir, '--step', name, ...passphrase])
      for (const key of site.names().filter((path) => /^ca.*\.key$/.test(path))) {
        assert.match(readFileSync(site.file(key), 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/, key)
      }
    }
  })
})
