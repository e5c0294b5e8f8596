/** Requests and answers: order, belonging, headers, faults of the handler, signals. For both sides of the listener. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import type { HttpAnswer, HttpRequest } from '../../src/http.ts'
import { canonical, createEstate, dial, type Estate, type Running, type StartOptions, start } from './support.ts'

let estate: Estate
let running: Running

before(async () => {
  estate = await createEstate()
})
after(() => estate.folder.remove())
afterEach(() => running.server.close({ drainMs: 0 }))

for (const [side, lane] of [
  ['lane', true],
  ['node:http', false],
] as const)
  describe(side, () => {
    const begin = async (options: StartOptions): Promise<void> => {
      running = await start(estate, { lane, ...options })
    }

    test('every answer of 200 connections belongs to its request', async () => {
      let most = 0
      await begin({
        handler: async ({ body }) => {
          most = Math.max(most, running.server.counts().requests)
          const text = body.toString()
          for (let turns = text.length % 5; turns > 0; turns -= 1) await new Promise(setImmediate)
          return { status: 200, body: `answer to ${text}` }
        },
      })
      await Promise.all(
        Array.from({ length: 200 }, async (_, connection) => {
          const client = await dial(estate, running.port)
          for (let round = 0; round < 8; round += 1) {
            const text = `${connection}/${'x'.repeat(round)}`
            client.send(canonical(text))
            const { body } = await client.next()
            assert.equal(body, `answer to ${text}`)
          }
          client.destroy()
        }),
      )
      assert(most > 1, 'they did not overlap')
      assert.equal(running.server.counts().requests, 0)
    })

    test('T-H8 what is sent ahead is answered in order', async () => {
      const waiting: (() => void)[] = []
      await begin({
        handler: ({ body }) =>
          new Promise((resolve) => {
            waiting.unshift(() => resolve({ status: 200, body: body.toString() }))
            setImmediate(() => waiting.shift()?.())
          }),
      })
      const client = await dial(estate, running.port)
      client.send(canonical('a') + canonical('b'))
      client.send(canonical('c').slice(0, 30))
      client.send(canonical('c').slice(30) + canonical('d'))
      const bodies: string[] = []
      for (let count = 0; count < 4; count += 1) bodies.push((await client.next()).body)
      assert.deepEqual(bodies, ['a', 'b', 'c', 'd'])
      client.destroy()
    })

    test('an answer carries the fixed headers, its own, and the id the handler saw', async () => {
      const seen: HttpRequest[] = []
      await begin({
        handler: (request) => {
          seen.push(request)
          return { status: 405, contentType: 'text/plain', body: 'no, é', headers: [['Allow', 'POST']] }
        },
      })
      const client = await dial(estate, running.port)
      client.send(canonical('{}'))
      client.send(canonical('{}'))
      const first = await client.next()
      const second = await client.next()
      assert.equal(first.status, 405)
      assert.equal(first.body, 'no, é')
      const expected = [
        ['content-type', 'text/plain'],
        ['x-content-type-options', 'nosniff'],
        ['cache-control', 'no-store'],
        ['allow', 'POST'],
        ['content-length', '6'],
        ['x-request-id', seen[0]?.requestId],
      ] as const
      for (const [name, value] of expected) assert.equal(first.headers.get(name), value, name)
      assert(Math.abs(Date.parse(first.headers.get('date') ?? '') - Date.now()) < 60_000)
      assert.equal(second.headers.get('x-request-id'), seen[1]?.requestId)
      assert.notEqual(seen[0]?.requestId, seen[1]?.requestId)
      assert.equal(seen[0]?.remoteAddress, '127.0.0.1')
      assert.equal(seen[0]?.path, '/webhook')
      client.destroy()
    })

    const faults: readonly (readonly [string, (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>])[] = [
      ['throws', () => assert.fail('secret detail')],
      ['rejects', () => Promise.reject(new Error('secret detail'))],
      ['rejects with no error', () => Promise.reject('secret detail')],
      ['gives nothing', () => undefined as unknown as HttpAnswer],
      ['gives nothing later', () => Promise.resolve(undefined as unknown as HttpAnswer)],
      ['gives no body', () => ({ status: 200 }) as HttpAnswer],
      ['gives no status', () => ({ status: Number.NaN, body: '' })],
      ['gives a header with a line break', () => ({ status: 200, body: '', headers: [['A', 'b\r\nSet-Cookie: c']] })],
      ['gives a header name with a line break', async () => ({ status: 200, body: '', headers: [['A\r\nB', 'c']] })],
      ['gives a type with a line break', () => ({ status: 200, body: '', contentType: 'a\r\nb: c' })],
    ]
    for (const [name, fault] of faults)
      test(`T-W15 a handler that ${name} is a 500, logged once, and the connection goes on`, async () => {
        await begin({
          handler: (request) => (request.body.length > 0 ? fault(request) : { status: 200, body: 'fine' }),
        })
        const client = await dial(estate, running.port)
        client.send(canonical('x'))
        const answer = await client.next()
        assert.equal(answer.status, 500)
        assert.equal(JSON.parse(answer.body).kind, 'Status')
        assert(!answer.body.includes('secret'))
        const [line, ...others] = running.lines.filter(({ level }) => level === 'error')
        assert.deepEqual(others, [])
        assert.equal(line?.fields['requestId'], answer.headers.get('x-request-id'))
        assert.deepEqual(running.events.slice(-1), ['answered 500'])
        client.send(canonical(''))
        assert.equal((await client.next()).body, 'fine')
        client.destroy()
      })

    test('T-S15 beyond the limit of requests in flight the answer is 503, and asking again is invited', async () => {
      const finish: (() => void)[] = []
      await begin({
        limits: { requests: 2 },
        handler: () => new Promise((resolve) => finish.push(() => resolve({ status: 200, body: 'done' }))),
      })
      const clients = await Promise.all([1, 2, 3].map(() => dial(estate, running.port)))
      const [first, second, third] = clients
      assert(first && second && third)
      first.send(canonical('1'))
      while (finish.length < 1) await new Promise(setImmediate)
      second.send(canonical('2'))
      while (finish.length < 2) await new Promise(setImmediate)
      third.send(canonical('3'))
      const refused = await third.next()
      assert.equal(refused.status, 503)
      assert.equal(refused.headers.get('retry-after'), '1')
      finish.shift()?.()
      assert.equal((await first.next()).body, 'done')
      third.send(canonical('3'))
      while (finish.length < 2) await new Promise(setImmediate)
      for (const end of finish) end()
      assert.equal((await third.next()).body, 'done')
      assert.equal((await second.next()).body, 'done')
      for (const client of clients) client.destroy()
    })

    test('the signal aborts when the asker hangs up', async () => {
      let signal: AbortSignal | undefined
      const aborted = new Promise<unknown>((resolve) => {
        void begin({
          handler: (request) =>
            new Promise((answer) => {
              signal = request.signal
              signal.addEventListener('abort', () => {
                resolve(signal?.reason)
                answer({ status: 200, body: 'too late' })
              })
              client?.destroy()
            }),
        }).then(async () => {
          client = await dial(estate, running.port)
          client.send(canonical('{}'))
        })
      })
      let client: Awaited<ReturnType<typeof dial>> | undefined
      assert.equal(((await aborted) as DOMException).name, 'AbortError')
      await running.seen('closed')
      assert.equal(running.server.counts().requests, 0)
    })

    test('the signal aborts at the deadline, not before, and the answer still goes out', async () => {
      let asked: HttpRequest | undefined
      await begin({
        limits: { deadlineMs: 20_000 },
        handler: (request) =>
          new Promise((resolve) => {
            asked = request
            request.signal.addEventListener('abort', () => resolve({ status: 503, body: request.signal.reason.name }))
          }),
      })
      const client = await dial(estate, running.port)
      client.send(canonical('{}'))
      while (asked === undefined) await new Promise(setImmediate)
      running.pass(19_999)
      assert.equal(asked.signal.aborted, false)
      running.pass(1)
      assert.equal(asked.signal.aborted, true)
      assert.equal((await client.next()).body, 'TimeoutError')
      client.send(canonical('{}'))
      client.destroy()
    })

    test('a request that hangs up its half is still answered when the answer is there', async () => {
      await begin({})
      const client = await dial(estate, running.port)
      client.socket.end(canonical('{}'))
      const answers = await client.rest()
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200],
      )
    })

    test('T-W15 half a body and then our end of the stream is a 400', async () => {
      await begin({})
      const client = await dial(estate, running.port)
      client.socket.end(canonical('{"a":1}').slice(0, -3))
      const answers = await client.rest()
      assert.deepEqual(
        answers.map(({ status }) => status),
        [400],
      )
      assert.equal(answers[0]?.headers.get('connection'), 'close')
    })
  })

describe('lane', () => {
  test('asks the handler for one request of a connection at a time and stops reading what is sent ahead', async () => {
    const finish: (() => void)[] = []
    running = await start(estate, {
      handler: ({ body }) =>
        new Promise((resolve) => finish.push(() => resolve({ status: 200, body: String(body.length) }))),
    })
    const client = await dial(estate, running.port)
    const count = 24
    client.send(canonical('y'.repeat(1024 * 1024)).repeat(count))
    for (let done = 0; done < count; done += 1) {
      while (finish.length === 0) await new Promise(setImmediate)
      if (done === 0) {
        for (let turn = 0; turn < 300; turn += 1) await new Promise(setImmediate)
        assert(client.socket.writableLength > 0, 'everything was read ahead')
      }
      assert.equal(finish.length, 1)
      finish.shift()?.()
      assert.equal((await client.next()).body, String(1024 * 1024))
    }
    client.destroy()
  })

  test('says why a connection has left it, and serves on', async () => {
    running = await start(estate, { limits: { bodyBytes: 100, headerBytes: 4096 } })
    const odd = canonical('1', { headers: 'X-Other: 1\r\n' })
    const cases = [
      [[canonical('1', { path: '/other' })], 'request-line'],
      [[odd], 'header'],
      [[canonical('1', { headers: 'Connection: close\r\n' })], 'framing'],
      [[canonical('1', { headers: 'Content-Length: 1\r\n' })], 'framing'],
      [[canonical('1').slice(0, 50), canonical('1').slice(50)], 'head-split'],
      [[canonical('1', { headers: `Accept: ${'a'.repeat(4096)}\r\n` })], 'head-too-long'],
      [[canonical('1'.repeat(101))], 'body-too-long'],
    ] as const
    for (const [pieces, reason] of cases) {
      const client = await dial(estate, running.port)
      client.send(canonical('before'))
      assert.equal((await client.next()).status, 200)
      assert.equal(running.events.at(-1), 'opened')
      for (const piece of pieces) client.send(piece)
      await client.next()
      assert(running.events.includes(`fell back ${reason}`), reason)
      client.destroy()
      await running.seen('closed')
      running.events.length = 0
    }
    const client = await dial(estate, running.port)
    for (const bytes of [canonical('1'), odd, canonical('2'), odd]) {
      client.send(bytes)
      assert.equal((await client.next()).status, 200)
    }
    assert.deepEqual(running.events, ['opened', 'fell back header'])
    client.destroy()
  })

  test('a handler sees nothing of the query and only the bytes of its own body', async () => {
    const seen: HttpRequest[] = []
    running = await start(estate, {
      handler: (request) => {
        seen.push(request)
        return { status: 200, body: request.body.toString() }
      },
    })
    const client = await dial(estate, running.port)
    client.send(canonical('{"ä":1}', { path: '/webhook?timeout=10s&x=/%2e' }) + canonical(''))
    assert.equal((await client.next()).body, '{"ä":1}')
    assert.equal((await client.next()).body, '')
    assert.deepEqual(
      seen.map(({ method, path, contentType }) => [method, path, contentType]),
      [
        ['POST', '/webhook', 'application/json'],
        ['POST', '/webhook', 'application/json'],
      ],
    )
    client.destroy()
  })
})
