/** OpenSSL, which has read certificates for longer than anybody, takes what is issued and says the same of it. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { openAuthority } from '../../src/pki/issuing.ts'
import { publicOf, readKey } from '../../src/pki/keys.ts'
import { Secret } from '../../src/secret.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'
import { pki } from './pki-servers.ts'

function openssl(...args: readonly string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8' })
}

for (const algorithm of ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-3072', 'ed25519']) {
  describe(`OpenSSL and certificates of ${algorithm}`, () => {
    let folder: TestFolder
    let dir: string
    const file = (name: string): string => join(dir, name)
    before(async () => {
      folder = await createFolder()
      dir = folder.path('pki')
      const here = ['--dir', dir, '--key-algorithm', algorithm]
      const limits = [
        '--permit-dns',
        'kubernetes,default,svc,local,localhost',
        '--permit-ip',
        '127.0.0.0/8,10.0.0.0/8,::1/128',
      ]
      await pki('init', dir, '--key-algorithm', algorithm, ...limits)
      await pki('issue', 'apiserver', ...here, '--node', 'localhost')
      await pki('issue', 'etcd-server', ...here, '--node', 'localhost')
      await pki('issue', 'front-proxy-client', ...here)
      await pki('issue', 'user', ...here, '--cn', 'jane', '--group', 'devs', '--group', 'Ops, Süd')
    })
    after(() => folder?.remove())

    for (const [name, authority, purpose] of [
      ['apiserver', 'ca', 'sslserver'],
      ['etcd/server', 'etcd/ca', 'sslserver'],
      ['etcd/server', 'etcd/ca', 'sslclient'],
      ['front-proxy-client', 'front-proxy-ca', 'sslclient'],
      ['users/jane', 'ca', 'sslclient'],
    ] as const) {
      test(`${name} verifies under ${authority} as ${purpose}, strictly`, () => {
        const checks = ['-x509_strict', '-check_ss_sig', '-purpose', purpose]
        openssl('verify', ...checks, '-CAfile', file(`${authority}.crt`), file(`${name}.crt`))
      })
    }

    test('a client is no server, and no client of another authority', () => {
      for (const args of [
        ['-purpose', 'sslserver', '-CAfile', file('ca.crt'), file('users/jane.crt')],
        ['-CAfile', file('front-proxy-ca.crt'), file('users/jane.crt')],
      ]) {
        assert.notEqual(spawnSync('openssl', ['verify', ...args]).status, 0)
      }
    })

    test('a name that the authority may not certify does not verify', async () => {
      const [certificatePem, keyPem] = ['crt', 'key'].map((end) => readFileSync(file(`ca.${end}`), 'utf8'))
      const key = readKey(new Secret(keyPem ?? ''), { where: 'ca.key' })
      const foreign = await openAuthority(certificatePem ?? '', key).issue(publicOf(key), {
        subject: { commonName: 'bank', organizations: [] },
        altNames: { dns: ['bank.example'], ip: [], email: [], uri: [] },
        notBefore: new Date(Date.now() - 60_000),
        notAfter: new Date(Date.now() + 3_600_000),
        keyUsages: ['digital signature'],
        extendedKeyUsages: ['server auth'],
      })
      writeFileSync(folder.path('foreign.crt'), foreign.certificatePem)
      const { status, stderr } = spawnSync(
        'openssl',
        ['verify', '-CAfile', file('ca.crt'), folder.path('foreign.crt')],
        {
          encoding: 'utf8',
        },
      )
      assert.notEqual(status, 0)
      assert.match(stderr, /permitted subtree violation/)
    })

    test('the key beside it is its own', () => {
      const ofKey = openssl('pkey', '-in', file('apiserver.key'), '-pubout')
      assert.equal(openssl('x509', '-in', file('apiserver.crt'), '-noout', '-pubkey'), ofKey)
    })

    test('the text says what was asked for', () => {
      const text = openssl('x509', '-in', file('users/jane.crt'), '-noout', '-text', '-nameopt', 'utf8,sep_multiline')
      for (const line of [/CN=jane/, /O=devs\s+O=Ops, Süd\s+CN=jane/, /CA:FALSE/, /TLS Web Client Authentication/]) {
        assert.match(text, line)
      }
      assert.match(openssl('x509', '-in', file('ca.crt'), '-noout', '-text'), /CA:TRUE, pathlen:0/)
    })
  })
}

describe('OpenSSL and keys under a passphrase', () => {
  test('it opens them with the passphrase, and not without', async () => {
    const folder = await createFolder()
    try {
      writeFileSync(folder.path('passphrase'), 'correct horse\n')
      await pki('init', folder.path('pki'), '--passphrase-file', folder.path('passphrase'))
      const key = join(folder.path('pki'), 'ca.key')
      assert.match(openssl('pkey', '-in', key, '-noout', '-text', '-passin', 'pass:correct horse'), /P-256/)
      assert.notEqual(spawnSync('openssl', ['pkey', '-in', key, '-noout', '-passin', 'pass:wrong']).status, 0)
    } finally {
      await folder.remove()
    }
  })
})
