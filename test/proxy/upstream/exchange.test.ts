/** One exchange at a time with servers of `node:http`. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { describe, type TestContext, test } from 'node:test'
import { connect as secure } from 'node:tls'
import type { ServerPool, UpstreamRequest } from '../../../src/proxy/upstream/upstream.ts'
import { createAuthority } from '../../support/tls.ts'
import { ask, listen, notes, poolTo, rawServer, until } from './support.ts'

type Handler = (incoming: IncomingMessage, outgoing: ServerResponse) => void

async function served(context: TestContext, handler: Handler, onContinue?: Handler): Promise<ServerPool> {
  const server = createServer(handler)
  if (onContinue !== undefined) server.on('checkContinue', onContinue)
  const port = await listen(server)
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return poolTo(context, port)
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of incoming.setEncoding('latin1')) body += chunk
  return body
}

/** Answers with what it was asked. */
const echo: Handler = async (incoming, outgoing) => {
  const body = await bodyOf(incoming)
  outgoing.end(
    JSON.stringify({ method: incoming.method, url: incoming.url, lines: incoming.rawHeaders, body }),
    'latin1',
  )
}

describe('a request arrives as it was sent', () => {
  const cases: readonly (readonly [name: string, parts: Partial<UpstreamRequest>, body: readonly string[]])[] = [
    ['without a body', {}, []],
    ['with a length', { method: 'POST', framing: { kind: 'length', bytes: 5 } }, ['he', 'l', 'lo']],
    ['with an empty body', { method: 'POST', framing: { kind: 'length', bytes: 0 } }, []],
    ['in chunks', { method: 'PATCH', framing: { kind: 'chunked' } }, ['{"a":', '1}']],
    ['in chunks, an empty one among them', { method: 'PUT', framing: { kind: 'chunked' } }, ['a', '', 'b']],
    ['in no chunks', { method: 'PUT', framing: { kind: 'chunked' } }, []],
    [
      'with names and values of any bytes',
      {
        headers: [
          ['Host', 'x'],
          ['X-Remote-User', 'J\xc3\xbcrgen'],
          ['x-remote-user', ''],
        ],
      },
      [],
    ],
  ]
  for (const [name, parts, body] of cases) {
    test(name, async (context) => {
      const pool = await served(context, echo)
      const { sink, exchange } = await ask(pool, parts)
      for (const piece of body) exchange.write(Buffer.from(piece))
      exchange.end()
      await sink.over
      const { method = 'GET', target = '/', headers = [['Host', 'a']] } = parts
      assert.deepEqual(sink.events, ['head', 'data', 'end'])
      const arrived = JSON.parse(sink.body)
      assert.deepEqual([arrived.method, arrived.url, arrived.body], [method, target, body.join('')])
      assert.deepEqual(arrived.lines.slice(0, headers.length * 2), headers.flat())
      await until(() => pool.idle() === 1)
    })
  }

  test('head and a small body in one piece, and the connection is used again', async (context) => {
    const pool = await served(context, echo)
    for (const again of [false, true, true]) {
      const { sink, exchange, reused } = await ask(pool, { method: 'POST', framing: { kind: 'length', bytes: 2 } })
      exchange.write(Buffer.from('hi'))
      await sink.over
      assert.deepEqual([reused, JSON.parse(sink.body).body, pool.idle(), pool.busy()], [again, 'hi', 1, 0])
    }
  })
})

describe('an answer arrives as it was given', () => {
  const kept = { idle: 1, body: '', framing: 'none' }
  const cases: readonly (readonly [
    name: string,
    handler: Handler,
    parts: Partial<UpstreamRequest>,
    expected: Partial<typeof kept> & { readonly status: number },
  ])[] = [
    [
      'with a length',
      (_, out) => void out.setHeader('Content-Length', 3).end('abc'),
      {},
      { status: 200, body: 'abc', framing: 'length' },
    ],
    [
      'in chunks with trailers',
      (_, out) => {
        out.writeHead(200, { Trailer: 'X-Sum' })
        out.write('ab')
        out.addTrailers({ 'X-Sum': '1' })
        out.end('c')
      },
      {},
      { status: 200, body: 'abc', framing: 'chunked' },
    ],
    [
      'to HEAD',
      (_, out) => void out.writeHead(200, { 'Content-Length': 3 }).end(),
      { method: 'HEAD' },
      { status: 200 },
    ],
    ['204', (_, out) => void out.writeHead(204).end(), {}, { status: 204 }],
    ['304', (_, out) => void out.writeHead(304, { ETag: 'x' }).end(), {}, { status: 304 }],
    [
      'with Connection: close',
      (_, out) => void out.writeHead(401, { Connection: 'close', 'Content-Length': 1 }).end('x'),
      {},
      { status: 401, body: 'x', framing: 'length', idle: 0 },
    ],
    [
      'until the connection ends',
      (_, out) => {
        out.shouldKeepAlive = false
        out.useChunkedEncodingByDefault = false
        out.writeHead(200).end('all')
      },
      {},
      { status: 200, body: 'all', framing: 'until-close', idle: 0 },
    ],
    [
      'behind early hints',
      (_, out) =>
        void out.writeEarlyHints({ link: '</a>; rel=preload' }, () =>
          out.writeHead(200, { 'Content-Length': 0 }).end(),
        ),
      {},
      { status: 200, framing: 'length' },
    ],
    [
      'where an upgrade was refused (H9)',
      (_, out) => void out.writeHead(403, { 'Content-Length': 2 }).end('no'),
      { upgrade: 'SPDY/3.1' },
      { status: 403, body: 'no', framing: 'length', idle: 0 },
    ],
  ]
  for (const [name, handler, parts, expected] of cases) {
    test(name, async (context) => {
      const pool = await served(context, handler)
      const { sink, exchange } = await ask(pool, parts)
      exchange.end()
      await sink.over
      const { status, ...rest } = { ...kept, ...expected }
      assert.equal(sink.answer?.status, status)
      assert.deepEqual({ idle: pool.idle(), body: sink.body, framing: sink.answer.framing.kind }, rest)
      assert.deepEqual(sink.events, rest.body === '' ? ['head', 'end'] : ['head', 'data', 'end'])
      assert.equal(pool.busy(), 0)
    })
  }
})

describe('Expect: 100-continue', () => {
  const upload = { method: 'POST', framing: { kind: 'length', bytes: 4 }, expectContinue: true } as const

  test('the body goes when the server says so', async (context) => {
    const pool = await served(context, echo, (incoming, outgoing) => {
      outgoing.writeContinue()
      void echo(incoming, outgoing)
    })
    const { sink, exchange } = await ask(pool, upload)
    await sink.seen('continued')
    exchange.write(Buffer.from('body'))
    exchange.end()
    await sink.over
    assert.deepEqual(sink.events, ['continued', 'head', 'data', 'end'])
    assert.equal(JSON.parse(sink.body).body, 'body')
    assert.equal(pool.idle(), 1)
  })

  test('a server that refuses never gets the body, and the connection is not used again', async (context) => {
    const pool = await served(context, echo, (_, outgoing) => {
      outgoing.writeHead(413, { 'Content-Length': 0 }).end()
    })
    const { sink, exchange } = await ask(pool, upload)
    await sink.over
    assert.equal(exchange.write(Buffer.from('body')), true)
    exchange.end()
    assert.deepEqual([sink.events, sink.answer?.status, pool.idle()], [['head', 'end'], 413, 0])
  })

  test('H8 a server that says so unasked changes nothing', async (context) => {
    const pool = await served(context, (incoming, outgoing) => {
      outgoing.writeContinue()
      void echo(incoming, outgoing)
    })
    const { sink } = await ask(pool)
    await sink.over
    assert.deepEqual(sink.events, ['head', 'data', 'end'])
  })
})

test('an early refusal does not wait for the rest of the body, and the connection is not used again', async (context) => {
  const server = await rawServer(context, (socket) => socket.pause())
  const pool = poolTo(context, server.port)
  const { sink, exchange } = await ask(pool, { method: 'POST', framing: { kind: 'length', bytes: 1e9 } })
  // More than the buffers on the way hold: nobody reads it, and only the refusal makes an end.
  assert.equal(exchange.write(Buffer.alloc(64 * 1024 * 1024)), false)
  await until(() => server.sockets.length === 1)
  server.sockets[0]?.write('HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\n\r\ntoo big')
  await sink.over
  assert.deepEqual(sink.events, ['head', 'drained', 'data', 'end'])
  assert.equal(exchange.write(Buffer.alloc(1)), true)
  assert.deepEqual([sink.body, pool.idle(), pool.busy()], ['too big', 0, 0])
})

test('H8 a connection with a request still on its way is not used again, whatever the answer', async (context) => {
  const server = await rawServer(context, (socket) => socket.pause())
  const pool = poolTo(context, server.port)
  const size = 64 * 1024 * 1024
  const { sink, exchange } = await ask(pool, { method: 'POST', framing: { kind: 'length', bytes: size } })
  exchange.write(Buffer.alloc(size))
  exchange.end()
  await until(() => server.sockets.length === 1)
  server.sockets[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  await sink.over
  assert.deepEqual([sink.events, pool.idle(), pool.busy()], [['head', 'data', 'end'], 0, 0])
})

test('the server goes on answering while the body is being sent', async (context) => {
  const pool = await served(context, (incoming, outgoing) => void incoming.pipe(outgoing.writeHead(200)))
  const { sink, exchange } = await ask(pool, { method: 'POST', framing: { kind: 'chunked' } })
  let said = ''
  for (const word of ['one', 'two', 'three']) {
    exchange.write(Buffer.from(word))
    said += word
    await until(() => sink.body === said)
  }
  exchange.end()
  await sink.over
  assert.deepEqual([sink.events, pool.idle()], [['head', 'data', 'end'], 1])
})

test('a body other than announced is never sent as if it were', async (context) => {
  const pool = await served(context, echo)
  const short = await ask(pool, { method: 'POST', framing: { kind: 'length', bytes: 3 } })
  short.exchange.write(Buffer.from('ab'))
  assert.throws(() => short.exchange.end(), { code: 'internal' })
  const long = await ask(pool, { method: 'POST', framing: { kind: 'length', bytes: 3 } })
  assert.throws(() => long.exchange.write(Buffer.from('abcd')), { code: 'internal' })
  const none = await ask(pool)
  assert.throws(() => none.exchange.write(Buffer.from('a')), { code: 'internal' })
  assert.deepEqual([pool.busy(), pool.idle()], [0, 0])
  for (const { sink } of [short, long, none]) assert.deepEqual(sink.events, [])
})

test('a refused head leaves the connection as it was', async (context) => {
  const pool = await served(context, echo)
  await assert.rejects(ask(pool, { headers: [['a', 'b\r\nc']] }), { code: 'internal' })
  assert.deepEqual([pool.busy(), pool.idle()], [0, 1])
  const { sink, reused } = await ask(pool)
  await sink.over
  assert.deepEqual([sink.events, reused], [['head', 'data', 'end'], false])
})

test('over TLS, kept and used again', async (context) => {
  const authority = await createAuthority()
  const { cert, key } = await authority.server()
  const server = createSecureServer({ cert, key }, echo)
  const port = await listen(server)
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const pool = poolTo(context, port, {
    async connect() {
      const socket = secure({ port, host: '127.0.0.1', ca: authority.cert })
      await once(socket, 'secureConnect')
      return socket
    },
  })
  const body = 'x'.repeat(300_000)
  for (const again of [false, true, true]) {
    const { sink, exchange, reused } = await ask(pool, { method: 'POST', framing: { kind: 'chunked' } }, notes())
    exchange.write(Buffer.from(body))
    exchange.end()
    await sink.over
    assert.equal(JSON.parse(sink.body).body.length, body.length)
    assert.deepEqual([reused, pool.idle(), pool.busy()], [again, 1, 0])
  }
})
