/**
 * A tunnel: what a connection is once both sides have changed protocols. Bytes go both ways untouched and unread, each
 * way as fast as its end takes them; a side that has said its last word may still listen.
 *
 * @module
 */
import type { Duplex } from 'node:stream'

export class Tunnel {
  bytesIn = 0
  bytesOut = 0
  readonly #client: Duplex
  readonly #server: Duplex
  readonly #closed: () => void
  #open = 2

  /** `early` came from the server right behind its head. `closed` is called once, when both sides are gone. */
  constructor(client: Duplex, server: Duplex, early: Buffer, closed: () => void) {
    this.#client = client
    this.#server = server
    this.#closed = closed
    if (early.length > 0) {
      this.bytesOut += early.length
      client.write(early)
    }
    client.on('data', (chunk: Buffer) => {
      this.bytesIn += chunk.length
      if (!server.write(chunk)) client.pause()
    })
    server.on('data', (chunk: Buffer) => {
      this.bytesOut += chunk.length
      if (!client.write(chunk)) server.pause()
    })
    this.#join(client, server)
    this.#join(server, client)
    client.resume()
    server.resume()
  }

  /** Ends it now, both ways. */
  cut(): void {
    this.#client.destroy()
    this.#server.destroy()
  }

  #join(from: Duplex, to: Duplex): void {
    from.allowHalfOpen = true
    to.on('drain', () => from.resume())
    from.on('end', () => to.end())
    from.on('error', ignore) // 'close' follows
    from.on('close', () => {
      // Whoever has been told all that there was to tell finishes writing it; nobody else is left waiting.
      if (!to.writableEnded) to.destroy()
      this.#open -= 1
      if (this.#open === 0) this.#closed()
    })
    if (from.destroyed) to.destroy()
  }
}

function ignore(): void {}
