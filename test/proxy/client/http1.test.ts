/** HTTP/1.1 clients: the order of answers, what is no request, and how long a client may take. */
import assert from 'node:assert/strict'
import type { RequestListener, ServerResponse } from 'node:http'
import { afterEach, before, describe, test } from 'node:test'
import { dial, isWhole, request } from '../support/client.ts'
import { createEstate, type DoorOptions, type Estate, type OpenDoor, openDoor } from '../support/door.ts'

let estate: Estate
let door: OpenDoor

before(async () => {
  estate = await createEstate()
})
afterEach(() => door.close())

async function open(upstream: RequestListener, options: DoorOptions = {}): Promise<OpenDoor> {
  door = await openDoor(estate, upstream, options)
  return door
}

const hello: RequestListener = ({ url = '' }, response) => {
  response.setHeader('Content-Length', url.length)
  response.end(url)
}

describe('requests sent ahead', () => {
  test('T-H8 are answered in their order, and begun in it', async () => {
    const waiting: ServerResponse[] = []
    const urls: string[] = []
    const first = Promise.withResolvers<void>()
    await open(({ url = '' }, response) => {
      urls.push(url)
      if (url === '/a') {
        waiting.push(response)
        first.resolve()
      } else response.end(url)
    })
    const client = await dial(estate, door)
    client.send(request('GET /a') + request('GET /b') + request('GET /c'))
    await first.promise
    for (let turns = 0; turns < 50; turns += 1) await new Promise(setImmediate)
    assert.deepEqual(urls, ['/a'])
    waiting[0]?.end('/a')
    const text = await client.until('/c')
    assert.ok(text.indexOf('/a') < text.indexOf('/b') && text.indexOf('/b') < text.indexOf('/c'))
    client.socket.destroy()
  })

  test('split anywhere are the same requests', async () => {
    await open(hello)
    const text = request('GET /one') + request('POST /two', { headers: 'Content-Length: 3\r\n', body: 'abc' })
    const client = await dial(estate, door)
    for (let at = 0; at < text.length; at += 7) {
      client.send(text.slice(at, at + 7))
      await new Promise(setImmediate)
    }
    await client.until('/two')
    assert.equal((await door.observed(2)).bytesIn, 3)
    client.socket.destroy()
  })

  test('have an end', async () => {
    await open((_, response) => setImmediate(() => response.end('done')), { limits: { ahead: 5 } })
    const client = await dial(estate, door)
    client.send(request('GET /').repeat(50))
    const text = await client.ended
    assert.match(text, /done[\s\S]*HTTP\/1\.1 503 /)
    assert.ok(door.observations.some(({ cause }) => cause === 'ahead'))
  })
})

describe('what is no request', () => {
  for (const [what, text, status] of [
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['a head without an end of line', 'GET /\n\n', 400],
    ['a folded header', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n', 400],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n', 400],
    ['a control in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n', 400],
    ['two framings', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
    ['a head that is too large', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(200_000)}\r\n\r\n`, 431],
    ['HTTP/2 without ALPN', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ] as const)
    test(`T-H8 ${what} is ${status}, told as a Status, and the connection is over`, async () => {
      await open(() => assert.fail('it arrived'))
      const client = await dial(estate, door)
      client.send(text)
      const answer = await client.ended
      if (what !== 'HTTP/2 without ALPN') {
        assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `))
        assert.match(answer, /"kind":"Status"/)
        assert.equal((await door.observed()).status, status)
      }
    })

  test('behind a good request is told after its answer', async () => {
    const begun = Promise.withResolvers<ServerResponse>()
    await open((_, response) => begun.resolve(response))
    const client = await dial(estate, door)
    client.send(`${request('GET /a')}no request\r\n\r\n`)
    ;(await begun.promise).end('good')
    const text = await client.ended
    assert.match(text, /^HTTP\/1\.1 200 [\s\S]*good[\s\S]*HTTP\/1\.1 400 /)
  })

  test('an expectation that nobody knows is 417', async () => {
    await open(() => assert.fail('it arrived'))
    const client = await dial(estate, door)
    client.send(request('GET /', { headers: 'Expect: the-spanish-inquisition\r\n' }))
    assert.match(await client.until(isWhole), /^HTTP\/1\.1 417 /)
    client.socket.destroy()
  })
})

describe('time', () => {
  test('a head that does not end is 408', async () => {
    const { pass } = await open(hello)
    const client = await dial(estate, door)
    client.send('GET / HTTP/1.1\r\nHost: a\r\n')
    const probe = await dial(estate, door) // what came before it has arrived by the time it is answered
    probe.send(request('GET /probe'))
    await probe.until('/probe')
    pass(1)
    pass(14_000)
    assert.equal(client.received(), '')
    pass(1_001)
    assert.match(await client.ended, /^HTTP\/1\.1 408 /)
    probe.socket.destroy()
  })

  test('an idle connection is closed after a while, a used one a while after', async () => {
    const { pass } = await open(hello)
    const client = await dial(estate, door)
    pass(119_000)
    client.send(request('GET /alive'))
    await client.until('/alive')
    await door.observed()
    pass(119_000)
    client.forget()
    client.send(request('GET /again'))
    await client.until('/again')
    await door.observed(2)
    pass(120_001)
    await client.closed
    assert.equal(door.proxy.counts().connections, 0)
  })

  test('a client that does not hang up after its refusal is hung up on', async () => {
    const { pass } = await open(hello)
    const client = await dial(estate, door, { allowHalfOpen: true })
    client.send('no request\r\n\r\n')
    await client.ended
    pass(2_001)
    while (door.proxy.counts().connections > 0) await new Promise(setImmediate)
    client.socket.destroy()
  })
})

test('HTTP/1.0 is answered without chunks', async () => {
  await open((_, response) => {
    response.write('pieces')
    response.end()
  })
  const client = await dial(estate, door)
  client.send('GET /api HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer jane\r\n\r\n')
  const answer = await client.ended
  assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\npieces$/)
  assert.doesNotMatch(answer, /chunked/)
})
