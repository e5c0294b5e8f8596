/** What a server, or the network, may do to an exchange. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { UpstreamRequest } from '../../../src/proxy/upstream/upstream.ts'
import { answering, ask, notes, poolTo, rawServer, until } from './support.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const SECOND = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond'

describe('H8 an answer nobody asked for is never delivered', () => {
  test('behind the first, in one piece with it', async (context) => {
    const server = await answering(context, OK + SECOND)
    const pool = poolTo(context, server.port)
    const { sink } = await ask(pool)
    await sink.over
    assert.deepEqual([sink.events, sink.body], [['head', 'data', 'end'], 'ok'])
    assert.deepEqual([pool.idle(), pool.busy()], [0, 0])
    const next = await ask(pool)
    await next.sink.over
    assert.deepEqual([next.reused, next.sink.body], [false, 'ok'])
  })

  test('behind the first, while the connection is kept', async (context) => {
    const server = await answering(context, OK)
    const pool = poolTo(context, server.port)
    const { sink } = await ask(pool)
    await sink.over
    assert.equal(pool.idle(), 1)
    server.sockets[0]?.write(SECOND)
    await until(() => pool.idle() === 0)
    const next = await ask(pool)
    await next.sink.over
    assert.deepEqual([next.reused, next.sink.body, pool.busy()], [false, 'ok', 0])
  })

  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ] as const) {
    test(`as the body of an answer that has none (${method}, ${status})`, async (context) => {
      const server = await answering(
        context,
        `HTTP/1.1 ${status} X\r\nContent-Length: ${SECOND.length}\r\n\r\n${SECOND}`,
      )
      const pool = poolTo(context, server.port)
      const { sink } = await ask(pool, { method })
      await sink.over
      assert.deepEqual([sink.events, sink.answer?.status, sink.body], [['head', 'end'], status, ''])
      assert.deepEqual([pool.idle(), pool.busy()], [0, 0])
    })
  }

  test('a single byte of it', async (context) => {
    const server = await answering(context, `${OK}\n`)
    const pool = poolTo(context, server.port)
    const { sink } = await ask(pool)
    await sink.over
    assert.deepEqual([sink.body, pool.idle()], ['ok', 0])
  })
})

describe('an exchange fails once, and its connection ends', () => {
  const cases: readonly (readonly [
    name: string,
    text: string,
    expected: { readonly kind: string; readonly answered: boolean; readonly events: readonly string[] },
    parts?: Partial<UpstreamRequest>,
  ])[] = [
    [
      'H8 two framings',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok',
      { kind: 'invalid', answered: true, events: ['failed'] },
    ],
    [
      'H8 a broken chunk',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokk\r\n0\r\n\r\n',
      { kind: 'invalid', answered: true, events: ['head', 'data', 'failed'] },
    ],
    ['another protocol', 'SSH-2.0-x\r\n', { kind: 'invalid', answered: true, events: ['failed'] }],
    [
      'H9 101 to no question',
      'HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      { kind: 'invalid', answered: true, events: ['failed'] },
    ],
    [
      'H9 101 for another protocol',
      'HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
      { kind: 'invalid', answered: true, events: ['failed'] },
      { upgrade: 'websocket' },
    ],
  ]
  for (const [name, text, expected, parts] of cases) {
    test(name, async (context) => {
      const server = await answering(context, text)
      const pool = poolTo(context, server.port)
      const { sink, exchange } = await ask(pool, parts)
      await sink.over
      const { kind, answered } = sink.failure ?? {}
      assert.deepEqual({ kind, answered, events: sink.events }, expected)
      assert.match(sink.failure?.message ?? '', /^server: /)
      await until(() => server.sockets[0]?.closed === true)
      for (const late of [() => exchange.resume(), () => exchange.end(), () => exchange.abort()]) late()
      assert.equal(exchange.write(Buffer.from('late')), true)
      assert.deepEqual([sink.events, pool.idle(), pool.busy()], [expected.events, 0, 0])
    })
  }

  const ends: readonly (readonly [name: string, text: string, events: readonly string[]])[] = [
    ['without a word', '', ['failed']],
    ['within the head', 'HTTP/1.1 200', ['failed']],
    ['within the body', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab', ['head', 'data', 'failed']],
    [
      'within the chunks',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n',
      ['head', 'data', 'failed'],
    ],
    ['behind an interim answer', 'HTTP/1.1 100 Continue\r\n\r\n', ['failed']],
  ]
  for (const [name, text, events] of ends) {
    for (const way of ['end', 'resetAndDestroy'] as const) {
      test(`when the server leaves ${name} (${way})`, async (context) => {
        const server = await rawServer(context, (socket) => {
          socket.once('data', () => {
            if (text === '') socket[way]()
            else socket.write(text)
          })
        })
        const pool = poolTo(context, server.port)
        const sink = notes()
        await ask(pool, {}, sink)
        await until(() => server.sockets.length === 1)
        if (text !== '') {
          await (events.length > 1 ? sink.seen('data') : until(() => (server.sockets[0]?.bytesWritten ?? 0) > 0))
          server.sockets[0]?.[way]()
        }
        await sink.over
        assert.deepEqual([sink.events, sink.failure?.kind], [events, 'lost'])
        // A reset may overtake a head that was not read yet.
        if (way === 'end' || events.length > 1) assert.equal(sink.failure?.answered, text !== '')
        assert.deepEqual([pool.idle(), pool.busy()], [0, 0])
      })
    }
  }

  test('when its sink throws, with that as the cause', async (context) => {
    const server = await answering(context, OK)
    const pool = poolTo(context, server.port)
    const fault = new Error('a fault of the door')
    const sink = notes(() => {
      throw fault
    })
    await ask(pool, {}, sink)
    await sink.over
    assert.deepEqual([sink.events, sink.failure?.cause], [['head', 'data', 'failed'], fault])
    assert.equal(pool.idle(), 0)
  })
})

describe('a client that leaves', () => {
  for (const [name, text, event] of [
    ['before the answer', '', undefined],
    ['within the answer', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n', 'data'],
  ] as const) {
    test(`${name} closes the connection, and nothing more is told`, async (context) => {
      let asked = false
      const server = await rawServer(context, (socket) => {
        socket.once('data', () => {
          asked = true
          socket.write(text)
        })
      })
      const pool = poolTo(context, server.port)
      const { sink, exchange } = await ask(pool)
      await (event === undefined ? until(() => asked) : sink.seen(event))
      const events = [...sink.events]
      exchange.abort()
      assert.deepEqual([pool.busy(), pool.idle()], [0, 0])
      await until(() => server.sockets[0]?.closed === true)
      assert.deepEqual(sink.events, events)
    })
  }

  test('from within an event of the answer is told no more of it', async (context) => {
    const server = await answering(
      context,
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n',
    )
    const pool = poolTo(context, server.port)
    const sink = notes(() => {
      exchange.abort()
      return true
    })
    const { exchange } = await ask(pool, {}, sink)
    await until(() => server.sockets[0]?.closed === true)
    assert.deepEqual([sink.events, sink.body, pool.busy()], [['head', 'data'], 'a', 0])
  })

  test('at the head is told nothing of the body that came with it', async (context) => {
    const server = await answering(context, OK)
    const pool = poolTo(context, server.port)
    const sink = notes()
    const { head } = sink
    sink.head = (answer) => {
      head(answer)
      exchange.abort()
    }
    const { exchange } = await ask(pool, {}, sink)
    await until(() => server.sockets[0]?.closed === true)
    assert.deepEqual([sink.events, pool.idle(), pool.busy()], [['head'], 0, 0])
  })

  test('after its answer closes nothing: the connection may be somebody else’s', async (context) => {
    const server = await answering(context, OK)
    const pool = poolTo(context, server.port)
    const first = await ask(pool)
    await first.sink.over
    const second = await ask(pool)
    first.exchange.abort()
    first.exchange.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    await second.sink.over
    assert.deepEqual([second.reused, second.sink.events], [true, ['head', 'data', 'end']])
    assert.deepEqual(first.sink.events, ['head', 'data', 'end'])
  })
})

test('a kept connection that has died fails as lost, with nothing answered', async (context) => {
  const server = await rawServer(context, (socket) => {
    socket.once('data', () => {
      socket.write(OK)
      socket.once('data', () => socket.resetAndDestroy())
    })
  })
  const pool = poolTo(context, server.port)
  const first = await ask(pool)
  await first.sink.over
  const { sink, reused } = await ask(pool)
  await sink.over
  assert.equal(reused, true)
  assert.deepEqual([sink.events, sink.failure?.kind, sink.failure?.answered], [['failed'], 'lost', false])
})

describe('H9 an upgrade', () => {
  const parts = { method: 'POST', upgrade: 'SPDY/3.1' } as const
  const switching =
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream: v4\r\n\r\n'

  test('hands the socket over, with what came right behind the head', async (context) => {
    const server = await answering(context, `${switching}early\r\n\r\n`)
    const pool = poolTo(context, server.port)
    const { sink } = await ask(pool, parts)
    await sink.over
    assert.deepEqual([sink.events, sink.answer?.status], [['upgraded'], 101])
    const { socket, early } = sink.tunnel ?? assert.fail()
    assert.deepEqual([early.toString(), socket.isPaused(), pool.busy(), pool.idle()], ['early\r\n\r\n', true, 1, 0])

    server.sockets[0]?.write('HTTP/1.1 200 is only bytes now')
    let heard = ''
    socket.on('data', (bytes) => {
      heard += bytes
    })
    socket.resume()
    await until(() => heard === 'HTTP/1.1 200 is only bytes now')
    socket.destroy()
    await until(() => pool.busy() === 0)
    assert.equal(pool.idle(), 0)
  })

  test('the server’s last word does not end what is said to it', async (context) => {
    let heard = ''
    const server = await rawServer(context, (socket) => {
      socket.once('data', () => {
        socket.write(switching)
        socket.on('data', (bytes) => {
          heard += bytes
        })
      })
    })
    const { sink } = await ask(poolTo(context, server.port), parts)
    await sink.over
    const { socket } = sink.tunnel ?? assert.fail()
    socket.allowHalfOpen = true
    server.sockets[0]?.end()
    socket.resume()
    await until(() => socket.readableEnded)
    socket.end('still here')
    await until(() => heard === 'still here')
  })

  test('nothing is lost that comes before the socket is read', async (context) => {
    const server = await rawServer(context, (socket) => {
      socket.once('data', () => {
        socket.write(switching)
        setImmediate(() => socket.end('later'))
      })
    })
    const { sink } = await ask(poolTo(context, server.port), parts)
    await sink.over
    await until(() => server.sockets[0]?.writableFinished === true)
    const { socket, early } = sink.tunnel ?? assert.fail()
    let heard = early.toString()
    for await (const bytes of socket) heard += bytes
    assert.equal(heard, 'later')
  })

  for (const answer of [
    'HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n',
  ]) {
    test(`refused by ${answer.slice(9, 12)} is an answer, and its connection carries nothing more`, async (context) => {
      const server = await answering(context, answer)
      const pool = poolTo(context, server.port)
      const { sink, exchange } = await ask(pool, parts)
      await sink.over
      assert.deepEqual([sink.events, sink.tunnel, pool.idle(), pool.busy()], [['head', 'end'], undefined, 0, 0])
      assert.equal(exchange.write(Buffer.from('GET /api/v1/secrets HTTP/1.1\r\n\r\n')), true)
      await until(() => server.sockets[0]?.closed === true)
    })
  }

  test('ends with the pool', async (context) => {
    const server = await answering(context, switching)
    const pool = poolTo(context, server.port)
    const { sink } = await ask(pool, parts)
    await sink.over
    pool.retire()
    assert.equal(sink.tunnel?.socket.destroyed, false)
    pool.close()
    assert.equal(sink.tunnel?.socket.destroyed, true)
    await until(() => server.sockets[0]?.closed === true)
  })
})
