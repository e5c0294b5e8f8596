/**
 * One HTTP/2 stream and its answer. Owns the translation between the two versions of a head; leaves streams and their
 * limits to `http2.ts`.
 *
 * @module
 */
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { ArchwayError } from '../../errors.ts'
import type { HttpAnswer } from '../../http.ts'
import type { RawHead } from '../hygiene/hygiene.ts'
import type { Framing, HeaderLines } from '../wire.ts'
import { answerLines } from './answer-lines.ts'
import type { ClientExchange, ClientListener } from './client.ts'

/** The connection, as its exchanges see it. */
export interface Http2Owner {
  readonly socket: TLSSocket
  readonly remoteAddress: string
  /** The stream is closed; `isReset`: the client took the request back. */
  ended(exchange: Http2Exchange, isReset: boolean): void
}

export class Http2Exchange implements ClientExchange {
  readonly head: RawHead
  bodyIsWhole: boolean
  readonly #owner: Http2Owner
  readonly #stream: ServerHttp2Stream
  #listener: ClientListener | undefined
  #isReading = false
  #isOpen = true
  #waits = false
  #hasEnded = false

  constructor(owner: Http2Owner, stream: ServerHttp2Stream, head: RawHead) {
    this.#owner = owner
    this.#stream = stream
    this.head = head
    this.bodyIsWhole = head.ended === true
    stream.on('error', ignore) // the stream's 'close' tells it
    stream.on('close', () => this.#closed())
    stream.on('drain', () => this.#drained())
    stream.on('finish', () => this.#finished())
  }

  get remoteAddress(): string {
    return this.#owner.remoteAddress
  }

  get socket(): TLSSocket {
    return this.#owner.socket
  }

  get isStalled(): boolean {
    return this.#waits || (this.#hasEnded && this.#isOpen)
  }

  take(listener: ClientListener): void {
    this.#listener = listener
  }

  readBody(): void {
    const stream = this.#stream
    if (this.#isReading) {
      stream.resume()
      return
    }
    this.#isReading = true
    stream.on('data', (chunk: Buffer) => this.#listener?.body(chunk))
    stream.on('end', () => {
      this.bodyIsWhole = true
      if (!stream.aborted) this.#listener?.bodyEnd()
    })
  }

  pauseBody(): void {
    this.#stream.pause()
  }

  sendContinue(): void {
    const stream = this.#stream
    if (!stream.headersSent && !stream.closed && !stream.destroyed) stream.additionalHeaders({ ':status': 100 })
  }

  sendHead(status: number, lines: HeaderLines, framing: Framing): void {
    const stream = this.#stream
    if (stream.closed || stream.destroyed) return
    const fields: OutgoingHttpHeaders = Object.create(null)
    fields[':status'] = status
    for (const [name, value] of lines) add(fields, name.toLowerCase(), value)
    if (framing.kind === 'length') fields['content-length'] = String(framing.bytes)
    const isBodiless = this.head.method === 'HEAD'
    stream.respond(fields, { endStream: isBodiless })
    if (isBodiless) this.#hasEnded = true
  }

  write(chunk: Buffer): boolean {
    if (this.#hasEnded || this.#stream.write(Buffer.from(chunk))) return true
    this.#waits = true
    return false
  }

  end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#stream.end()
  }

  answer(answer: HttpAnswer): void {
    const body = Buffer.from(answer.body)
    this.sendHead(answer.status, answerLines(answer), { kind: 'length', bytes: body.length })
    this.write(body)
    this.end()
  }

  /** With an error: `close` would end the stream like a whole answer first, and reset it then. */
  cut(): void {
    this.#stream.destroy(new Error('the answer cannot be finished'))
  }

  switchProtocols(): Duplex {
    throw new ArchwayError('internal', 'an HTTP/2 stream cannot be switched to another protocol')
  }

  #drained(): void {
    this.#waits = false
    this.#listener?.taken()
  }

  /** The answer is out: the rest of a body is not wanted (RFC 9113, section 8.1). */
  #finished(): void {
    const stream = this.#stream
    if (!this.bodyIsWhole) setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR))
  }

  #closed(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    const listener = this.#listener
    this.#listener = undefined
    const { writableFinished, rstCode, headersSent } = this.#stream
    // Where the request had a body, or the socket has much else to write, the stream is closed in good order before it
    // tells that it has finished. Those of a connection that is gone are closed with an error.
    const isOut = writableFinished || rstCode === constants.NGHTTP2_NO_ERROR
    const isWhole = this.#hasEnded && isOut && headersSent
    this.#owner.ended(this, !isWhole)
    if (isWhole) listener?.sent()
    else listener?.gone()
  }
}

function ignore(): void {}

/** A field may come several times; the object has no prototype, so that no name is anything but a name (H13). */
function add(fields: OutgoingHttpHeaders, name: string, value: string): void {
  const known = fields[name]
  if (known === undefined) fields[name] = value
  else if (Array.isArray(known)) known.push(value)
  else fields[name] = [String(known), value]
}
