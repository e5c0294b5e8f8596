/**
 * A client of the comparison: connections that ask, and count what comes. Looks at nothing of an answer but what it needs
 * to know where it ends.
 *
 * @module
 */
import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import { TOKEN } from './files.ts'

/** As kubectl sends it. */
export function requestFor(path: string): Buffer {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'User-Agent: kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd',
    'Accept: application/json',
    `Authorization: Bearer ${TOKEN}`,
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)
}

export async function dial(port: number): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
  await once(socket, 'secureConnect')
  return socket.setNoDelay(true)
}

/** Whether it gives a right answer. */
export function answers(port: number): Promise<boolean> {
  return dial(port)
    .then(async (socket) => {
      socket.on('error', () => {})
      socket.write(requestFor('/readyz'))
      const [head] = await once(socket, 'data')
      socket.destroy()
      return /^HTTP\/1\.1 200/.test(String(head))
    })
    .catch(() => false)
}

/** Calls back with the status and the bytes of each answer when it is whole. */
export function onAnswers(socket: TLSSocket, whole: (status: number, bytes: number) => void): void {
  let head = ''
  let status = 0
  let bytes = 0
  /** Of the body; undefined: it comes in chunks. */
  let length: number | undefined
  let end = ''
  let inBody = false

  function isWhole(chunk: Buffer): boolean {
    if (length !== undefined) return bytes >= length
    end = (end + chunk.toString('latin1', Math.max(0, chunk.length - LAST_CHUNK.length))).slice(-LAST_CHUNK.length)
    return end === LAST_CHUNK
  }

  socket.on('data', (chunk: Buffer) => {
    if (inBody) bytes += chunk.length
    else {
      head += chunk.toString('latin1')
      const at = head.indexOf('\r\n\r\n')
      if (at < 0) return
      inBody = true
      status = Number(head.slice(9, 12))
      bytes = head.length - at - 4
      const declared = /content-length: (\d+)/i.exec(head.slice(0, at))?.[1]
      length = declared === undefined ? undefined : Number(declared)
      head = ''
    }
    if (!isWhole(chunk)) return
    inBody = false
    end = ''
    whole(status, bytes)
  })
}

const LAST_CHUNK = '\r\n0\r\n\r\n'
