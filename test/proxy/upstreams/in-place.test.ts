/** Reading in place: the same bytes, in memory that is used again, and a stream like any other where nobody does. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { connect, createServer, type Server, type TLSSocket } from 'node:tls'
import { readInPlace } from '../../../src/proxy/upstreams/in-place.ts'
import { createAuthority } from '../../support/tls.ts'

const MIB = 1024 * 1024
const BODY = Buffer.from(Uint32Array.from({ length: MIB }, (_, at) => at * 2_654_435_761).buffer)

let server: Server
const accepted: TLSSocket[] = []

before(async () => {
  const { cert, key } = await (await createAuthority('Kubernetes CA')).server({ ipAddresses: ['127.0.0.1'] })
  server = createServer({ cert, key }, (socket) => {
    socket.on('error', () => {})
    accepted.push(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
after(() => {
  for (const socket of accepted) socket.destroy()
  server.close()
})

async function joined() {
  const { port } = server.address() as AddressInfo
  const socket = readInPlace((onread) =>
    connect(Object.assign({ host: '127.0.0.1', port, rejectUnauthorized: false }, { onread })),
  )
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  while (accepted.length === 0) await once(server, 'secureConnection')
  return { socket, far: accepted.pop() ?? assert.fail() }
}

function collected(): { readonly chunks: Buffer[]; bytes: number; take(bytes: Buffer): void } {
  return {
    chunks: [],
    bytes: 0,
    take(bytes) {
      this.chunks.push(Buffer.from(bytes))
      this.bytes += bytes.length
    },
  }
}

describe('a socket that is read in place', () => {
  test('gives every byte, in order, in no more memory than a record takes', async () => {
    const { socket, far } = await joined()
    const got = collected()
    const memory = new Set<ArrayBufferLike>()
    socket.readInPlace((bytes) => {
      memory.add(bytes.buffer)
      got.take(bytes)
    })
    far.end(BODY)
    await once(socket, 'end')
    assert(Buffer.concat(got.chunks).equals(BODY))
    assert([...memory].reduce((sum, { byteLength }) => sum + byteLength, 0) <= 32 * 1024)
  })

  test('stops when it is paused, but for what was read in the same go, and goes on to the end', async () => {
    const { socket, far } = await joined()
    const got = collected()
    const { promise: paused, resolve } = Promise.withResolvers<void>()
    socket.readInPlace((bytes) => {
      got.take(bytes)
      if (socket.isPaused()) return
      socket.pause()
      resolve()
    })
    far.end(BODY)
    await paused
    for (let turn = 0; turn < 50; turn += 1) await new Promise((done) => setImmediate(done))
    assert(got.bytes <= 80 * 1024, `${got.bytes} bytes came`)
    socket.readInPlace((bytes) => got.take(bytes))
    socket.resume()
    await once(socket, 'end')
    assert(Buffer.concat(got.chunks).equals(BODY))
  })

  test('is a stream before that and after, whose chunks are the reader’s to keep', async () => {
    const { socket, far } = await joined()
    const chunks: Buffer[] = []
    const keep = (chunk: Buffer): void => void chunks.push(chunk)
    socket.on('data', keep)
    far.write(BODY.subarray(0, MIB))
    while (chunks.reduce((sum, { length }) => sum + length, 0) < MIB) await once(socket, 'data')
    socket.readInPlace((bytes) => {
      keep(Buffer.from(bytes))
      socket.readInPlace(undefined)
    })
    far.end(BODY.subarray(MIB))
    await once(socket, 'end')
    assert(Buffer.concat(chunks).equals(BODY))
  })
})
