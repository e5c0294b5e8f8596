/** TLS of the listener: versions, certificate files that change, callers and who vouches for them. */
import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { connect as connectTcp } from 'node:net'
import { afterEach, before, beforeEach, describe, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { ArchwayError } from '../../src/errors.ts'
import { createServer } from '../../src/server/listener.ts'
import { createAuthority, type Issued, type TestAuthority } from '../support/tls.ts'
import {
  canonical,
  createEstate,
  dial,
  type Estate,
  keepLog,
  type RawClient,
  type Running,
  type StartOptions,
  start,
} from './support.ts'

let estate: Estate
let running: Running
let open: RawClient[]

beforeEach(async () => {
  estate = await createEstate()
  open = []
})
afterEach(async () => {
  for (const client of open) client.destroy()
  await running?.server.close({ drainMs: 0 })
  await estate.folder.remove()
})

async function begin(options: StartOptions = {}): Promise<void> {
  running = await start(estate, options)
}

async function join(options: ConnectionOptions = {}): Promise<RawClient> {
  const client = await dial(estate, running.port, options)
  open.push(client)
  return client
}

/** Whether a request on this connection is answered. */
async function served(client: RawClient): Promise<boolean> {
  client.send(canonical('{}'))
  const answer = await client.next().catch(() => undefined)
  return answer?.status === 200
}

async function admitted(options: ConnectionOptions): Promise<boolean> {
  const client = await join(options).catch(() => undefined)
  return client !== undefined && served(client)
}

function serialOf(client: RawClient): string {
  return client.socket.getPeerCertificate().serialNumber
}

/** A client that really offers what it is told to, however old. */
function only(version: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'): ConnectionOptions {
  const old = version === 'TLSv1' || version === 'TLSv1.1'
  return { minVersion: version, maxVersion: version, ...(old ? { ciphers: 'DEFAULT@SECLEVEL=0' } : {}) }
}

describe('versions', () => {
  test('T-S9 TLS 1.1 is refused, also after a reload; 1.2 and 1.3 are served', async () => {
    await begin({ tls: { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' } })
    for (const round of ['first', 'reloaded', 'reloaded again']) {
      for (const version of ['TLSv1', 'TLSv1.1'] as const)
        await assert.rejects(join(only(version)), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' }, round)
      const modern = await join(only('TLSv1.2'))
      assert(await served(modern))
      assert.equal(modern.socket.getCipher().name, 'ECDHE-ECDSA-AES128-GCM-SHA256', round)
      await assert.rejects(join({ ...only('TLSv1.2'), ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' }), round)
      assert(await admitted(only('TLSv1.3')), round)
      const next = await estate.authority.server()
      await estate.folder.write('tls.crt', next.cert)
      await estate.folder.write('tls.key', next.key)
      assert.equal(await running.server.checkTls(), 'reloaded')
    }
  })

  test('T-S9 a chosen minimum of TLS 1.3 outlives a reload', async () => {
    await begin({ tls: { minVersion: 'TLSv1.3' } })
    for (let round = 0; round < 2; round += 1) {
      await assert.rejects(join(only('TLSv1.2')))
      assert(await admitted(only('TLSv1.3')))
      const next = await estate.authority.server()
      await estate.folder.write('tls.crt', next.cert)
      await estate.folder.write('tls.key', next.key)
      await running.server.checkTls()
    }
  })

  test('T-H15 only HTTP/1.1 is offered', async () => {
    await begin()
    const both = await join({ ALPNProtocols: ['h2', 'http/1.1'] })
    assert.equal(both.socket.alpnProtocol, 'http/1.1')
    assert(await served(both))
    await assert.rejects(join({ ALPNProtocols: ['h2'] }), { code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' })
    assert(
      running.events.some((event) => event.startsWith('tls ERR_SSL_')),
      String(running.events),
    )
  })

  test('renegotiation is refused', async () => {
    await begin()
    const client = await join(only('TLSv1.2'))
    assert(await served(client))
    const outcome = await new Promise<Error | null>((resolve) => {
      client.socket.renegotiate({}, resolve)
      client.socket.once('close', () => resolve(new Error('closed')))
      client.socket.once('error', resolve)
    })
    assert(outcome instanceof Error)
  })
})

describe('certificate files', () => {
  test('a new pair serves new connections, and open ones go on', async () => {
    await begin()
    const before = await join()
    const serial = serialOf(before)
    assert(await served(before))
    const notAfter = new Date(Math.trunc(Date.now() / 1000) * 1000 + 3_600_000)
    const next = await estate.authority.server({ notAfter })
    await estate.folder.write('tls.crt', next.cert)
    await estate.folder.write('tls.key', next.key)
    assert.equal(await running.server.checkTls(), 'reloaded')
    const later = await join()
    assert.notEqual(serialOf(later), serial)
    assert(await served(later))
    assert(await served(before))
    const status = running.server.tlsStatus()
    assert.equal(status?.ok, true)
    assert.deepEqual(status.notAfter, notAfter)
    assert.equal(status.subject, 'CN=localhost')
    assert.deepEqual(running.events, ['opened', 'opened'])
  })

  test('T-S9 files that do not belong together or are broken change nothing but the status', async () => {
    await begin()
    const client = await join()
    const serial = serialOf(client)
    const good = { cert: estate.issued.cert, key: estate.issued.key }
    const other = await estate.authority.server()
    const locked = createPrivateKey(good.key)
      .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
      .toString()
    const cases: readonly (readonly [string, Partial<Issued>, RegExp])[] = [
      ['key of another certificate', { key: other.key }, /tls\.key: is not the key of the certificate in .*tls\.crt/],
      ['certificate of another key', { cert: other.cert }, /tls\.key: is not the key of/],
      ['half a certificate', { cert: good.cert.slice(0, 300) }, /tls\.crt: has no certificate, or one that is cut off/],
      ['a chain cut off', { cert: good.cert + good.cert.slice(0, 300) }, /tls\.crt: has no certificate, or one that/],
      [
        'a certificate with wrong bytes',
        { cert: good.cert.replace(/\n.{20}/, `\n${'A'.repeat(20)}`) },
        /tls\.crt: certificate 1/,
      ],
      ['half a key', { key: good.key.slice(0, 60) }, /tls\.key: is no private key/],
      ['an empty key', { key: '' }, /tls\.key: is no private key/],
      ['an empty certificate', { cert: '' }, /tls\.crt: has no certificate/],
      ['garbage', { cert: 'garbage', key: 'garbage' }, /tls\.crt: has no certificate/],
      ['key and certificate swapped', { cert: good.key, key: good.cert }, /tls\.crt: has no certificate/],
      ['a key with a passphrase', { key: locked }, /tls\.key: is protected by a passphrase/],
    ]
    for (const [name, files, message] of cases) {
      await estate.folder.write('tls.crt', files.cert ?? good.cert)
      await estate.folder.write('tls.key', files.key ?? good.key)
      assert.equal(await running.server.checkTls(), 'failed', name)
      const status = running.server.tlsStatus()
      assert.equal(status?.ok, false, name)
      assert.match(status.error ?? '', message, name)
      assert(!status.error?.includes('BEGIN'), name)
      const later = await join()
      assert.equal(serialOf(later), serial, name)
      assert(await served(later), name)
      later.destroy()
      assert(await served(client), name)
    }
    await estate.folder.write('tls.crt', other.cert)
    await estate.folder.write('tls.key', other.key)
    assert.equal(await running.server.checkTls(), 'reloaded')
    assert.equal(running.server.tlsStatus()?.ok, true)
    assert.notEqual(serialOf(await join()), serial)
  })

  test('T-S9 a broken pair at start is an error that names the file', async () => {
    const bad = [
      [{ keyFile: '/nonexistent/tls.key' }, /\/nonexistent\/tls\.key/],
      [{ certFile: estate.files.keyFile }, /tls\.key: has no certificate/],
      [{ clientCAFile: estate.files.keyFile }, /tls\.key: has no certificate/],
    ] as const
    for (const [files, message] of bad) {
      const server = createServer({
        listen: { host: '127.0.0.1', port: 0 },
        tls: { ...estate.files, ...files },
        handler: () => ({ status: 200, body: '' }),
        lanePaths: [],
        log: keepLog(),
      })
      await assert.rejects(server.listen(), (error) => {
        assert(error instanceof ArchwayError)
        assert.equal(error.code, 'file_invalid')
        assert.match(error.message, message)
        return true
      })
      assert.equal(server.tlsStatus(), undefined)
      assert.equal(await server.checkTls(), 'unchanged')
      await server.close({ drainMs: 0 })
    }
  })

  test('T-S9 twenty reloads under traffic drop no connection and no answer', async () => {
    await begin()
    const pairs = await Promise.all([1, 2].map(() => estate.authority.server()))
    let reloading = true
    let answers = 0
    const traffic = Array.from({ length: 3 }, async () => {
      const kept = await join()
      while (reloading) {
        assert(await served(kept))
        const fresh = await join()
        assert(await served(fresh))
        fresh.destroy()
        answers += 2
      }
    })
    for (let round = 0; round < 20; round += 1) {
      const pair = pairs[round % 2]
      assert(pair !== undefined)
      await estate.folder.write('tls.crt', pair.cert)
      await running.server.checkTls() // half of the pair: refused
      await estate.folder.write('tls.key', pair.key)
      assert.equal(await running.server.checkTls(), 'reloaded')
    }
    reloading = false
    await Promise.all(traffic)
    assert(answers > 0)
    assert.equal(running.server.tlsStatus()?.reloads, 20)
  })

  test('an expired certificate is warned of', async () => {
    await begin()
    const expired = await estate.authority.server({ notAfter: new Date(Date.now() - 60_000) })
    await estate.folder.write('tls.crt', expired.cert)
    await estate.folder.write('tls.key', expired.key)
    assert.equal(await running.server.checkTls(), 'reloaded')
    assert(running.lines.some(({ level, message }) => level === 'warn' && message.includes('has expired')))
  })
})

describe('callers', () => {
  let callers: TestAuthority
  let foreign: TestAuthority
  let right: Issued

  before(async () => {
    callers = await createAuthority('Callers')
    foreign = await createAuthority('Callers') // the same name, another key
    right = await callers.client({ commonName: 'kube-apiserver', organizations: ['ops'] })
  })

  const mutual = async (options: StartOptions = {}): Promise<void> => {
    const clientCAFile = await estate.folder.write('ca.crt', callers.cert)
    await begin({ ...options, tls: { clientCAFile, ...options.tls } })
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    test(`T-W5 over ${version} only a certificate of the right authority is served`, async () => {
      await mutual()
      assert.equal(await admitted({ ...only(version), ...right }), true)
      assert.equal(await admitted(only(version)), false)
      assert.equal(
        await admitted({ ...only(version), ...(await foreign.client({ commonName: 'kube-apiserver' })) }),
        false,
      )
      const expired = await callers.client({ commonName: 'kube-apiserver', notAfter: new Date(Date.now() - 60_000) })
      assert.equal(await admitted({ ...only(version), ...expired }), false)
      const server = await callers.server()
      assert.equal(
        await admitted({ ...only(version), ...server }),
        false,
        'a server certificate is no client certificate',
      )
      await running.seen('refused client-certificate', 4)
      assert.equal(running.events.filter((event) => event === 'opened').length, 1)
    })

  test('T-W5 a caller goes by its common name or a DNS name, whole', async () => {
    await mutual({ tls: { clientNames: ['kube-apiserver', 'api.example.org', '.example.net'] } })
    const cases = [
      [{ commonName: 'kube-apiserver' }, true],
      [{ commonName: 'other', dnsNames: ['api.example.org'] }, true],
      [{ dnsNames: ['x.example.org', 'API.example.org'] }, true],
      [{ commonName: 'kube-apiserver2' }, false],
      [{ commonName: 'Kube-Apiserver' }, false],
      [{ organizations: ['kube-apiserver'] }, false],
      [{ commonName: 'x', dnsNames: ['api.example.org.evil.org'] }, false],
      [{ commonName: 'x', dnsNames: ['*.example.org'] }, false],
      [{ commonName: 'x', dnsNames: ['www.example.net'] }, false],
      [{ dnsNames: ['x, DNS:api.example.org'] }, false],
      [{}, false],
    ] as const
    for (const [name, expected] of cases)
      assert.equal(await admitted(await callers.client(name)), expected, JSON.stringify(name))
    const refused = cases.filter(([, expected]) => !expected).length
    await running.seen('refused client-name', refused)
    const lines = running.lines.filter(({ level }) => level === 'warn')
    assert.equal(lines.length, refused)
    assert.equal(lines[0]?.fields['commonName'], 'kube-apiserver2')
  })

  test('T-S9 when the authority changes, idle connections end at once and busy ones after their answer', async () => {
    const finish: (() => void)[] = []
    await mutual({
      handler: ({ body }) =>
        body.toString() === 'busy'
          ? new Promise((resolve) => finish.push(() => resolve({ status: 200, body: 'done' })))
          : { status: 200, body: 'quick' },
    })
    const idle = await join(right)
    assert(await served(idle))
    const slow = await join(right)
    slow.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await slow.next()
    const busy = await join(right)
    busy.send(canonical('busy'))
    while (finish.length === 0) await new Promise(setImmediate)
    const silent = connectTcp(running.port, '127.0.0.1') // has not begun its handshake
    const silentClosed = new Promise<void>((resolve) => silent.once('close', () => resolve()))
    silent.on('error', () => {})
    await new Promise<void>((resolve) => silent.once('connect', () => resolve()))
    const probe = await join(right) // accepted after the silent one
    await served(probe)

    await estate.folder.write('ca.crt', foreign.cert)
    assert.equal(await running.server.checkTls(), 'reloaded')
    assert.deepEqual(await idle.rest(), [])
    assert.deepEqual(await slow.rest(), [])
    await silentClosed
    assert.equal(busy.socket.destroyed, false)
    finish.shift()?.()
    const answer = await busy.next()
    assert.equal(answer.body, 'done')
    assert.equal(answer.headers.get('connection'), 'close')
    assert.deepEqual(await busy.rest(), [])
    assert.equal(await admitted(right), false)
    assert.equal(await admitted(await foreign.client({ commonName: 'kube-apiserver' })), true)
  })

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    test(`T-S9 a session of ${version} does not outlive the authority that let it in`, async () => {
      await mutual({ tls: { clientNames: ['kube-apiserver'] } })
      const first = await join({ ...only(version), ...right })
      let session = version === 'TLSv1.2' ? first.socket.getSession() : undefined
      first.socket.on('session', (made) => {
        session = made
      })
      assert(await served(first))
      while (session === undefined) await new Promise(setImmediate)
      const resumed = await join({ ...only(version), ...right, session })
      assert(await served(resumed))
      assert.equal(resumed.socket.isSessionReused(), true, 'sessions are not resumed at all: nothing is tested')
      const other = await callers.client({ commonName: 'other' })
      assert.equal(await admitted({ ...only(version), ...other }), false)

      await estate.folder.write('ca.crt', foreign.cert)
      await running.server.checkTls()
      assert.equal(await admitted({ ...only(version), ...right, session }), false)
      assert.equal(await admitted({ ...only(version), session }), false)
    })

  test('connections stay when only the server certificate changes', async () => {
    await mutual()
    const kept = await join(right)
    assert(await served(kept))
    const next = await estate.authority.server()
    await estate.folder.write('tls.crt', next.cert)
    await estate.folder.write('tls.key', next.key)
    assert.equal(await running.server.checkTls(), 'reloaded')
    assert(await served(kept))
  })

  test('T-S9 an empty or broken list of authorities is refused, and the one before stays', async () => {
    await mutual()
    for (const content of ['', '\n', '# nothing\n', callers.cert.slice(0, 200)]) {
      await estate.folder.write('ca.crt', content)
      assert.equal(await running.server.checkTls(), 'failed')
      assert.equal(await admitted({}), false)
      assert.equal(await admitted(right), true)
    }
    await estate.folder.write('ca.crt', `# two\n${callers.cert}\n${foreign.cert}`)
    assert.equal(await running.server.checkTls(), 'reloaded')
    assert.equal(await admitted(right), true)
    assert.equal(await admitted(await foreign.client({ commonName: 'x' })), true)
  })

  test('T-W5 names without authorities are a mistake, not an open door', async () => {
    await assert.rejects(start(estate, { tls: { clientNames: ['kube-apiserver'] } }), { code: 'config_invalid' })
    await begin()
    assert.throws(() => running.server.setClientNames(['kube-apiserver']), { code: 'config_invalid' })
  })

  test('T-W5 other names can be put in force; who is connected ends with its answer', async () => {
    await mutual({ tls: { clientNames: ['kube-apiserver'] } })
    const client = await join(right)
    assert(await served(client))
    running.server.setClientNames(['somebody-else'])
    assert.deepEqual(await client.rest(), [])
    assert.equal(await admitted(right), false)
    running.server.setClientNames(undefined)
    assert.equal(await admitted(right), true)
    running.server.setClientNames([])
    assert.equal(await admitted(right), false)
  })
})
