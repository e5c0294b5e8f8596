/**
 * What the tests of an exchange are made with: a sink that remembers, servers that say what they are told, and pools
 * that talk to them.
 *
 * @module
 */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TestContext } from 'node:test'
import { type ServerPoolOptions, serverPool } from '../../../src/proxy/upstream/pool.ts'
import type {
  ResponseSink,
  ServerPool,
  UpstreamExchange,
  UpstreamFailure,
  UpstreamHead,
  UpstreamRequest,
} from '../../../src/proxy/upstream/upstream.ts'

const NEVER = new AbortController().signal

/** A sink that writes down what it is told, and that nothing comes behind the last event. */
export interface Notes extends ResponseSink {
  /** In their order; bytes that follow one another are one `data`. */
  readonly events: string[]
  /** Everything `data` brought, as latin1. */
  readonly body: string
  readonly answer: UpstreamHead | undefined
  readonly failure: UpstreamFailure | undefined
  readonly tunnel: { readonly socket: Duplex; readonly early: Buffer } | undefined
  /** Resolves at the last event. */
  readonly over: Promise<void>
  /** Resolves when this event has come. */
  seen(event: string): Promise<void>
}

/** `takes` answers `data`. */
export function notes(takes: (chunk: Buffer) => boolean = () => true): Notes {
  const events: string[] = []
  const waiting = new Map<string, PromiseWithResolvers<void>>()
  const pieces: string[] = []
  let answer: UpstreamHead | undefined
  let failure: UpstreamFailure | undefined
  let tunnel: Notes['tunnel']
  let over = false
  const promised = (event: string): PromiseWithResolvers<void> => {
    const found = waiting.get(event) ?? Promise.withResolvers<void>()
    waiting.set(event, found)
    return found
  }
  const note = (event: string, last = false): void => {
    if (over && event !== 'again') events.push('again') // a test that compares events will not find it equal
    if (event !== 'data' || events.at(-1) !== 'data') events.push(event)
    promised(event).resolve()
    over ||= last
    if (last) promised('over').resolve()
  }
  return {
    events,
    over: promised('over').promise,
    get body() {
      return pieces.join('')
    },
    get answer() {
      return answer
    },
    get failure() {
      return failure
    },
    get tunnel() {
      return tunnel
    },
    seen: (event) => promised(event).promise,
    continued: () => note('continued'),
    head(head) {
      answer = head
      note('head')
    },
    data(chunk) {
      pieces.push(chunk.toString('latin1'))
      note('data')
      return takes(chunk)
    },
    end: () => note('end', true),
    upgraded(head, socket, early) {
      answer = head
      tunnel = { socket, early }
      note('upgraded', true)
    },
    drained: () => note('drained'),
    failed(one) {
      failure = one
      note('failed', true)
    },
  }
}

/** A GET; what is given replaces its parts. */
export function request(parts: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return { method: 'GET', target: '/', headers: [['Host', 'a']], framing: { kind: 'none' }, ...parts }
}

/** One exchange over the pool, under way. */
export async function ask(
  pool: ServerPool,
  parts: Partial<UpstreamRequest> = {},
  sink: Notes = notes(),
): Promise<{ readonly sink: Notes; readonly exchange: UpstreamExchange; readonly reused: boolean }> {
  const connection = await pool.acquire(NEVER)
  const { reused } = connection
  return { sink, reused, exchange: connection.exchange(request(parts), sink) }
}

/** A server on loopback and its connections, both gone when the test is. */
export interface RawServer {
  readonly port: number
  /** Those it has had, in their order. */
  readonly sockets: readonly Socket[]
}

/** A server that has no HTTP of its own: `serve` says what a connection hears. */
export async function rawServer(context: TestContext, serve: (socket: Socket) => void): Promise<RawServer> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {}) // resets are what some tests are about
    serve(socket)
  })
  context.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: await listen(server), sockets }
}

/** A server that answers each head it receives with the same text, in a write of its own. */
export function answering(context: TestContext, text: string): Promise<RawServer> {
  return rawServer(context, (socket) => {
    let heard = ''
    socket.on('data', (bytes) => {
      heard += bytes.toString('latin1')
      for (let at = heard.indexOf('\r\n\r\n'); at !== -1; at = heard.indexOf('\r\n\r\n')) {
        heard = heard.slice(at + 4)
        socket.write(text, 'latin1')
      }
    })
  })
}

export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}

/** A pool of plain connections to a port, closed when the test is over. Sweeps only when `options` say how. */
export function poolTo(context: TestContext, port: number, options: Partial<ServerPoolOptions> = {}): ServerPool {
  const pool = serverPool({ name: 'server', connect: () => dial(port), every: () => () => {}, ...options })
  context.after(() => pool.close())
  return pool
}

export async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

/** Waits, turn by turn of the event loop, until it holds. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}
