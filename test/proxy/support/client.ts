/**
 * A client that sends bytes as they are, and reads what comes.
 *
 * @module
 */
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import type { Estate, OpenDoor } from './door.ts'

export interface RawClient {
  readonly socket: TLSSocket
  send(bytes: string | Buffer): void
  /** Everything so far, one character a byte. */
  received(): string
  /** Resolves as soon as that holds of what has been received; rejects when the connection ends first. */
  until(holds: string | ((received: string) => boolean)): Promise<string>
  /** Resolves as soon as so many bytes have been received. */
  untilBytes(count: number): Promise<void>
  /** Forgets what came until now. */
  forget(): void
  /** With all that was received, when the server has said its last word. */
  readonly ended: Promise<string>
  readonly closed: Promise<string>
}

export async function dial(
  estate: Estate,
  { port }: Pick<OpenDoor, 'port'>,
  options: Partial<ConnectionOptions> & { readonly allowHalfOpen?: boolean } = {},
): Promise<RawClient> {
  const socket = connect({ host: '127.0.0.1', port, ca: estate.authority.cert, servername: 'localhost', ...options })
  const chunks: Buffer[] = []
  const received = (): string => Buffer.concat(chunks).toString('latin1')
  let wake: () => void = () => {}
  socket.on('error', () => {})
  const ended = new Promise<string>((resolve) => socket.once('end', () => resolve(received())))
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(received())))
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('close', () => reject(new Error('closed in the handshake')))
  })
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    bytes += chunk.length
    wake()
  })
  const more = (): Promise<void> => {
    if (socket.destroyed || socket.readableEnded) throw new Error(`the connection ended after ${received()}`)
    return new Promise((resolve) => {
      wake = resolve
    })
  }
  socket.on('end', () => wake())
  socket.on('close', () => wake())
  return {
    socket,
    send: (bytes) => void socket.write(bytes, 'latin1'),
    received,
    async until(holds) {
      const test = typeof holds === 'string' ? (text: string) => text.includes(holds) : holds
      while (!test(received())) await more()
      return received()
    },
    async untilBytes(count) {
      while (bytes < count) await more()
    },
    forget() {
      chunks.length = 0
      bytes = 0
    },
    ended,
    closed,
  }
}

/** A request of Jane's. */
export function request(line: string, { headers = '', body = '' } = {}): string {
  return `${line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer jane\r\n${headers}\r\n${body}`
}

/** The body of an answer that has a length, as JSON. */
export function jsonOf(answer: string): unknown {
  return JSON.parse(Buffer.from(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'latin1').toString())
}

/** Whether there is a whole answer with a length in the text. */
export function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  const length = /^content-length: (\d+)\r$/im.exec(text)?.[1]
  return end >= 0 && length !== undefined && text.length >= end + 4 + Number(length)
}
