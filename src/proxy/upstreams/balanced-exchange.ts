/**
 * One request to whichever API server can take it. Asks the next where no connection can be made, since nothing was sent
 * then; asks once more where a kept connection turned out to be dead and the request can do no harm twice. Nothing else
 * is ever sent twice.
 *
 * Classes, because there is one of each for every request.
 *
 * @module
 */
import type { Duplex } from 'node:stream'
import { messageOf } from '../../errors.ts'
import {
  type ResponseSink,
  type UpstreamConnection,
  type UpstreamExchange,
  UpstreamFailure,
  type UpstreamHead,
  type UpstreamRequest,
} from '../upstream/upstream.ts'
import { isOurFault } from './connect-failure.ts'
import type { ObserveUpstream } from './events.ts'
import type { Member } from './member.ts'
import type { BalancedSink, NoneReady } from './upstreams.ts'

/** What an exchange needs of the balancer. */
export interface Board {
  /** The server to ask, not one of those that were tried; it is not counted yet. */
  pick(long: boolean, tried: ReadonlySet<Member> | undefined): Member | undefined
  noneReady(): NoneReady
  anyReady(): boolean
  readonly observe: ObserveUpstream
  /** Aborts when everything ends. One for all: a connection whose client has left serves the next. */
  readonly signal: AbortSignal
}

/** Without effect on the server (RFC 9110 section 9.2.1), as far as Kubernetes uses them. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** See the module. It begins with being made; nothing is told before the caller is back in the event loop. */
export class BalancedExchange implements UpstreamExchange {
  readonly #board: Board
  readonly #request: UpstreamRequest
  readonly #sink: BalancedSink
  readonly #long: boolean
  #member: Member | undefined // where it is counted
  #tried: Set<Member> | undefined
  #upstream: UpstreamExchange | undefined
  #early: Buffer[] | undefined // of the body, while there is no connection
  #bodyIsWhole = false
  #askedAgain = false
  #over = false

  constructor(board: Board, request: UpstreamRequest, sink: BalancedSink, long: boolean) {
    this.#board = board
    this.#request = request
    this.#sink = sink
    this.#long = long
    this.#askNext(undefined)
  }

  write(chunk: Buffer): boolean {
    if (this.#upstream !== undefined) return this.#upstream.write(chunk)
    if (this.#over) return true
    this.#early ??= []
    this.#early.push(chunk)
    return false
  }

  end(): void {
    this.#bodyIsWhole = true
    this.#upstream?.end()
  }

  resume(): void {
    this.#upstream?.resume()
  }

  abort(): void {
    if (this.#over) return
    this.#upstream?.abort()
    this.#finish()
  }

  #askNext(failure: UpstreamFailure | undefined): void {
    const member = this.#board.pick(this.#long, this.#tried)
    if (member === undefined) {
      queueMicrotask(() => this.#giveUp(failure))
      return
    }
    this.#member = member
    member.begin(this.#long)
    const { epoch } = member.health
    member.pool.acquire(this.#board.signal, this.#askedAgain ? 'fresh' : 'any').then(
      (connection) => this.#acquired(connection, member),
      (thrown: unknown) => this.#notAcquired(thrown, member, epoch),
    )
  }

  #acquired(connection: UpstreamConnection, member: Member): void {
    if (this.#over || !member.health.ready) {
      connection.release()
      if (!this.#over) this.#askAnother(member, undefined)
      return
    }
    try {
      this.#upstream = connection.exchange(this.#request, new AnswerOf(this, this.#sink, member, connection.reused))
      if (this.#early !== undefined) this.#sendEarly(this.#upstream, this.#early)
      else if (this.#bodyIsWhole) this.#upstream.end()
    } catch (fault) {
      // Not the server's: the request cannot be put on the wire, to nobody.
      const message = `the request could not be sent: ${messageOf(fault)}`
      this.#fail(new UpstreamFailure('unreachable', message, { cause: fault }), undefined)
    }
  }

  #sendEarly(upstream: UpstreamExchange, early: readonly Buffer[]): void {
    let more = true
    for (const chunk of early) more = upstream.write(chunk)
    this.#early = undefined
    if (this.#bodyIsWhole) upstream.end()
    else if (more) this.#sink.drained()
  }

  #notAcquired(thrown: unknown, member: Member, epoch: number): void {
    const failure = thrown instanceof UpstreamFailure ? thrown : new UpstreamFailure('unreachable', messageOf(thrown))
    if (this.#board.signal.aborted) {
      this.#fail(failure, undefined) // everything ends; that blames nobody
      return
    }
    this.#board.observe(member.name, 'connect_failed')
    if (!isOurFault(failure)) member.health.unreachable(failure.message, epoch)
    if (!this.#over) this.#askAnother(member, failure)
  }

  #askAnother(member: Member, failure: UpstreamFailure | undefined): void {
    this.#leave()
    this.#tried ??= new Set()
    this.#tried.add(member)
    this.#askNext(failure)
  }

  /** Nobody is left to be asked, and nothing was sent to anybody. */
  #giveUp(failure: UpstreamFailure | undefined): void {
    if (failure !== undefined && this.#board.anyReady()) this.#fail(failure, this.#lastTried())
    else this.#fail(this.#board.noneReady(), undefined)
  }

  #fail(failure: UpstreamFailure | NoneReady, server: string | undefined): void {
    if (this.#over) return
    this.#finish()
    this.#sink.failed(failure, server)
  }

  #lastTried(): string | undefined {
    return [...(this.#tried ?? [])].at(-1)?.name
  }

  /** The exchange broke. `untold`: the sink knows of no answer yet. */
  broken(failure: UpstreamFailure, member: Member, { untold, reused }: { untold: boolean; reused: boolean }): void {
    const silent = untold && !failure.answered
    if (silent && (failure.kind === 'lost' || failure.kind === 'timeout')) member.health.doubt()
    if (silent && reused && failure.kind === 'lost' && this.#canBeRepeated()) {
      this.#board.observe(member.name, 'retried')
      this.#askedAgain = true
      this.#upstream = undefined
      this.#leave()
      this.#askNext(failure)
      return
    }
    this.#fail(failure, member.name)
  }

  #canBeRepeated(): boolean {
    const { method, framing, upgrade } = this.#request
    return !this.#askedAgain && SAFE.has(method) && framing.kind === 'none' && upgrade === undefined
  }

  /** The answer is whole. */
  finished(): void {
    this.#finish()
  }

  /** The connection is a tunnel now; the server is busy with it until it closes. */
  tunnelled(socket: Duplex): void {
    const member = this.#member
    this.#over = true
    this.#member = undefined
    socket.once('close', () => member?.end(this.#long))
  }

  #finish(): void {
    this.#over = true
    this.#early = undefined
    this.#leave()
  }

  #leave(): void {
    this.#member?.end(this.#long)
    this.#member = undefined
  }
}

/** The answer of one server, passed on with its name. */
class AnswerOf implements ResponseSink {
  readonly #exchange: BalancedExchange
  readonly #sink: BalancedSink
  readonly #member: Member
  readonly #reused: boolean
  #untold = true

  constructor(exchange: BalancedExchange, sink: BalancedSink, member: Member, reused: boolean) {
    this.#exchange = exchange
    this.#sink = sink
    this.#member = member
    this.#reused = reused
  }

  continued(): void {
    this.#untold = false
    this.#sink.continued()
  }

  head(head: UpstreamHead): void {
    this.#untold = false
    this.#sink.head(head, this.#member.name)
  }

  data(chunk: Buffer): boolean {
    return this.#sink.data(chunk)
  }

  end(): void {
    this.#exchange.finished()
    this.#sink.end()
  }

  upgraded(head: UpstreamHead, socket: Duplex, early: Buffer): void {
    this.#exchange.tunnelled(socket)
    this.#sink.upgraded(head, socket, early, this.#member.name)
  }

  drained(): void {
    this.#sink.drained()
  }

  failed(failure: UpstreamFailure): void {
    this.#exchange.broken(failure, this.#member, { untold: this.#untold, reused: this.#reused })
  }
}
