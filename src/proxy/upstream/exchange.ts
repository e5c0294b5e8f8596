/**
 * One exchange on one connection: from being lent the connection to the last event of its sink. Owns the order of those
 * events and that there is one last; what is left when it is over does nothing, for the connection may by then be
 * somebody else's.
 *
 * @module
 */
import type { Duplex } from 'node:stream'
import { ArchwayError } from '../../errors.ts'
import type { AnswerHead } from './answer-head.ts'
import { RequestBody } from './request-body.ts'
import { requestHead } from './request-head.ts'
import type { AnswerEvents } from './response-parser.ts'
import type {
  ResponseSink,
  UpstreamConnection,
  UpstreamExchange,
  UpstreamFailure,
  UpstreamRequest,
} from './upstream.ts'

/** The connection, as its exchange sees it. */
export interface Carrier {
  readonly socket: Duplex
  readonly reused: boolean
  /** Bytes are lent for the call: all of them have to be read in it. */
  readonly lends: boolean
  /** Whether it can still be asked; if not, the exchange will be told to fail. */
  begin(exchange: Exchange, request: UpstreamRequest): boolean
  /** Goes on reading. */
  resume(exchange: Exchange): void
  /** Closes it at once and tells nobody. */
  abandon(): void
  /** Nothing was asked. */
  giveBack(): void
}

export class Exchange implements UpstreamConnection, UpstreamExchange, AnswerEvents {
  readonly reused: boolean
  readonly #carrier: Carrier
  #phase: 'lent' | 'asked' | 'over' = 'lent'
  #sink: ResponseSink | undefined
  #body: RequestBody | undefined
  #expectsContinue = false
  #upgrades = false
  #hasHead = false
  #lasting = false
  /** The sink wants no more for now. */
  held = false
  /** Head of the 101 that ended the conversation in HTTP. */
  lastHead: AnswerHead | undefined

  constructor(carrier: Carrier) {
    this.#carrier = carrier
    this.reused = carrier.reused
  }

  exchange(request: UpstreamRequest, sink: ResponseSink): UpstreamExchange {
    if (this.#phase !== 'lent') throw new ArchwayError('internal', 'a connection is lent for one exchange')
    const head = this.#written(request)
    const { expectContinue = false } = request
    this.#phase = 'asked'
    this.#sink = sink
    this.#expectsContinue = expectContinue
    this.#upgrades = request.upgrade !== undefined
    this.#body = new RequestBody(this.#carrier.socket, request.framing)
    if (this.#carrier.begin(this, request)) this.#body.begin(head, expectContinue)
    return this
  }

  release(): void {
    if (this.#phase !== 'lent') return
    this.#phase = 'over'
    this.#carrier.giveBack()
  }

  write(chunk: Buffer): boolean {
    if (this.#phase !== 'asked' || this.#body === undefined) return true
    try {
      return this.#body.write(chunk)
    } catch (error) {
      this.abort()
      throw error
    }
  }

  end(): void {
    if (this.#phase !== 'asked') return
    try {
      this.#body?.end()
    } catch (error) {
      this.abort()
      throw error
    }
  }

  resume(): void {
    if (this.#phase !== 'asked' || !this.held) return
    this.held = false
    this.#carrier.resume(this)
  }

  abort(): void {
    if (this.#phase !== 'asked') return
    this.#close()
    this.#carrier.abandon()
  }

  /** The request is whole, and nothing of its final answer has come. */
  get awaitsHead(): boolean {
    return this.#body?.whole === true && !this.#hasHead
  }

  /**
   * The connection may carry another request: the server has read all of this one, said nothing to the contrary, and was
   * not asked to turn the connection into something else (H9).
   */
  get reusable(): boolean {
    const sent = this.#body?.whole === true && this.#carrier.socket.writableLength === 0
    return sent && this.#lasting && !this.#upgrades
  }

  continued(): void {
    if (!this.#expectsContinue) return
    this.#expectsContinue = false
    this.#sink?.continued()
  }

  head(head: AnswerHead): void {
    this.#hasHead = true
    this.#lasting = head.lasting
    // It has made up its mind without the rest of the body; going on would only fill its buffers, or meet a reset.
    const waited = head.status >= 300 && this.#body?.whole === false && this.#body.drop()
    this.#sink?.head(head)
    if (waited) this.#sink?.drained()
  }

  switched(head: AnswerHead): void {
    this.#hasHead = true
    this.lastHead = head
  }

  data(chunk: Buffer): boolean {
    if (this.#sink === undefined) return false
    if (!this.#sink.data(chunk)) this.held = true
    return this.#phase === 'asked' && (!this.held || this.#carrier.lends)
  }

  /** The socket takes more. */
  drained(): void {
    if (this.#body?.drained() === true) this.#sink?.drained()
  }

  /** The answer is whole. */
  finish(): void {
    this.#close()?.end()
  }

  /** The socket is no longer the connection's. */
  handOver(head: AnswerHead, early: Buffer): void {
    this.#close()?.upgraded(head, this.#carrier.socket, early)
  }

  fail(failure: UpstreamFailure): void {
    this.#close()?.failed(failure)
  }

  /** Over; whoever is to be told of it, once. */
  #close(): ResponseSink | undefined {
    const sink = this.#sink
    this.#phase = 'over'
    this.#sink = undefined
    this.#body = undefined
    return sink
  }

  #written(request: UpstreamRequest): string {
    try {
      return requestHead(request)
    } catch (error) {
      this.release()
      throw error
    }
  }
}
