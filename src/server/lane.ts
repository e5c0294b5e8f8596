/**
 * The fast lane: serves the canonical request straight from the TLS socket, without the objects of `node:http`, which
 * cost more than everything else together. Owns a connection as long as every head on it is canonical and comes in one
 * piece; at the first that is not, the whole connection goes to `node:http`, with the bytes not yet used.
 *
 * One request at a time: what is sent ahead waits, in order and in bounded memory.
 *
 * @module
 */
import { ERROR_CODES } from '../errors.ts'
import type { HttpAnswer } from '../http.ts'
import { statusAnswer } from '../kube/status.ts'
import { BodyBuffer } from './body.ts'
import { type CanonicalHead, type FallBackReason, readCanonicalHead } from './canonical.ts'
import type { Connection } from './connection.ts'
import { refuse, type ServerCore } from './core.ts'
import { overloadedAnswer } from './desk.ts'
import { Exchange } from './exchange.ts'

const END_OF_HEAD = '\r\n\r\n'
/** Bytes sent ahead of an answer before we stop reading. */
const AHEAD_BYTES = 16 * 1024
/** A buffer costs more than the byte it may hold, so there are never more than this many. */
const AHEAD_PIECES = 64

/** What the lane needs beside the core. */
export interface LaneOptions {
  readonly core: ServerCore
  readonly paths: ReadonlySet<string>
  /** Takes the connection over, `bytes` first. The lane has let go of the socket. */
  readonly fallBack: (connection: Connection, bytes: Buffer) => void
}

/** A body under way. */
interface Unfinished {
  readonly head: CanonicalHead
  readonly body: BodyBuffer
}

/** Serves one connection until it ends or falls back. */
export class Lane {
  readonly #connection: Connection
  readonly #options: LaneOptions
  readonly #core: ServerCore
  /** The last head of this connection; the same client repeats itself. */
  #headText = ''
  #head: CanonicalHead | undefined
  #unfinished: Unfinished | undefined
  /** The handler has a request. */
  #waiting = false
  /** Came while the handler had a request. */
  #ahead: Buffer[] = []
  #aheadBytes = 0
  /** The other side does not take its answers. */
  #stalled = false
  /** Answers of one batch, written at once. */
  #out = ''

  constructor(connection: Connection, options: LaneOptions) {
    this.#connection = connection
    this.#options = options
    this.#core = options.core
    const { socket } = connection
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('drain', this.#onDrain)
    socket.on('close', () => this.#unfinished?.body.release())
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#waiting || this.#stalled) this.#keep(chunk)
    else if (this.#unfinished !== undefined) this.#fill(this.#unfinished, chunk)
    else this.#read(chunk)
  }

  /** With half a body: refused. With a request at the handler: given up, as Go and Node do; 'close' tells it. */
  readonly #onEnd = (): void => {
    if (this.#unfinished !== undefined) this.#refuse(statusAnswer(400, ERROR_CODES.request_invalid.meaning))
  }

  readonly #onDrain = (): void => {
    if (!this.#stalled) return
    this.#stalled = false
    if (!this.#waiting) this.#resume()
  }

  /** Reads whole requests from the start of `chunk`, as many as there are. */
  #read(chunk: Buffer): void {
    const now = this.#core.now()
    let at = 0
    while (at < chunk.length) {
      const headEnd = chunk.indexOf(END_OF_HEAD, at, 'latin1')
      const head = this.#recognise(chunk, at, headEnd)
      if (typeof head === 'string') {
        this.#fallBack(chunk.subarray(at), head)
        return
      }
      const bodyAt = headEnd + END_OF_HEAD.length
      at = bodyAt + head.length
      if (at > chunk.length) {
        this.#begin(head, chunk.subarray(bodyAt), now)
        return
      }
      if (!this.#serve(head, chunk.subarray(bodyAt, at), now)) {
        if (at < chunk.length) this.#keep(chunk.subarray(at))
        return
      }
      if (this.#connection.phase === 'closing') return
    }
    this.#rest(now)
  }

  #recognise(chunk: Buffer, at: number, headEnd: number): CanonicalHead | FallBackReason {
    const { limits } = this.#core
    if (headEnd < 0) return 'head-split'
    if (headEnd - at > limits.headerBytes) return 'head-too-long'
    const text = chunk.toString('latin1', at, headEnd + 2)
    if (text === this.#headText && this.#head !== undefined) return this.#head
    const head = readCanonicalHead(text, this.#options.paths)
    if (typeof head === 'string') return head
    if (head.length > limits.bodyBytes) return 'body-too-long'
    this.#headText = text
    this.#head = head
    return head
  }

  /** The head is there, the body is not. */
  #begin(head: CanonicalHead, piece: Buffer, now: number): void {
    this.#flush()
    this.#connection.enter('receiving', now)
    this.#unfinished = { head, body: new BodyBuffer(head.length, this.#core.budget) }
    this.#fill(this.#unfinished, piece)
  }

  #fill(unfinished: Unfinished, chunk: Buffer): void {
    const { head, body } = unfinished
    const rest = head.length - body.length
    if (body.add(chunk.subarray(0, rest)) !== 'ok') {
      this.#refuse(overloadedAnswer(ERROR_CODES.overloaded.meaning))
      return
    }
    if (body.length < head.length) return
    this.#unfinished = undefined
    const now = this.#core.now()
    const answered = this.#serve(head, body.bytes(), now, body)
    if (this.#connection.phase === 'closing') return
    const ahead = chunk.subarray(rest)
    if (!answered) {
      if (ahead.length > 0) this.#keep(ahead)
    } else if (ahead.length > 0) this.#read(ahead)
    else this.#rest(now)
  }

  /** Whether the answer is there already. If not, `#later` goes on. */
  #serve(head: CanonicalHead, body: Buffer, now: number, memory?: BodyBuffer): boolean {
    const { core } = this.#options
    const connection = this.#connection
    const requestId = core.nextId()
    const exchange = new Exchange({
      method: 'POST',
      path: head.path,
      contentType: head.contentType,
      body,
      requestId,
      remoteAddress: connection.remoteAddress,
      deadlineAt: now + core.limits.deadlineMs,
    })
    const answer = core.desk.serve(exchange, (late) => {
      connection.running.delete(exchange)
      memory?.release()
      this.#later(late, requestId)
    })
    if (answer !== undefined) {
      memory?.release()
      this.#add(answer, requestId, now)
      return true
    }
    this.#flush()
    this.#waiting = true
    connection.running.add(exchange)
    connection.enter('running', now)
    return false
  }

  #later(answer: HttpAnswer, requestId: string): void {
    this.#waiting = false
    if (this.#connection.socket.destroyed) return
    const now = this.#core.now()
    this.#add(answer, requestId, now)
    if (this.#connection.phase === 'closing') return
    this.#rest(now)
    if (!this.#stalled) this.#resume()
  }

  /** Puts an answer behind those not yet written. */
  #add(answer: HttpAnswer, requestId: string, now: number): void {
    const { last } = this.#connection
    this.#out += this.#core.renderer.text(answer, requestId, last)
    if (!last) return
    this.#connection.terminate(this.#out, now)
    this.#out = ''
  }

  /** Everything that came is answered. */
  #rest(now: number): void {
    this.#connection.enter('idle', now)
    this.#flush()
  }

  #flush(): void {
    const text = this.#out
    if (text === '') return
    this.#out = ''
    if (this.#connection.socket.write(text)) return
    this.#stalled = true
    this.#connection.enter('sending', this.#core.now())
    this.#connection.socket.pause()
  }

  #keep(bytes: Buffer): void {
    this.#ahead.push(bytes)
    this.#aheadBytes += bytes.length
    if (this.#ahead.length > AHEAD_PIECES) this.#ahead = [Buffer.concat(this.#ahead)]
    // Reading goes on until then: it is how we learn that the other side has gone.
    if (this.#aheadBytes > AHEAD_BYTES) this.#connection.socket.pause()
  }

  /** Goes on with what came meanwhile. */
  #resume(): void {
    if (this.#connection.phase === 'sending') this.#connection.enter('idle', this.#core.now())
    if (this.#connection.socket.isPaused()) this.#connection.socket.resume()
    if (this.#aheadBytes === 0) return
    const bytes = Buffer.concat(this.#ahead)
    this.#ahead = []
    this.#aheadBytes = 0
    this.#onData(bytes)
  }

  #refuse(answer: HttpAnswer): void {
    this.#unfinished?.body.release()
    this.#unfinished = undefined
    refuse(this.#core, this.#connection, answer)
  }

  #fallBack(bytes: Buffer, reason: FallBackReason): void {
    const { socket } = this.#connection
    this.#flush()
    socket.removeListener('data', this.#onData)
    socket.removeListener('end', this.#onEnd)
    socket.removeListener('drain', this.#onDrain)
    this.#core.observer.fellBack?.(reason)
    this.#options.fallBack(this.#connection, bytes)
  }
}
