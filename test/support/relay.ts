/**
 * A relay between a client and a server on loopback: remembers what the client sent, and can cut or hold the way.
 *
 * @module
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface Relay {
  readonly port: number
  /** Connections taken so far. */
  readonly connections: number
  /** Everything clients have sent, in order of arrival. */
  sent(): Buffer
  /** Ends every connection, and refuses new ones until {@link Relay.mend}. */
  cut(): void
  /** Takes connections and lets nothing through, until {@link Relay.mend}. */
  hold(): void
  mend(): void
  close(): Promise<void>
}

export async function startRelay(target: number, host = '127.0.0.1'): Promise<Relay> {
  const sockets = new Set<Socket>()
  const received: Buffer[] = []
  let state: 'open' | 'cut' | 'held' = 'open'
  let connections = 0

  const server = createServer((near) => {
    connections += 1
    if (state === 'cut') {
      near.destroy()
      return
    }
    const far = connect(target, '127.0.0.1')
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('data', (chunk) => {
        if (socket === near) received.push(chunk)
        if (state === 'open') other.write(chunk)
      })
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  server.listen(0, host)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the relay has no port')

  const destroyAll = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: address.port,
    get connections() {
      return connections
    },
    sent: () => Buffer.concat(received),
    cut() {
      state = 'cut'
      destroyAll()
    },
    hold() {
      state = 'held'
    },
    mend() {
      state = 'open'
    },
    async close() {
      destroyAll()
      server.close()
      await once(server, 'close')
    },
  }
}
