/**
 * Takes chunks apart (RFC 9112 section 7.1), in pieces of any size and without copying. Extensions and trailers are
 * checked, bounded and dropped.
 *
 * @module
 */
import { MalformedAnswer, readLine } from './answer-head.ts'

/** Hex digits of a size: every number they make is exact. */
const MAX_DIGITS = 13
/** Bytes of extensions behind one size. */
const MAX_EXTENSION_BYTES = 1024
/** Bytes of all trailers of one body. */
const MAX_TRAILER_BYTES = 16 * 1024

const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const SEMICOLON = 0x3b
const DELETE = 0x7f

type State = 'size' | 'extension' | 'size-end' | 'data' | 'data-cr' | 'data-lf' | 'trailer' | 'whole'

/** Takes the bytes of a body; false: no more for now. */
export interface BodyTaker {
  data(chunk: Buffer): boolean
}

export class ChunkedBody {
  #state: State = 'size'
  /** Of the size, while it is being read; then of its extensions. */
  #count = 0
  /** Bytes of the chunk still to come. */
  #left = 0
  /** Of the trailer line that has begun. */
  #line = ''
  #trailerBytes = 0

  get whole(): boolean {
    return this.#state === 'whole'
  }

  /** Another body begins. */
  begin(): void {
    this.#state = 'size'
    this.#count = 0
    this.#left = 0
    this.#line = ''
    this.#trailerBytes = 0
  }

  /**
   * Reads `bytes` from `from` on, until they are used up, the body is whole or `taker` wants no more. Returns how far it
   * came.
   *
   * @throws MalformedAnswer
   */
  read(bytes: Buffer, from: number, taker: BodyTaker): number {
    let at = from
    while (at < bytes.length && this.#state !== 'whole') {
      if (this.#state === 'data') {
        const end = Math.min(bytes.length, at + this.#left)
        this.#left -= end - at
        if (this.#left === 0) this.#state = 'data-cr'
        const more = taker.data(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end))
        at = end
        if (!more) return at
      } else if (this.#state === 'trailer') {
        at = this.#trailer(bytes, at)
      } else {
        this.#frame(bytes[at] ?? 0)
        at += 1
      }
    }
    return at
  }

  /** One byte between the data. */
  #frame(byte: number): void {
    switch (this.#state) {
      case 'size':
        this.#size(byte)
        break
      case 'extension':
        this.#extension(byte)
        break
      case 'size-end':
        this.#expect(byte, LF, this.#left === 0 ? 'trailer' : 'data')
        break
      case 'data-cr':
        this.#expect(byte, CR, 'data-lf')
        break
      case 'data-lf':
        this.#expect(byte, LF, 'size')
        this.#count = 0
        break
    }
  }

  #size(byte: number): void {
    const digit = hexValue(byte)
    if (digit !== -1) {
      this.#count += 1
      if (this.#count > MAX_DIGITS) throw new MalformedAnswer('a chunk of that size is none')
      this.#left = this.#left * 16 + digit
      return
    }
    if (this.#count === 0) throw new MalformedAnswer('a chunk without a size')
    this.#count = 0
    if (byte === SEMICOLON) this.#state = 'extension'
    else this.#expect(byte, CR, 'size-end')
  }

  #extension(byte: number): void {
    this.#count += 1
    if (this.#count > MAX_EXTENSION_BYTES) throw new MalformedAnswer('the extensions of a chunk are too long')
    if (byte === CR) this.#state = 'size-end'
    else if ((byte < SPACE && byte !== TAB) || byte === DELETE) {
      throw new MalformedAnswer('control characters in the extension of a chunk')
    }
  }

  #expect(byte: number, expected: number, next: State): void {
    if (byte !== expected) throw new MalformedAnswer('a chunk does not end where its size says')
    this.#state = next
  }

  /** Reads up to the end of a trailer line, or of `bytes`; the line without text ends the body. */
  #trailer(bytes: Buffer, at: number): number {
    const feed = bytes.indexOf(LF, at)
    const end = feed === -1 ? bytes.length : feed + 1
    this.#trailerBytes += end - at
    if (this.#trailerBytes > MAX_TRAILER_BYTES) throw new MalformedAnswer('the trailers are too long')
    this.#line += bytes.toString('latin1', at, end)
    if (feed === -1) return end
    const line = this.#line
    this.#line = ''
    if (line === '\r\n') this.#state = 'whole'
    else if (line.endsWith('\r\n')) readLine(line, 0, line.length - 2)
    else throw new MalformedAnswer('a trailer line ends without CR')
    return end
  }
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20 // to lower case
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
