/** Bodies of answers on their way to a client: merged, framed, and no more of them in memory than has to be. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { AnswerBody, type BodyWriter } from '../../../src/proxy/client/answer-body.ts'
import { BUFFER_BYTES, type Buffers, createBuffers } from '../../../src/proxy/client/buffers.ts'

const CHUNKED = { 'Transfer-Encoding': 'chunked' }
const IDLE: BodyWriter = { drained() {} }

let server: Server
let handle: (response: ServerResponse) => void = () => {}
let port = 0

before(async () => {
  server = createServer((_, response) => handle(response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
after(() => {
  server.closeAllConnections()
  server.close()
})

/** All that comes of one request. */
async function raw(): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  let text = ''
  for await (const bytes of socket) text += bytes.toString('latin1')
  return text.slice(text.indexOf('\r\n\r\n') + 4)
}

async function body(): Promise<Buffer> {
  const [answer] = (await once(get({ port, host: '127.0.0.1', agent: false }), 'response')) as [IncomingMessage]
  return Buffer.concat(await answer.toArray())
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

describe('the body of an answer', () => {
  test('has one chunk for what came in one turn', async () => {
    handle = async (response) => {
      const out = new AnswerBody(response.writeHead(200, CHUNKED), createBuffers(), IDLE, true)
      for (const piece of ['one', 'two', 'three']) out.write(Buffer.from(piece))
      await turn()
      await turn()
      for (const piece of ['four', 'five']) out.write(Buffer.from(piece))
      out.end()
    }
    assert.equal(await raw(), 'b\r\nonetwothree\r\n8\r\nfourfive\r\n0\r\n\r\n')
  })

  test('has the last chunk alone where nothing came', async () => {
    handle = (response) => new AnswerBody(response.writeHead(200, CHUNKED), createBuffers(), IDLE, true).end()
    assert.equal(await raw(), '0\r\n\r\n')
  })

  test('is what was written, whatever pieces it came in, and though the memory of each is used again at once', async () => {
    const piece = fc.record({ length: fc.integer({ min: 0, max: 2.5 * BUFFER_BYTES }), waits: fc.boolean() })
    const property = fc.asyncProperty(fc.array(piece, { maxLength: 8 }), fc.boolean(), async (pieces, isChunked) => {
      const sent: Buffer[] = []
      const length = pieces.reduce((sum, one) => sum + one.length, 0)
      const buffers = createBuffers()
      handle = async (response) => {
        response.writeHead(200, isChunked ? CHUNKED : { 'Content-Length': length })
        const out = new AnswerBody(response, buffers, IDLE, isChunked)
        for (const [at, one] of pieces.entries()) {
          const bytes = Buffer.alloc(one.length, at + 1)
          sent.push(Buffer.from(bytes))
          out.write(bytes)
          bytes.fill(0xff)
          if (one.waits) await turn()
        }
        out.end()
      }
      assert((await body()).equals(Buffer.concat(sent)))
    })
    await fc.assert(property, { numRuns: 40 })
  })

  test('is refused while the client takes nothing, asked for again when it does, and holds two buffers at most', async () => {
    const PIECE = Buffer.alloc(16 * 1024, 'x')
    const total = 1024
    let held = 0
    let most = 0
    const plain = createBuffers()
    const buffers: Buffers = {
      take() {
        held += 1
        most = Math.max(most, held)
        return plain.take()
      },
      giveBack(buffer) {
        held -= 1
        plain.giveBack(buffer)
      },
    }
    const { promise: refused, resolve } = Promise.withResolvers<void>()
    let written = 0
    handle = (response) => {
      const more = (): void => {
        while (written < total) {
          written += 1
          if (out.write(PIECE)) continue
          resolve()
          return
        }
        out.end()
      }
      const out = new AnswerBody(response.writeHead(200, CHUNKED), buffers, { drained: more }, true)
      more()
    }
    const [answer] = (await once(get({ port, host: '127.0.0.1', agent: false }), 'response')) as [IncomingMessage]
    await refused
    assert(written < total)
    let bytes = 0
    for await (const chunk of answer) bytes += chunk.length
    assert.deepEqual([bytes, written, held], [total * PIECE.length, total, 0])
    assert(most <= 2, `${most} buffers`)
  })
})
