/**
 * One connection to an API server, over one socket, for one exchange after the other. Owns the socket's events, reading
 * and its pauses, and whether the connection may be kept; leaves the order of an exchange to `exchange.ts` and the
 * reading of answers to `response-parser.ts`.
 *
 * Its listeners are set once, not for each exchange.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { messageOf } from '../../errors.ts'
import { MalformedAnswer } from './answer-head.ts'
import { type Carrier, Exchange } from './exchange.ts'
import { type AnswerLimits, ResponseParser } from './response-parser.ts'
import { type FailureKind, type UpstreamConnection, UpstreamFailure, type UpstreamRequest } from './upstream.ts'

/** When TCP begins to ask whether the other side is still there, milliseconds. */
const KEEP_ALIVE_MS = 30_000
const NOTHING = Buffer.alloc(0)

/** A socket that is connected, TLS handshake included; for tests any stream both ways. */
export type UpstreamSocket = Duplex & Partial<Pick<Socket, 'setKeepAlive' | 'setNoDelay'> & ReadsInPlace>

/** A socket that can be read without new memory for each piece. */
export interface ReadsInPlace {
  /**
   * From now on what comes goes to `take`, lent for the call; once the socket is paused, what was read in the same go
   * still does. Undefined: to 'data', as ever.
   */
  readInPlace(take: ((bytes: Buffer) => void) | undefined): void
}

/** Whoever keeps connections. */
export interface Keeper {
  /** It may carry another request. */
  kept(connection: Connection): void
  /** It will carry no more; told once. */
  gone(connection: Connection): void
}

export interface ConnectionOptions {
  /** For messages. */
  readonly name: string
  readonly socket: UpstreamSocket
  readonly keeper: Keeper
  readonly limits: AnswerLimits
}

export class Connection implements Carrier {
  readonly socket: UpstreamSocket
  readonly lends: boolean
  readonly #name: string
  readonly #keeper: Keeper
  readonly #parser: ResponseParser
  #exchange: Exchange | undefined
  #exchanges = 0
  /** Received, and not read because the sink wants no more for now. */
  #rest: Buffer | undefined
  /** Something of the present answer has come. */
  #answered = false
  /** The server sends no more. */
  #finished = false
  #gone = false
  /** When a sweep first saw it in its present state. */
  #seen: number | undefined

  constructor({ name, socket, keeper, limits }: ConnectionOptions) {
    this.socket = socket
    this.lends = socket.readInPlace !== undefined
    this.#name = name
    this.#keeper = keeper
    this.#parser = new ResponseParser(limits)
    socket.setNoDelay?.(true)
    socket.setKeepAlive?.(true, KEEP_ALIVE_MS)
    if (socket.readInPlace === undefined) socket.on('data', this.#onData)
    else socket.readInPlace(this.#onData)
    socket.on('drain', this.#onDrain)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
  }

  get reused(): boolean {
    return this.#exchanges > 0
  }

  /** Its request is out, and its answer has not begun. */
  get awaitsHead(): boolean {
    return this.#exchange?.awaitsHead === true
  }

  /** For one exchange. */
  lend(): UpstreamConnection {
    return new Exchange(this)
  }

  /** Milliseconds it has been in its present state, as far as sweeps have seen. No clock is read for a request. */
  age(now: number): number {
    this.#seen ??= now
    return now - this.#seen
  }

  /** Ends it now; an exchange under way fails. */
  close(kind: FailureKind, why: string): void {
    this.#fail(kind, why)
  }

  begin(exchange: Exchange, request: UpstreamRequest): boolean {
    this.#exchange = exchange
    this.#exchanges += 1
    this.#answered = false
    this.#seen = undefined
    if (this.#gone) process.nextTick(() => this.#fail('lost', 'the connection had ended'))
    else this.#parser.begin(request)
    return !this.#gone
  }

  resume(exchange: Exchange): void {
    const rest = this.#rest
    this.#rest = undefined
    if (rest !== undefined) this.#read(exchange, rest)
    if (this.#exchange !== exchange || exchange.held) return
    if (this.#finished) this.#farewell()
    else this.socket.resume()
  }

  abandon(): void {
    this.#exchange = undefined
    this.#discard()
  }

  giveBack(): void {
    this.#seen = undefined
    if (!this.#gone) this.#keeper.kept(this)
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#exchange === undefined)
      this.#discard() // nobody has asked (H8)
    else {
      this.#answered = true
      this.#read(this.#exchange, bytes)
    }
  }

  readonly #onDrain = (): void => this.#exchange?.drained()

  /** Comes even while the socket is paused. */
  readonly #onEnd = (): void => {
    this.#finished = true
    if (this.#rest === undefined) this.#farewell()
  }

  readonly #onError = (error: Error): void => this.#fail('lost', messageOf(error), error)

  readonly #onClose = (): void => {
    // What came before a proper end is still to be read.
    if (!this.#finished || this.#rest === undefined) this.#fail('lost', 'the connection was closed')
  }

  #read(exchange: Exchange, bytes: Buffer): void {
    let at: number
    try {
      at = this.#parser.read(bytes, exchange)
    } catch (error) {
      const why = error instanceof MalformedAnswer ? error.message : `the answer was not taken: ${messageOf(error)}`
      this.#fail('invalid', why, error)
      return
    }
    if (this.#exchange !== exchange) return // it was aborted meanwhile
    if (this.#parser.whole) this.#over(exchange, bytes, at)
    else if (exchange.held) {
      if (at < bytes.length) this.#rest = bytes.subarray(at)
      this.socket.pause()
    }
  }

  /** The answer ends at `at`. With anything behind it the connection is done for: no second answer was asked for (H8). */
  #over(exchange: Exchange, bytes: Buffer, at: number): void {
    this.#exchange = undefined
    if (exchange.lastHead !== undefined) {
      this.#letGo()
      exchange.handOver(exchange.lastHead, Buffer.from(bytes.subarray(at)))
      return
    }
    if (at === bytes.length && !this.#finished && exchange.reusable) this.#keep()
    else this.#discard()
    exchange.finish()
  }

  #keep(): void {
    if (this.socket.isPaused()) this.socket.resume() // or its end would not be seen
    this.giveBack()
  }

  /** The socket is somebody else's; here it is only counted until it closes. */
  #letGo(): void {
    const { socket } = this
    socket.pause()
    socket.readInPlace?.(undefined)
    socket.off('data', this.#onData).off('drain', this.#onDrain).off('end', this.#onEnd).off('error', this.#onError)
    socket.on('error', ignore)
  }

  /** The server has sent all it will. */
  #farewell(): void {
    if (this.#exchange === undefined) this.#discard()
    else if (this.#parser.close()) this.#over(this.#exchange, NOTHING, 0)
    else this.#fail('lost', 'the server ended the connection before its answer was whole')
  }

  #fail(kind: FailureKind, why: string, cause?: unknown): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    this.#discard()
    exchange?.fail(new UpstreamFailure(kind, `${this.#name}: ${why}`, { answered: this.#answered, cause }))
  }

  #discard(): void {
    this.#rest = undefined
    this.socket.destroy()
    if (this.#gone) return
    this.#gone = true
    this.#keeper.gone(this)
  }
}

/** 'close' follows, and whoever has the socket listens for it. */
function ignore(): void {}
