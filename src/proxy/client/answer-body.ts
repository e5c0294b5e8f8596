/**
 * The body of an answer on its way to a client of HTTP/1.1. What comes within one turn of the event loop leaves as one
 * piece, framed here: as many pieces as come would be as many writes. Owns chunks (RFC 9112 section 7.1) and
 * how much may wait for the client; leaves a length, and whether it was kept, to `http1-exchange.ts`.
 *
 * @module
 */
import type { ServerResponse } from 'node:http'
import { BUFFER_BYTES, type Buffers } from './buffers.ts'

/** Room in front of the bytes for the size of a chunk, and behind them for the end of the last one. */
const SIZE_LINE = 8
const END = '\r\n0\r\n\r\n'
const FULL = BUFFER_BYTES - END.length

/** Behind a piece that the client has not taken yet, this much and no more: what was read in the same go has room then. */
const ENOUGH = FULL - 64 * 1024

/** Whoever writes the body. */
export interface BodyWriter {
  /** The client has taken what waited. */
  drained(): void
}

export class AnswerBody {
  readonly #response: ServerResponse
  readonly #buffers: Buffers
  readonly #writer: BodyWriter
  readonly #chunked: boolean
  /** What has come in this turn lies in it, from `SIZE_LINE` to `#end`. */
  #buffer: Buffer | undefined
  #end = 0
  /** Pieces that the socket has and the client has not. One, if it can be: of two the socket would make a third. */
  #writing = 0
  /** The turn in which the bytes of `#buffer` came is over. */
  #isDue = false
  #isRefusing = false
  #hasBegun = false

  /** The head has been given to `response`, and has not left. */
  constructor(response: ServerResponse, buffers: Buffers, writer: BodyWriter, chunked: boolean) {
    this.#response = response
    this.#buffers = buffers
    this.#writer = writer
    this.#chunked = chunked
    if (chunked) response.chunkedEncoding = false // the head says so, and the chunks are made here
  }

  /** The bytes are copied. False: no more until {@link BodyWriter.drained}. */
  write(bytes: Buffer): boolean {
    for (let at = 0; at < bytes.length; ) {
      const buffer = this.#buffer ?? this.#open()
      const copied = bytes.copy(buffer, this.#end, at, at + FULL - this.#end)
      at += copied
      this.#end += copied
      if (this.#end === FULL) this.#send()
    }
    if (this.#writing === 0 || (this.#writing === 1 && this.#end < ENOUGH)) return true
    this.#isRefusing = true
    return false
  }

  /** What is here leaves now, or when the piece before it has. */
  flush(): void {
    if (this.#writing > 0) this.#isDue = true
    else this.#send()
  }

  /** The body is whole. */
  end(): void {
    const buffer = this.#buffer
    this.#buffer = undefined
    if (buffer !== undefined) this.#response.end(this.#framed(buffer, END), () => this.#buffers.giveBack(buffer))
    else if (this.#chunked) this.#response.end('0\r\n\r\n', 'latin1')
    else this.#response.end()
  }

  #open(): Buffer {
    const buffer = this.#buffers.take()
    this.#buffer = buffer
    this.#end = SIZE_LINE
    setImmediate(flush, this)
    return buffer
  }

  #send(): void {
    const buffer = this.#buffer
    if (buffer === undefined) return
    const bytes = this.#framed(buffer, '\r\n')
    const { socket } = this.#response
    const isFirst = !this.#hasBegun
    this.#buffer = undefined
    this.#isDue = false
    this.#writing += 1
    this.#hasBegun = true
    if (isFirst) socket?.cork() // with the head
    this.#response.write(bytes, () => this.#sent(buffer))
    if (isFirst) socket?.uncork()
  }

  #sent(buffer: Buffer): void {
    this.#buffers.giveBack(buffer)
    this.#writing -= 1
    if (this.#writing > 0) return
    if (this.#isDue) this.#send()
    if (!this.#isRefusing) return
    this.#isRefusing = false
    this.#writer.drained()
  }

  #framed(buffer: Buffer, end: string): Buffer {
    if (!this.#chunked) return buffer.subarray(SIZE_LINE, this.#end)
    const line = `${(this.#end - SIZE_LINE).toString(16)}\r\n`
    const begin = SIZE_LINE - line.length
    buffer.write(line, begin, 'latin1')
    buffer.write(end, this.#end, 'latin1')
    return buffer.subarray(begin, this.#end + end.length)
  }
}

function flush(body: AnswerBody): void {
  body.flush()
}
