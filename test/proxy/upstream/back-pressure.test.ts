/** Slow readers and slow servers: bytes wait where they are, not here. */
import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import { describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { ask, notes, poolTo, rawServer, until } from './support.ts'

const HEAD = 'HTTP/1.1 200 OK\r\n'
const MIB = 1024 * 1024

describe('a reader that wants no more', () => {
  test('stops the server, and gets the rest, to the byte, when it goes on', async (context) => {
    const size = 32 * MIB
    const server = await rawServer(context, (socket) => {
      socket.once('data', () => {
        socket.write(`${HEAD}Content-Length: ${size}\r\n\r\n`)
        for (let sent = 0; sent < size; sent += MIB) socket.write(Buffer.alloc(MIB, sent / MIB))
      })
    })
    const pool = poolTo(context, server.port)
    let taken = 0
    let open = false
    const sink = notes((chunk) => {
      assert(!wanting || open, 'bytes came although none were wanted')
      assert.equal(chunk[0], Math.floor(taken / MIB))
      taken += chunk.length
      assert.equal(chunk.at(-1), Math.floor((taken - 1) / MIB))
      wanting = true
      return open
    })
    let wanting = false
    const { exchange } = await ask(pool, {}, sink)
    await sink.seen('data')
    const stopped = server.sockets[0] ?? assert.fail()
    // What is not taken stays with the server, but for what sockets hold.
    let before = -1
    while (before !== stopped.writableLength) {
      before = stopped.writableLength
      for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    }
    assert(stopped.writableLength > size / 2, `only ${stopped.writableLength} bytes are left at the server`)
    assert(taken <= 64 * 1024)

    open = true
    exchange.resume()
    await sink.over
    assert.deepEqual([taken, sink.events, pool.idle()], [size, ['head', 'data', 'end'], 1])
  })

  test('gets one chunk at a time, however they came', async (context) => {
    const chunks = Array.from({ length: 20 }, (_, at) => `4\r\n${String(at).padStart(4, '0')}\r\n`)
    const server = await rawServer(context, (socket) => {
      socket.on('data', () => socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n${chunks.join('')}0\r\n\r\n`))
    })
    const pool = poolTo(context, server.port)
    const sink = notes(() => false)
    const { exchange } = await ask(pool, {}, sink)
    await sink.seen('data')
    for (let at = 0; at < chunks.length; at += 1) {
      assert.equal(sink.body.length, (at + 1) * 4)
      exchange.resume()
    }
    await sink.over
    assert.equal(sink.body, chunks.map((chunk) => chunk.slice(3, 7)).join(''))
    assert.equal(pool.idle(), 1)
    const again = await ask(pool)
    await again.sink.over
    assert.deepEqual([again.reused, again.sink.body], [true, sink.body])
  })

  for (const [name, framing, tail] of [
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n', '2\r\ncd\r\n0\r\n\r\n'],
    ['until the end of the connection', '\r\nab', 'cd'],
  ] as const) {
    test(`gets what came before the server left, ${name}`, async (context) => {
      const server = await rawServer(context, (socket) => {
        socket.once('data', () => socket.end(`${HEAD}${framing}${tail}`))
      })
      const pool = poolTo(context, server.port)
      let closed = false
      const sink = notes(() => closed)
      const { exchange } = await ask(pool, {}, sink)
      await sink.seen('data')
      await until(() => server.sockets[0]?.readableEnded === true || server.sockets[0]?.writableFinished === true)
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      closed = true
      exchange.resume()
      await sink.over
      assert.deepEqual([sink.events, sink.body], [['head', 'data', 'end'], 'abcd'])
      assert.deepEqual([pool.idle(), pool.busy()], [0, 0])
    })
  }

  test('that leaves while held back closes the connection', async (context) => {
    const server = await rawServer(context, (socket) => {
      socket.once('data', () => socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n`))
    })
    const pool = poolTo(context, server.port)
    const sink = notes(() => false)
    const { exchange } = await ask(pool, {}, sink)
    await sink.seen('data')
    exchange.abort()
    exchange.resume()
    await until(() => server.sockets[0]?.closed === true)
    assert.deepEqual([sink.events, sink.body], [['head', 'data'], 'a'])
  })
})

describe('a server that takes no more', () => {
  for (const kind of ['chunked', 'length'] as const) {
    test(`stops the body (${kind}), which then arrives to the byte`, async (context) => {
      const [near, far] = duplexPair({ highWaterMark: 16 * 1024 })
      const pool = poolTo(context, 0, { connect: async () => near })
      const size = 4 * MIB
      const { sink, exchange } = await ask(pool, {
        method: 'POST',
        framing: kind === 'chunked' ? { kind } : { kind, bytes: size },
      })
      const piece = Buffer.alloc(32 * 1024, 'x')
      let written = 0
      const go = (): boolean => {
        while (written < size) {
          written += piece.length
          if (!exchange.write(piece)) return false
        }
        exchange.end()
        return true
      }
      assert.equal(go(), false)
      assert(written < size, 'nothing held the body back')
      assert(near.writableLength <= 4 * piece.length)

      let arrived = ''
      far.setEncoding('latin1').on('data', (text: string) => {
        arrived += text
      })
      const drained = sink.drained.bind(sink)
      sink.drained = () => {
        drained()
        if (go()) setImmediate(() => far.write(`${HEAD}Content-Length: 0\r\n\r\n`))
      }
      await sink.over
      const body = arrived.slice(arrived.indexOf('\r\n\r\n') + 4)
      const expected =
        kind === 'length' ? 'x'.repeat(size) : `${`8000\r\n${'x'.repeat(32_768)}\r\n`.repeat(128)}0\r\n\r\n`
      assert.equal(body === expected, true)
      assert(sink.events.filter((event) => event === 'drained').length > 1)
    })
  }
})

test('an idle watch keeps nothing of its head', async (context) => {
  const [near, far] = duplexPair()
  const pool = poolTo(context, 0, { connect: async () => near })
  let held: WeakRef<object> | undefined
  const sink = notes()
  sink.head = (head) => {
    held = new WeakRef(head)
  }
  await ask(pool, {}, sink)
  far.resume()
  setImmediate(() => far.write(`${HEAD}Transfer-Encoding: chunked\r\nX-Long: ${'x'.repeat(2000)}\r\n\r\n1\r\na\r\n`))
  await sink.seen('data')
  setFlagsFromString('--expose-gc')
  await new Promise((resolve) => setImmediate(resolve)) // a reference that was looked at lasts until the turn is over
  runInNewContext('gc')()
  assert(held !== undefined)
  assert.equal(held.deref(), undefined)
})
