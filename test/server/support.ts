/**
 * For the tests of the listener: a server on a free port with a clock of its own, and a client that sends bytes as they
 * are and takes the answers apart.
 *
 * @module
 */
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import type { CallLog } from '../../src/context.ts'
import type { Handler, HttpRequest } from '../../src/http.ts'
import { type ArchwayServer, createServer, type ServerOptions } from '../../src/server/listener.ts'
import type { TlsOptions } from '../../src/server/tls.ts'
import { createAuthority, createFolder, type Issued, type TestAuthority, type TestFolder } from '../support/tls.ts'

export interface LogLine {
  readonly level: string
  readonly fields: Record<string, unknown>
  readonly message: string
}

/** Keeps what is logged. */
export function keepLog(lines: LogLine[] = []): CallLog {
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields: { ...fields }, message })
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** A clock that stands still until told. */
export interface TestClock {
  readonly now: () => number
  advance(ms: number): void
}

function createClock(): TestClock {
  let at = 1000
  return {
    now: () => at,
    advance: (ms) => {
      at += ms
    },
  }
}

/** Certificates and files of a group of tests. */
export interface Estate {
  readonly authority: TestAuthority
  readonly issued: Issued
  readonly folder: TestFolder
  readonly files: { readonly certFile: string; readonly keyFile: string }
}

export async function createEstate(): Promise<Estate> {
  const authority = await createAuthority()
  const issued = await authority.server()
  const folder = await createFolder()
  const certFile = await folder.write('tls.crt', issued.cert)
  const keyFile = await folder.write('tls.key', issued.key)
  return { authority, issued, folder, files: { certFile, keyFile } }
}

/** Events the observer was told, as words: `opened`, `refused limit`, `answered 408` … */
export interface Running {
  readonly server: ArchwayServer
  readonly port: number
  readonly events: string[]
  readonly lines: LogLine[]
  readonly clock: TestClock
  /** Moves the clock and sweeps. */
  pass(ms: number): void
  /** Resolves when an event of this name has been seen. */
  seen(event: string, times?: number): Promise<void>
}

export type StartOptions = Partial<Omit<ServerOptions, 'tls'>> & { readonly tls?: Partial<TlsOptions> }

/** Starts a server that looks at its files when told and sweeps when told. */
export async function start(estate: Estate, options: StartOptions = {}): Promise<Running> {
  const events: string[] = []
  const lines: LogLine[] = []
  const clock = createClock()
  let wake: () => void = () => {}
  const note = (event: string): void => {
    events.push(event)
    wake()
  }
  const server = createServer({
    listen: { host: '127.0.0.1', port: 0 },
    handler: echo,
    lanePaths: ['/webhook'],
    log: keepLog(lines),
    now: clock.now,
    observer: {
      connectionOpened: () => note('opened'),
      connectionClosed: () => note('closed'),
      connectionRefused: (reason) => note(`refused ${reason}`),
      requestRefused: (status) => note(`answered ${status}`),
      tlsError: (code) => note(`tls ${code}`),
      fellBack: (reason) => note(`fell back ${reason}`),
    },
    ...options,
    tls: { ...estate.files, reloadIntervalMs: 0, ...options.tls },
  })
  const { port } = await server.listen()
  return {
    server,
    port,
    events,
    lines,
    clock,
    pass(ms) {
      clock.advance(ms)
      server.sweep()
    },
    async seen(event, times = 1) {
      while (events.filter((known) => known === event).length < times)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
    },
  }
}

/** Lets what was sent arrive: after three handshakes and answers on other connections it has. */
export async function settled(estate: Estate, { port, events, seen }: Running): Promise<void> {
  const closed = events.filter((event) => event === 'closed').length
  for (let round = 1; round <= 3; round += 1) {
    const other = await dial(estate, port)
    other.send(canonical(''))
    await other.next()
    other.destroy()
    await seen('closed', closed + round)
  }
}

/** Says what arrived, so that an answer can be matched with its request. */
export const echo: Handler = ({ method, path, contentType, body }: HttpRequest) => ({
  status: 200,
  body: JSON.stringify({ method, path, contentType, body: body.toString('latin1') }),
})

/** One answer as it came. */
export interface Answer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** A client that sends bytes. */
export interface RawClient {
  readonly socket: TLSSocket
  send(bytes: string | Buffer): void
  /** The next answer; rejects when the connection ends first. */
  next(): Promise<Answer>
  /** Resolves with all further answers when the server has closed. */
  rest(): Promise<readonly Answer[]>
  /** Resolves when the connection is gone. */
  closed: Promise<void>
  /** Hangs up without a word. */
  destroy(): void
}

export type ClientOptions = Partial<ConnectionOptions> & { readonly bodiless?: boolean }

/** Resolves after the handshake; in TLS 1.3 the server may still refuse a client certificate then. */
export async function dial(estate: Estate, port: number, options: ClientOptions = {}): Promise<RawClient> {
  const { bodiless = false, ...tls } = options
  const socket = connect({ host: '127.0.0.1', port, ca: estate.authority.cert, servername: 'localhost', ...tls })
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed in the handshake')))
  })
  let buffered: Buffer = Buffer.alloc(0)
  const answers: Answer[] = []
  const waiting: { resolve(answer: Answer): void; reject(error: Error): void }[] = []
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk])
    for (let taken = takeAnswer(buffered, bodiless); taken !== undefined; taken = takeAnswer(buffered, bodiless)) {
      buffered = taken.rest
      const waiter = waiting.shift()
      if (waiter === undefined) answers.push(taken.answer)
      else waiter.resolve(taken.answer)
    }
  })
  void closed.then(() => {
    for (const waiter of waiting.splice(0)) waiter.reject(new Error('closed before an answer'))
  })
  return {
    socket,
    send: (bytes) => void socket.write(bytes),
    next() {
      const answer = answers.shift()
      if (answer !== undefined) return Promise.resolve(answer)
      if (socket.destroyed) return Promise.reject(new Error('closed before an answer'))
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
    },
    async rest() {
      await closed
      if (buffered.length > 0) throw new Error(`half an answer: ${buffered.toString('latin1')}`)
      return answers.splice(0)
    },
    closed,
    destroy: () => socket.destroy(),
  }
}

/** The first answer in `bytes`. Interim answers are answers here. */
function takeAnswer(bytes: Buffer, bodiless: boolean): { answer: Answer; rest: Buffer } | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [line = '', ...fields] = bytes.toString('latin1', 0, end).split('\r\n')
  const match = /^HTTP\/1\.1 (\d{3}) [ -~]+$/.exec(line)
  if (match === null) throw new Error(`no answer: ${JSON.stringify(line)}`)
  const headers = new Map<string, string>()
  for (const field of fields) {
    const colon = field.indexOf(': ')
    const name = field.slice(0, colon).toLowerCase()
    if (headers.has(name)) throw new Error(`header ${name} came twice`)
    headers.set(name, field.slice(colon + 2))
  }
  const status = Number(match[1])
  const length = status < 200 || bodiless ? 0 : Number(headers.get('content-length'))
  if (!Number.isInteger(length)) throw new Error('answer without a length')
  const stop = end + 4 + length
  if (bytes.length < stop) return undefined
  return {
    answer: { status, headers, body: bytes.toString('utf8', end + 4, stop) },
    rest: bytes.subarray(stop),
  }
}

/** The request a Kubernetes API server sends. */
export function canonical(body: string, { path = '/webhook?timeout=30s', headers = '' } = {}): string {
  return (
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:8443\r\nUser-Agent: Go-http-client/1.1\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\nAccept: application/json, */*\r\n` +
    `Content-Type: application/json\r\n${headers}Accept-Encoding: gzip\r\n\r\n${body}`
  )
}
