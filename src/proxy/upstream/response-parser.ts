/**
 * Reads the answer to one request, in pieces of any size: interim heads, the head, the body. Owns where each of them
 * begins and ends; leaves what a head means to `answer-head.ts`, chunks to `chunked-body.ts`, and what becomes of the
 * connection to `connection.ts`.
 *
 * The usual answer, its head in one piece, is read with one search and one conversion; bodies are passed on as they lie.
 *
 * @module
 */
import type { Upgrade } from '../wire.ts'
import { type AnswerHead, MalformedAnswer, readAnswerHead } from './answer-head.ts'
import { type BodyTaker, ChunkedBody } from './chunked-body.ts'

const END_OF_HEAD = '\r\n\r\n'
const START = 'HTTP/1.'
const LF = 0x0a
const CR = 0x0d
/** Interim answers to one request. */
const MAX_INTERIM = 16

export interface AnswerLimits {
  /** Bytes of one head. */
  readonly headBytes: number
  /** Lines of one head, the status line not counted. */
  readonly headLines: number
}

/** What the request was, as far as the reading of its answer depends on it. */
export interface Asked {
  readonly method: string
  readonly upgrade?: Upgrade
}

/** Told of an answer as it is read. Once {@link AnswerEvents.data} has returned false, nothing more is read for now. */
export interface AnswerEvents extends BodyTaker {
  /** 100; other interim answers are dropped. */
  continued(): void
  head(head: AnswerHead): void
  /** 101 for the protocol that was asked for: what follows the head is no HTTP. */
  switched(head: AnswerHead): void
}

type State = 'head' | 'length' | 'chunked' | 'until-close' | 'whole'

export class ResponseParser {
  readonly #limits: AnswerLimits
  readonly #chunks = new ChunkedBody()
  #state: State = 'whole'
  #bodiless = false
  #upgrade: Upgrade | undefined
  #interim = 0
  /** Of a head that came in several pieces. */
  #pieces: string[] = []
  #pieceBytes = 0
  /** The last bytes of those pieces. */
  #tail = ''
  /** Bytes of the body still to come. */
  #left = 0

  constructor(limits: AnswerLimits) {
    this.#limits = limits
  }

  /** The answer has been read to its end. */
  get whole(): boolean {
    return this.#state === 'whole'
  }

  /** The next answer is one to this. */
  begin({ method, upgrade }: Asked): void {
    this.#state = 'head'
    this.#bodiless = method === 'HEAD'
    this.#upgrade = upgrade
    this.#interim = 0
  }

  /**
   * Reads until the bytes are used up, the answer is whole or `events` wants no more. Returns how far it came.
   *
   * @throws MalformedAnswer
   */
  read(bytes: Buffer, events: AnswerEvents): number {
    let at = 0
    while (at < bytes.length && this.#state === 'head') at = this.#head(bytes, at, events)
    switch (this.#state) {
      case 'length':
        return this.#counted(bytes, at, events)
      case 'chunked':
        return this.#chunked(bytes, at, events)
      case 'until-close':
        if (at < bytes.length) events.data(bytes.subarray(at))
        return bytes.length
      default:
        return at
    }
  }

  /** The other side sends no more. Whether that makes the answer whole. */
  close(): boolean {
    if (this.#state === 'until-close') this.#state = 'whole'
    return this.#state === 'whole'
  }

  #head(bytes: Buffer, at: number, events: AnswerEvents): number {
    if (this.#pieceBytes === 0) {
      const found = bytes.indexOf(END_OF_HEAD, at, 'latin1')
      if (found !== -1) {
        const end = found + END_OF_HEAD.length
        this.#checkLength(end - at)
        this.#understand(bytes.toString('latin1', at, end - 2), events)
        return end
      }
    }
    return this.#gather(bytes, at, events)
  }

  /** Adds a piece to a head. Lone line feeds are refused here, for a head made of those would never end. */
  #gather(bytes: Buffer, at: number, events: AnswerEvents): number {
    const end = this.#endOfHead(bytes, at)
    const to = end === -1 ? bytes.length : end
    this.#checkLength(this.#pieceBytes + to - at)
    const piece = bytes.toString('latin1', at, to)
    if (this.#pieceBytes === 0 && !START.startsWith(piece.slice(0, START.length))) {
      throw new MalformedAnswer('what came is no answer of HTTP/1.1')
    }
    this.#pieces.push(piece)
    this.#pieceBytes += piece.length
    this.#tail = (this.#tail + piece).slice(-3)
    if (end === -1) return to
    const text = this.#pieces.join('')
    this.#forgetPieces()
    this.#understand(text.slice(0, -2), events)
    return to
  }

  /** Index behind the empty line, -1 when it has not come yet. */
  #endOfHead(bytes: Buffer, at: number): number {
    const { length } = this.#tail
    for (let feed = bytes.indexOf(LF, at); feed !== -1; feed = bytes.indexOf(LF, feed + 1)) {
      const before = (index: number): number =>
        index >= at ? (bytes[index] ?? 0) : this.#tail.charCodeAt(length + index - at)
      if (before(feed - 1) !== CR) throw new MalformedAnswer('a line of the head ends without CR')
      if (before(feed - 2) === LF) return feed + 1
    }
    return -1
  }

  #checkLength(bytes: number): void {
    const { headBytes } = this.#limits
    if (bytes > headBytes) throw new MalformedAnswer(`the head is longer than ${headBytes} bytes`)
  }

  #forgetPieces(): void {
    this.#pieces = []
    this.#pieceBytes = 0
    this.#tail = ''
  }

  #understand(text: string, events: AnswerEvents): void {
    const head = readAnswerHead(text, this.#bodiless, this.#limits.headLines)
    if (head.status === 101) this.#switch(head, events)
    else if (head.status < 200) this.#pass(head.status, events)
    else this.#body(head, events)
  }

  #switch(head: AnswerHead, events: AnswerEvents): void {
    const asked = this.#upgrade?.toLowerCase()
    if (asked === undefined) throw new MalformedAnswer('101 to a request that asked for no upgrade')
    if (head.upgrade?.toLowerCase() !== asked) throw new MalformedAnswer('101 for another protocol than was asked for')
    this.#state = 'whole'
    events.switched(head)
  }

  #pass(status: number, events: AnswerEvents): void {
    this.#interim += 1
    if (this.#interim > MAX_INTERIM) throw new MalformedAnswer(`more than ${MAX_INTERIM} interim answers`)
    if (status === 100) events.continued()
  }

  #body(head: AnswerHead, events: AnswerEvents): void {
    const { framing } = head
    this.#state = framing.kind === 'none' ? 'whole' : framing.kind
    if (framing.kind === 'chunked') this.#chunks.begin()
    if (framing.kind === 'length') this.#left = framing.bytes
    if (framing.kind === 'length' && framing.bytes === 0) this.#state = 'whole'
    events.head(head)
  }

  #counted(bytes: Buffer, at: number, events: AnswerEvents): number {
    const end = Math.min(bytes.length, at + this.#left)
    if (end === at) return at
    this.#left -= end - at
    if (this.#left === 0) this.#state = 'whole'
    events.data(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end))
    return end
  }

  #chunked(bytes: Buffer, at: number, events: AnswerEvents): number {
    const end = this.#chunks.read(bytes, at, events)
    if (this.#chunks.whole) this.#state = 'whole'
    return end
  }
}
