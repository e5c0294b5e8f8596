/**
 * An LDAP server that answers with the bytes a test gives it: for what no real server can be made to do.
 *
 * @module
 */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { BerReader, FilterParser } from 'ldapts'
import { elements, expect, TAG, text, unsigned } from '../../src/ldap/ber.ts'
import { framing } from '../../src/ldap/message.ts'

export type FakeRequest = { readonly id: number; readonly connection: number } & (
  | { readonly kind: 'bind'; readonly dn: string; readonly password: string }
  | ({ readonly kind: 'search'; readonly base: string; readonly scope: number; readonly sizeLimit: number } & {
      /** As RFC 4515 writes it. */
      readonly filter: string
      readonly attributes: readonly string[]
      /** Cookie of the paged results control; absent: no paging was asked for. */
      readonly cookie?: Buffer
    })
  | { readonly kind: 'extended'; readonly oid: string }
  | { readonly kind: 'unbind' }
)

/** Bytes to send; `end`: the connection is closed after them; nothing: silence. */
export type FakeAnswer = Buffer | readonly Buffer[] | 'end' | undefined

export interface FakeLdap {
  readonly url: string
  readonly port: number
  readonly requests: FakeRequest[]
  /** Connections that are open now. */
  readonly open: number
  /** Sends to every open connection, unasked. */
  say(bytes: Buffer): void
  /** Resolves when no connection is open. */
  deserted(): Promise<void>
  close(): Promise<void>
}

export async function startFakeLdap(answer: (request: FakeRequest, socket: Socket) => FakeAnswer): Promise<FakeLdap> {
  const sockets = new Set<Socket>()
  const requests: FakeRequest[] = []
  let taken = 0
  const server = createServer((socket) => {
    const frames = framing(1024 * 1024)
    const connection = ++taken
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      server.emit('left')
    })
    socket.on('data', (chunk) => {
      for (const message of frames.push(chunk)) {
        const request = readRequest(message, connection)
        requests.push(request)
        const bytes = request.kind === 'unbind' ? undefined : answer(request, socket)
        if (bytes === 'end') socket.destroy()
        else if (bytes !== undefined) for (const part of Array.isArray(bytes) ? bytes : [bytes]) socket.write(part)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return {
    url: `ldap://127.0.0.1:${address.port}`,
    port: address.port,
    requests,
    get open() {
      return sockets.size
    },
    say(bytes) {
      for (const socket of sockets) socket.write(bytes)
    },
    async deserted() {
      while (sockets.size > 0) await once(server, 'left')
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function readRequest(message: Buffer, connection: number): FakeRequest {
  const [envelope] = elements(message)
  const [idElement, operation, controls] = elements(expect(envelope, TAG.sequence))
  const id = unsigned(idElement, TAG.integer)
  if (operation === undefined) throw new Error('no operation')
  const { tag, content } = operation
  if (tag === 0x42) return { id, connection, kind: 'unbind' }
  const parts = elements(content)
  if (tag === 0x60) {
    return { id, connection, kind: 'bind', dn: text(parts[1]), password: expect(parts[2], 0x80).toString() }
  }
  if (tag === 0x77) return { id, connection, kind: 'extended', oid: expect(parts[0], 0x80).toString() }
  const [base, scope, , sizeLimit, , , filter, attributes] = parts
  if (tag !== 0x63 || filter === undefined) throw new Error(`request ${tag}`)
  const written = tlv(filter.tag, filter.content)
  return {
    id,
    connection,
    kind: 'search',
    base: text(base),
    scope: unsigned(scope, TAG.enumerated),
    sizeLimit: unsigned(sizeLimit, TAG.integer),
    // ldapts reads a presence filter from the start of its buffer
    filter: filter.tag === 0x87 ? `(${filter.content}=*)` : FilterParser.parse(new BerReader(written)).toString(),
    attributes: elements(expect(attributes, TAG.sequence)).map(text),
    ...(controls === undefined ? {} : { cookie: cookieOf(controls.content) }),
  }
}

function cookieOf(controls: Buffer): Buffer {
  const [control] = elements(controls)
  const value = elements(expect(control, TAG.sequence)).at(-1)
  const [pair] = elements(expect(value, TAG.octets))
  return expect(elements(expect(pair, TAG.sequence))[1], TAG.octets)
}

/** One element of BER. */
export function tlv(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  const size =
    length < 0x80 ? [length] : [0x84, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

export function octets(value: string | Buffer, tag: number = TAG.octets): Buffer {
  return tlv(tag, typeof value === 'string' ? Buffer.from(value) : value)
}

export function integer(value: number, tag: number = TAG.integer): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return tlv(tag, bytes)
}

export function message(id: number, ...parts: readonly Buffer[]): Buffer {
  return tlv(TAG.sequence, integer(id), ...parts)
}

/** The three parts every result has. */
export function result(code: number, diagnostic = ''): Buffer {
  return Buffer.concat([integer(code, TAG.enumerated), octets(''), octets(diagnostic)])
}

export function bindAnswer(id: number, code = 0, diagnostic = ''): Buffer {
  return message(id, tlv(0x61, result(code, diagnostic)))
}

export function entryAnswer(
  id: number,
  dn: string,
  attributes: Readonly<Record<string, readonly (string | Buffer)[]>>,
): Buffer {
  const list = Object.entries(attributes).map(([type, values]) =>
    tlv(TAG.sequence, octets(type), tlv(TAG.set, ...values.map((value) => octets(value)))),
  )
  return message(id, tlv(0x64, octets(dn), tlv(TAG.sequence, ...list)))
}

export function referenceAnswer(id: number, url: string): Buffer {
  return message(id, tlv(0x73, octets(url)))
}

export function doneAnswer(id: number, code = 0, cookie?: string): Buffer {
  const done = tlv(0x65, result(code))
  if (cookie === undefined) return message(id, done)
  const value = tlv(TAG.sequence, integer(0), octets(cookie))
  return message(id, done, tlv(0xa0, tlv(TAG.sequence, octets('1.2.840.113556.1.4.319'), octets(value))))
}

export function extendedAnswer(id: number, code = 0, name?: string): Buffer {
  return message(id, tlv(0x78, result(code), ...(name === undefined ? [] : [octets(name, 0x8a)])))
}
