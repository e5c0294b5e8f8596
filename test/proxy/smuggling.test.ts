/**
 * T-H8: raw bytes against the door, with an API server behind it that records raw bytes. Whatever is sent, the API server
 * reads as many requests as the door has let through, and the same ones.
 */
import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { afterEach, before, test } from 'node:test'
import { dial, request } from './support/client.ts'
import { createEstate, type Estate, type OpenDoor, openDoor } from './support/door.ts'

let estate: Estate
let door: OpenDoor

before(async () => {
  estate = await createEstate()
})
afterEach(() => door.close())

/** One request as the recorder read it: by its framing alone, as strictly as there is. */
interface Recorded {
  readonly line: string
  readonly body: string
}

/** Reads requests one after the other and answers each; what it cannot read is kept as `line`. */
function recorder(recorded: Recorded[]): ReturnType<typeof createServer> {
  return createServer((socket: Socket) => {
    let text = ''
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      for (let taken = takeRequest(text); taken !== undefined; taken = takeRequest(text)) {
        recorded.push(taken.recorded)
        text = taken.rest
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }
    })
  })
}

function takeRequest(text: string): { readonly recorded: Recorded; readonly rest: string } | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [line = '', ...fields] = text.slice(0, end).split('\r\n')
  const rest = text.slice(end + 4)
  const length = fields.find((field) => /^content-length:/i.test(field))?.slice(15)
  if (!fields.some((field) => /^transfer-encoding:/i.test(field))) {
    const bytes = Number(length ?? 0)
    if (rest.length < bytes) return undefined
    return { recorded: { line, body: rest.slice(0, bytes) }, rest: rest.slice(bytes) }
  }
  assert.equal(length, undefined, 'two framings reached the API server')
  let [body, at] = ['', 0]
  for (;;) {
    const eol = rest.indexOf('\r\n', at)
    if (eol < 0) return undefined
    const size = Number.parseInt(rest.slice(at, eol), 16)
    assert.match(rest.slice(at, eol), /^[0-9a-f]+$/i, 'a chunk size with something else')
    const next = eol + 2 + size + 2
    if (rest.length < next) return undefined
    assert.equal(rest.slice(next - 2, next), '\r\n')
    if (size === 0) return { recorded: { line, body }, rest: rest.slice(next) }
    body += rest.slice(eol + 2, eol + 2 + size)
    at = next
  }
}

const EVIL = 'GET /evil HTTP/1.1\r\nHost: a\r\nX: '
const post = (headers: string, body: string): string => request('POST /one', { headers, body })

/** What is sent, and the requests that may arrive for it. */
const CORPUS: readonly (readonly [title: string, bytes: string, arrives: readonly Recorded[]])[] = [
  ['a length and chunks', post('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${EVIL}`), []],
  ['chunks and a length', post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', `5c\r\n${EVIL}`), []],
  ['two lengths', post('Content-Length: 0\r\nContent-Length: 30\r\n', EVIL), []],
  ['a list of lengths', post('Content-Length: 0, 30\r\n', EVIL), []],
  ['a length with a sign', post('Content-Length: +3\r\n', 'abc'), []],
  ['a length in hexadecimal', post('Content-Length: 0x3\r\n', 'abc'), []],
  ['a negative length', post('Content-Length: -1\r\n', EVIL), []],
  ['a coding spelled otherwise', post('Transfer-Encoding: xchunked\r\n', `0\r\n\r\n${EVIL}`), []],
  ['a coding behind another', post('Transfer-Encoding: gzip, chunked\r\n', `0\r\n\r\n${EVIL}`), []],
  ['chunked twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${EVIL}`), []],
  ['chunked before another', post('Transfer-Encoding: chunked, identity\r\n', `0\r\n\r\n${EVIL}`), []],
  ['a space before the colon', post('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${EVIL}`), []],
  ['a vertical tab in the coding', post('Transfer-Encoding: \x0bchunked\r\n', `0\r\n\r\n${EVIL}`), []],
  ['a folded coding', post('Transfer-Encoding:\r\n chunked\r\n', `0\r\n\r\n${EVIL}`), []],
  ['a bare line feed in a header', post('X: 1\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${EVIL}`), []],
  ['a bare carriage return in a header', post('X: 1\rTransfer-Encoding: chunked\r\n', `0\r\n\r\n${EVIL}`), []],
  ['NUL in a header', post('X: 1\0\r\n', ''), []],
  ['a chunk size that is none', post('Transfer-Encoding: chunked\r\n', `0x2\r\nab\r\n0\r\n\r\n`), []],
  ['a chunk size with a sign', post('Transfer-Encoding: chunked\r\n', `+2\r\nab\r\n0\r\n\r\n`), []],
  ['a chunk longer than its size', post('Transfer-Encoding: chunked\r\n', `2\r\nabc\r\n0\r\n\r\n`), []],
  ['a chunk ended by a line feed', post('Transfer-Encoding: chunked\r\n', `2\r\nab\n0\r\n\r\n`), []],
  ['two hosts', request('GET /one', { headers: 'Host: other\r\n' }), []],
  ['a host in the target', request('GET http://other/one'), []],
  ['a version of its own', 'GET /one HTTP/1.2\r\nHost: a\r\nAuthorization: Bearer jane\r\n\r\n', []],
  ['chunks in HTTP/1.0', post('Transfer-Encoding: chunked\r\n', '0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0'), []],
  [
    'a GET with a body that looks like a request',
    request('GET /one', { headers: `Content-Length: ${EVIL.length}\r\n`, body: EVIL }),
    [{ line: 'GET /one HTTP/1.1', body: EVIL }],
  ],
  ['a request line with two spaces', request('GET  /one'), [{ line: 'GET /one HTTP/1.1', body: '' }]],
  [
    'chunks with extensions and trailers',
    post('Transfer-Encoding: chunked\r\n', '2;a=b\r\nab\r\n1\r\nc\r\n0\r\nX-Remote-User: admin\r\n\r\n'),
    [{ line: 'POST /one HTTP/1.1', body: 'abc' }],
  ],
  [
    'two good requests, the second in the packet of the first',
    post('Content-Length: 3\r\n', 'abc') + request('GET /two'),
    [
      { line: 'POST /one HTTP/1.1', body: 'abc' },
      { line: 'GET /two HTTP/1.1', body: '' },
    ],
  ],
]

for (const [title, bytes, arrives] of CORPUS)
  test(`T-H8 ${title}: ${arrives.length === 0 ? 'nothing arrives whole' : 'what was read here is read there'}`, async () => {
    const recorded: Recorded[] = []
    door = await openDoor(estate, recorder(recorded))
    const client = await dial(estate, door)
    client.send(bytes)
    await client.until((text) => text.split('HTTP/1.1 ').length > Math.max(1, arrives.length))
    client.socket.destroy()
    await client.closed
    assert.deepEqual(recorded, arrives)
    assert.ok(door.observations.every(({ outcome }) => outcome === 'forwarded' || outcome === 'refused'))
  })

test('T-H8 a body is framed anew: split anywhere, it arrives the same', async () => {
  const recorded: Recorded[] = []
  door = await openDoor(estate, recorder(recorded))
  const chunks = '5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n'
  for (const size of [1, 2, 3, 5, 8]) {
    const client = await dial(estate, door)
    const text = post('Transfer-Encoding: chunked\r\n', chunks)
    for (let at = 0; at < text.length; at += size) {
      client.send(text.slice(at, at + size))
      if (at > text.length - chunks.length) await new Promise(setImmediate)
    }
    await client.until('ok')
    client.socket.destroy()
  }
  assert.deepEqual(
    recorded.map(({ body }) => body),
    Array.from({ length: 5 }, () => 'hello world'),
  )
})
