/**
 * A socket that is read into one buffer of its own, over and over. A stream takes new memory for every 16 KiB it
 * reads; for large answers that is what most of the time would be spent on, in looking through the heap for it.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { ReadsInPlace } from '../upstream/connection.ts'

/** The most that one TLS record holds (RFC 8446 section 5.1), and so the most that is read at once. */
const RECORD_BYTES = 16 * 1024

/** Enough for the events of a watch: there may be thousands, and each has its buffer. */
const SMALL_BYTES = 2 * 1024

/** `onread` of `net.Socket`. */
export interface OnRead {
  /** Asked before each read. */
  readonly buffer: () => Uint8Array
  readonly callback: (bytes: number) => boolean
}

/** The socket that `connect` makes. It is a stream like any other as long as nobody reads it in place. */
export function readInPlace<S extends Socket>(connect: (onread: OnRead) => S): S & ReadsInPlace {
  let buffer = Buffer.allocUnsafeSlow(SMALL_BYTES)
  let take: ((bytes: Buffer) => void) | undefined
  const socket = connect({
    buffer: () => buffer,
    callback(count) {
      const isFull = count === buffer.length
      const bytes = isFull ? buffer : buffer.subarray(0, count)
      if (isFull && count < RECORD_BYTES) buffer = Buffer.allocUnsafeSlow(RECORD_BYTES)
      if (take === undefined) return socket.push(Buffer.from(bytes))
      take(bytes)
      return true
    },
  })
  return Object.assign(socket, {
    readInPlace(taker: ((bytes: Buffer) => void) | undefined) {
      take = taker
    },
  })
}
