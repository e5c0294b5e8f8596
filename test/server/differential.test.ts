/**
 * The fast lane against `node:http`: whatever is sent, both sides of the listener answer the same, and each request at
 * most once.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { type Answer, canonical, createEstate, dial, type Estate, echo, type Running, start } from './support.ts'

const BODY_LIMIT = 2048
const HEAD_LIMIT = 4096
const GET = 'GET /other?x=1 HTTP/1.1\r\nHost: a\r\n\r\n'
const CHUNKED =
  'POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n'
const EXPECT = 'POST /webhook HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi'

let estate: Estate
let servers: readonly { readonly running: Running; handled: number }[]

before(async () => {
  estate = await createEstate()
  servers = await Promise.all(
    [true, false].map(async (lane) => {
      const entry = { handled: 0, running: undefined as unknown as Running }
      entry.running = await start(estate, {
        lane,
        limits: { bodyBytes: BODY_LIMIT, headerBytes: HEAD_LIMIT },
        handler: (request) => {
          entry.handled += 1
          return echo(request)
        },
      })
      return entry
    }),
  )
})

after(async () => {
  await Promise.all(servers.map(({ running }) => running.server.close({ drainMs: 0 })))
  await estate.folder.remove()
})

/**
 * Follows everything that is sent: more than any body still missing, then the end of every conversation. So nothing is
 * left hanging, whatever came before, and no time has to pass.
 */
const PADDING = 'GET /padding HTTP/1.1\r\nHost: a\r\n\r\n'
const PADDINGS = 60
const FAREWELL = 'BYE\r\n\r\n'

interface Outcome {
  readonly answers: readonly { readonly status: number; readonly body: string }[]
  readonly handled: number
}

/** Sends the pieces one TLS record each, and collects what comes until the server has closed. */
async function converse(at: number, pieces: readonly (string | Buffer)[], bodiless = false): Promise<Outcome> {
  const entry = servers[at]
  assert(entry !== undefined)
  const before = entry.handled
  const client = await dial(estate, entry.running.port, { bodiless })
  for (const piece of pieces) client.send(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
  client.send(PADDING.repeat(PADDINGS) + FAREWELL)
  const answers: readonly Answer[] = await client.rest()
  return {
    answers: answers.map(({ status, body }) => ({ status, body })),
    handled: entry.handled - before,
  }
}

async function same(pieces: readonly (string | Buffer)[], bodiless = false): Promise<Outcome> {
  const [fast, slow] = await Promise.all([converse(0, pieces, bodiless), converse(1, pieces, bodiless)])
  assert.deepEqual(fast, slow)
  const final = fast.answers.filter(({ status }) => status >= 200)
  // The handler's answers, and at most one of the listener's own, which ends the connection.
  const own = final.length - fast.handled
  assert(own === 0 || own === 1, `${final.length} answers to ${fast.handled} requests`)
  return fast
}

const ON = 'and on'

/** The statuses; `ON` when the connection went on to the padding and its farewell. */
function statuses({ answers }: Outcome): (number | string)[] {
  const own = answers.filter(({ body }) => !body.includes('"path":"/padding"')).map(({ status }) => status)
  return answers.length - own.length === PADDINGS ? [...own.slice(0, -1), ON] : own
}

const line = 'POST /webhook HTTP/1.1\r\n'
/** What is sent, and the statuses it brings. */
const corpus: readonly (readonly [name: string, bytes: string, expected: readonly (number | string)[]])[] = [
  ['one canonical request', canonical('{}'), [200, ON]],
  ['an empty body', canonical(''), [200, ON]],
  ['a body that is not ASCII', Buffer.from(canonical('{"a":"ü€"}')).toString('latin1'), [200, ON]],
  ['pipelined requests', canonical('1') + canonical('22') + canonical('333'), [200, 200, 200, ON]],
  [
    'a fall-back in the middle',
    canonical('1') + GET + canonical('2') + CHUNKED + canonical('3'),
    [200, 200, 200, 200, 200, ON],
  ],
  ['a chunked body with trailers', CHUNKED + GET, [200, 200, ON]],
  ['Expect: 100-continue', EXPECT + GET, [100, 200, 200, ON]],
  ['Expect before a body too large', EXPECT.replace('Length: 2', 'Length: 4096'), [413]],
  ['an unknown expectation', `${line}Host: a\r\nExpect: more\r\nContent-Length: 2\r\n\r\nhi`, [417]],
  ['HTTP/1.0', 'POST /webhook HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi', [200]],
  [
    'HTTP/1.0 that goes on',
    `POST /webhook HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi${GET}`,
    [200, 200, ON],
  ],
  ['HTTP/1.0 with chunks', 'POST /webhook HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', [400]],
  ['HTTP/2.0 in name', 'POST /webhook HTTP/2.0\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi', [400]],
  ['another version', 'POST /webhook HTTP/1.7\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi', [400]],
  ['no version', 'POST /webhook\r\n\r\n', [400]],
  ['empty lines before a request', `\r\n\r\n${canonical('1')}`, [200, ON]],
  ['header names in any case', `${line}HOST: a\r\ncontent-LENGTH: 2\r\n\r\nhi`, [200, ON]],
  ['an unknown header', canonical('1', { headers: 'X-Foo: bar\r\n' }), [200, ON]],
  ['no space after the colon', `${line}Host:a\r\nContent-Length:2\r\n\r\nhi`, [200, ON]],
  ['a tab after the colon', `${line}Host:\ta\r\nContent-Length: 2\r\n\r\nhi`, [200, ON]],
  ['space at the end of a value', `${line}Host: a  \r\nContent-Length: 2 \r\n\r\nhi`, [200, ON]],
  ['space before the colon', `${line}Host : a\r\nContent-Length: 2\r\n\r\nhi`, [400]],
  ['an empty header name', canonical('1', { headers: ': bar\r\n' }), [400]],
  ['two Host lines', canonical('1', { headers: 'Host: b\r\n' }), [400]],
  ['two equal Host lines', canonical('1', { headers: 'Host: 127.0.0.1:8443\r\n' }), [400]],
  ['no Host line', `${line}Content-Length: 2\r\n\r\nhi`, [400]],
  ['two Content-Type lines', canonical('1', { headers: 'Content-Type: text/plain\r\n' }), [400]],
  ['two Content-Length lines', canonical('1', { headers: 'Content-Length: 1\r\n' }), [400]],
  ['two Content-Length lines that differ', canonical('1', { headers: 'Content-Length: 2\r\n' }), [400]],
  ['a list as Content-Length', `${line}Host: a\r\nContent-Length: 2, 2\r\n\r\nhi`, [400]],
  ['a signed Content-Length', `${line}Host: a\r\nContent-Length: +2\r\n\r\nhi`, [400]],
  ['a negative Content-Length', `${line}Host: a\r\nContent-Length: -2\r\n\r\nhi`, [400]],
  ['a hexadecimal Content-Length', `${line}Host: a\r\nContent-Length: 0x2\r\n\r\nhi`, [400]],
  ['a Content-Length with zeros before', `${line}Host: a\r\nContent-Length: 0000000002\r\n\r\nhi`, [200, ON]],
  ['a Content-Length that is no number', `${line}Host: a\r\nContent-Length: two\r\n\r\nhi`, [400]],
  ['an enormous Content-Length', `${line}Host: a\r\nContent-Length: 99999999999999999999999\r\n\r\nhi`, [400]],
  ['a large Content-Length', `${line}Host: a\r\nContent-Length: 9007199254740993\r\n\r\nhi`, [413]],
  [
    'Content-Length and chunks',
    `${line}Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    [400],
  ],
  [
    'chunks and Content-Length',
    `${line}Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
    [400],
  ],
  ['another transfer coding', `${line}Host: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n`, [400]],
  ['two transfer codings', `${line}Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, [400]],
  ['chunked twice', `${line}Host: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`, [400]],
  [
    'chunked in two lines',
    `${line}Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    [400],
  ],
  ['a coding that only looks chunked', `${line}Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, [400]],
  ['a coding after a vertical tab', `${line}Host: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`, [400]],
  ['a chunk size that is no number', `${line}Host: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n`, [400]],
  ['a chunk size with 0x', `${line}Host: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n`, [400]],
  ['a chunk longer than its size', `${line}Host: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n`, [400]],
  ['chunk lines ended by LF', `${line}Host: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n`, [400]],
  ['more body than announced', `${line}Host: a\r\nContent-Length: 2\r\n\r\nhigher`, [200, 400]],
  ['less body than announced', `${line}Host: a\r\nContent-Length: 9\r\n\r\nhi`, [200, 400]],
  ['half a head', `${line}Host: a\r\nConte`, [400]],
  ['nothing', '', [ON]],
  ['a method in small letters', canonical('1').replace('POST', 'post'), [400]],
  ['a method nobody knows', canonical('1').replace('POST', 'FETCH'), [400]],
  ['a method the parser knows', canonical('1').replace('POST', 'PATCH'), [200, ON]],
  ['another path', canonical('1', { path: '/webhook/' }), [200, ON]],
  ['a path with an encoded letter', canonical('1', { path: '/%77ebhook' }), [200, ON]],
  ['a fragment', canonical('1', { path: '/webhook#x' }), [200, ON]],
  ['a query with anything', canonical('1', { path: '/webhook?a=[{"}]' }), [200, ON]],
  ['an absolute target', canonical('1', { path: 'http://127.0.0.1:8443/webhook' }), [400]],
  ['an absolute target of another host', canonical('1', { path: 'http://evil/webhook' }), [400]],
  ['an asterisk', `OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n`, [400]],
  ['CONNECT', `CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n`, [400]],
  ['CONNECT after others', `${canonical('1')}${GET}CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n`, [200, 200, 400]],
  ['a path with a space', canonical('1', { path: '/web hook' }), [400]],
  ['two spaces in the request line', canonical('1').replace('POST ', 'POST  '), [200, ON]],
  ['lines ended by LF', canonical('1').replaceAll('\r\n', '\n'), [400]],
  ['one line ended by LF', canonical('1').replace('Host: 127.0.0.1:8443\r\n', 'Host: 127.0.0.1:8443\n'), [400]],
  ['a carriage return in a value', canonical('1', { headers: 'X-A: b\rc\r\n' }), [400]],
  ['NUL in a value', canonical('1', { headers: 'Accept: b\0c\r\n' }), [400]],
  ['NUL in the path', canonical('1', { path: '/webhook\0' }), [400]],
  ['NUL in the body', canonical('{\0}'), [200, ON]],
  ['a value beyond ASCII', canonical('1', { headers: 'Accept: \xe4\r\n' }), [200, ON]],
  ['a folded line', canonical('1', { headers: 'X-A: b\r\n c\r\n' }), [400]],
  ['a folded Host', `${line}Host: a\r\n b\r\nContent-Length: 2\r\n\r\nhi`, [400]],
  ['Upgrade', canonical('1', { headers: 'Connection: Upgrade\r\nUpgrade: websocket\r\n' }), [200, ON]],
  ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
  ['a TLS hello in the TLS', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03', [400]],
  [
    'Connection: keep-alive',
    canonical('1', { headers: 'Connection: keep-alive\r\n' }) + canonical('2'),
    [200, 200, ON],
  ],
  ['Connection: close', canonical('1', { headers: 'Connection: close\r\n' }), [200]],
  ['a head that is too long', canonical('1', { headers: `Accept: ${'a'.repeat(HEAD_LIMIT)}\r\n` }), [431]],
  ['a head of too many lines', canonical('1', { headers: 'A: b\r\n'.repeat(HEAD_LIMIT) }), [431]],
  ['a path that is too long', canonical('1', { path: `/${'a'.repeat(HEAD_LIMIT)}` }), [431]],
  [
    'many small headers before a second Host',
    canonical('1', { headers: `${'a:\r\n'.repeat(2500)}Host: b\r\n` }),
    [400],
  ],
  ['a body at the limit', canonical('x'.repeat(BODY_LIMIT)) + canonical('1'), [200, 200, ON]],
  ['a body one beyond the limit', canonical('x'.repeat(BODY_LIMIT + 1)) + canonical('1'), [413]],
  ['chunks up to the limit', chunks('x'.repeat(1024), 2) + GET, [200, 200, ON]],
  ['chunks beyond the limit', chunks('x'.repeat(1024), 3) + GET, [413]],
  ['a good request before a bad one', `${canonical('1')}${GET}NONSENSE\r\n\r\n`, [200, 200, 400]],
]

for (const [name, bytes, expected] of corpus)
  test(`T-H8 lane and node:http agree on ${name}`, async () => {
    const outcome = await same(bytes === '' ? [] : [bytes])
    assert.deepEqual(statuses(outcome), expected)
  })

test('T-H8 of too many requests ahead the first hundred are answered, then the connection ends', async () => {
  const outcome = await same([GET.repeat(150)])
  assert.deepEqual(statuses(outcome), [...Array<number>(100).fill(200), 503])
})

test('T-H8 the answer to HEAD has no body on either side', async () => {
  const outcome = await same(
    ['HEAD /webhook HTTP/1.1\r\nHost: a\r\n\r\nHEAD /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
    true,
  )
  assert.deepEqual(outcome.answers, [
    { status: 200, body: '' },
    { status: 400, body: '' },
  ])
})

for (const [name, bytes] of [
  ['a canonical request', canonical('{"a":1}')],
  ['pipelined requests', canonical('1') + canonical('2')],
  ['a chunked request', CHUNKED],
  ['a bad request', canonical('1').replace('HTTP/1.1', 'HTTP/1,1')],
] as const)
  test(`T-H8 ${name} may come byte by byte`, async () => {
    await same([...Buffer.from(bytes, 'latin1')].map((byte) => Buffer.of(byte)))
  })

test('T-H8 a request may be cut anywhere, with others around it', async () => {
  const bytes = canonical('1') + canonical('{"a":2}') + GET + canonical('3')
  const first = canonical('1').length
  for (let cut = first; cut < first + canonical('{"a":2}').length; cut += 7) {
    const outcome = await same([bytes.slice(0, cut), bytes.slice(cut)])
    assert.deepEqual(statuses(outcome), [200, 200, 200, 200, ON])
  }
})

/** Bytes a parser may trip over. */
const ODD = [
  '\0',
  '\r',
  '\n',
  '\r\n',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '+',
  '-',
  '0',
  '\x7f',
  '\xff',
  '%',
  '?',
  '#',
  '/',
  '*',
  'H',
  'a',
]
const HEADERS = [
  'Host: b',
  'host: 127.0.0.1:8443',
  'Content-Length: 3',
  'content-length: 0',
  'Content-Type: application/json',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Connection: keep-alive',
  'Connection: Keep-Alive, TE',
  'Expect: 100-continue',
  'Upgrade: h2c',
  'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  'Authorization: Bearer x',
  'X-Anything: y',
  ' folded',
  'NoColon',
]

const bodies = fc.string({ unit: 'binary-ascii', maxLength: 300 })
const wellFormed = fc.oneof(
  { weight: 5, arbitrary: bodies.map((body) => canonical(body)) },
  { weight: 1, arbitrary: fc.constantFrom(GET, CHUNKED, EXPECT) },
)
const mutated = fc.tuple(bodies, fc.nat(), fc.constantFrom(...ODD), fc.boolean()).map(([body, place, odd, replace]) => {
  const text = canonical(body)
  const head = text.indexOf('\r\n\r\n') + 4
  const at = place % head
  return text.slice(0, at) + odd + text.slice(at + (replace ? odd.length : 0))
})
const withHeader = fc
  .tuple(bodies, fc.constantFrom(...HEADERS))
  .map(([body, header]) => canonical(body, { headers: `${header}\r\n` }))
const conversation = fc.tuple(
  fc.array(
    fc.oneof(
      { weight: 4, arbitrary: wellFormed },
      { weight: 1, arbitrary: mutated },
      { weight: 1, arbitrary: withHeader },
    ),
    {
      minLength: 1,
      maxLength: 5,
    },
  ),
  fc.array(fc.nat(), { maxLength: 6 }),
)

test('T-H8 T-W15 lane and node:http agree on whatever is sent, however it is cut', async () => {
  await fc.assert(
    fc.asyncProperty(conversation, async ([requests, places]) => {
      const bytes = requests.join('')
      const cuts = [...new Set(places.map((place) => place % bytes.length))].sort((a, b) => a - b)
      const pieces = [0, ...cuts].map((cut, at) => bytes.slice(cut, cuts[at] ?? bytes.length))
      const { answers } = await same(pieces.filter((piece) => piece !== ''))
      for (const { status } of answers) assert(status < 500, `answered ${status}`)
      const last = answers.at(-1)
      assert(last !== undefined, 'not answered at all')
    }),
    { numRuns: 150 },
  )
})

test('T-W15 neither server has met an error of its own', () => {
  for (const { running } of servers) {
    assert.deepEqual(
      running.lines.filter(({ level }) => level === 'error'),
      [],
    )
    assert.equal(running.server.counts().requests, 0)
  }
})

function chunks(text: string, count: number): string {
  const head = `${line}Host: a\r\nTransfer-Encoding: chunked\r\n\r\n`
  return `${head}${`${text.length.toString(16)}\r\n${text}\r\n`.repeat(count)}0\r\n\r\n`
}
