/** The end of the door: nobody new, watches end where nothing is lost, the rest runs until it is cut. */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:http2'
import type { Socket } from 'node:net'
import { afterEach, before, test } from 'node:test'
import { dial, type RawClient, request } from './support/client.ts'
import { createEstate, type Estate, type OpenDoor, openDoor } from './support/door.ts'

let estate: Estate
let door: OpenDoor
const responses = new Map<string, ServerResponse>()

before(async () => {
  estate = await createEstate()
})
afterEach(async () => {
  responses.clear()
  await door.close()
})

/** Answers nothing by itself: the responses are the test's to write. */
async function open(): Promise<OpenDoor> {
  const server = createServer((received, response) => {
    received.resume()
    response.setHeader('Content-Type', 'application/json')
    if (received.url !== '/slow') response.flushHeaders()
    responses.set(received.url ?? '', response)
  })
  server.on('upgrade', (_: IncomingMessage, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n')
    socket.on('data', (chunk) => socket.write(chunk))
  })
  door = await openDoor(estate, server)
  return door
}

async function begin(line: string, until = '\r\n\r\n'): Promise<RawClient> {
  const client = await dial(estate, door)
  client.send(request(line))
  await client.until(until)
  return client
}

const WATCH = '/api/v1/pods?watch=1'

test('nobody new is served, and who is idle is let go', async () => {
  const { proxy } = await open()
  const idle = await dial(estate, door)
  while (proxy.counts().connections === 0) await new Promise(setImmediate)
  const over = proxy.drain({ drainMs: 60_000 })
  await idle.closed
  await over
  const late = await dial(estate, door).catch(() => undefined)
  await late?.closed
  assert.equal(door.observations.length, 0)
})

test('a request under way is answered, as the last of its connection', async () => {
  const { proxy } = await open()
  const client = await dial(estate, door)
  client.send(request('GET /slow'))
  while (!responses.has('/slow')) await new Promise(setImmediate)
  const over = proxy.drain({ drainMs: 60_000 })
  responses.get('/slow')?.end('{"done":true}')
  assert.match(await client.ended, /\r\nConnection: close\r\n[\s\S]*\{"done":true\}/)
  await over
  assert.equal((await door.observed()).outcome, 'forwarded')
})

test('a watch is ended cleanly, behind a whole event', async () => {
  const { proxy } = await open()
  const client = await begin(`GET ${WATCH}`)
  responses.get(WATCH)?.write('{"type":"ADDED"}\n{"type":')
  await client.until('{"type":')
  const over = proxy.drain({ drainMs: 60_000 })
  assert.equal(client.socket.readableEnded, false)
  responses.get(WATCH)?.write('"MODIFIED"}\n')
  assert.match(await client.ended, /"MODIFIED"\}\n\r\n0\r\n\r\n$/)
  await over
  const seen = await door.observed()
  assert.deepEqual([seen.outcome, seen.cause], ['forwarded', 'drained'])
})

test('watches end one after the other, over the first half of the time', async () => {
  const { proxy, pass } = await open()
  const clients: RawClient[] = []
  for (let count = 0; count < 4; count += 1) clients.push(await begin(`GET ${WATCH}&n=${count}`))
  const over = proxy.drain({ drainMs: 8_000 })
  for (let count = 1; count <= 4; count += 1) {
    await door.observed(count)
    assert.equal(door.observations.length, count)
    pass(1_000)
  }
  await over
  for (const client of clients) assert.match(await client.closed, /\r\n0\r\n\r\n$/)
})

test('logs that are followed are ended too, other answers are not', async () => {
  const { proxy } = await open()
  const log = '/api/v1/namespaces/a/pods/b/log?follow=true'
  const followed = await begin(`GET ${log}`)
  const list = await begin('GET /api/v1/pods')
  responses.get(log)?.write('one\n')
  await followed.until('one\n')
  const over = proxy.drain({ drainMs: 60_000 })
  assert.match(await followed.ended, /one\n\r\n0\r\n\r\n$/)
  responses.get('/api/v1/pods')?.end('{"items":[]}')
  await list.until('{"items":[]}')
  await over
})

test('a tunnel runs to the limit, and is cut then', async () => {
  const { proxy, pass } = await open()
  const client = await dial(estate, door)
  client.send(
    request('POST /api/v1/namespaces/a/pods/b/exec', { headers: 'Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' }),
  )
  await client.until('\r\n\r\n')
  const over = proxy.drain({ drainMs: 10_000 })
  pass(9_000)
  client.send('still')
  await client.until('still')
  pass(1_000)
  await client.closed
  await over
  assert.equal((await door.observed()).outcome, 'upgraded')
})

test('a second wish to end may be less patient', async () => {
  const { proxy } = await open()
  const client = await begin('GET /api/v1/pods')
  const patient = proxy.drain({ drainMs: 600_000 })
  await proxy.drain({ drainMs: 0 })
  await patient
  assert.doesNotMatch(await client.closed, /\r\n0\r\n\r\n$/)
  assert.equal((await door.observed()).outcome, 'failed')
})

test('an HTTP/2 connection takes no more streams, and ends with its last', async () => {
  const { proxy } = await open()
  const session = connect(`https://127.0.0.1:${door.port}`, { ca: estate.authority.cert })
  session.on('error', () => {})
  const stream = session.request({ ':path': '/slow', authorization: 'Bearer jane' })
  while (!responses.has('/slow')) await new Promise(setImmediate)
  const goaway = new Promise((resolve) => session.once('goaway', resolve))
  const closed = new Promise((resolve) => session.once('close', resolve))
  const over = proxy.drain({ drainMs: 60_000 })
  assert.equal(await goaway, 0)
  const answered = new Promise((resolve) => stream.once('response', resolve))
  responses.get('/slow')?.end('{}')
  await answered
  stream.resume()
  await over
  await closed
})
