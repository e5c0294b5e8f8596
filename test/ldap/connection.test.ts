import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { createSecureContext } from 'node:tls'
import { ArchwayError } from '../../src/errors.ts'
import { type Connection, openConnection, type SearchPage } from '../../src/ldap/connection.ts'
import { anything } from '../../src/ldap/filter.ts'
import { parseLdapUrl } from '../../src/ldap/url.ts'
import { Secret } from '../../src/secret.ts'
import {
  bindAnswer,
  doneAnswer,
  entryAnswer,
  extendedAnswer,
  type FakeAnswer,
  type FakeLdap,
  type FakeRequest,
  message,
  referenceAnswer,
  startFakeLdap,
  tlv,
} from '../support/fake-ldap.ts'

const SECRET = new Secret('pw')
const LONG = 30_000
/** Long enough for a connection on loopback; waited for whole where silence is the answer. */
const SHORT = 1000
const never = new AbortController().signal

async function serve(t: TestContext, answer: (request: FakeRequest) => FakeAnswer): Promise<FakeLdap> {
  const server = await startFakeLdap(answer)
  t.after(() => server.close())
  return server
}

function open(server: FakeLdap, rules: object = { allowPlain: true }, stepMs = LONG): Promise<Connection> {
  const trust = createSecureContext()
  return openConnection({ address: parseLdapUrl(server.url, rules), trust, stepMs }, never)
}

function search(connection: Connection, signal = never): Promise<SearchPage> {
  const request = { base: 'dc=x', scope: 'sub', filter: anything(), attributes: ['cn'], sizeLimit: 0 } as const
  return connection.search(request, signal)
}

/** The code of what is thrown, which must be an ArchwayError. */
async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    (value) => assert.fail(`no error: ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof ArchwayError, String(error))
  return error.code
}

const NOTICE = '1.3.6.1.4.1.1466.20036'

describe('an answer that is none', () => {
  const answers: readonly (readonly [string, (id: number) => FakeAnswer, string])[] = [
    ['no result code', (id) => message(id, tlv(0x61)), 'ldap_answer_invalid'],
    ['a success of another kind', (id) => extendedAnswer(id), 'ldap_answer_invalid'],
    ['the end of a search', (id) => doneAnswer(id), 'ldap_answer_invalid'],
    ['a success for another request', (id) => bindAnswer(id + 1), 'ldap_answer_invalid'],
    ['something that is not LDAP', () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'ldap_answer_invalid'],
    ['a length beyond all bounds', () => Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]), 'ldap_answer_invalid'],
    ['half an answer', (id) => bindAnswer(id).subarray(0, 9), 'ldap_timeout'],
    ['the end of the connection', () => 'end', 'ldap_unreachable'],
    ['a farewell', () => extendedAnswer(0, 52, NOTICE), 'ldap_unreachable'],
    ['nothing', () => undefined, 'ldap_timeout'],
  ]
  for (const [what, answer, code] of answers) {
    test(`T-W15 to a bind is never a success, and ends the connection: ${what}`, async (t) => {
      const server = await serve(t, ({ id }) => answer(id))
      const connection = await open(server, { allowPlain: true }, code === 'ldap_timeout' ? SHORT : LONG)
      assert.equal(await codeOf(connection.bind('dc=x', SECRET, never)), code)
      assert.equal(connection.usable, false)
      await server.deserted()
      assert.match(await codeOf(connection.bind('dc=x', SECRET, never)), /^ldap_unreachable$/)
      assert.equal(server.requests.length, 1, 'it is not opened anew')
    })
  }
})

test('what is said unasked and unknown is not heard; a farewell ends the connection', async (t) => {
  const server = await serve(t, ({ id, kind }) => [
    extendedAnswer(0, 0, '1.2.3.4'),
    kind === 'bind' ? bindAnswer(id, 49) : Buffer.concat([entryAnswer(id, 'cn=a', { cn: ['a'] }), doneAnswer(id)]),
  ])
  const connection = await open(server)
  assert.equal((await connection.bind('dc=x', SECRET, never)).code, 49)
  assert.equal((await search(connection)).entries.length, 1)
  server.say(extendedAnswer(0, 0, NOTICE))
  await server.deserted()
  assert.equal(connection.usable, false)
})

test('an answer that comes when nothing was asked ends the connection', async (t) => {
  const server = await serve(t, () => undefined)
  const connection = await open(server)
  server.say(bindAnswer(1))
  await server.deserted()
  assert.equal(connection.usable, false)
})

test('an answer in many small pieces is one, and references to other servers are left out', async (t) => {
  const server = await serve(t, ({ id }) => {
    const all = [entryAnswer(id, 'cn=김', { cn: ['김'] }), referenceAnswer(id, 'ldap://other'), doneAnswer(id, 0, 'c')]
    return Array.from(Buffer.concat(all), (byte) => Buffer.from([byte]))
  })
  const connection = await open(server)
  const page = await search(connection)
  assert.deepEqual(
    page.entries.map(({ dn }) => dn),
    ['cn=김'],
  )
  assert.equal(page.cookie.toString(), 'c')
  connection.close()
  await server.deserted()
  assert.equal(server.requests.at(-1)?.kind, 'unbind')
})

test('T-W15 an answer without end is cut off', async (t) => {
  const piece = entryAnswer(1, 'cn=a', { cn: ['x'.repeat(500_000)] })
  const server = await serve(t, () => Array.from({ length: 40 }, () => piece))
  const connection = await open(server)
  assert.equal(await codeOf(search(connection)), 'ldap_answer_invalid')
})

test('who gives up ends the connection: the answer may still come, and is nobody else’s', async (t) => {
  const server = await serve(t, () => undefined)
  const connection = await open(server)
  const controller = new AbortController()
  const asked = connection.bind('dc=x', SECRET, controller.signal)
  const reason = new ArchwayError('ldap_timeout', 'enough')
  controller.abort(reason)
  await assert.rejects(asked, reason)
  assert.equal(connection.usable, false)
})

test('T-S6 without a name or without a password nothing is bound, and nothing sent', async (t) => {
  const server = await serve(t, ({ id }) => bindAnswer(id))
  const connection = await open(server)
  await assert.rejects(connection.bind('', SECRET, never), /proves nothing/)
  await assert.rejects(connection.bind('dc=x', new Secret(''), never), /proves nothing/)
  assert.deepEqual(server.requests, [])
})

test('one operation at a time', async (t) => {
  const server = await serve(t, () => undefined)
  const connection = await open(server)
  const first = connection.bind('dc=x', SECRET, never)
  await assert.rejects(connection.bind('dc=y', SECRET, never), /one operation at a time/)
  connection.close()
  await assert.rejects(first)
})

describe('StartTLS', () => {
  const rows: readonly (readonly [string, (id: number) => FakeAnswer, string])[] = [
    ['refused', (id) => extendedAnswer(id, 52), 'ldap_unreachable'],
    ['refused as unknown', (id) => extendedAnswer(id, 2), 'ldap_unreachable'],
    ['a success without a code', (id) => message(id, tlv(0x78)), 'ldap_answer_invalid'],
    ['a success for something else', (id) => extendedAnswer(id + 1), 'ldap_answer_invalid'],
    ['a bind success', (id) => bindAnswer(id), 'ldap_answer_invalid'],
    // Kept over the handshake, these would answer the bind that comes after it.
    [
      'a success with a message behind it',
      (id) => Buffer.concat([extendedAnswer(id), bindAnswer(1)]),
      'ldap_answer_invalid',
    ],
    [
      'a success with the beginning of a message behind it',
      (id) => Buffer.concat([extendedAnswer(id), bindAnswer(1).subarray(0, 12)]),
      'ldap_answer_invalid',
    ],
    ['a success, then what is not TLS', (id) => [extendedAnswer(id), Buffer.from('no TLS here')], 'ldap_unreachable'],
    ['the end', () => 'end', 'ldap_unreachable'],
    ['nothing', () => undefined, 'ldap_timeout'],
    ['a success, and then nothing', (id) => extendedAnswer(id), 'ldap_timeout'],
  ]
  for (const [what, answer, code] of rows) {
    test(`T-S6 that does not end in TLS ends in no connection, and nothing else is said: ${what}`, async (t) => {
      const server = await serveOnce(t, answer)
      const found = await codeOf(open(server, { startTls: true }, code === 'ldap_timeout' ? SHORT : LONG))
      // One write may arrive as one piece with the next: then it is bytes behind the answer.
      const codes = what.includes('then what is not TLS') ? [code, 'ldap_answer_invalid'] : [code]
      assert.ok(codes.includes(found), found)
      await server.deserted()
      assert.deepEqual(
        server.requests.map(({ kind }) => kind),
        ['extended'],
      )
    })
  }

  /** Answers the first request; what comes after it is TLS, which the fake does not read. */
  async function serveOnce(t: TestContext, answer: (id: number) => FakeAnswer): Promise<FakeLdap> {
    const server = await startFakeLdap(({ id }, socket) => {
      socket.removeAllListeners('data').resume()
      return answer(id)
    })
    t.after(() => server.close())
    return server
  }
})

test('nobody there', async () => {
  const gone = await startFakeLdap(() => undefined)
  await gone.close()
  assert.equal(await codeOf(open(gone)), 'ldap_unreachable')
  assert.equal(await codeOf(open({ ...gone, url: gone.url.replace('ldap:', 'ldaps:') })), 'ldap_unreachable')
})
