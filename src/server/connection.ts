/**
 * One connection past the handshake, as the sweep and the drain see it: what it is busy with and since when. Owns the
 * phases and the way a connection ends; leaves reading requests to the lane and the slow path.
 *
 * @module
 */
import type { TLSSocket } from 'node:tls'
import type { Exchange } from './exchange.ts'

/**
 * - `idle`: no request under way
 * - `receiving`: a request has begun and is not whole
 * - `running`: the handler has it
 * - `sending`: the answer waits for the other side to take it
 * - `closing`: the last answer is out and so is our end; only the other side's end is missing
 */
export type Phase = 'idle' | 'receiving' | 'running' | 'sending' | 'closing'

/** How long the other side has to read a last answer and hang up, milliseconds. */
const LINGER_MS = 2000

/** What a sweep asks a connection to be held against. Milliseconds. */
export interface PhaseLimits {
  readonly requestTimeoutMs: number
  readonly idleTimeoutMs: number
}

export class Connection {
  readonly socket: TLSSocket
  readonly remoteAddress: string
  /** Requests the handler has, to be told when their asker is gone or their deadline has passed. */
  readonly running: Set<Exchange> = new Set()
  /** Resolves when the socket is closed. */
  readonly gone: Promise<void>
  /** The next answer is the last one. */
  last = false
  phase: Phase = 'idle'
  /** When the phase began, milliseconds on the monotonic clock. */
  since: number
  /** On the slow path: bytes received by the end of the last request; more than that means a new one has begun. */
  bytesAtRest: number | undefined

  constructor(socket: TLSSocket, now: number) {
    this.socket = socket
    this.remoteAddress = socket.remoteAddress ?? ''
    this.since = now
    socket.on('error', () => socket.destroy()) // reset by the other side: 'close' follows
    this.gone = new Promise((resolve) => {
      socket.on('close', () => {
        for (const exchange of this.running) exchange.forsake()
        resolve()
      })
    })
  }

  enter(phase: Phase, now: number): void {
    if (this.phase === 'closing') return // there is no way back
    this.phase = phase
    this.since = now
  }

  /**
   * Writes the last bytes and our end, then reads on without looking, for at most {@link LINGER_MS}: closing on
   * unread bytes would send a reset, and that may overtake the answer.
   */
  terminate(text: string, now: number): void {
    const { socket } = this
    if (this.phase === 'closing' || socket.destroyed) return
    this.enter('closing', now)
    socket.removeAllListeners('data')
    socket.on('data', () => {})
    if (text !== '') socket.write(text)
    socket.end()
    socket.resume()
  }

  /** Nothing has begun since the last answer. */
  isIdle(): boolean {
    return this.phase === 'idle' && (this.bytesAtRest === undefined || this.bytesAtRest === this.socket.bytesRead)
  }

  /**
   * Holds the connection against its limits; `timedOut` is called for a request that did not arrive in time and has
   * nobody before it to be answered.
   */
  sweep(now: number, { requestTimeoutMs, idleTimeoutMs }: PhaseLimits, timedOut: () => void): void {
    const age = now - this.since
    switch (this.phase) {
      case 'idle':
        if (!this.isIdle()) this.enter('receiving', now)
        else if (age >= idleTimeoutMs) this.terminate('', now)
        break
      case 'receiving':
        if (age >= requestTimeoutMs) timedOut()
        break
      case 'running':
        for (const exchange of this.running) if (now >= exchange.deadlineAt) exchange.expire()
        break
      case 'sending':
        if (age >= requestTimeoutMs) this.socket.destroy()
        break
      case 'closing':
        if (age >= LINGER_MS) this.socket.destroy()
        break
    }
  }
}
