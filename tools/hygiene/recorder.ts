/**
 * Stands where the API server does and tells what it received, byte for byte, in its answers. It reads requests the way
 * a careless server would, so that a request that was smuggled past the proxy shows as one. What it saw of a case is
 * asked for through the proxy ({@link REPORT}), so that no other way to it is needed.
 */

import { createServer, type Server, type TLSSocket } from 'node:tls'
import { answerTo } from './canned-answers.ts'
import { bodyLength, firstHead } from './lenient-parser.ts'

/** Where cases are sent, by their token; and where it is told what came of them. */
export const CASES = '/hygiene/'
export const REPORT = '/hygiene-report/'

/** Stands in every report: it is the recorder that speaks, and not whatever is in front of it. */
export const RECORDER = 'archway hygiene recorder'

export interface RecorderOptions {
  /** PEM. */
  readonly cert: string
  readonly key: string
  /** CA that client certificates must be of, PEM; without it everybody may connect. */
  readonly clientCA?: string
  readonly host: string
  readonly port: number
}

export interface Recorder {
  /** `127.0.0.1:9000` */
  readonly address: string
  close(): Promise<void>
}

/** Requests of this many cases are kept; the oldest go first. */
const KEPT = 1_000

export async function startRecorder(options: RecorderOptions): Promise<Recorder> {
  const { cert, key, clientCA } = options
  const heads = new Map<string, string[]>()
  const sockets = new Set<TLSSocket>()
  const client = clientCA === undefined ? {} : { ca: clientCA, requestCert: true, rejectUnauthorized: true }
  const server = createServer({ cert, key, ALPNProtocols: ['http/1.1'], ...client }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serve(socket, heads)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, resolve)
  })
  return {
    address: addressOf(server),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

function addressOf(server: Server): string {
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the recorder listens nowhere')
  return `${address.address}:${address.port}`
}

/**
 * Answers one request after the other, in their order. A head counts as soon as it is there, whatever follows; and so
 * does what comes behind the last request of a connection, as a server would read it that overlooks the end.
 */
function serve(socket: TLSSocket, heads: Map<string, string[]>): void {
  let text = ''
  let head: string | undefined
  let token = ''
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    while (answerNext()) {}
  })

  /** False: more has to come first. */
  function answerNext(): boolean {
    head ??= nextHead()
    const length = head === undefined ? undefined : bodyLength(head, text)
    if (head === undefined || length === undefined) return false
    text = text.slice(length)
    const asked = tokenIn(head, REPORT)
    const answer = answerTo(head, report(asked === undefined ? [head] : (heads.get(asked) ?? [])))
    head = undefined
    if (socket.writable) socket.write(answer.text, 'latin1')
    if (answer.isLast) socket.end()
    return true
  }

  function nextHead(): string | undefined {
    const found = firstHead(text)
    if (found === undefined) return undefined
    text = text.slice(found.length)
    token = tokenIn(found.head, CASES) ?? token // of what is no request at all, the one before has to answer
    if (!found.head.includes(REPORT)) remember(heads, token, found.head)
    return found.head
  }
}

function tokenIn(head: string, place: string): string | undefined {
  const at = head.indexOf(place)
  return at === -1 ? undefined : /^[a-z0-9.-]+/.exec(head.slice(at + place.length))?.[0]
}

function remember(heads: Map<string, string[]>, token: string, head: string): void {
  const known = heads.get(token)
  if (known !== undefined) known.push(head)
  else heads.set(token, [head])
  const [oldest] = heads.keys()
  if (heads.size > KEPT && oldest !== undefined) heads.delete(oldest)
}

/** Base64, so that every byte comes through. */
function report(heads: readonly string[]): string {
  return JSON.stringify({
    recorder: RECORDER,
    heads: heads.map((head) => Buffer.from(head, 'latin1').toString('base64')),
  })
}
