/** Bodies both ways: nothing is kept, nothing is waited for, and an end is an end. */
import assert from 'node:assert/strict'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { afterEach, before, describe, test } from 'node:test'
import { dial, isWhole, request } from './support/client.ts'
import { createEstate, type DoorOptions, type Estate, type OpenDoor, openDoor } from './support/door.ts'

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

const MEGABYTE = Buffer.alloc(1024 * 1024, 'x')

/** Waits until what `look` sees has been the same for many turns of the event loop. */
async function still(look: () => number): Promise<number> {
  let seen = look()
  for (let turns = 0; turns < 200; turns += 1) {
    await new Promise(setImmediate)
    if (look() !== seen) turns = 0
    seen = look()
  }
  return seen
}

describe('an answer', () => {
  test('of many megabytes arrives whole', async () => {
    await open((_, response) => {
      response.writeHead(200, { 'Content-Length': 8 * MEGABYTE.length })
      for (let count = 0; count < 8; count += 1) response.write(MEGABYTE)
      response.end()
    })
    const client = await dial(estate, door)
    client.send(request('GET /api/v1/pods'))
    await client.untilBytes(8 * MEGABYTE.length)
    const text = await client.until(isWhole)
    assert.equal(text.length - text.indexOf('\r\n\r\n') - 4, 8 * MEGABYTE.length)
    client.socket.destroy()
    assert.equal((await door.observed()).bytesOut, 8 * MEGABYTE.length)
  })

  test('that nobody reads is not taken from the API server', async () => {
    let written = 0
    await open((_, response) => {
      response.writeHead(200)
      const more = (): void => {
        while (written < 64 && response.write(MEGABYTE)) written += 1
        written += 1
        if (written < 64) response.once('drain', more)
      }
      more()
    })
    const client = await dial(estate, door)
    client.socket.pause()
    client.send(request('GET /api/v1/pods'))
    const before = await still(() => written)
    assert.ok(before < 32, `${before} MB went somewhere`)
    client.socket.resume()
    await client.untilBytes(60 * MEGABYTE.length)
    client.socket.destroy()
  })

  test('that nobody takes for too long is cut, so that nobody takes it for whole', async () => {
    const { pass, observed } = await open((_, response) => {
      response.writeHead(200)
      response.write(Buffer.alloc(32 * MEGABYTE.length))
    })
    const client = await dial(estate, door)
    client.socket.pause()
    client.send(request('GET /api/v1/pods'))
    await still(() => client.socket.bytesRead)
    pass(1)
    pass(61_000)
    const seen = await observed()
    assert.deepEqual([seen.outcome, seen.cause], ['canceled', 'answer-timeout'])
    client.socket.resume()
    assert.doesNotMatch(await client.closed, /\r\n0\r\n\r\n$/)
  })

  test('of a watch comes event by event, its head first, and may be silent for hours', async () => {
    const begun = Promise.withResolvers<ServerResponse>()
    const { pass } = await open((_, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).flushHeaders()
      begun.resolve(response)
    })
    const client = await dial(estate, door)
    client.send(request('GET /api/v1/pods?watch=1'))
    const head = await client.until('\r\n\r\n')
    assert.match(head, /\r\nTransfer-Encoding: chunked\r\n/)
    const response = await begun.promise
    for (const event of ['{"type":"ADDED"}\n', '{"type":"BOOKMARK"}\n']) {
      pass(3_600_000)
      client.forget()
      response.write(event)
      await client.until(event)
    }
    response.end()
    await client.until('\r\n0\r\n\r\n')
    client.socket.destroy()
    assert.equal((await door.observed()).outcome, 'forwarded')
  })

  test('that breaks off is cut here too, with a length or in chunks', async () => {
    await open(({ url }, response) => {
      response.writeHead(200, url === '/length' ? { 'Content-Length': 100 } : {})
      response.write('half', () => response.socket?.destroy())
    })
    for (const path of ['/length', '/chunks']) {
      const client = await dial(estate, door)
      client.send(request(`GET ${path}`))
      const text = await client.closed
      assert.match(text, /half/)
      assert.doesNotMatch(text, /\r\n0\r\n\r\n$/)
    }
    const seen = await door.observed(2)
    assert.deepEqual([seen.outcome, seen.cause, seen.status], ['failed', 'lost', 200])
  })

  test('whose client has left ends at the API server at once', async () => {
    const left = Promise.withResolvers<void>()
    await open((_, response) => {
      response.writeHead(200).flushHeaders()
      response.on('close', () => left.resolve())
    })
    const client = await dial(estate, door)
    client.send(request('GET /api/v1/pods?watch=1'))
    await client.until('\r\n\r\n')
    client.socket.destroy()
    await left.promise
    assert.equal((await door.observed()).outcome, 'canceled')
  })

  test('whose client closes its half has no one to go to', async () => {
    const left = Promise.withResolvers<void>()
    await open(
      (_, response) => {
        response.writeHead(200).flushHeaders()
        response.on('close', () => left.resolve())
      },
      { allowHalfOpen: true },
    )
    const client = await dial(estate, door)
    client.send(request('GET /api/v1/pods?watch=1'))
    await client.until('\r\n\r\n')
    client.socket.end()
    await left.promise
    assert.equal((await door.observed()).outcome, 'canceled')
  })

  test('without a body is none', async () => {
    await open(({ url }, response) => response.writeHead(url === '/gone' ? 204 : 304, { ETag: '"1"' }).end())
    const client = await dial(estate, door)
    client.send(request('GET /gone') + request('GET /same'))
    const text = await client.until((received) => received.split('\r\n\r\n').length === 3)
    assert.match(text, /^HTTP\/1\.1 204 [\s\S]*\r\n\r\nHTTP\/1\.1 304 [\s\S]*\r\n\r\n$/)
    assert.doesNotMatch(text, /Content-Length|Transfer-Encoding/)
    client.socket.destroy()
  })
})

describe('a body', () => {
  test('that the API server does not read is not taken from the client', async () => {
    const arrived = Promise.withResolvers<IncomingMessage>()
    await open((received, response) => {
      received.pause()
      arrived.resolve(received)
      received.on('end', () => response.end('{}'))
    })
    const client = await dial(estate, door)
    const size = 64 * MEGABYTE.length
    client.send(request('POST /api/v1/namespaces', { headers: `Content-Length: ${size}\r\n` }))
    let sent = 0
    const more = (): void => {
      while (sent < 64) {
        sent += 1
        if (!client.socket.write(MEGABYTE)) break
      }
      if (sent < 64) client.socket.once('drain', more)
    }
    more()
    const received = await arrived.promise
    const before = await still(() => sent)
    assert.ok(before < 32, `${before} MB went somewhere`)
    received.resume()
    assert.match(await client.until(isWhole), /^HTTP\/1\.1 200 /)
    client.socket.destroy()
    assert.equal((await door.observed()).bytesIn, size)
  })

  test('is asked for with 100 Continue when the API server asks for it', async () => {
    const wanted = Promise.withResolvers<void>()
    const { createServer } = await import('node:http')
    const server = createServer((_, response) => response.end())
    server.on('checkContinue', (received: IncomingMessage, response: ServerResponse) => {
      void wanted.promise.then(() => response.writeContinue())
      received.resume()
      received.on('end', () => response.end('{}'))
    })
    door = await openDoor(estate, server)
    const client = await dial(estate, door)
    client.send(request('POST /api/v1/namespaces', { headers: 'Expect: 100-continue\r\nContent-Length: 4\r\n' }))
    assert.equal(await still(() => client.received().length), 0)
    wanted.resolve()
    await client.until('HTTP/1.1 100 Continue\r\n\r\n')
    client.send('body')
    assert.match(await client.until('200 OK'), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/)
    client.socket.destroy()
  })

  test('that is not asked for is not waited for', async () => {
    const { createServer } = await import('node:http')
    const server = createServer()
    server.on('checkContinue', (_, response: ServerResponse) => response.writeHead(403).end('no'))
    door = await openDoor(estate, server)
    const client = await dial(estate, door)
    client.send(request('POST /api/v1/namespaces', { headers: 'Expect: 100-continue\r\nContent-Length: 4\r\n' }))
    assert.match(await client.ended, /^HTTP\/1\.1 403 [\s\S]*\r\nConnection: close\r\n\r\n2\r\nno\r\n0\r\n\r\n$/)
  })

  test('that is refused while it comes does not take the answer back', async () => {
    // As kube-apiserver does, it takes what comes while its answer is read: a reset could overtake that.
    await open((received, response) => {
      received.resume()
      response.writeHead(413).end('too much')
    })
    const client = await dial(estate, door)
    client.send(request('POST /api/v1/namespaces', { headers: `Content-Length: ${2 * MEGABYTE.length}\r\n` }))
    client.send(MEGABYTE)
    const answer = await client.until('too much')
    assert.match(answer, /^HTTP\/1\.1 413 /)
    assert.match(answer, /\r\nConnection: close\r\n/)
    client.socket.destroy()
    assert.equal((await door.observed()).status, 413)
  })

  test('that is short leaves the connection usable after an early answer', async () => {
    await open((received, response) => {
      received.resume()
      received.on('end', () => response.end('{}'))
    })
    const client = await dial(estate, door)
    client.send('POST /api/v1/namespaces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n')
    assert.match(await client.until(isWhole), /^HTTP\/1\.1 401 /)
    client.forget()
    client.send(`body${request('GET /api')}`)
    assert.match(await client.until(isWhole), /^HTTP\/1\.1 200 /)
    client.socket.destroy()
  })

  test('that nobody wants is taken up to a limit, and for a time', async () => {
    const { pass } = await open((_, response) => response.end())
    const client = await dial(estate, door)
    client.send('POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n')
    assert.match(await client.until(isWhole), /^HTTP\/1\.1 401 /)
    pass(2_001)
    await client.ended
    const second = await dial(estate, door)
    second.send('POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n')
    await second.until(isWhole)
    second.send(MEGABYTE)
    await second.closed
  })

  test('that stalls is answered 408', async () => {
    const reached = Promise.withResolvers<void>()
    const { pass, observed } = await open((received) => {
      received.once('data', () => reached.resolve())
    })
    const client = await dial(estate, door)
    client.send(request('POST /api/v1/namespaces', { headers: 'Content-Length: 9\r\n', body: 'four' }))
    await reached.promise
    pass(1)
    pass(29_000)
    assert.equal(client.received(), '')
    pass(2_000)
    assert.match(await client.until(isWhole), /^HTTP\/1\.1 408 /)
    assert.equal((await observed()).cause, 'body-timeout')
    client.socket.destroy()
  })

  test('longer than the limit is 413, announced or not', async () => {
    await open((received) => void received.resume(), { limits: { bodyBytes: 10 } })
    for (const [headers, body] of [
      ['Content-Length: 11\r\n', 'hello world'],
      ['Transfer-Encoding: chunked\r\n', 'b\r\nhello world\r\n'],
    ] as const) {
      const client = await dial(estate, door)
      client.send(request('POST /api/v1/namespaces', { headers, body }))
      assert.match(await client.until(isWhole), /^HTTP\/1\.1 413 /)
      client.socket.destroy()
    }
  })

  test('T-H8 that breaks its framing is 400, and the request is taken back', async () => {
    const arrived = Promise.withResolvers<void>()
    const aborted = Promise.withResolvers<void>()
    await open((received) => {
      received.on('data', () => arrived.resolve())
      received.on('error', () => aborted.resolve())
    })
    const client = await dial(estate, door)
    client.send(request('POST /api/v1/namespaces', { headers: 'Transfer-Encoding: chunked\r\n', body: '2\r\nhi\r\n' }))
    await arrived.promise
    client.send('zz\r\n')
    assert.match(await client.ended, /^HTTP\/1\.1 400 [\s\S]*\r\nConnection: close\r\n/)
    await aborted.promise
    assert.equal((await door.observed()).cause, 'H8')
  })
})
