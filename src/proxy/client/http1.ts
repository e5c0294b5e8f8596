/**
 * HTTP/1.1 of clients: `node:http`, kept strict, on sockets that are handed in. Owns the order of requests on one
 * connection, what is no request, and the time a connection may take between two; leaves a request and its answer to
 * `http1-exchange.ts`.
 *
 * @module
 */
import { createServer, type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { HttpAnswer } from '../../http.ts'
import { statusAnswer } from '../../kube/status.ts'
import type { ProxyLimits } from '../limits.ts'
import { answerLines } from './answer-lines.ts'
import { type Buffers, createBuffers } from './buffers.ts'
import type { ClientConnection, ClientHandler } from './client.ts'
import { Http1Exchange, type Http1Owner } from './http1-exchange.ts'

export interface Http1Options {
  readonly handler: ClientHandler
  readonly limits: ProxyLimits
  /** Monotonic, milliseconds. */
  readonly now: () => number
}

export interface Http1 {
  /** Serves the socket from now on. */
  adopt(socket: TLSSocket, remoteAddress: string): ClientConnection
}

export function createHttp1({ handler, limits, now }: Http1Options): Http1 {
  const connections = new WeakMap<Duplex, Connection>()
  const buffers = createBuffers()
  const http = createServer({
    insecureHTTPParser: false,
    maxHeaderSize: limits.headBytes,
    requireHostHeader: false, // hygiene answers better
    keepAliveTimeout: 0, // time is the sweep's: Node's own checks run on listening servers only
  })
  http.maxHeadersCount = 0 // bounded by their bytes; a count would hide the lines beyond it (H16)
  const receive = (request: IncomingMessage, response: ServerResponse, expects: boolean): void =>
    connections.get(request.socket)?.receive(request, response, expects)
  http.on('request', (request, response) => receive(request, response, false))
  http.on('checkContinue', (request, response) => receive(request, response, true))
  http.on('checkExpectation', (request, response) => receive(request, response, false)) // for hygiene to refuse
  const takeOut = (request: IncomingMessage, socket: Duplex, early: Buffer): void =>
    connections.get(socket)?.takeOut(request, early)
  http.on('upgrade', takeOut)
  http.on('connect', takeOut)
  http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const connection = connections.get(socket)
    if (connection === undefined || !error.code?.startsWith('HPE_')) socket.destroy()
    else connection.broken(error.code)
  })

  return {
    adopt(socket, remoteAddress) {
      const connection = new Connection(socket, { remoteAddress, buffers, handler, limits, now })
      connections.set(socket, connection)
      http.emit('connection', socket satisfies Socket)
      return connection
    },
  }
}

interface ConnectionOptions extends Http1Options {
  readonly remoteAddress: string
  readonly buffers: Buffers
}

class Connection implements ClientConnection, Http1Owner {
  readonly socket: TLSSocket
  readonly remoteAddress: string
  readonly limits: ProxyLimits
  readonly buffers: Buffers
  readonly now: () => number
  isLast = false
  readonly #handler: ClientHandler
  /** The request being answered; those sent ahead wait, for they may depend on it. */
  #current: Http1Exchange | undefined
  readonly #ahead: Http1Exchange[] = []
  /** Between requests: bytes that had come when the last one was over, and since when; or since when a head comes. */
  #bytesAtRest = 0
  #since: number
  #isReceiving = false
  /** Nothing more is read from here: what is to be said when the answer under way is out, and since when it is said. */
  #ending: HttpAnswer | undefined
  #endingSince: number | undefined
  #isTunnel = false

  constructor(socket: TLSSocket, { remoteAddress, buffers, handler, limits, now }: ConnectionOptions) {
    this.socket = socket
    this.remoteAddress = remoteAddress
    this.limits = limits
    this.buffers = buffers
    this.now = now
    this.#handler = handler
    this.#since = now()
    socket.on('end', () => this.#clientEnded())
  }

  receive(request: IncomingMessage, response: ServerResponse, expects: boolean): void {
    if (this.#ending !== undefined) return
    const exchange = new Http1Exchange(this, request, response, { expects })
    if (this.#current === undefined) this.#begin(exchange)
    else if (this.#ahead.length < this.limits.ahead) this.#ahead.push(exchange)
    else this.#end(statusAnswer(503, 'too many requests sent ahead: wait for answers', { retryAfter: 1 }), 'ahead')
  }

  /** A head that wants the connection for itself: the parser has let go of it. */
  takeOut(request: IncomingMessage, early: Buffer): void {
    const { socket } = this
    socket.on('error', ignore)
    if (this.#current !== undefined || this.#ending !== undefined) {
      socket.destroy() // sent ahead, and refused by whoever reads H9
      return
    }
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket)
    const exchange = new Http1Exchange(this, request, response, { upgrades: true })
    if (early.length > 0) exchange.early()
    socket.on('data', () => exchange.early())
    socket.on('end', () => this.#clientEnded())
    this.#begin(exchange)
  }

  /** What came is no HTTP. */
  broken(code: string): void {
    const current = this.#ahead.at(-1) ?? this.#current
    if (current !== undefined && !current.bodyIsWhole) {
      if (current === this.#current) current.bodyBroken()
      else this.socket.destroy()
    } else this.#end(parseErrorAnswer(code), code)
  }

  ended(exchange: Http1Exchange): void {
    if (exchange !== this.#current) return
    this.#current = undefined
    this.#since = this.now()
    this.#bytesAtRest = this.socket.bytesRead
    this.#isReceiving = false
    const next = this.#ahead.shift()
    if (this.socket.destroyed) return
    if (next !== undefined) this.#begin(next)
    else if (this.#ending !== undefined) this.#sayEnding(this.#ending)
    else if (this.isLast) this.socket.destroySoon()
  }

  left(): void {
    this.#isTunnel = true
    this.#current = undefined
    for (const event of ['data', 'drain', 'end', 'error']) this.socket.removeAllListeners(event)
  }

  sweep(now: number): void {
    if (this.#isTunnel) return
    if (this.#endingSince !== undefined) {
      if (now - this.#endingSince > this.limits.discardMs) this.socket.destroy()
    } else if (this.#current !== undefined) this.#current.sweep(now)
    else if (!this.#isReceiving && this.socket.bytesRead === this.#bytesAtRest) {
      if (now - this.#since > this.limits.idleTimeoutMs) this.socket.destroy()
    } else this.#sweepHead(now)
  }

  retire(): void {
    this.isLast = true
    if (this.#current === undefined && !this.#isTunnel && this.#ending === undefined) this.socket.destroySoon()
  }

  destroy(): void {
    this.socket.destroy()
  }

  #begin(exchange: Http1Exchange): void {
    this.#current = exchange
    this.#handler.receive(exchange)
  }

  #sweepHead(now: number): void {
    if (!this.#isReceiving) {
      this.#isReceiving = true
      this.#since = now
    } else if (now - this.#since > this.limits.headTimeoutMs) {
      this.#end(statusAnswer(408, 'the head of the request did not arrive in time'), 'head-timeout')
    }
  }

  /** To a client that has left there is nobody to answer; only tunnels live on one half. */
  #clientEnded(): void {
    if (this.#current === undefined || !this.#current.hasEnded) this.socket.destroy()
  }

  /** No more requests are read; `answer` is the last, after the one under way. */
  #end(answer: HttpAnswer, cause: string): void {
    if (this.#ending !== undefined) return
    this.#ending = answer
    this.#ahead.length = 0
    const { remoteAddress } = this
    this.#handler.malformed({ protocol: 'HTTP/1.1', remoteAddress, status: answer.status, cause })
    if (this.#current === undefined) this.#sayEnding(answer)
  }

  /** Then hangs up, but not at once: bytes still on their way here would take the answer back. */
  #sayEnding(answer: HttpAnswer): void {
    const { socket } = this
    this.#endingSince = this.now()
    if (!socket.writable) {
      socket.destroy()
      return
    }
    const lines = answerLines(answer).map(([name, value]) => `${name}: ${value}\r\n`)
    const length = Buffer.byteLength(answer.body)
    socket.end(
      `HTTP/1.1 ${answer.status} Refused\r\n${lines.join('')}Content-Length: ${length}\r\nConnection: close\r\n\r\n${answer.body}`,
    )
  }
}

function ignore(): void {}

function parseErrorAnswer(code: string): HttpAnswer {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return statusAnswer(431, 'the head of the request is too large: send fewer or shorter headers')
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return statusAnswer(413, 'the extensions of chunks are too large')
    default:
      return statusAnswer(400, 'the bytes received are not an HTTP/1.1 request')
  }
}
