/** Everything that is neither Keystone's yes nor Keystone's no ends in an error that says what to do. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ErrorCode } from '../../src/errors.ts'
import { keystoneClient } from '../../src/keystone/identity-client.ts'
import {
  closing,
  endless,
  half,
  halfHead,
  hang,
  html,
  keystoneError,
  keystoneSamples,
  raw,
  redirect,
  reply,
  reset,
  type Script,
  sample,
  startFakeKeystone,
} from '../support/fake-keystone.ts'
import { assertNoCanary, CANARY, failure, newCall, setUp } from './support.ts'

const QUOTING = keystoneError(404, `Could not find token: ${CANARY}.`)
const CHALLENGE = { 'WWW-Authenticate': 'Keystone uri="https://keystone.example/v3"' }
const notFound = keystoneSamples().get('not-found')
assert(notFound !== undefined)

const latin1: Script = (_request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json' })
  response.end(Buffer.from('{"token": "\xe9"}', 'latin1'))
}

/** A fault, the code it ends in, and a word of the message. All quote the token where they can. */
const FAULTS: readonly (readonly [string, Script, ErrorCode, RegExp])[] = [
  ['no answer', hang, 'keystone_timeout', /within 500 ms; the request was sent and no answer came/],
  ['half a head', halfHead, 'keystone_timeout', /no answer came/],
  ['half a body, then nothing', half('hang'), 'keystone_timeout', /the answer began and did not end/],
  ['half a body, then the end', half('reset'), 'keystone_unreachable', /connection was lost|ended early/],
  ['a reset', reset, 'keystone_unreachable', /connection was lost.*ECONNRESET/],
  ['the end without an answer', raw(''), 'keystone_unreachable', /connection was lost/],
  ['bytes that are not HTTP', raw(`${CANARY}\r\n\r\n`), 'keystone_answer_invalid', /not HTTP; is it a TLS port/],
  ['a TLS alert', raw('\x15\x03\x01\x00\x02\x02\x46'), 'keystone_answer_invalid', /not HTTP; is it a TLS port/],
  [
    'an upgrade',
    raw('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'),
    'keystone_unreachable',
    /lost/,
  ],
  [
    'a head without end',
    reply(200, {}, { canary: CANARY.repeat(190) }),
    'keystone_answer_invalid',
    /headers.*too long/,
  ],
  ['a body without end', endless, 'keystone_answer_invalid', /longer than 1 MiB/],

  [
    '200 with a web page',
    html(200),
    'keystone_answer_invalid',
    /answered 200; the answer is not JSON; is it the Identity/,
  ],
  ['200 with a text that is no JSON', reply(200, CANARY), 'keystone_answer_invalid', /not JSON/],
  ['200 with half a JSON', reply(200, `{"token": {"${CANARY}"`), 'keystone_answer_invalid', /not JSON/],
  ['200 with bytes that are no UTF-8', latin1, 'keystone_answer_invalid', /not JSON/],
  ['200 with nothing', reply(200, ''), 'keystone_answer_invalid', /not JSON/],
  ['200 with a key twice', reply(200, '{"token": {}, "token": {}}'), 'keystone_answer_invalid', /not JSON/],
  ['200 as text/plain', reply(200, '{}', { 'Content-Type': 'text/plain' }), 'keystone_answer_invalid', /not JSON/],
  ['200 with another JSON', reply(200, { canary: CANARY }), 'keystone_answer_invalid', /token is missing/],
  ['200 with a list', reply(200, [CANARY]), 'keystone_answer_invalid', /the document is missing or/],
  [
    '200 about another token',
    reply(200, {}, { 'X-Subject-Token': `x${CANARY}` }),
    'keystone_answer_invalid',
    /about another token; does a cache/,
  ],
  [
    '200 about two tokens',
    reply(200, {}, { 'X-Subject-Token': [CANARY, CANARY] }),
    'keystone_answer_invalid',
    /about another token/,
  ],
  ['204', reply(204), 'keystone_answer_invalid', /answered 204/],
  ['206', reply(206, {}), 'keystone_answer_invalid', /answered 206/],

  [
    '401 of a web server',
    html(401, { 'WWW-Authenticate': 'Basic realm="x"' }),
    'keystone_answer_invalid',
    /answered 401.*is the URL right/,
  ],
  ['401 of a web server that says nothing', html(401), 'keystone_answer_invalid', /answered 401/],
  ['401 of another service', reply(401, { message: CANARY }), 'keystone_answer_invalid', /answered 401/],
  ['403 of a web server', html(403), 'keystone_answer_invalid', /answered 403/],
  ['403 with the challenge of a 401', html(403, CHALLENGE), 'keystone_answer_invalid', /answered 403/],
  ['404 of a web server', html(404), 'keystone_answer_invalid', /answered 404.*ends with \/v3/],
  [
    '404 of Keystone itself for a wrong path',
    sample(notFound),
    'keystone_answer_invalid',
    /answered 404.*ends with \/v3/,
  ],
  [
    '404 of Keystone as HTML',
    reply(404, QUOTING, { 'Content-Type': 'text/html' }),
    'keystone_answer_invalid',
    /answered 404/,
  ],
  ['404 that speaks of a 401', reply(404, keystoneError(401)), 'keystone_answer_invalid', /answered 404/],
  ['404 whose code is a text', reply(404, { error: { code: '404' } }), 'keystone_answer_invalid', /answered 404/],
  ['404 with half a document', reply(404, '{"error": {"code": 404'), 'keystone_answer_invalid', /answered 404/],

  ['400', reply(400, keystoneError(400, CANARY)), 'keystone_answer_invalid', /answered 400.*https: port/],
  ['405', html(405), 'keystone_answer_invalid', /answered 405/],
  ['413', html(413), 'keystone_answer_invalid', /limit for headers/],
  ['431', html(431), 'keystone_answer_invalid', /limit for headers/],
  ['408', html(408), 'keystone_unreachable', /answered 408/],
  ['429', reply(429, keystoneError(429, CANARY)), 'keystone_busy', /answered 429.*rate limit/],
  ['500', reply(500, keystoneError(500, CANARY)), 'keystone_unreachable', /answered 500; look at the log.*\(req-0{8}-/],
  ['501', html(501), 'keystone_unreachable', /answered 501/],
  ['502', html(502), 'keystone_unreachable', /answered 502/],
  ['503', html(503), 'keystone_unreachable', /answered 503/],
  ['504', html(504), 'keystone_unreachable', /answered 504/],
]

describe('an error, with its code and what to do (T-W3, T-S1)', () => {
  for (const [name, script, code, text] of FAULTS) {
    test(`${name}: ${code}`, async (t) => {
      const { keystone, client, observed } = await setUp(t, { timeoutMs: code === 'keystone_timeout' ? 500 : 5000 })
      keystone.always(script)
      const call = newCall()
      const error = await failure(client.validateToken(CANARY, call), code, text)
      assert(error.message.includes(`GET ${keystone.url}/auth/tokens: `), error.message)
      assert.equal(error.retryAfter, 1)
      assert.deepEqual(
        observed.map(({ call, outcome }) => ({ call, outcome })),
        [{ call: 'validate', outcome: code }],
      )
      assert.equal(keystone.requests.length, 1)
      assertNoCanary(call.lines)

      // The client is none the worse for it.
      keystone.always(undefined)
      assert.equal((await client.validateToken(keystone.issue(), newCall()))?.user.name, 'alice')
    })
  }

  test('a request id that is none is not repeated', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(reply(500, '', { 'x-openstack-request-id': `req-${CANARY}` }))
    await failure(client.validateToken(CANARY, newCall()), 'keystone_unreachable')
  })

  test('groups fail the same way, and name their own address', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(html(404))
    await failure(
      client.listGroups(CANARY, 'u1', newCall()),
      'keystone_answer_invalid',
      /\/v3\/users\/u1\/groups: answered 404/,
    )
  })
})

describe('Keystone is believed', () => {
  test('in a 401 by its challenge, whatever the body', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(html(401, CHALLENGE))
    assert.equal(await client.validateToken(CANARY, newCall()), undefined)
  })

  test('in a 404 that quotes the token, which goes nowhere', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(reply(404, QUOTING))
    const call = newCall()
    assert.equal(await client.validateToken(CANARY, call), undefined)
    assertNoCanary(call.lines)
  })

  test('in a 403, which is worth a warning', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(reply(403, keystoneError(403)))
    const call = newCall()
    assert.equal(await client.validateToken(CANARY, call), undefined)
    assert.match(call.lines[0]?.message ?? '', /identity:validate_token/)
  })

  test('in a 203, and after an early hint', async (t) => {
    const { keystone, client } = await setUp(t)
    const document = { token: { ...documentOf('alice'), catalog: [] } }
    keystone.script(reply(203, document), (request, response) => {
      response.writeEarlyHints({ link: '</x>; rel=preload' })
      reply(200, document)(request, response)
    })
    assert.equal((await client.validateToken(CANARY, newCall()))?.user.name, 'alice')
    assert.equal((await client.validateToken(CANARY, newCall()))?.user.name, 'alice')
  })

  test('with JSON of another name, and headers named __proto__ (T-H13)', async (t) => {
    const { keystone, client } = await setUp(t)
    const headers = { 'Content-Type': 'application/vnd.openstack.identity-v3+json; charset=utf-8', ['__proto__']: 'x' }
    keystone.script(reply(200, { token: documentOf('alice') }, headers))
    assert.equal((await client.validateToken(CANARY, newCall()))?.user.name, 'alice')
  })
})

describe('redirects are not followed (T-H10)', () => {
  for (const status of [300, 301, 302, 303, 304, 307, 308]) {
    test(`${status}`, async (t) => {
      const elsewhere = await startFakeKeystone()
      t.after(() => elsewhere.close())
      const { keystone, client } = await setUp(t)
      keystone.always(redirect(`${elsewhere.url}/auth/tokens?${CANARY}`, status))
      const host = new URL(elsewhere.url).host
      const text = new RegExp(`answered ${status}; it redirects to ${host}, which is not followed; write the final`)
      await failure(client.validateToken(CANARY, newCall()), 'keystone_answer_invalid', text)
      await failure(client.listGroups(CANARY, 'u1', newCall()), 'keystone_answer_invalid', text)
      await failure(client.ping(newCall()), 'keystone_answer_invalid', text)
      assert.equal(elsewhere.connections, 0)
      assert.equal(keystone.requests.length, 3)
    })
  }

  test('a Location that is no address is not repeated', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(redirect(`http://[${CANARY}`))
    await failure(client.validateToken(CANARY, newCall()), 'keystone_answer_invalid', /redirects to nowhere/)
  })
})

describe('Retry-After', () => {
  const now = () => new Date('2026-11-21T12:00:00Z')
  const values: readonly (readonly [string, number])[] = [
    ['0', 1],
    ['1', 1],
    ['3', 3],
    ['5', 5],
    ['6', 5],
    ['86400', 5],
    ['99999999999999999999', 1],
    ['-1', 1],
    ['1.5', 1],
    ['soon', 1],
    ['', 1],
    ['Sat, 21 Nov 2026 12:00:03 GMT', 3],
    ['Sat, 21 Nov 2026 13:00:00 GMT', 5],
    ['Sat, 21 Nov 2026 11:00:00 GMT', 1],
  ]
  for (const [value, seconds] of values) {
    test(`${JSON.stringify(value)} of a 429 and a 503 becomes ${seconds}`, async (t) => {
      const { keystone, client } = await setUp(t, { now })
      keystone.script(html(429, { 'Retry-After': value }), html(503, { 'Retry-After': value }))
      assert.equal((await failure(client.validateToken(CANARY, newCall()), 'keystone_busy')).retryAfter, seconds)
      assert.equal((await failure(client.validateToken(CANARY, newCall()), 'keystone_unreachable')).retryAfter, seconds)
    })
  }
})

describe('no way to Keystone', () => {
  test('nothing listens: the message says where', async (t) => {
    const { keystone, client } = await setUp(t)
    await keystone.close()
    const { port } = new URL(keystone.url)
    const error = await failure(
      client.validateToken(CANARY, newCall()),
      'keystone_unreachable',
      /nothing listens there/,
    )
    assert(error.message.includes(`127.0.0.1:${port}`))
    assert(error.cause instanceof Error)
  })

  test('nothing listens at any of several addresses', async (t) => {
    const { keystone } = await setUp(t)
    await keystone.close()
    const { client } = await setUp(t, {
      url: keystone.url.replace('127.0.0.1', 'keystone.example'),
      allowLoopback: true,
      lookup: (_hostname, _options, callback) => {
        callback(null, [
          { address: '127.0.0.2', family: 4 },
          { address: '127.0.0.3', family: 4 },
        ])
      },
    })
    await failure(
      client.validateToken(CANARY, newCall()),
      'keystone_unreachable',
      /nothing listens there.*ECONNREFUSED/,
    )
  })

  const names: readonly (readonly [string, ErrorCode, RegExp])[] = [
    ['ENOTFOUND', 'keystone_unreachable', /host name is not known/],
    ['EAI_AGAIN', 'keystone_unreachable', /name server did not answer/],
    ['EAI_FAIL', 'keystone_unreachable', /connection failed/],
  ]
  for (const [code, expected, text] of names) {
    test(`the name is not resolved: ${code}`, async (t) => {
      const client = keystoneClient({
        url: 'https://keystone.example:5000/v3',
        lookup: (hostname, _options, callback) => {
          const message = `getaddrinfo ${code} ${hostname}`
          setImmediate(() => callback(Object.assign(new Error(message), { code, syscall: 'getaddrinfo' }), []))
        },
      })
      t.after(() => client.close())
      const error = await failure(client.validateToken(CANARY, newCall()), expected, text)
      assert.match(error.message, /keystone\.example/)
    })
  }

  test('the name server never answers: the deadline holds', async (t) => {
    const client = keystoneClient({ url: 'https://keystone.example/v3', timeoutMs: 40, lookup: () => {} })
    t.after(() => client.close())
    await failure(client.validateToken(CANARY, newCall()), 'keystone_timeout', /no connection was made/)
  })
})

describe('a token that cannot be sent is refused without asking (T-W2)', () => {
  for (const token of ['', 'x'.repeat(8193), 'two words', 'a\r\nX-Auth-Token: b', 'é', '\u0000']) {
    test(JSON.stringify(token.slice(0, 20)), async (t) => {
      const { keystone, client, observed } = await setUp(t)
      assert.equal(await client.validateToken(token, newCall()), undefined)
      assert.deepEqual(await client.listGroups(token, 'u1', newCall()), { kind: 'refused' })
      assert.equal(keystone.connections, 0)
      assert.deepEqual(
        observed.map(({ outcome }) => outcome),
        ['refused', 'refused'],
      )
    })
  }
})

test('a connection that Keystone closes after each answer is no fault', async (t) => {
  const { keystone, client } = await setUp(t)
  keystone.always(closing(reply(200, { token: documentOf('alice') })))
  for (let n = 0; n < 20; n++) {
    assert.equal((await client.validateToken(CANARY, newCall()))?.user.name, 'alice')
  }
  assert.equal(keystone.connections, 20)
})

function documentOf(name: string): object {
  return {
    user: { id: 'u1', name, domain: { id: 'default', name: 'Default' } },
    methods: ['password'],
    audit_ids: ['a1'],
    expires_at: '2026-11-21T18:50:25.000000Z',
    issued_at: '2026-11-21T17:50:25.000000Z',
  }
}
