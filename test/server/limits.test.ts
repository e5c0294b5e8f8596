/** Limits of time, number and size, for both sides of the listener. Time passes when the test says so. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, afterEach, before, describe, test } from 'node:test'
import { BodyBuffer } from '../../src/server/body.ts'
import { createBudget } from '../../src/server/limits.ts'
import {
  canonical,
  createEstate,
  dial,
  type Estate,
  type Running,
  type StartOptions,
  settled,
  start,
} from './support.ts'

const ODD = canonical('{}', { headers: 'X-Other: 1\r\n' })

let estate: Estate
let running: Running

before(async () => {
  estate = await createEstate()
})
after(() => estate.folder.remove())
afterEach(() => running?.server.close({ drainMs: 0 }))

for (const [side, lane] of [
  ['lane', true],
  ['node:http', false],
] as const)
  describe(side, () => {
    const begin = async (options: StartOptions = {}): Promise<void> => {
      running = await start(estate, { lane, ...options })
    }

    for (const [name, bytes] of [
      ['head', canonical('{}').slice(0, 40)],
      ['first byte', 'P'],
      ['body', canonical('{"a":1}').slice(0, -2)],
      ['chunked body', 'POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab'],
    ] as const)
      for (const earlier of ['nothing', 'a canonical request', 'an odd request'])
        test(`a ${name} that does not go on is a 408 after requestTimeout, after ${earlier}`, async () => {
          await begin()
          const client = await dial(estate, running.port)
          if (earlier !== 'nothing') {
            client.send(earlier === 'a canonical request' ? canonical('{}') : ODD)
            await client.next()
          }
          client.send(bytes)
          await settled(estate, running)
          running.pass(0) // notices, on the slow path, that something has begun
          running.pass(14_999)
          assert.equal(client.socket.destroyed, false)
          running.pass(1)
          const [answer, ...others] = await client.rest()
          assert.deepEqual(others, [])
          assert.equal(answer?.status, 408)
          assert.equal(answer.headers.get('connection'), 'close')
          assert.equal(JSON.parse(answer.body).reason, 'Timeout')
          assert(running.events.includes('answered 408'))
        })

    test('T-S15 bytes that trickle in do not buy more time', async () => {
      await begin()
      const client = await dial(estate, running.port)
      const bytes = canonical('{"a":1}')
      let sent = 0
      while (!client.socket.destroyed && sent < 20) {
        client.send(bytes.slice(sent, sent + 1))
        sent += 1
        await settled(estate, running)
        running.pass(1000)
      }
      const [answer] = await client.rest()
      assert.equal(answer?.status, 408)
      assert(sent <= 17, `${sent} bytes`)
    })

    test('an idle connection is closed after idleTimeout, without an answer, and a request starts it anew', async () => {
      await begin()
      const client = await dial(estate, running.port)
      await running.seen('opened')
      running.pass(119_999)
      client.send(canonical('{}'))
      assert.equal((await client.next()).status, 200)
      await settled(estate, running)
      running.pass(119_999)
      client.send(canonical('{}'))
      assert.equal((await client.next()).status, 200)
      await settled(estate, running)
      running.pass(120_000)
      assert.deepEqual(await client.rest(), [])
      assert(!running.events.includes('answered 408'))
    })

    test('T-S15 a client that does not take its answers is dropped', async () => {
      await begin({ handler: () => ({ status: 200, body: 'z'.repeat(1024 * 1024) }) })
      const client = await dial(estate, running.port)
      client.socket.pause()
      for (let count = 0; count < 40; count += 1) client.send(canonical('{}'))
      await new Promise((resolve) => setImmediate(resolve))
      const other = await dial(estate, running.port)
      other.send(canonical('{}'))
      await other.next()
      other.destroy()
      await running.seen('closed')
      running.pass(15_000)
      running.pass(15_000)
      await running.seen('closed', 2)
      assert.equal(running.server.counts().connections, 0)
    })

    test('a body at the limit is served, one byte more is a 413 before it has been sent', async () => {
      await begin({ limits: { bodyBytes: 100_000 } })
      const client = await dial(estate, running.port)
      client.send(canonical('x'.repeat(100_000)))
      assert.equal((await client.next()).status, 200)
      client.send(canonical('x'.repeat(100_001)).slice(0, 400))
      const answer = await client.next()
      assert.equal(answer.status, 413)
      assert.equal(answer.headers.get('connection'), 'close')
      assert.equal(JSON.parse(answer.body).reason, 'RequestEntityTooLarge')
      client.socket.end()
      assert.deepEqual(await client.rest(), [])
    })

    test('a 413 reaches a client that goes on sending', async () => {
      await begin({ limits: { bodyBytes: 1000 } })
      const client = await dial(estate, running.port)
      client.send(canonical('x'.repeat(4 * 1024 * 1024)))
      assert.equal((await client.next()).status, 413)
      client.destroy()
    })

    test('T-S15 a client that stays after its last answer is dropped', async () => {
      await begin()
      const socket = connect({ port: running.port, host: '127.0.0.1', allowHalfOpen: true })
      await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
      const client = await dial(estate, running.port, { socket })
      client.send('NONSENSE\r\n\r\n')
      assert.equal((await client.next()).status, 400)
      client.send('more')
      await settled(estate, running)
      running.pass(1999)
      await settled(estate, running)
      assert.equal(running.server.counts().connections, 1)
      running.pass(1)
      while (running.server.counts().connections > 0) await new Promise(setImmediate)
      socket.destroy()
    })

    test('T-S15 what a body that broke off has taken is given back', async () => {
      await begin({ limits: { bodyBytes: 60_000, bufferedBytes: 60_000 } })
      const whole = canonical('x'.repeat(50_000))
      for (let round = 1; round <= 4; round += 1) {
        const client = await dial(estate, running.port)
        client.send(whole.slice(0, -1))
        await settled(estate, running)
        if (round % 2 === 0) client.destroy()
        else client.socket.end()
        await running.seen('closed', round * 4)
      }
      const client = await dial(estate, running.port)
      client.send(whole)
      assert.equal((await client.next()).status, 200)
      client.destroy()
    })

    test('T-S15 bytes sent ahead one by one are answered all the same', async () => {
      const finish: (() => void)[] = []
      await begin({
        handler: ({ body }) =>
          new Promise((resolve) => finish.push(() => resolve({ status: 200, body: body.toString() }))),
      })
      const client = await dial(estate, running.port)
      client.send(canonical('first'))
      while (finish.length === 0) await new Promise(setImmediate)
      for (const character of canonical('second')) client.send(character)
      finish[0]?.()
      assert.equal((await client.next()).body, 'first')
      while (finish.length === 1) await new Promise(setImmediate)
      finish[1]?.()
      assert.equal((await client.next()).body, 'second')
      client.destroy()
    })

    test('T-S15 bodies under way share a budget; beyond it the answer is 503', async () => {
      await begin({ limits: { bodyBytes: 60_000, bufferedBytes: 60_000 } })
      const whole = canonical('x'.repeat(50_000))
      const parties = await Promise.all(
        [1, 2].map(async () => {
          const client = await dial(estate, running.port)
          client.send(whole.slice(0, -1))
          return { client, answer: client.next() }
        }),
      )
      // Whoever is first to ask for too much is refused, and what it had goes back.
      const first = await Promise.race(parties.map(async (party) => ({ party, answer: await party.answer })))
      assert.equal(first.answer.status, 503)
      assert.equal(first.answer.headers.get('retry-after'), '1')
      await running.seen('closed')
      for (const { client, answer } of parties.filter((party) => party !== first.party)) {
        client.send('x')
        assert.equal((await answer).status, 200)
        client.send(whole)
        assert.equal((await client.next()).status, 200)
        client.destroy()
      }
    })
  })

describe('time', () => {
  test('passes by itself as well', async () => {
    running = await start(estate, { limits: { requestTimeoutMs: 40 }, now: () => performance.now() })
    const client = await dial(estate, running.port)
    client.send(canonical('{"a":1}').slice(0, -2))
    const [answer] = await client.rest()
    assert.equal(answer?.status, 408)
  })
})

describe('connections', () => {
  test('T-S15 a handshake must be over in time, however busy it is kept', async () => {
    running = await start(estate)
    const socket = connect(running.port, '127.0.0.1')
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    socket.on('error', () => {})
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
    socket.write(Buffer.of(22, 3, 1, 2)) // a record has begun
    await settled(estate, running)
    running.pass(9999)
    socket.write(Buffer.of(0))
    await settled(estate, running)
    assert.equal(socket.destroyed, false)
    running.pass(1)
    await closed
    assert(running.events.includes('tls ERR_TLS_HANDSHAKE_TIMEOUT'))
  })

  test('T-S15 beyond their limit connections are closed at accept, and counted', async () => {
    running = await start(estate, { limits: { connections: 2 } })
    const first = await dial(estate, running.port)
    const second = await dial(estate, running.port)
    await assert.rejects(dial(estate, running.port))
    await running.seen('refused limit')
    running.pass(0)
    assert.deepEqual(running.lines.at(-1)?.fields, { refused: 1, limit: 2 })
    first.destroy()
    await running.seen('closed')
    const third = await dial(estate, running.port)
    third.send(canonical('{}'))
    assert.equal((await third.next()).status, 200)
    second.destroy()
    third.destroy()
  })

  test('T-S15 of too many handshakes the oldest give way, so that one that is quick gets through', async () => {
    running = await start(estate, { limits: { connections: 40 } })
    const silent = await Promise.all(
      Array.from({ length: 30 }, async () => {
        const socket = connect(running.port, '127.0.0.1')
        socket.on('error', () => {})
        await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
        return socket
      }),
    )
    const client = await dial(estate, running.port)
    client.send(canonical('{}'))
    assert.equal((await client.next()).status, 200)
    await running.seen('refused limit', 21)
    client.destroy()
    for (const socket of silent) socket.destroy()
  })

  test('T-W15 plain HTTP and nonsense on the TLS port end there', async () => {
    running = await start(estate)
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\0\0\0\0\0\0\0\0', '\x16\x03\x01\x40\x00']) {
      const socket = connect(running.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.end(bytes, 'latin1')
      await new Promise<void>((resolve) => socket.once('close', () => resolve()))
    }
    await settled(estate, running)
    assert(running.events.some((event) => event.startsWith('tls ERR_SSL_')))
  })
})

describe('BodyBuffer', () => {
  test('T-S15 takes memory for what came, not for what was announced, however small the pieces', () => {
    const budget = createBudget(1 << 20)
    const body = new BodyBuffer(1 << 20, budget)
    assert.equal(body.add(Buffer.of(0)), 'ok')
    assert.equal(budget.used(), 1)
    for (let at = 1; at < 100_000; at += 1) assert.equal(body.add(Buffer.of(at & 0xff)), 'ok')
    assert(budget.used() <= 200_000, `${budget.used()}`)
    assert.deepEqual(body.bytes(), Buffer.from(Array.from({ length: 100_000 }, (_, at) => at & 0xff)))
    body.release()
    body.release()
    assert.equal(budget.used(), 0)
  })

  test('ends at its limit to the byte, and at the end of the budget', () => {
    const exact = new BodyBuffer(10, createBudget(100))
    assert.equal(exact.add(Buffer.alloc(6)), 'ok')
    assert.equal(exact.add(Buffer.alloc(4)), 'ok')
    assert.equal(exact.add(Buffer.alloc(1)), 'too-large')
    assert.equal(exact.length, 10)
    const poor = new BodyBuffer(1000, createBudget(100))
    assert.equal(poor.add(Buffer.alloc(101)), 'overloaded')
    assert.equal(poor.add(Buffer.alloc(50)), 'ok')
    assert.equal(poor.add(Buffer.alloc(51)), 'overloaded')
  })

  test('does not write into the piece it was given', () => {
    const pieces = Buffer.from('abcdef')
    const body = new BodyBuffer(100, createBudget(1 << 20))
    body.add(pieces.subarray(0, 2))
    body.add(Buffer.from('XY'))
    assert.equal(body.bytes().toString(), 'abXY')
    assert.equal(pieces.toString(), 'abcdef')
  })
})
