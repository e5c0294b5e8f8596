/** Upgrades (H9): a tunnel where the API server has agreed to one, an ordinary answer where it has not. */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { afterEach, before, describe, test } from 'node:test'
import { dial, isWhole, request } from './support/client.ts'
import { createEstate, type DoorOptions, type Estate, type OpenDoor, openDoor } from './support/door.ts'

let estate: Estate
let door: OpenDoor

before(async () => {
  estate = await createEstate()
})
afterEach(() => door.close())

type Upgraded = (socket: Socket, received: IncomingMessage, head: Buffer) => void

async function open(upgraded: Upgraded, options: DoorOptions = {}): Promise<void> {
  const server = createServer((_, response) => response.end('{}'))
  server.on('upgrade', (received: IncomingMessage, socket: Socket, head: Buffer) => upgraded(socket, received, head))
  door = await openDoor(estate, server, options)
}

const EXEC = request('POST /api/v1/namespaces/a/pods/b/exec?command=sh', {
  headers: 'Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n',
})
const AGREED =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n'

describe('an upgrade', () => {
  test('becomes a tunnel: bytes go both ways as they are, and are counted', async () => {
    await open((socket) => {
      socket.write(`${AGREED}early`)
      socket.on('data', (chunk) => socket.write(Buffer.from(chunk).reverse()))
      socket.on('end', () => socket.end('last'))
    })
    const client = await dial(estate, door)
    client.send(EXEC)
    const head = await client.until('early')
    assert.match(head, /^HTTP\/1\.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY\/3\.1\r\n/)
    assert.match(head, /\r\nX-Stream-Protocol-Version: v4\.channel\.k8s\.io\r\n/)
    assert.deepEqual(door.proxy.counts(), { connections: 1, requests: 1, tunnels: 1 })
    client.forget()
    client.send(Buffer.from([0, 1, 2, 0xff]))
    await client.until('\xff\x02\x01\x00')
    client.socket.end()
    assert.match(await client.ended, /last$/)
    const seen = await door.observed()
    assert.deepEqual([seen.outcome, seen.status, seen.bytesIn, seen.bytesOut], ['upgraded', 101, 4, 13])
    assert.equal(seen.long, true)
    assert.equal(door.admission.counts().streams, 0)
  })

  test('has the identity, and asks for the same protocol', async () => {
    const arrived = Promise.withResolvers<IncomingMessage>()
    await open((socket, received) => {
      arrived.resolve(received)
      socket.write(AGREED)
    })
    const client = await dial(estate, door)
    client.send(EXEC)
    const { headers, url } = await arrived.promise
    assert.equal(headers['x-remote-user'], 'jane')
    assert.equal(headers.upgrade, 'SPDY/3.1')
    assert.equal(url, '/api/v1/namespaces/a/pods/b/exec?command=sh')
    client.socket.destroy()
  })

  test('carries many megabytes to a slow reader without keeping them', async () => {
    const size = 32 * 1024 * 1024
    await open((socket) => {
      socket.write(AGREED)
      socket.end(Buffer.alloc(size, 'y'))
    })
    const client = await dial(estate, door)
    client.socket.pause()
    client.send(EXEC)
    client.socket.resume()
    const text = await client.ended
    assert.equal(text.length - text.indexOf('\r\n\r\n') - 4, size)
    client.socket.destroy()
  })

  for (const status of ['200 OK', '302 Found', '403 Forbidden', '500 Internal Server Error'])
    test(`T-H9 that is answered ${status} is an answer, and what follows it is nobody's`, async () => {
      const requests: string[] = []
      await open((socket, { url }) => {
        requests.push(url ?? '')
        socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\nno`)
      })
      const client = await dial(estate, door)
      client.send(EXEC)
      const answer = await client.until(isWhole)
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status.slice(0, 3)} `))
      assert.match(answer, /\r\nConnection: close\r\n/)
      client.send('GET /api/v1/secrets HTTP/1.1\r\nHost: localhost\r\n\r\n')
      await client.closed
      assert.equal(requests.length, 1)
      assert.equal((await door.observed()).outcome, 'forwarded')
    })

  for (const [what, answer] of [
    ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ['no protocol', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n'],
  ] as const)
    test(`T-H9 that is agreed to with ${what} is no tunnel`, async () => {
      await open((socket) => void socket.write(answer))
      const client = await dial(estate, door)
      client.send(EXEC)
      assert.match(await client.until(isWhole), /^HTTP\/1\.1 502 /)
      assert.equal((await door.observed()).cause, 'invalid')
      client.socket.destroy()
    })

  test('T-H9 with bytes right behind its head is refused', async () => {
    const requests: string[] = []
    await open((_, { url }) => void requests.push(url ?? ''))
    const client = await dial(estate, door)
    client.send(`${EXEC}GET /api/v1/secrets HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    assert.match(await client.until(isWhole), /^HTTP\/1\.1 400 /)
    await client.closed
    assert.equal((await door.observed()).cause, 'H9')
    assert.deepEqual(requests, [])
  })

  test('T-H9 with bytes before its answer is refused', async () => {
    const asked = Promise.withResolvers<Socket>()
    await open((socket) => asked.resolve(socket))
    const client = await dial(estate, door)
    client.send(EXEC)
    const upstream = await asked.promise
    const gone = new Promise((resolve) => upstream.once('end', resolve))
    upstream.resume()
    client.send('early')
    assert.match(await client.until(isWhole), /^HTTP\/1\.1 400 /)
    await gone
    assert.equal((await door.observed()).cause, 'H9')
  })

  test('T-H9 to anything else, or sent ahead, is refused', async () => {
    await open(() => assert.fail('it arrived'))
    for (const headers of ['Connection: Upgrade\r\nUpgrade: h2c\r\n', 'Upgrade: websocket\r\n']) {
      const client = await dial(estate, door)
      client.send(request('GET /api', { headers }))
      assert.match(await client.until(isWhole), /^HTTP\/1\.1 400 /)
      client.socket.destroy()
    }
  })

  test('that nobody may make is refused before the API server hears of it', async () => {
    await open(() => assert.fail('it arrived'))
    const client = await dial(estate, door)
    client.send(EXEC.replace('Bearer jane', 'Bearer nobody'))
    const answer = await client.until(isWhole)
    assert.match(answer, /^HTTP\/1\.1 401 [\s\S]*\r\nConnection: close\r\n/)
    await client.closed
  })
})

describe('a tunnel', () => {
  test('whose client has said its last word still brings what the API server says', async () => {
    const ended = Promise.withResolvers<Socket>()
    await open((socket) => {
      socket.allowHalfOpen = true
      socket.write(AGREED)
      socket.on('data', () => {})
      socket.on('end', () => ended.resolve(socket))
    })
    const client = await dial(estate, door, { allowHalfOpen: true })
    client.send(EXEC)
    await client.until('\r\n\r\n')
    client.socket.end('done')
    const upstream = await ended.promise
    upstream.write('still here')
    await client.until('still here')
    upstream.end('bye')
    assert.match(await client.ended, /bye$/)
    assert.equal((await door.observed()).outcome, 'upgraded')
  })

  test('whose API server has said its last word still takes what the client says', async () => {
    const received: string[] = []
    const done = Promise.withResolvers<void>()
    await open((socket) => {
      socket.allowHalfOpen = true
      socket.end(AGREED)
      socket.on('data', (chunk) => received.push(String(chunk)))
      socket.on('end', () => done.resolve())
    })
    const client = await dial(estate, door, { allowHalfOpen: true })
    client.send(EXEC)
    await client.ended
    client.socket.end('late words')
    await done.promise
    assert.equal(received.join(''), 'late words')
    assert.equal((await door.observed()).bytesIn, 10)
  })

  test('ends on both sides when one side is gone', async () => {
    const opened = Promise.withResolvers<Socket>()
    await open((socket) => {
      socket.write(AGREED)
      socket.on('error', () => {})
      opened.resolve(socket)
    })
    const first = await dial(estate, door)
    first.send(EXEC)
    await first.until('\r\n\r\n')
    const upstream = await opened.promise
    const gone = new Promise((resolve) => upstream.once('end', resolve))
    upstream.on('end', () => upstream.end())
    upstream.resume()
    first.socket.destroy()
    await gone
    assert.equal((await door.observed()).outcome, 'upgraded')
    await door.close()

    await open((socket) => {
      socket.write(AGREED, () => socket.resetAndDestroy())
    })
    const second = await dial(estate, door)
    second.send(EXEC)
    await second.closed
  })

  test('may be silent for hours', async () => {
    await open((socket) => {
      socket.write(AGREED)
      socket.on('data', (chunk) => socket.write(chunk))
    })
    const client = await dial(estate, door)
    client.send(EXEC)
    await client.until('\r\n\r\n')
    door.pass(86_400_000)
    client.send('ping')
    await client.until('ping')
    client.socket.destroy()
  })
})
