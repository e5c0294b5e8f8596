/** The TLS listener of doors that take connections whole: what it hands on, what it asks for, how it ends. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import { after, afterEach, before, describe, test } from 'node:test'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { certificateRequest, certificateRequestOptions, presentedCertificate } from '../../src/authn/x509/presented.ts'
import { createTlsListener, type TlsListener, type TlsListenerOptions } from '../../src/server/tls-listener.ts'
import { createAuthority } from '../support/tls.ts'
import { createEstate, type Estate, keepLog, type LogLine } from './support.ts'

let estate: Estate
before(async () => {
  estate = await createEstate()
})
after(() => estate.folder.remove())

interface Seen {
  readonly protocol: string | false | null
  readonly certificate: boolean
}

interface Door {
  readonly listener: TlsListener
  readonly port: number
  readonly seen: Seen[]
  readonly events: string[]
  readonly lines: LogLine[]
}

const doors: TlsListener[] = []
const clients: TLSSocket[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  await Promise.all(doors.splice(0).map((door) => door.close()))
})

/** A door that says which protocol it was called by and whether it saw a certificate, then waits. */
async function open(options: Partial<TlsListenerOptions> = {}): Promise<Door> {
  const seen: Seen[] = []
  const events: string[] = []
  const lines: LogLine[] = []
  const listener = createTlsListener({
    listen: { host: '127.0.0.1', port: 0 },
    tls: { ...estate.files, reloadIntervalMs: 0 },
    protocols: ['h2', 'http/1.1'],
    certificates: certificateRequest,
    secureOptions: certificateRequestOptions,
    limits: {},
    log: keepLog(lines),
    observer: {
      connectionOpened: () => events.push('opened'),
      connectionClosed: () => events.push('closed'),
      connectionRefused: (reason) => events.push(`refused ${reason}`),
      tlsError: (code) => events.push(`tls ${code}`),
    },
    serve(socket) {
      seen.push({ protocol: socket.alpnProtocol, certificate: presentedCertificate(socket) !== undefined })
      socket.on('error', () => socket.destroy())
      socket.write('served')
      socket.resume()
    },
    ...options,
  })
  doors.push(listener)
  const { port } = (await listener.listen()) as AddressInfo
  return { listener, port, seen, events, lines }
}

/** Connects and waits for what the door says first. */
async function call({ port }: Door, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const { cert: ca } = estate.authority
  const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost', ...options })
  clients.push(socket)
  await once(socket, 'data')
  return socket
}

/** The timer of the listener's side of a connection, as the kernel shows it: `02` asks whether the other side is there. */
function timerOf({ port }: Door, { localPort }: TLSSocket): string | undefined {
  const hex = (number: number | undefined): string => (number ?? 0).toString(16).toUpperCase().padStart(4, '0')
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n')
  const row = rows.find((text) => text.includes(`:${hex(port)} 0100007F:${hex(localPort)} `))
  return row?.trim().split(/\s+/)[5]?.slice(0, 2)
}

describe('a connection', () => {
  test('is asked whether its client is still there', { skip: process.platform !== 'linux' }, async () => {
    const door = await open()
    const client = await call(door)
    while (timerOf(door, client) === '01') await new Promise(setImmediate) // an acknowledgement is due first
    assert.equal(timerOf(door, client), '02')
  })

  test('comes past its handshake, by the protocol that both know', async () => {
    const door = await open()
    await call(door, { ALPNProtocols: ['http/1.1'] })
    await call(door, { ALPNProtocols: ['http/1.1', 'h2'] })
    await call(door)
    assert.deepEqual(
      door.seen.map(({ protocol }) => protocol),
      ['http/1.1', 'h2', false],
    )
  })

  test('is not made by TLS 1.1, before and after the certificate was renewed (T-S9)', async () => {
    const door = await open()
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' } as const
    await assert.rejects(call(door, old))
    const renewed = await estate.authority.server()
    await estate.folder.write('tls.crt', renewed.cert)
    await estate.folder.write('tls.key', renewed.key)
    assert.equal(await door.listener.checkTls(), 'reloaded')
    await assert.rejects(call(door, old))
    assert.equal(door.seen.length, 0)
  })

  test('that brings a certificate brings it to the door, whoever has issued it; one without is served too', async () => {
    const door = await open()
    const stranger = await (await createAuthority('Stranger CA')).client({ commonName: 'jane' })
    await call(door, { cert: stranger.cert, key: stranger.key })
    await call(door)
    assert.deepEqual(
      door.seen.map(({ certificate }) => certificate),
      [true, false],
    )
  })

  test('is asked for a certificate after a reload as before', async () => {
    const door = await open()
    const renewed = await estate.authority.server()
    await estate.folder.write('tls.crt', renewed.cert)
    await estate.folder.write('tls.key', renewed.key)
    assert.equal(await door.listener.checkTls(), 'reloaded')
    const client = await estate.authority.client({ commonName: 'jane' })
    const socket = await call(door, { cert: client.cert, key: client.key })
    assert.equal(door.seen.at(-1)?.certificate, true)
    assert.equal(socket.getPeerX509Certificate()?.toString(), renewed.cert.trimEnd().concat('\n'))
  })

  test('gets no session to resume, which would lose the intermediates', async () => {
    const door = await open()
    const sessions: Buffer[] = []
    const first = await call(door, { maxVersion: 'TLSv1.2' })
    first.on('session', (session: Buffer) => sessions.push(session))
    const session = first.getSession()
    assert.ok(session !== undefined)
    const second = await call(door, { maxVersion: 'TLSv1.2', session })
    assert.equal(second.isSessionReused(), false)
  })

  test('beyond the limit is refused and counted', async () => {
    const door = await open({ limits: { connections: 1 } })
    await call(door)
    await assert.rejects(call(door))
    assert.deepEqual(
      door.events.filter((event) => event.startsWith('refused')),
      ['refused limit'],
    )
  })

  test('whose handshake never ends is closed', async () => {
    const door = await open({ limits: { handshakeTimeoutMs: 40 } })
    const socket = connectTcp(door.port, '127.0.0.1').on('error', () => {})
    await once(socket, 'close')
    assert.equal(door.seen.length, 0)
  })
})

describe('the end', () => {
  test('comes when the door has ended its connections, and no new one is accepted', async () => {
    const door = await open()
    const socket = await call(door)
    let isClosed = false
    const closed = door.listener.close().then(() => {
      isClosed = true
    })
    await assert.rejects(call(door))
    assert.equal(isClosed, false)
    socket.end()
    await closed
    await door.listener.close()
  })

  test('of one that never listened is the end of nothing', async () => {
    const listener = createTlsListener({
      listen: { host: '127.0.0.1', port: 0 },
      tls: { certFile: '/nowhere.crt', keyFile: '/nowhere.key' },
      protocols: ['http/1.1'],
      certificates: certificateRequest,
      secureOptions: certificateRequestOptions,
      limits: {},
      log: keepLog(),
      serve: () => {},
    })
    await assert.rejects(listener.listen(), /nowhere/)
    assert.equal(listener.tlsStatus(), undefined)
    await listener.close()
  })
})

test('says what it serves with, and keeps it where the new files are no pair', async () => {
  const door = await open()
  const before = door.listener.tlsStatus()
  assert.ok(before?.ok)
  await estate.folder.write('tls.key', (await estate.authority.server()).key)
  assert.equal(await door.listener.checkTls(), 'failed')
  assert.equal(door.listener.tlsStatus()?.ok, false)
  assert.equal(door.listener.tlsStatus()?.notAfter.getTime(), before.notAfter.getTime())
  await call(door)
  await estate.folder.write('tls.crt', estate.issued.cert)
  await estate.folder.write('tls.key', estate.issued.key)
})
