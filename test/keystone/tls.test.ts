/** Real TLS on loopback: whom the client trusts, as whom it appears, and what it says when it does not work. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { ArchwayError } from '../../src/errors.ts'
import type { KeystoneTls } from '../../src/keystone/tls.ts'
import { secureContext } from '../../src/keystone/tls.ts'
import { hang, html, reset } from '../support/fake-keystone.ts'
import { createAuthority, type Issued, type TestAuthority } from '../support/tls.ts'
import { CANARY, failure, newCall, setUp, until } from './support.ts'

let ours: TestAuthority
let other: TestAuthority
let server: Issued
let client: Issued

before(async () => {
  ;[ours, other] = await Promise.all([createAuthority('Ours'), createAuthority('Other')])
  ;[server, client] = await Promise.all([ours.server(), ours.client({ commonName: 'archway' })])
})

describe('a Keystone with TLS is trusted', () => {
  const table: readonly (readonly [string, () => KeystoneTls])[] = [
    ['by its authority alone', () => ({ ca: ours.cert })],
    ['by its authority as bytes', () => ({ ca: Buffer.from(ours.cert), caMode: 'replace' })],
    ['by its authority besides the usual ones', () => ({ ca: ours.cert, caMode: 'add' })],
    ['by one authority of two', () => ({ ca: `${other.cert}\n# a remark\n${ours.cert}` })],
  ]
  for (const [name, tls] of table) {
    test(name, async (t) => {
      const { keystone, client } = await setUpTls(t, tls())
      assert.equal(client.insecure, false)
      assert.equal((await client.validateToken(keystone.issue(), newCall()))?.user.name, 'alice')
    })
  }

  test('by another name than that of the URL', async (t) => {
    const named = await ours.server({ dnsNames: ['keystone.example'], ipAddresses: [] })
    const { keystone, client } = await setUpTls(t, { ca: ours.cert, serverName: 'keystone.example' }, named)
    assert.notEqual(await client.validateToken(keystone.issue(), newCall()), undefined)
  })

  test('and asked again over the same connection', async (t) => {
    const { keystone, client } = await setUpTls(t, { ca: ours.cert })
    const token = keystone.issue()
    for (let n = 0; n < 3; n++) await client.validateToken(token, newCall())
    assert.equal(keystone.connections, 1)
  })

  for (const [name, kill] of [
    ['reset', reset],
    ['closed as TLS closes', (request: { socket: { end(): void } }) => request.socket.end()],
  ] as const) {
    test(`and asked anew where a kept connection was ${name}`, async (t) => {
      const { keystone, client } = await setUpTls(t, { ca: ours.cert })
      const token = keystone.issue()
      await client.validateToken(token, newCall())
      keystone.script(kill)
      assert.notEqual(await client.validateToken(token, newCall()), undefined)
      assert.deepEqual(
        keystone.requests.map(({ connection }) => connection),
        [1, 1, 2],
      )
    })
  }
})

describe('a Keystone that is not trusted gets no token, and the message says what to do', () => {
  const table: readonly (readonly [string, () => KeystoneTls, RegExp])[] = [
    ['the usual authorities', () => ({}), /not signed by an authority trusted here; name the authority as `caFile`/],
    ['another authority', () => ({ ca: other.cert }), /`caMode: replace` trusts no others/],
    ['another besides the usual', () => ({ ca: other.cert, caMode: 'add' }), /add the right one to `caFile`/],
    ['another name', () => ({ ca: ours.cert, serverName: 'keystone.example' }), /certificate is for another name/],
  ]
  for (const [name, tls, text] of table) {
    test(name, async (t) => {
      const { keystone, client } = await setUpTls(t, tls())
      await failure(client.validateToken(CANARY, newCall()), 'keystone_unreachable', text)
      assert.equal(keystone.requests.length, 0)
    })
  }

  test('though the environment says to trust anybody', async (t) => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    t.after(() => {
      delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    })
    const { keystone, client } = await setUpTls(t, { ca: other.cert })
    await failure(client.validateToken(CANARY, newCall()), 'keystone_unreachable', /caFile/)
    assert.equal(keystone.requests.length, 0)
  })

  test('an expired certificate, and one of tomorrow', async (t) => {
    const day = (days: number) => new Date(Date.now() + days * 86_400_000)
    const expired = await ours.server({ notBefore: day(-2), notAfter: day(-1) })
    const early = await ours.server({ notBefore: day(1), notAfter: day(2) })
    for (const [issued, text] of [
      [expired, /has expired; renew it/],
      [early, /not valid yet; look at the clock/],
    ] as const) {
      const { client } = await setUpTls(t, { ca: ours.cert }, issued)
      await failure(client.validateToken(CANARY, newCall()), 'keystone_unreachable', text)
    }
  })

  test('a port that does not speak TLS', async (t) => {
    const { keystone } = await setUp(t)
    const url = keystone.url.replace('http:', 'https:')
    const { client } = await setUp(t, { url, tls: { ca: ours.cert } })
    await failure(client.validateToken(CANARY, newCall()), 'keystone_unreachable', /does not speak TLS|speak TLS\?/)
    assert.equal(keystone.requests.length, 0)
  })

  test('TLS spoken to in plain', async (t) => {
    const { keystone } = await setUpTls(t, { ca: ours.cert })
    const { client } = await setUp(t, { url: keystone.url.replace('https:', 'http:') })
    const text = /has to begin with https:|https: port/
    await assert.rejects(client.validateToken(CANARY, newCall()), text)
  })
})

describe('a client certificate', () => {
  test('is shown to a Keystone that asks for it', async (t) => {
    const tls = { ca: ours.cert, cert: client.cert, key: client.key }
    const { keystone, client: identity } = await setUpTls(t, tls, server, ours.cert)
    assert.notEqual(await identity.validateToken(keystone.issue(), newCall()), undefined)
  })

  test('that is missing is told', async (t) => {
    const { client: identity } = await setUpTls(t, { ca: ours.cert }, server, ours.cert)
    await failure(
      identity.validateToken(CANARY, newCall()),
      'keystone_unreachable',
      /clientCertFile|closed before|lost/,
    )
  })
})

describe('TLS files that cannot be used are refused before they are used (T-S9)', () => {
  const table: readonly (readonly [string, () => KeystoneTls, RegExp])[] = [
    ['a CA file without certificate', () => ({ ca: 'canary' }), /caFile has no certificate/],
    ['an empty CA file', () => ({ ca: Buffer.alloc(0) }), /caFile has no certificate/],
    ['half a CA file', () => ({ ca: ours.cert.slice(0, 200) }), /caFile has no certificate/],
    [
      'a damaged certificate',
      () => ({ ca: `${ours.cert}${damaged(ours.cert)}` }),
      /certificate 2 in caFile cannot be read/,
    ],
    ['a key for a CA', () => ({ ca: ours.key }), /caFile has no certificate/],
    ['a certificate without key', () => ({ cert: client.cert }), /go together/],
    ['a key without certificate', () => ({ key: client.key }), /go together/],
    ['the key of another', () => ({ cert: client.cert, key: server.key }), /is it the key of that certificate/],
    ['half a key', () => ({ cert: client.cert, key: client.key.slice(0, 100) }), /both in PEM/],
    ['a text for a certificate', () => ({ cert: 'canary', key: client.key }), /both in PEM/],
  ]
  for (const [name, tls, text] of table) {
    test(name, async (t) => {
      const refused = (error: unknown) => {
        assert(error instanceof ArchwayError)
        assert.equal(error.code, 'file_invalid')
        assert.match(error.message, text)
        assert.doesNotMatch(error.message, /canary|BEGIN (?!CERT)/)
        return true
      }
      assert.throws(() => secureContext(tls()), refused)
      await assert.rejects(setUpTls(t, tls()), refused)

      const { keystone, client: identity } = await setUpTls(t, { ca: ours.cert })
      assert.throws(() => identity.reloadTls(tls()), refused)
      assert.notEqual(await identity.validateToken(keystone.issue(), newCall()), undefined, 'the old files still work')
    })
  }
})

describe('reloading', () => {
  test('trusts the new authority at the next call, and no longer the old one', async (t) => {
    const { keystone, client: identity } = await setUpTls(t, { ca: other.cert })
    await failure(identity.validateToken(CANARY, newCall()), 'keystone_unreachable')
    identity.reloadTls({ ca: ours.cert })
    assert.notEqual(await identity.validateToken(keystone.issue(), newCall()), undefined)
    identity.reloadTls({ ca: other.cert })
    await failure(identity.validateToken(CANARY, newCall()), 'keystone_unreachable', /caFile/)
  })

  test('closes idle connections, and lets calls under way finish on theirs', async (t) => {
    const { keystone, client: identity } = await setUpTls(t, { ca: ours.cert })
    await Promise.all(Array.from({ length: 3 }, () => identity.validateToken(keystone.issue(), newCall())))
    let answer = () => {}
    keystone.script((request, response) => {
      answer = () => html(401, { 'WWW-Authenticate': 'Keystone' })(request, response)
    })
    const asked = identity.validateToken(CANARY, newCall())
    await until(() => keystone.inFlight.now === 1)
    identity.reloadTls({ ca: ours.cert, caMode: 'add' })
    await until(() => keystone.open === 1)
    answer()
    assert.equal(await asked, undefined)
    await until(() => keystone.open === 0)
    const before = keystone.connections
    assert.notEqual(await identity.validateToken(keystone.issue(), newCall()), undefined)
    assert.equal(keystone.connections, before + 1)
  })

  test('still refuses what is older than TLS 1.2', async (t) => {
    const { keystone, client: identity } = await setUpTls(t, { ca: ours.cert }, server, undefined, 'TLSv1.1')
    for (const reload of [false, true]) {
      if (reload) identity.reloadTls({ ca: ours.cert })
      await failure(identity.validateToken(CANARY, newCall()), 'keystone_unreachable')
    }
    assert.equal(keystone.requests.length, 0)
  })
})

test('a handshake that hangs ends at the deadline', async (t) => {
  const { keystone } = await setUp(t)
  keystone.always(hang)
  const { createServer } = await import('node:net')
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  t.after(() => silent.close())
  await new Promise((resolve) => silent.once('listening', resolve))
  const address = silent.address()
  assert(address !== null && typeof address === 'object')
  const url = `https://127.0.0.1:${address.port}/v3`
  const { client: identity } = await setUp(t, { url, timeoutMs: 100, tls: { ca: ours.cert } })
  await failure(identity.validateToken(CANARY, newCall()), 'keystone_timeout', /no connection was made/)
  await new Promise((resolve) => silent.getConnections((_error, count) => resolve(assert.equal(count <= 1, true))))
})

function setUpTls(
  t: Parameters<typeof setUp>[0],
  tls: KeystoneTls,
  issued: Issued = server,
  clientCa?: string,
  maxVersion?: 'TLSv1.1',
) {
  const { cert, key } = issued
  const ca = clientCa === undefined ? {} : { ca: clientCa }
  const old =
    maxVersion === undefined ? {} : ({ maxVersion, minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const)
  return setUp(t, { fake: { tls: { cert, key, ...ca, ...old } }, tls })
}

function damaged(pem: string): string {
  return pem.replace(/\n[A-Za-z0-9+/]{20}/, `\n${'A'.repeat(20)}`)
}
