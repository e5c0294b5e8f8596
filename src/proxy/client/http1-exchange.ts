/**
 * One HTTP/1.x request as `node:http` has parsed it, and its answer. Owns what has to happen when an answer is out
 * before the body of its request is in; leaves the order of requests, and time, to the connection.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { HttpAnswer } from '../../http.ts'
import type { RawHead } from '../hygiene/hygiene.ts'
import type { ProxyLimits } from '../limits.ts'
import type { Framing, HeaderLines, Upgrade } from '../wire.ts'
import { AnswerBody, type BodyWriter } from './answer-body.ts'
import { answerLines } from './answer-lines.ts'
import type { Buffers } from './buffers.ts'
import type { ClientExchange, ClientListener } from './client.ts'

/** The connection, as its exchanges see it. */
export interface Http1Owner {
  readonly socket: TLSSocket
  readonly remoteAddress: string
  readonly limits: ProxyLimits
  readonly buffers: Buffers
  /** The next answer is the last. */
  readonly isLast: boolean
  now(): number
  /** The answer is out, or nobody is there to take it. */
  ended(exchange: Http1Exchange): void
  /** The connection is the tunnel's. */
  left(): void
}

/** A body that is shorter than this is waited for, so that the connection can go on after an early answer. */
const KEPT_BYTES = 64 * 1024

/** An answer of one piece up to this goes out as text. */
const ONE_PIECE = 8 * 1024

export class Http1Exchange implements BodyWriter, ClientExchange {
  readonly head: RawHead
  bodyIsWhole: boolean
  readonly #owner: Http1Owner
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #upgrades: boolean
  readonly #expects: boolean
  readonly #declared: number | undefined
  #listener: ClientListener | undefined
  #hasEarly = false
  #isReading = false
  #isBroken = false
  #hasContinued = false
  #headIsSent = false
  #isOpen = true
  /** Bytes of the answer still to be written, where it has a length. */
  #left: number | undefined
  #body: AnswerBody | undefined
  #hasWritten = false
  #hasEnded = false
  #waits = false
  /** Of a body that nobody wants; undefined: it is wanted. */
  #discarded: number | undefined
  #discardsSince = 0

  constructor(
    owner: Http1Owner,
    request: IncomingMessage,
    response: ServerResponse,
    { upgrades = false, expects = false }: { readonly upgrades?: boolean; readonly expects?: boolean } = {},
  ) {
    this.#owner = owner
    this.#request = request
    this.#response = response
    this.#upgrades = upgrades
    this.#expects = expects
    const { lines, length, isChunked } = linesOf(request.rawHeaders)
    this.#declared = length
    this.bodyIsWhole = upgrades || (!isChunked && (length === undefined || length === 0))
    this.head = {
      protocol: request.httpVersion === '1.0' ? 'HTTP/1.0' : 'HTTP/1.1',
      method: request.method ?? '',
      target: request.url ?? '',
      headers: lines,
    }
    request.on('error', ignore) // cut off: the response's 'close' tells it
    response.on('error', ignore)
    response.on('close', () => this.#closed())
    if (upgrades) response.on('finish', () => owner.socket.destroySoon()) // as node:http does for the others
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

  /** Everything has been handed to the socket. */
  get hasEnded(): boolean {
    return this.#hasEnded
  }

  take(listener: ClientListener): void {
    this.#listener = listener
    if (this.#hasEarly) listener.early()
  }

  readBody(): void {
    const request = this.#request
    if (this.#isReading) {
      request.resume()
      return
    }
    this.#isReading = true
    request.on('data', (chunk: Buffer) => this.#onBody(chunk))
    request.on('end', () => this.#onBodyEnd())
  }

  pauseBody(): void {
    this.#request.pause()
  }

  sendContinue(): void {
    if (!this.#expects || this.#hasContinued || this.#headIsSent || !this.#isOpen) return
    this.#hasContinued = true
    this.#response.writeContinue()
  }

  sendHead(status: number, lines: HeaderLines, framing: Framing): void {
    const fields: string[] = []
    for (const [name, value] of lines) fields.push(name, value)
    const isChunked = framing.kind === 'chunked' && this.head.protocol === 'HTTP/1.1'
    if (framing.kind === 'length') fields.push('Content-Length', String(framing.bytes))
    else if (isChunked) fields.push('Transfer-Encoding', 'chunked')
    else if (framing.kind === 'none' && hasBody(status) && this.head.method !== 'HEAD')
      fields.push('Content-Length', '0')
    if (this.#mustClose()) fields.push('Connection', 'close')
    this.#headIsSent = true
    this.#left = framing.kind === 'length' ? framing.bytes : undefined
    this.#response.writeHead(status, fields)
    this.#body = new AnswerBody(this.#response, this.#owner.buffers, this, isChunked)
    process.nextTick(flush, this)
  }

  write(chunk: Buffer): boolean {
    if (this.#left !== undefined) {
      this.#left -= chunk.length
      if (this.#left === 0 && this.bodyIsWhole && !this.#hasEnded) {
        this.#hasEnded = true
        // One piece of text with the head, where that is still here, is one write.
        if (!this.#hasWritten && chunk.length <= ONE_PIECE) this.#response.end(chunk.toString('latin1'), 'latin1')
        else {
          this.#body?.write(chunk)
          this.#body?.end()
        }
        return true
      }
    }
    this.#hasWritten = true
    if (this.#body?.write(chunk) !== false) return true
    this.#waits = true
    return false
  }

  end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    if (this.bodyIsWhole || this.#isBroken || (this.#expects && !this.#hasContinued)) {
      this.#endBody()
    } else if (this.#keeps() || this.#left === undefined) {
      this.#endBody()
      this.#discard()
    } else {
      this.#body?.flush()
      this.#discard() // the answer has gone out; closing now could take it back from the client's hands
    }
  }

  answer(answer: HttpAnswer): void {
    const body = Buffer.from(answer.body)
    this.sendHead(answer.status, answerLines(answer), { kind: 'length', bytes: body.length })
    if (this.head.method === 'HEAD') this.#left = 0
    else this.write(body)
    this.end()
  }

  cut(): void {
    this.#owner.socket.destroy()
  }

  switchProtocols(protocol: Upgrade, lines: HeaderLines): Duplex {
    const { socket } = this.#owner
    this.#isOpen = false
    this.#listener = undefined
    this.#response.detachSocket(socket)
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${head}\r\n`,
      'latin1',
    )
    this.#owner.left()
    return socket
  }

  /** A head whose body does not come at once goes out alone. */
  flushHead(): void {
    if (!this.#hasWritten && !this.#hasEnded && this.#isOpen) this.#response.flushHeaders()
  }

  /** Bytes behind the head of an upgrade, before there was an answer. */
  early(): void {
    if (this.#hasEarly) return
    this.#hasEarly = true
    this.#listener?.early()
  }

  /** The parser has found that the body is none. */
  bodyBroken(): void {
    this.#isBroken = true
    if (this.#hasEnded) this.#owner.socket.destroySoon()
    else this.#listener?.bodyBroken()
  }

  drained(): void {
    if (!this.#waits) return
    this.#waits = false
    this.#listener?.taken()
  }

  /** A body that nobody wants comes for too long. */
  sweep(now: number): void {
    if (this.#discarded !== undefined && now - this.#discardsSince > this.#owner.limits.discardMs) this.#finish()
  }

  #endBody(): void {
    if (this.#body === undefined) this.#response.end()
    else this.#body.end()
  }

  #onBody(chunk: Buffer): void {
    if (this.#discarded === undefined) {
      this.#listener?.body(chunk)
      return
    }
    this.#discarded += chunk.length
    if (this.#discarded > this.#owner.limits.discardBytes) this.#finish()
  }

  #onBodyEnd(): void {
    this.bodyIsWhole = true
    if (this.#discarded === undefined) this.#listener?.bodyEnd()
    else this.#finish()
  }

  #discard(): void {
    this.#discarded = 0
    this.#discardsSince = this.#owner.now()
    this.readBody()
    this.#request.resume()
  }

  #finish(): void {
    if (!this.#response.writableEnded) this.#response.end()
  }

  /** An answer before the body is in: the connection can go on only when the rest is short, and will come. */
  #keeps(): boolean {
    if (this.bodyIsWhole) return true
    if (this.#isBroken) return false
    return !(this.#expects && !this.#hasContinued) && this.#declared !== undefined && this.#declared <= KEPT_BYTES
  }

  #mustClose(): boolean {
    return this.#upgrades || this.#owner.isLast || !this.#keeps()
  }

  #closed(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#owner.ended(this)
    const listener = this.#listener
    this.#listener = undefined
    if (this.#response.writableFinished) listener?.sent()
    else listener?.gone()
  }
}

function ignore(): void {}

function flush(exchange: Http1Exchange): void {
  exchange.flushHead()
}

function hasBody(status: number): boolean {
  return status !== 204 && status !== 304
}

interface Lines {
  readonly lines: HeaderLines
  readonly length: number | undefined
  readonly isChunked: boolean
}

/** Name and value by turns, as `rawHeaders` has them; `node:http` has parsed the framing, this is only to know of it. */
function linesOf(raw: readonly string[]): Lines {
  const lines: [string, string][] = []
  let length: number | undefined
  let isChunked = false
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? ''
    const value = raw[at + 1] ?? ''
    lines.push([name, value])
    if (name.length === 14 && name.toLowerCase() === 'content-length') length = Number(value)
    else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') isChunked = true
  }
  return { lines, length, isChunked }
}
