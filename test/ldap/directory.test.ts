import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { ArchwayError } from '../../src/errors.ts'
import { type Directory, type DirectoryOptions, directory, type SearchRequest } from '../../src/ldap/directory.ts'
import { anything } from '../../src/ldap/filter.ts'
import { Secret } from '../../src/secret.ts'
import {
  bindAnswer,
  doneAnswer,
  entryAnswer,
  type FakeAnswer,
  type FakeLdap,
  type FakeRequest,
  startFakeLdap,
} from '../support/fake-ldap.ts'

const SECRET = new Secret('pw')
const never = new AbortController().signal
const ALL: SearchRequest = { base: 'dc=x', scope: 'sub', filter: anything(), attributes: ['cn'], limit: 10 }

async function serve(t: TestContext, answer: (request: FakeRequest) => FakeAnswer): Promise<FakeLdap> {
  const server = await startFakeLdap(answer)
  t.after(() => server.close())
  return server
}

function clientOf(t: TestContext, servers: readonly FakeLdap[], over: Partial<DirectoryOptions> = {}): Directory {
  const client = directory({
    urls: servers.map(({ url }) => url),
    allowPlain: true,
    searchAs: { kind: 'anonymous' },
    stepMs: 20_000,
    timeoutMs: 60_000,
    ...over,
  })
  t.after(() => client.close())
  return client
}

const verify = (client: Directory, dn = 'uid=a,dc=x') => client.call(never, (call) => call.verify(dn, SECRET))
const find = (client: Directory, request: SearchRequest = ALL) =>
  client.call(never, (call) => call.search((searcher) => searcher.find(request)))

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    (value) => assert.fail(`no error: ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof ArchwayError, String(error))
  return error.code
}

/** Answers every bind and search with these result codes. */
const saying =
  (bindCode: number, searchCode = bindCode) =>
  ({ id, kind }: FakeRequest): FakeAnswer =>
    kind === 'bind' ? bindAnswer(id, bindCode) : doneAnswer(id, searchCode)

describe('what a bind comes to', () => {
  test('right and wrong', async (t) => {
    assert.deepEqual(await verify(clientOf(t, [await serve(t, saying(0))])), { kind: 'right' })
    const wrong = [
      [49, 'invalidCredentials'],
      [32, 'noSuchObject'],
      [48, 'inappropriateAuthentication'],
      [19, 'constraintViolation'],
    ] as const
    for (const [code, cause] of wrong) {
      assert.deepEqual(await verify(clientOf(t, [await serve(t, saying(code))])), { kind: 'wrong', cause })
    }
    const disabled = 'x: LdapErr: DSID-0C09, comment: AcceptSecurityContext error, data 533, v2580'
    const windows = await serve(t, ({ id }) => bindAnswer(id, 49, disabled))
    assert.deepEqual(await verify(clientOf(t, [windows])), { kind: 'wrong', cause: 'account disabled (data 533)' })
  })

  const undecided = [
    [1, 'ldap_answer_invalid'],
    [2, 'ldap_answer_invalid'],
    [3, 'ldap_timeout'],
    [7, 'ldap_answer_invalid'],
    [8, 'ldap_answer_invalid'],
    [10, 'ldap_answer_invalid'],
    [11, 'ldap_answer_invalid'],
    [13, 'ldap_answer_invalid'],
    [14, 'ldap_answer_invalid'],
    [34, 'ldap_answer_invalid'],
    [50, 'ldap_answer_invalid'],
    [51, 'ldap_unreachable'],
    [52, 'ldap_unreachable'],
    [53, 'ldap_unreachable'],
    [80, 'ldap_answer_invalid'],
    [4096, 'ldap_answer_invalid'],
  ] as const
  test('T-W3 every other result is neither: the next server is asked, and without one it is thrown', async (t) => {
    for (const [code, error] of undecided) {
      const server = await serve(t, saying(code))
      assert.equal(await codeOf(verify(clientOf(t, [server]))), error, String(code))
      const next = await serve(t, saying(49))
      assert.equal((await verify(clientOf(t, [server, next]))).kind, 'wrong')
    }
  })

  test('a result about one account does not turn others away from the server; busy does', async (t) => {
    for (const [code, asked] of [
      [53, ['a', 'b']],
      [51, ['a']],
    ] as const) {
      const first = await serve(t, saying(code))
      const second = await serve(t, saying(0))
      const client = clientOf(t, [first, second], { now: () => 1 })
      await verify(client, 'a')
      await verify(client, 'b')
      assert.deepEqual(
        first.requests.flatMap((one) => (one.kind === 'bind' ? [one.dn] : [])),
        asked,
      )
    }
  })
})

describe('searches', () => {
  const entries = (id: number, from: number, to: number): Buffer[] =>
    Array.from({ length: to - from }, (_, n) => entryAnswer(id, `cn=${from + n},dc=x`, { cn: [`${from + n}`] }))

  test('no referral is followed, and none is an empty answer', async (t) => {
    const server = await serve(t, saying(0, 10))
    assert.equal(await codeOf(find(clientOf(t, [server]))), 'ldap_answer_invalid')
    assert.equal(server.requests.length, 1)
  })

  test('a base that is not there is nothing found only where that was said', async (t) => {
    const client = clientOf(t, [await serve(t, saying(0, 32))])
    assert.equal(await codeOf(find(client)), 'ldap_answer_invalid')
    assert.deepEqual(await find(client, { ...ALL, missingBase: 'empty' }), { entries: [], more: false })
    assert.deepEqual(await find(client, { ...ALL, missingBase: 'empty', pageSize: 5 }), { entries: [], more: false })
  })

  test('one more than wanted is asked for, and known as such also from a server that stops there', async (t) => {
    for (const code of [0, 4]) {
      const server = await serve(t, ({ id }) => [...entries(id, 0, 3), doneAnswer(id, code)])
      const found = await find(clientOf(t, [server]), { ...ALL, limit: 2 })
      assert.deepEqual([found.entries.length, found.more], [2, true])
      const [request] = server.requests
      assert.equal(request?.kind === 'search' && request.sizeLimit, 3)
      const client = clientOf(t, [server])
      if (code === 0) assert.equal((await find(client, { ...ALL, limit: 3 })).more, false)
      else assert.equal(await codeOf(find(client, { ...ALL, limit: 3 })), 'ldap_answer_invalid')
    }
  })

  test('pages are put together, an empty one in the middle included', async (t) => {
    const pages = new Map([
      ['', ['first', 0, 3]],
      ['first', ['second', 3, 3]],
      ['second', ['third', 3, 6]],
      ['third', ['', 6, 7]],
    ] as const)
    const server = await serve(t, (request) => {
      if (request.kind !== 'search') return undefined
      const [next, from, to] = pages.get((request.cookie ?? '-').toString() as 'first') ?? ['', 0, 0]
      return [...entries(request.id, from, to), doneAnswer(request.id, 0, next)]
    })
    const found = await find(clientOf(t, [server]), { ...ALL, pageSize: 3 })
    assert.deepEqual(
      found.entries.map(({ dn }) => dn),
      Array.from({ length: 7 }, (_, n) => `cn=${n},dc=x`),
    )
    assert.equal(found.more, false)
    const fewer = await find(clientOf(t, [server]), { ...ALL, pageSize: 3, limit: 4 })
    assert.deepEqual([fewer.entries.length, fewer.more], [4, true])
  })

  test('a page that fails fails the search; pages without end have one', async (t) => {
    const failing = await serve(t, (request) => {
      const first = request.kind === 'search' && request.cookie?.length === 0
      return first ? [...entries(request.id, 0, 2), doneAnswer(request.id, 0, 'more')] : doneAnswer(request.id, 4)
    })
    assert.equal(await codeOf(find(clientOf(t, [failing]), { ...ALL, pageSize: 2 })), 'ldap_answer_invalid')
    const endless = await serve(t, ({ id }) => doneAnswer(id, 0, 'again'))
    assert.equal(await codeOf(find(clientOf(t, [endless]), { ...ALL, pageSize: 2 })), 'ldap_answer_invalid')
  })

  test('the account is bound before the first search on a connection, and a refused one is its own error', async (t) => {
    const searchAs = { kind: 'account', dn: 'cn=archway,dc=x', password: new Secret('canary') } as const
    const server = await serve(t, saying(0))
    const client = clientOf(t, [server], { searchAs })
    await find(client)
    await find(client)
    assert.deepEqual(
      server.requests.map(({ kind }) => kind),
      ['bind', 'search', 'search'],
    )
    const refusing = clientOf(t, [await serve(t, saying(49))], { searchAs })
    await assert.rejects(find(refusing), (error: ArchwayError) => {
      assert.equal(error.code, 'ldap_bind_refused')
      assert.doesNotMatch(error.message, /canary/)
      return true
    })
  })
})

describe('connections', () => {
  test('are kept, and never searched on where a person has bound', async (t) => {
    const server = await serve(t, saying(0))
    const client = clientOf(t, [server])
    for (let turn = 0; turn < 3; turn += 1) {
      await verify(client)
      await find(client)
    }
    const kinds = Map.groupBy(server.requests, ({ connection }) => connection)
    assert.deepEqual(
      [...kinds.values()].map((requests) => new Set(requests.map(({ kind }) => kind)).size),
      [1, 1],
    )
  })

  test('one that died while it was kept is replaced without anybody’s noticing', async (t) => {
    let turn = 0
    const server = await serve(t, ({ id }) => (++turn === 2 ? 'end' : bindAnswer(id, 49)))
    const client = clientOf(t, [server])
    assert.equal((await verify(client)).kind, 'wrong')
    assert.equal((await verify(client)).kind, 'wrong')
    assert.deepEqual(
      server.requests.map(({ connection }) => connection),
      [1, 1, 2],
    )
  })

  test('one that dies when it is new is an outage', async (t) => {
    const server = await serve(t, () => 'end')
    assert.equal(await codeOf(verify(clientOf(t, [server]))), 'ldap_unreachable')
    assert.equal(server.requests.length, 1)
  })

  test('so many at a time, so many waiting, in the order of asking', async (t) => {
    const held: number[] = []
    const gate = Promise.withResolvers<void>()
    const server = await startFakeLdap(({ id }, socket) => {
      held.push(id)
      if (held.length === 2) gate.resolve()
      void release.promise.then(() => socket.write(bindAnswer(id, 49)))
      return undefined
    })
    t.after(() => server.close())
    const release = Promise.withResolvers<void>()
    const client = clientOf(t, [server], { connections: 2, queue: 2 })
    const order: number[] = []
    const asked = [0, 1, 2, 3].map(async (n) => {
      await verify(client, `uid=${n}`)
      order.push(n)
    })
    assert.equal(await codeOf(verify(client)), 'ldap_busy')
    await gate.promise
    assert.equal(server.open, 2)
    release.resolve()
    await Promise.all(asked)
    const names = server.requests.flatMap((one) => (one.kind === 'bind' ? [one.dn] : []))
    assert.deepEqual(names.slice(2), ['uid=2', 'uid=3'])
    assert.equal(order.length, 4)
  })

  test('who waits in line and gives up gives up the place as well', async (t) => {
    const server = await serve(t, () => undefined)
    const client = clientOf(t, [server], { connections: 1, queue: 1 })
    const controller = new AbortController()
    const first = client.call(controller.signal, (call) => call.verify('uid=1', SECRET))
    const second = client.call(controller.signal, (call) => call.verify('uid=2', SECRET))
    controller.abort()
    assert.deepEqual([await codeOf(first), await codeOf(second)], ['ldap_timeout', 'ldap_timeout'])
    const other = new AbortController()
    const third = client.call(other.signal, (call) => call.verify('uid=3', SECRET))
    other.abort()
    assert.equal(await codeOf(third), 'ldap_timeout')
  })

  test('idle ones are closed, and all of them at the end', async (t) => {
    const server = await serve(t, saying(0))
    const client = clientOf(t, [server], { idleMs: 1 })
    await verify(client)
    await find(client)
    await server.deserted()
    await verify(clientOf(t, [server]))
    await client.close()
    assert.equal(await codeOf(verify(client)), 'stopping')
  })

  test('after a change of the password new ones are made with it', async (t) => {
    const server = await serve(t, saying(0))
    const searchAs = { kind: 'account', dn: 'cn=archway,dc=x', password: new Secret('old') } as const
    const client = clientOf(t, [server], { searchAs })
    await find(client)
    client.reload({ password: new Secret('new') })
    await find(client)
    assert.throws(() => client.reload({ password: new Secret('') }), { code: 'config_invalid' })
    const used = server.requests.flatMap((one) => (one.kind === 'bind' ? [one.password] : []))
    assert.deepEqual(used, ['old', 'new'])
  })

  test('one that is in use while that changes is not kept afterwards', async (t) => {
    const asked = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const server = await startFakeLdap(({ id }, socket) => {
      asked.resolve()
      void release.promise.then(() => socket.write(bindAnswer(id, 49)))
      return undefined
    })
    t.after(() => server.close())
    const client = clientOf(t, [server])
    const first = verify(client)
    await asked.promise
    client.reload({})
    release.resolve()
    await first
    await verify(client)
    const binds = server.requests.filter(({ kind }) => kind === 'bind')
    assert.deepEqual(
      binds.map(({ connection }) => connection),
      [1, 2],
    )
  })

  test('a ping is content with any answer, and with nothing less', async (t) => {
    for (const code of [0, 1, 32, 50]) await clientOf(t, [await serve(t, saying(0, code))]).ping(never)
    const account = { kind: 'account', dn: 'cn=archway,dc=x', password: SECRET } as const
    const refusing = clientOf(t, [await serve(t, saying(49, 0))], { searchAs: account })
    assert.equal(await codeOf(refusing.ping(never)), 'ldap_bind_refused')
    const server = await serve(t, saying(0, 50))
    const person = clientOf(t, [server], { searchAs: { kind: 'person' } })
    await verify(person)
    await person.ping(never)
    assert.deepEqual(
      server.requests.map(({ kind, connection }) => [kind, connection]),
      [
        ['bind', 1],
        ['search', 2],
      ],
    )
    assert.equal(await codeOf(clientOf(t, [await serve(t, () => 'end')]).ping(never)), 'ldap_unreachable')
  })

  test('the whole call has one deadline, whatever the steps may take', async (t) => {
    const server = await serve(t, () => undefined)
    const client = clientOf(t, [server], { timeoutMs: 50 })
    await assert.rejects(verify(client), /did not answer within 50 ms/)
  })
})

test('what cannot be used is refused at once, in words', () => {
  const rows: readonly (readonly [Partial<DirectoryOptions>, RegExp])[] = [
    [{ urls: [] }, /no LDAP server/],
    [{ urls: ['ldap://x'], allowPlain: false }, /unprotected/],
    [{ searchAs: { kind: 'account', dn: '', password: SECRET } }, /bindDn: expected a DN/],
    [{ searchAs: { kind: 'account', dn: ' ', password: SECRET } }, /bindDn: expected a DN/],
    [{ searchAs: { kind: 'account', dn: 'cn=a', password: new Secret('') } }, /password of bindDn is empty/],
    [{ ca: 'no PEM' }, /caFile has no certificate/],
  ]
  for (const [over, message] of rows) {
    const options = { urls: ['ldap://x'], allowPlain: true, searchAs: { kind: 'anonymous' } as const, ...over }
    assert.throws(() => directory(options), message)
  }
})
