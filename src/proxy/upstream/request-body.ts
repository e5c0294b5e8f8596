/**
 * Writes the body of a request behind its head, framed as the head says: no byte more and none less. Owns framing and
 * back-pressure; the head is written by `exchange.ts`.
 *
 * @module
 */
import type { Duplex } from 'node:stream'
import { ArchwayError } from '../../errors.ts'
import type { Framing } from '../wire.ts'

export class RequestBody {
  readonly #socket: Duplex
  readonly #chunked: boolean
  /** Bytes announced and not written yet. */
  #left: number
  #whole: boolean
  /** The socket holds the head back, so that the begin of the body leaves with it. */
  #corked = false
  /** Nobody wants the rest. */
  #dropped = false
  #blocked = false

  constructor(socket: Duplex, framing: Framing) {
    this.#socket = socket
    this.#chunked = framing.kind === 'chunked'
    this.#left = framing.kind === 'length' ? framing.bytes : 0
    this.#whole = !this.#chunked && this.#left === 0
  }

  /** Everything the head announced has been written. */
  get whole(): boolean {
    return this.#whole
  }

  /** Writes the head; held back until the end of this turn, unless `atOnce`, where a body is to follow. */
  begin(head: string, atOnce: boolean): void {
    if (!this.#whole && !atOnce) {
      this.#corked = true
      this.#socket.cork()
      setImmediate(release, this)
    }
    this.#socket.write(head, 'latin1')
  }

  /**
   * False: no more until the socket has drained.
   *
   * @throws ArchwayError `internal`: more than was announced.
   */
  write(chunk: Buffer): boolean {
    if (this.#dropped) return true
    if (chunk.length === 0) return !this.#blocked // as a chunk it would be the last
    if (this.#chunked && !this.#whole) this.#blocked = !this.#writeChunk(chunk)
    else if (chunk.length > this.#left) throw new ArchwayError('internal', 'a body is longer than announced')
    else this.#blocked = !this.#socket.write(chunk)
    if (!this.#chunked) this.#count(chunk.length)
    return !this.#blocked
  }

  /** @throws ArchwayError `internal`: less than was announced. */
  end(): void {
    if (this.#dropped || (this.#whole && !this.#corked)) return
    if (this.#left > 0) throw new ArchwayError('internal', 'a body is shorter than announced')
    if (this.#chunked && !this.#whole) this.#socket.write('0\r\n\r\n', 'latin1')
    this.#whole = true
    this.release()
  }

  /** What is still to come is thrown away. Whether somebody waits to send it. */
  drop(): boolean {
    this.#dropped = true
    return this.drained()
  }

  /** Whether somebody waits to go on. */
  drained(): boolean {
    const waited = this.#blocked
    this.#blocked = false
    return waited
  }

  /** Lets go what is held back. */
  release(): void {
    if (!this.#corked) return
    this.#corked = false
    this.#socket.uncork()
  }

  #count(bytes: number): void {
    this.#left -= bytes
    this.#whole = this.#left === 0
    if (this.#whole) this.release()
  }

  #writeChunk(chunk: Buffer): boolean {
    const socket = this.#socket
    socket.cork()
    socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
    socket.write(chunk)
    const more = socket.write('\r\n', 'latin1')
    socket.uncork()
    return more
  }
}

function release(body: RequestBody): void {
  body.release()
}
