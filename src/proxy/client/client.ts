/**
 * The contract with a client: one request of it, whatever HTTP it speaks, and the way back. Owns the words; leaves the
 * bytes to `http1*.ts` and `http2*.ts`, and what becomes of a request to the door.
 *
 * @module
 */
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { HttpAnswer } from '../../http.ts'
import type { RawHead } from '../hygiene/hygiene.ts'
import type { Framing, HeaderLines, Upgrade } from '../wire.ts'

/** Told of what the client does. Nothing comes before the exchange has been taken, and nothing after `gone` or `sent`. */
export interface ClientListener {
  /** A piece of the body. */
  body(chunk: Buffer): void
  /** The body is whole. */
  bodyEnd(): void
  /** The body is none: it breaks the rules of its framing. No answer to it can be trusted to be read as one. */
  bodyBroken(): void
  /** Bytes behind a head that asked for an upgrade, before there was an answer to it (H9). */
  early(): void
  /** More of the answer may be written. */
  taken(): void
  /** The answer has gone out whole. */
  sent(): void
  /** The client has left, or was cut, before the answer was out. */
  gone(): void
}

/** One request. */
export interface ClientExchange {
  readonly head: RawHead
  readonly remoteAddress: string
  readonly socket: TLSSocket
  /** Bytes of the answer wait for the client to take them. */
  readonly isStalled: boolean
  /** The body has arrived whole, or there is none. */
  readonly bodyIsWhole: boolean
  /** Who is told from now on. Called once, before anything else. */
  take(listener: ClientListener): void
  /** Lets the body come, from the start or after {@link ClientExchange.pauseBody}. */
  readBody(): void
  pauseBody(): void
  /** `100 Continue`. */
  sendContinue(): void
  /** The head of an answer; `lines` have nothing of framing or connection. */
  sendHead(status: number, lines: HeaderLines, framing: Framing): void
  /** False: no more until `taken`. The bytes are lent for the call. */
  write(chunk: Buffer): boolean
  /** The answer is whole. */
  end(): void
  /** A whole answer of our own. */
  answer(answer: HttpAnswer): void
  /** The answer cannot be finished: the client must see that, so never a clean end. */
  cut(): void
  /** Sends `101 Switching Protocols`; from then on the connection is the caller's, and nobody is told of anything. */
  switchProtocols(protocol: Upgrade, lines: HeaderLines): Duplex
}

/** What could not be read as a request at all. */
export interface Malformed {
  readonly protocol: 'HTTP/1.1' | 'HTTP/2'
  readonly remoteAddress: string
  /** Sent to the client. */
  readonly status: number
  readonly cause: string
}

/** Takes what clients send. Never throws. */
export interface ClientHandler {
  receive(exchange: ClientExchange): void
  malformed(what: Malformed): void
}

/** One connection of a client, as the door keeps it. */
export interface ClientConnection {
  /** Holds it against the limits of time. */
  sweep(now: number): void
  /** No further request: what is idle is closed, what is under way becomes the last. */
  retire(): void
  destroy(): void
}
