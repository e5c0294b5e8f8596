/** HTTP/2 clients: what they send becomes the same request, what floods is cut off (H15). */
import assert from 'node:assert/strict'
import type { RequestListener, ServerResponse } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { afterEach, before, describe, test } from 'node:test'
import { dial } from '../support/client.ts'
import { createEstate, type DoorOptions, type Estate, type OpenDoor, openDoor } from '../support/door.ts'

let estate: Estate
let door: OpenDoor
let session: ClientHttp2Session

before(async () => {
  estate = await createEstate()
})
afterEach(async () => {
  session.destroy()
  await door.close()
})

async function open(upstream: RequestListener, options: DoorOptions = {}): Promise<void> {
  door = await openDoor(estate, upstream, options)
  session = connect(`https://127.0.0.1:${door.port}`, { ca: estate.authority.cert })
  session.on('error', () => {})
}

interface Answer {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

function ask(headers: OutgoingHttpHeaders, body?: string | Buffer): Promise<Answer> {
  const stream = session.request({ authorization: 'Bearer jane', ...headers }, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return answerOf(stream)
}

function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let head: IncomingHttpHeaders = {}
    const chunks: Buffer[] = []
    stream.on('response', (received) => {
      head = received
    })
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', () => {})
    stream.on('close', () => {
      const { rstCode } = stream
      if (rstCode !== constants.NGHTTP2_NO_ERROR) reject(new Error(`reset with ${rstCode}`))
      else resolve({ headers: head, body: Buffer.concat(chunks).toString('latin1') })
    })
  })
}

const echo: RequestListener = (received, response) => {
  const chunks: Buffer[] = []
  received.on('data', (chunk: Buffer) => chunks.push(chunk))
  received.on('end', () => {
    const { method, url, rawHeaders, rawTrailers } = received
    const body = Buffer.concat(chunks).toString('latin1')
    response.setHeader('Warning', ['299 - "one"', '299 - "two"'])
    response.end(JSON.stringify({ method, url, rawHeaders, rawTrailers, body }))
  })
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const SETTINGS = 4
const GOAWAY = 7

/** A frame of the connection itself. */
function frame(type: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  return Buffer.concat([head, payload])
}

interface Echoed {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  readonly rawTrailers: readonly string[]
  readonly body: string
}

describe('a stream', () => {
  test('is the request that it would be in HTTP/1.1', async () => {
    await open(echo)
    const { headers, body } = await ask({ ':path': '/api/v1/pods?limit=5', cookie: ['a=1', 'b=2'] })
    assert.equal(headers[':status'], 200)
    assert.equal(headers['warning'], '299 - "one", 299 - "two"')
    assert.equal(headers['connection'], undefined)
    const seen = JSON.parse(body) as Echoed
    assert.deepEqual([seen.method, seen.url], ['GET', '/api/v1/pods?limit=5'])
    const text = seen.rawHeaders.join('\n')
    assert.match(text, /X-Remote-User\njane/)
    assert.match(text, /Host\n127\.0\.0\.1:\d+/)
    assert.match(text, /cookie\na=1; b=2/i)
    assert.doesNotMatch(text, /authorization|^:|\n:|transfer-encoding/i)
    const observed = await door.observed()
    assert.deepEqual([observed.protocol, observed.outcome, observed.info?.verb], ['HTTP/2', 'forwarded', 'list'])
  })

  test('with a body sends it on, with its length or in chunks', async () => {
    await open(echo)
    const long = 'x'.repeat(1_000_000)
    const pieces = JSON.parse((await ask({ ':method': 'POST', ':path': '/api' }, long)).body) as Echoed
    assert.equal(pieces.body.length, long.length)
    assert.ok(pieces.rawHeaders.includes('Transfer-Encoding'))
    const whole = JSON.parse(
      (await ask({ ':method': 'POST', ':path': '/api', 'content-length': '5' }, 'hello')).body,
    ) as Echoed
    assert.equal(whole.body, 'hello')
    assert.ok(whole.rawHeaders.includes('Content-Length'))
  })

  test('T-H3 leaves its trailers here', async () => {
    await open(echo)
    const stream = session.request(
      { ':method': 'POST', ':path': '/api', authorization: 'Bearer jane' },
      { waitForTrailers: true },
    )
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-remote-user': 'admin' }))
    stream.end('body')
    const seen = JSON.parse((await answerOf(stream)).body) as Echoed
    assert.equal(seen.body, 'body')
    assert.deepEqual(seen.rawTrailers, [])
    assert.doesNotMatch(seen.rawHeaders.join(), /admin/)
  })

  test('with HEAD has no body', async () => {
    await open((_, response) => response.writeHead(200, { 'Content-Length': '99' }).end())
    const { headers, body } = await ask({ ':method': 'HEAD', ':path': '/api' })
    assert.deepEqual([headers[':status'], headers['content-length'], body], [200, '99', ''])
    assert.equal((await door.observed()).outcome, 'forwarded')
  })

  test('is refused by hygiene and by name as in HTTP/1.1', async () => {
    await open(echo)
    const refused = await ask({ ':path': '/api', 'impersonate-user': 'admin' })
    assert.equal(refused.headers[':status'], 400)
    const unknown = await ask({ ':path': '/api', authorization: 'Bearer nobody' })
    assert.equal(unknown.headers[':status'], 401)
    assert.equal(unknown.headers['www-authenticate'], 'Bearer, Basic realm="kubernetes"')
  })

  test('T-H8 with two readings of its host is refused', async () => {
    await open(echo)
    const { headers } = await ask({ ':path': '/api', ':authority': 'localhost', host: 'elsewhere.example' })
    assert.equal(headers[':status'], 400)
  })

  test('many at once get each their own answer', async () => {
    await open((received, response) => setImmediate(() => response.end(received.url)))
    const answers = await Promise.all(Array.from({ length: 100 }, (_, at) => ask({ ':path': `/api/${at}` })))
    assert.deepEqual(
      answers.map(({ body }) => body),
      answers.map((_, at) => `/api/${at}`),
    )
  })

  test('of a watch comes event by event, and ends at the API server when it is taken back', async () => {
    const begun = Promise.withResolvers<ServerResponse>()
    const left = Promise.withResolvers<void>()
    await open((_, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).flushHeaders()
      response.on('close', () => left.resolve())
      begun.resolve(response)
    })
    const stream = session.request({ ':path': '/api/v1/pods?watch=1', authorization: 'Bearer jane' })
    stream.on('error', () => {})
    await new Promise((resolve) => stream.once('response', resolve))
    ;(await begun.promise).write('{"type":"ADDED"}\n')
    const event = await new Promise((resolve) => stream.once('data', (chunk) => resolve(String(chunk))))
    assert.equal(event, '{"type":"ADDED"}\n')
    stream.close(constants.NGHTTP2_CANCEL)
    await left.promise
    assert.equal((await door.observed()).outcome, 'canceled')
  })

  test('whose API server is lost midway is reset, never ended', async () => {
    await open((_, response) => {
      response.writeHead(200)
      response.write('half', () => response.socket?.destroy())
    })
    await assert.rejects(ask({ ':path': '/api' }))
    assert.equal((await door.observed()).outcome, 'failed')
  })

  test('that nobody reads is not taken from the API server', async () => {
    let written = 0
    await open((_, response) => {
      response.writeHead(200)
      const chunk = Buffer.alloc(1024 * 1024)
      const more = (): void => {
        while (written < 64 && response.write(chunk)) written += 1
        written += 1
        if (written < 64) response.once('drain', more)
      }
      more()
    })
    const stream = session.request({ ':path': '/api/v1/pods', authorization: 'Bearer jane' })
    stream.pause()
    stream.on('error', () => {})
    await new Promise((resolve) => stream.once('response', resolve))
    for (let turns = 0, seen = written; turns < 200; turns += 1) {
      await new Promise(setImmediate)
      if (seen !== written) turns = 0
      seen = written
    }
    assert.ok(written < 32, `${written} MB went somewhere`)
    stream.close()
  })

  test('that is answered early is told to stop sending', async () => {
    await open((_, response) => response.end())
    const stream = session.request({ ':method': 'POST', ':path': '/api' })
    stream.write('never ends')
    const { headers } = await answerOf(stream) // which is closed, without an error
    assert.equal(headers[':status'], 401)
  })
})

describe('a connection', () => {
  test('T-H15 that takes back one request after the other is closed', async () => {
    await open(({ url }, response) => (url === '/api' ? response.end() : response.flushHeaders()), {
      limits: { http2Resets: 20 },
    })
    await ask({ ':path': '/api' }, '')
    for (let count = 0; count < 500 && door.proxy.counts().connections > 0; count += 1) {
      const stream = session.request({ ':path': '/api/v1/pods?watch=1', authorization: 'Bearer jane' })
      stream.on('error', () => {})
      stream.close(constants.NGHTTP2_CANCEL)
      await new Promise(setImmediate)
    }
    assert.equal(door.proxy.counts().connections, 0)
    assert.ok(door.observations.some(({ cause }) => cause === 'H15'))
    while (door.proxy.counts().requests > 0) await new Promise(setImmediate)
    assert.equal(door.admission.counts().streams, 0)
  })

  test('T-H15 has an end to how many streams there are at once, and to the length of heads', async () => {
    await open(echo, { limits: { http2Streams: 7 } })
    await ask({ ':path': '/api' })
    const settings = session.remoteSettings
    assert.equal(settings.maxConcurrentStreams, 7)
    assert.ok((settings.maxHeaderListSize ?? Number.POSITIVE_INFINITY) < 1_000_000)
    await assert.rejects(ask({ ':path': '/api', 'x-long': 'x'.repeat(200_000) }))
  })

  test('without a stream for long is closed, with one it is not', async () => {
    await open((_, response) => response.writeHead(200).flushHeaders())
    const stream = session.request({ ':path': '/api/v1/pods?watch=1', authorization: 'Bearer jane' })
    stream.on('error', () => {})
    await new Promise((resolve) => stream.once('response', resolve))
    door.pass(3_600_000)
    assert.equal(door.proxy.counts().requests, 1)
    stream.close(constants.NGHTTP2_CANCEL)
    await door.observed()
    const closed = new Promise((resolve) => session.once('close', resolve))
    door.pass(121_000)
    await closed
  })

  test('T-H15 is not closed for requests with bodies that were answered whole', async () => {
    await open(echo, { limits: { http2Resets: 3 } })
    for (let count = 1; count <= 10; count += 1) {
      const { headers } = await ask({ ':method': 'POST', ':path': '/api' }, 'body')
      assert.equal(headers[':status'], 200)
      const { outcome, status } = await door.observed(count)
      assert.deepEqual([outcome, status], ['forwarded', 200])
    }
  })

  test('T-H15 is not closed for such requests while it has much else to send either', async () => {
    const AT_ONCE = 50
    const much = Buffer.alloc(1_000_000, 'x')
    const some: RequestListener = (received, response) =>
      received.url === '/much' ? response.end(much) : echo(received, response)
    await open(some, { limits: { http2Resets: 3 } })
    const others = Array.from({ length: 5 }, () => ask({ ':path': '/much' }))
    const posts = Array.from({ length: AT_ONCE }, () => ask({ ':method': 'POST', ':path': '/api' }, 'x'.repeat(1000)))
    for (const { headers } of await Promise.all([...posts, ...others])) assert.equal(headers[':status'], 200)
    await door.observed(AT_ONCE + others.length)
    const outcomes = new Set(door.observations.map(({ outcome }) => outcome))
    assert.deepEqual([...outcomes], ['forwarded'])
  })

  test('that is gone before an answer is out has not been answered, whether the request had a body or not', async () => {
    for (const body of [undefined, 'body']) {
      await open((_, response) => void response.end(Buffer.alloc(10_000)))
      const { socket } = await dial(estate, door, { ALPNProtocols: ['h2'] })
      socket.removeAllListeners('data')
      const other = connect(`https://127.0.0.1:${door.port}`, {
        createConnection: () => socket,
        settings: { initialWindowSize: 1000 },
      })
      other.on('error', () => {})
      const method = body === undefined ? 'GET' : 'POST'
      const stream = other.request({ ':method': method, ':path': '/api', authorization: 'Bearer jane' })
      stream.on('error', () => {})
      await new Promise((resolve) => stream.end(body).once('data', resolve)) // and no more than that is let through
      socket.destroy()
      assert.equal((await door.observed()).outcome, 'canceled')
      session.destroy()
      await door.close()
    }
  })

  test('T-S15 that is not hung up on its side either is cut off', async () => {
    await open(echo)
    for (const goodbye of [Buffer.alloc(0), frame(GOAWAY, Buffer.alloc(8))]) {
      const client = await dial(estate, door, { ALPNProtocols: ['h2'], allowHalfOpen: true })
      client.send(Buffer.concat([PREFACE, frame(SETTINGS, Buffer.alloc(0)), goodbye]))
      await client.until((received) => received.length > 0)
      door.pass(121_000)
      await client.ended
      door.pass(1_000)
      while (door.proxy.counts().connections > 0) await new Promise(setImmediate)
      client.socket.destroy()
    }
  })

  test('is not offered where only HTTP/1.1 is', async () => {
    await open(echo, { http2: false })
    const client = await dial(estate, door, { ALPNProtocols: ['h2', 'http/1.1'] })
    assert.equal(client.socket.alpnProtocol, 'http/1.1')
    client.socket.destroy()
  })
})
