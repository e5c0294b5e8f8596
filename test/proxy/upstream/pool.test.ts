import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { type ServerPoolOptions, serverPool } from '../../../src/proxy/upstream/pool.ts'
import { type ServerPool, type UpstreamConnection, UpstreamFailure } from '../../../src/proxy/upstream/upstream.ts'
import { answering, ask, dial, notes, poolTo, type RawServer, rawServer, request, until } from './support.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const NEVER = new AbortController().signal

/** A pool and a server that answers everything, with a clock and a sweep by hand. */
async function estate(
  context: TestContext,
  options: Partial<ServerPoolOptions> = {},
  text = OK,
): Promise<{ server: RawServer; pool: ServerPool; passes(ms: number): void }> {
  const server = await answering(context, text)
  let [time, sweep] = [0, (): void => {}]
  const pool = poolTo(context, server.port, {
    now: () => time,
    every(_, work) {
      sweep = work
      return () => {}
    },
    ...options,
  })
  return {
    server,
    pool,
    passes(ms) {
      time += ms
      sweep()
    },
  }
}

/** So many exchanges at a time, to their end. */
async function asked(pool: ServerPool, times: number): Promise<void> {
  const connections = await Promise.all(Array.from({ length: times }, () => pool.acquire(NEVER)))
  await Promise.all(
    connections.map(async (connection) => {
      const sink = notes()
      connection.exchange(request(), sink)
      await sink.over
    }),
  )
}

describe('connections', () => {
  test('are counted: in use, and kept', async (context) => {
    const { pool } = await estate(context)
    const first = await pool.acquire(NEVER)
    const second = await pool.acquire(NEVER)
    assert.deepEqual([pool.busy(), pool.idle(), first.reused], [2, 0, false])
    second.release()
    second.release()
    assert.deepEqual([pool.busy(), pool.idle()], [1, 1])
    const sink = notes()
    first.exchange(request(), sink)
    await sink.over
    assert.deepEqual([pool.busy(), pool.idle()], [0, 2])
  })

  test('the one used last is taken first', async (context) => {
    const { server, pool } = await estate(context)
    await asked(pool, 3)
    await asked(pool, 1)
    await asked(pool, 1)
    const most = Math.max(...server.sockets.map((socket) => socket.bytesWritten))
    assert.equal(most, OK.length * 3)
    assert.equal(server.sockets.length, 3)
  })

  test('are new where that is needed, and kept as the others', async (context) => {
    const { pool } = await estate(context)
    await asked(pool, 1)
    const fresh = await pool.acquire(NEVER, 'fresh')
    assert.deepEqual([fresh.reused, pool.busy(), pool.idle()], [false, 1, 1])
    fresh.release()
    assert.equal(pool.idle(), 2)
  })

  test('that were lent serve one exchange, and none once given back', async (context) => {
    const { pool } = await estate(context)
    const connection = await pool.acquire(NEVER)
    const sink = notes()
    connection.exchange(request(), sink)
    assert.throws(() => connection.exchange(request(), sink), { code: 'internal' })
    connection.release()
    await sink.over
    assert.deepEqual([sink.events, pool.idle()], [['head', 'data', 'end'], 1])
    const released = await pool.acquire(NEVER)
    released.release()
    assert.throws(() => released.exchange(request(), sink), { code: 'internal' })
  })

  test('beyond those that may be kept are closed, the oldest first', async (context) => {
    const { server, pool } = await estate(context, { maxIdle: 2 })
    const lent: UpstreamConnection[] = []
    for (let count = 1; count <= 4; count += 1) {
      lent.push(await pool.acquire(NEVER))
      await until(() => server.sockets.length === count) // so that theirs are in the same order
    }
    for (const connection of lent) connection.release()
    assert.deepEqual([pool.busy(), pool.idle()], [0, 2])
    const closed = (): boolean[] => server.sockets.map((socket) => socket.closed)
    await until(() => closed().filter(Boolean).length === 2)
    assert.deepEqual(closed(), [true, true, false, false])
  })

  test('that the server closes are not kept', async (context) => {
    const { server, pool } = await estate(context)
    await asked(pool, 2)
    server.sockets[0]?.end()
    await until(() => pool.idle() === 1)
    server.sockets[1]?.resetAndDestroy()
    await until(() => pool.idle() === 0)
    assert.equal(pool.busy(), 0)
  })

  test('that die while they are lent fail their exchange, later and once', async (context) => {
    const { server, pool } = await estate(context)
    const connection = await pool.acquire(NEVER)
    await until(() => server.sockets.length === 1)
    server.sockets[0]?.resetAndDestroy()
    await until(() => pool.busy() === 0)
    const sink = notes()
    connection.exchange(request(), sink)
    assert.deepEqual(sink.events, [])
    await sink.over
    assert.deepEqual([sink.events, sink.failure?.kind, sink.failure?.answered], [['failed'], 'lost', false])
    assert.deepEqual([pool.busy(), pool.idle()], [0, 0])
  })
})

describe('time', () => {
  test('closes what is not used for long, and nothing else', async (context) => {
    const { server, pool, passes } = await estate(context, { idleTimeoutMs: 100 })
    await asked(pool, 2)
    passes(0)
    passes(99)
    assert.equal(pool.idle(), 2)
    await asked(pool, 1) // the one used last begins anew
    passes(1)
    assert.equal(pool.idle(), 1)
    await until(() => server.sockets.filter(({ closed }) => closed).length === 1)
    passes(100)
    assert.equal(pool.idle(), 0)
  })

  test('leaves those in use alone', async (context) => {
    const { pool, passes } = await estate(
      context,
      { idleTimeoutMs: 100 },
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    )
    const { sink } = await ask(pool)
    await sink.seen('head')
    for (let hours = 0; hours < 5; hours += 1) passes(3_600_000)
    assert.deepEqual([pool.busy(), sink.events], [1, ['head']])
  })

  test('ends a wait for a head, where that is wanted', async (context) => {
    const { pool, passes } = await estate(context, { headTimeoutMs: 50 }, '')
    const { sink } = await ask(pool)
    passes(0)
    passes(49)
    assert.deepEqual(sink.events, [])
    passes(1)
    assert.deepEqual([sink.events, sink.failure?.kind, pool.busy()], [['failed'], 'timeout', 0])
  })

  test('is counted anew for each wait and each rest', async (context) => {
    const { server, pool, passes } = await estate(context, { headTimeoutMs: 50, idleTimeoutMs: 50 }, '')
    const first = await ask(pool)
    await until(() => server.sockets.length === 1)
    passes(0)
    passes(40)
    server.sockets[0]?.write(OK)
    await first.sink.over
    passes(20)
    assert.equal(pool.idle(), 1)
    const second = await ask(pool)
    passes(40)
    passes(40)
    assert.deepEqual([second.reused, second.sink.events], [true, []])
    passes(10)
    assert.equal(second.sink.failure?.kind, 'timeout')
  })

  test('is not counted while the body is on its way, nor once the head has come', async (context) => {
    const { pool, passes } = await estate(
      context,
      { headTimeoutMs: 50 },
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    )
    const upload = await ask(pool, { method: 'PUT', framing: { kind: 'chunked' }, expectContinue: true })
    const watch = await ask(pool)
    await watch.sink.seen('head')
    await upload.sink.seen('head')
    passes(0)
    passes(1000)
    assert.equal(pool.busy(), 2)

    const { pool: silent, passes: waits } = await estate(context, { headTimeoutMs: 50 }, '')
    const slow = await ask(silent, { method: 'PUT', framing: { kind: 'chunked' } })
    waits(0)
    waits(1000)
    assert.deepEqual(slow.sink.events, [])
    slow.exchange.end()
    waits(0)
    waits(50)
    assert.equal(slow.sink.failure?.kind, 'timeout')
  })
})

describe('a connection that cannot be made', () => {
  test('is unreachable, with the cause', async (context) => {
    const cause = new Error('no route')
    const pool = poolTo(context, 0, { connect: () => Promise.reject(cause) })
    await assert.rejects(pool.acquire(NEVER), (error) => {
      assert(error instanceof UpstreamFailure)
      assert.deepEqual(
        [error.kind, error.answered, error.cause, error.message],
        ['unreachable', false, cause, 'server: no route'],
      )
      return true
    })
    assert.deepEqual([pool.busy(), pool.idle()], [0, 0])
  })

  test('is not waited for when nobody wants it any more', async (context) => {
    let told: unknown
    const pool = poolTo(context, 0, {
      connect: (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            told = signal.reason
            reject(signal.reason)
          })
        }),
    })
    const client = new AbortController()
    const waiting = pool.acquire(client.signal)
    const left = new Error('the client left')
    client.abort(left)
    await assert.rejects(waiting, { kind: 'unreachable', cause: left })
    assert.equal(told, left)
    await assert.rejects(pool.acquire(client.signal), { kind: 'unreachable' })

    const other = pool.acquire(NEVER)
    pool.close()
    await assert.rejects(other, { kind: 'unreachable', message: 'server: the pool was closed' })
  })

  test('and comes too late is closed', async (context) => {
    const server = await rawServer(context, () => {})
    const { promise, resolve } = Promise.withResolvers<Socket>()
    const pool = poolTo(context, server.port, { connect: () => promise })
    const client = new AbortController()
    const waiting = pool.acquire(client.signal)
    client.abort()
    resolve(await dial(server.port))
    await assert.rejects(waiting, { kind: 'unreachable' })
    await until(() => server.sockets[0]?.closed === true)
    assert.deepEqual([pool.busy(), pool.idle()], [0, 0])
  })
})

describe('a pool that is retired', () => {
  test('closes what is kept at once, the others when their exchange is over, and makes new ones', async (context) => {
    const { server, pool } = await estate(context)
    await asked(pool, 2)
    const { sink } = await ask(pool)
    pool.retire()
    assert.deepEqual([pool.idle(), pool.busy()], [0, 1])
    await sink.over
    assert.deepEqual([sink.events, pool.idle(), pool.busy()], [['head', 'data', 'end'], 0, 0])
    await until(() => server.sockets.every(({ closed }) => closed))
    const next = await ask(pool)
    await next.sink.over
    assert.deepEqual([next.reused, pool.idle()], [false, 1])
  })

  test('takes a connection that was being made for an old one', async (context) => {
    const server = await answering(context, OK)
    const { promise, resolve } = Promise.withResolvers<Socket>()
    const pool = poolTo(context, server.port, { connect: () => promise })
    const waiting = ask(pool)
    pool.retire()
    resolve(await dial(server.port))
    const { sink } = await waiting
    await sink.over
    assert.deepEqual([sink.body, pool.idle(), pool.busy()], ['ok', 0, 0])
  })
})

test('a pool that is closed fails what is under way, once, and lends nothing more', async (context) => {
  const { server, pool } = await estate(context, {}, '')
  const { sink } = await ask(pool)
  const lent = await pool.acquire(NEVER)
  await until(() => server.sockets.length === 2)
  pool.close()
  pool.close()
  assert.deepEqual([sink.events, sink.failure?.kind, pool.busy(), pool.idle()], [['failed'], 'lost', 0, 0])
  lent.release()
  assert.equal(pool.idle(), 0)
  await assert.rejects(pool.acquire(NEVER), { kind: 'unreachable', message: 'server: the pool is closed' })
  await until(() => server.sockets.every(({ closed }) => closed))
})

test('a pool keeps no process alive by its clock', () => {
  const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const pool = serverPool({ name: 'server', connect: () => Promise.reject(new Error('not asked')) })
  assert.equal(process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length, timers)
  pool.close()
})
