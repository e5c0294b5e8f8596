/** Real TLS on loopback: whom a login trusts, as whom it appears, and what it says of files that do not work. */
import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { ErrorCode } from '../../../src/errors.ts'
import type { LoginEndpoint } from '../../../src/keystone/login/login-request.ts'
import type { FakeKeystoneOptions } from '../../support/fake-keystone.ts'
import { createAuthority, createFolder, type Issued, type TestAuthority, type TestFolder } from '../../support/tls.ts'
import { failure } from '../support.ts'
import { issued, PASSWORD, setUpLogin } from './support.ts'

const DEFAULT = { scope: 'default' } as const

let ours: TestAuthority
let server: Issued
let folder: TestFolder
let caFile: string
let otherCa: string
let certFile: string
let keyFile: string
let otherKey: string
let noPem: string

before(async () => {
  const [our, other] = await Promise.all([createAuthority('Ours'), createAuthority('Other')])
  ours = our
  const [made, client] = await Promise.all([ours.server(), ours.client({ commonName: 'alice' })])
  server = made
  folder = await createFolder()
  caFile = await folder.write('ca.crt', ours.cert)
  otherCa = await folder.write('other.crt', other.cert)
  certFile = await folder.write('client.crt', client.cert)
  keyFile = await folder.write('client.key', client.key)
  otherKey = await folder.write('other.key', server.key)
  noPem = await folder.write('canary.txt', 'canary')
})
after(() => folder.remove())

async function setUp(t: TestContext, endpoint: Partial<LoginEndpoint>, tls: FakeKeystoneOptions['tls'] = server) {
  const { keystone, login } = await setUpLogin(t, { fake: { tls }, ...endpoint })
  keystone.always(issued)
  return { keystone, issue: () => login.issue([PASSWORD], DEFAULT) }
}

describe('the password goes to', () => {
  test('a Keystone whose authority is in caFile', async (t) => {
    const { issue } = await setUp(t, { caFile })
    assert.equal((await issue()).user.name, 'alice')
  })

  test('any Keystone, where that is wanted', async (t) => {
    const { issue } = await setUp(t, { verify: false })
    assert.equal((await issue()).user.name, 'alice')
    const { issue: again } = await setUp(t, { verify: false, caFile: otherCa })
    assert.equal((await again()).user.name, 'alice')
  })

  test('a Keystone that asks who we are', async (t) => {
    const { issue } = await setUp(t, { caFile, certFile, keyFile }, { ...server, ca: ours.cert })
    assert.equal((await issue()).user.name, 'alice')
  })
})

describe('the password stays here, and the message says what to do, with', () => {
  const table: readonly (readonly [string, () => Partial<LoginEndpoint>, RegExp])[] = [
    [
      'the authorities of the system',
      () => ({}),
      /not signed by an authority trusted here; name the authority with --cacert/,
    ],
    [
      'another authority',
      () => ({ caFile: otherCa }),
      /not signed by the authorities in the CA file, and no others are trusted; name the right file with --cacert/,
    ],
  ]
  for (const [name, endpoint, text] of table) {
    test(name, async (t) => {
      const { keystone, issue } = await setUp(t, endpoint())
      await failure(issue(), 'keystone_unreachable', text)
      assert.equal(keystone.requests.length, 0)
    })
  }

  test('a certificate for another name', async (t) => {
    const { keystone, issue } = await setUp(t, { caFile }, await ours.server({ ipAddresses: [] }))
    await failure(issue(), 'keystone_unreachable', /certificate is for another name/)
    assert.equal(keystone.requests.length, 0)
  })

  test('an expired certificate', async (t) => {
    const day = (days: number) => new Date(Date.now() + days * 86_400_000)
    const { issue } = await setUp(t, { caFile }, await ours.server({ notBefore: day(-2), notAfter: day(-1) }))
    await failure(issue(), 'keystone_unreachable', /has expired; renew it/)
  })

  test('NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment', async (t) => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    t.after(() => {
      delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    })
    const { keystone, issue } = await setUp(t, { caFile: otherCa })
    await failure(issue(), 'keystone_unreachable', /CA file/)
    assert.equal(keystone.requests.length, 0)
  })

  test('TLS older than 1.2', async (t) => {
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    const { keystone, issue } = await setUp(t, { caFile }, { ...server, ...old })
    await failure(issue(), 'keystone_unreachable')
    assert.equal(keystone.requests.length, 0)
  })

  test('no certificate where one is asked for', async (t) => {
    const { keystone, issue } = await setUp(t, { caFile }, { ...server, ca: ours.cert })
    await failure(issue(), 'keystone_unreachable', /certFile|closed before|lost/)
    assert.equal(keystone.requests.length, 0)
  })
})

describe('files that do not work are named, and nobody is asked', () => {
  const table: readonly (readonly [string, () => Partial<LoginEndpoint>, ErrorCode, RegExp])[] = [
    [
      'a certificate without key',
      () => ({ certFile }),
      'credential_settings_invalid',
      /certFile is set.*set keyFile \(OS_KEY\)/,
    ],
    [
      'a key without certificate',
      () => ({ keyFile }),
      'credential_settings_invalid',
      /keyFile is set.*set certFile \(OS_CERT\)/,
    ],
    ['no CA file', () => ({ caFile: folder.path('none') }), 'file_invalid', /caFile \/.*\/none cannot be read: ENOENT/],
    [
      'no certificate file',
      () => ({ certFile: folder.path('none'), keyFile }),
      'file_invalid',
      /certFile .*none cannot/,
    ],
    ['no key file', () => ({ certFile, keyFile: folder.path('none') }), 'file_invalid', /keyFile .*none cannot/],
    ['a folder', () => ({ caFile: folder.path('.') }), 'file_invalid', /caFile .*EISDIR/],
    ['a CA file without certificate', () => ({ caFile: noPem }), 'file_invalid', /caFile \/.*\.txt: .*no certificate/],
    [
      'the key of another',
      () => ({ certFile, keyFile: otherKey }),
      'file_invalid',
      /certFile .*client\.crt, keyFile .*other\.key/,
    ],
    ['a text for a key', () => ({ certFile, keyFile: noPem }), 'file_invalid', /keyFile .*\.txt: /],
  ]
  for (const [name, endpoint, code, text] of table) {
    test(name, async (t) => {
      const { keystone, issue } = await setUp(t, endpoint())
      await assert.rejects(issue(), (error: Error & { code?: string }) => {
        assert.equal(error.code, code)
        assert.match(error.message, text)
        assert.doesNotMatch(error.message.replaceAll(noPem, ''), /canary|PRIVATE/)
        return true
      })
      assert.equal(keystone.connections, 0)
    })
  }
})
