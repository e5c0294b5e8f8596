/**
 * Everything that is not canonical, served by `node:http` on the same socket: the general HTTP/1.x parser, kept
 * strict. Owns what Node leaves open (two Host lines, other transfer codings, targets that are no path, what follows a
 * parse error) and the order of answers on one connection; leaves time to the sweep, which knows neither side.
 *
 * @module
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { ERROR_CODES } from '../errors.ts'
import type { HttpAnswer } from '../http.ts'
import { statusAnswer } from '../kube/status.ts'
import { BodyBuffer, type BodyOutcome } from './body.ts'
import type { Connection } from './connection.ts'
import { refuse, type ServerCore } from './core.ts'
import { overloadedAnswer } from './desk.ts'
import { Exchange } from './exchange.ts'

/** Requests sent ahead on one connection. Node reads whatever a chunk holds, so there has to be an end to it. */
const MAX_AHEAD = 100

export interface SlowPath {
  /** Serves `connection` from now on, `bytes` first. */
  adopt(connection: Connection, bytes?: Buffer): void
}

/** One connection, as far as `node:http` does not keep it. */
interface Side {
  readonly connection: Connection
  /** Requests that are whole and whose answers are not yet out. */
  answering: number
  /** Requests whose heads are there and whose bodies are not all handed to us; all but one are only on their way. */
  readonly arriving: Set<IncomingMessage>
  /** Bytes the connection had brought when the last request was whole. */
  bytesRead: number
  /** Nothing is read any more; sent when the answers before it are out. */
  ending: { readonly answer: HttpAnswer; readonly withoutBody: boolean } | undefined
}

export function createSlowPath(core: ServerCore): SlowPath {
  const { limits } = core
  const sides = new WeakMap<Socket, Side>()
  const http = createServer({
    insecureHTTPParser: false,
    maxHeaderSize: limits.headerBytes,
    requireHostHeader: false, // refused here, with a body that says so
    keepAliveTimeout: 0, // time is the sweep's: Node's own checks run on listening servers only
  })
  http.maxHeadersCount = 0 // bounded by their bytes; a count would hide the headers beyond it
  http.on('request', (request, response) => receive(request, response, false))
  http.on('checkContinue', (request, response) => receive(request, response, true))
  http.on('checkExpectation', (request) => {
    const side = sides.get(request.socket)
    if (side !== undefined) end(side, statusAnswer(417, 'only "Expect: 100-continue" is understood'), request)
  })
  http.on('connect', (request, socket) => {
    const side = sides.get(socket as Socket)
    if (side !== undefined) end(side, invalid('CONNECT is not served'), request)
    else socket.destroy()
  })
  http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const side = sides.get(socket as Socket)
    if (side === undefined || !error.code?.startsWith('HPE_')) socket.destroy()
    else end(side, parseErrorAnswer(error.code))
  })

  return { adopt }

  function adopt(connection: Connection, bytes?: Buffer): void {
    const { socket } = connection
    const side: Side = { connection, answering: 0, arriving: new Set(), bytesRead: 0, ending: undefined }
    sides.set(socket, side)
    socket.pause()
    http.emit('connection', socket)
    // Node's parser would read the handle itself, past the bytes put back below; a listener makes it read the stream.
    socket.on('data', ignore)
    socket.removeListener('data', ignore)
    if (bytes === undefined) {
      connection.bytesAtRest = socket.bytesRead
    } else {
      connection.bytesAtRest = -1
      connection.enter('receiving', core.now())
      socket.unshift(bytes)
    }
    socket.resume()
  }

  function receive(request: IncomingMessage, response: ServerResponse, expects: boolean): void {
    const side = sides.get(request.socket)
    if (side === undefined || side.ending !== undefined) return
    request.on('error', ignore) // cut off: the socket's 'close' tells it
    response.on('error', ignore)
    if (side.answering === 0 && side.connection.phase !== 'receiving') side.connection.enter('receiving', core.now())
    const refusal = refusalOf(side, request)
    if (refusal !== undefined) end(side, refusal, request)
    else collect(side, request, response, expects)
  }

  /** What can be said against a request by its head. */
  function refusalOf(side: Side, request: IncomingMessage): HttpAnswer | undefined {
    if (side.answering + side.arriving.size >= MAX_AHEAD) return overloadedAnswer('too many requests sent ahead')
    const mistake = mistakeOf(request)
    if (mistake !== undefined) return invalid(mistake)
    return (declaredLength(request) ?? 0) > limits.bodyBytes ? tooLarge() : undefined
  }

  function collect(side: Side, request: IncomingMessage, response: ServerResponse, expects: boolean): void {
    const body = new BodyBuffer(declaredLength(request) ?? limits.bodyBytes, core.budget)
    let handedOn = false
    side.arriving.add(request)
    request.on('close', () => {
      if (!handedOn) body.release()
    })
    request.on('data', (piece: Buffer) => {
      if (!side.arriving.has(request)) return
      const outcome = body.add(piece)
      if (outcome !== 'ok') end(side, bodyRefusal(outcome), request)
    })
    request.on('end', () => {
      handedOn = side.arriving.delete(request) && request.complete
      if (handedOn) serve(side, request, response, body)
    })
    if (expects) response.writeContinue()
  }

  function serve(side: Side, request: IncomingMessage, response: ServerResponse, body: BodyBuffer): void {
    const { connection } = side
    const { method = '', url = '', headers } = request
    const query = url.indexOf('?')
    const requestId = core.nextId()
    const now = core.now()
    const exchange = new Exchange({
      method,
      path: query < 0 ? url : url.slice(0, query),
      contentType: headers['content-type'],
      body: body.bytes(),
      requestId,
      remoteAddress: connection.remoteAddress,
      deadlineAt: now + limits.deadlineMs,
    })
    side.answering += 1
    side.bytesRead = connection.socket.bytesRead
    connection.enter('running', now)
    connection.running.add(exchange)
    response.on('close', () => answered(side))
    const answer = core.desk.serve(exchange, send)
    if (answer !== undefined) send(answer)

    function send(ready: HttpAnswer): void {
      connection.running.delete(exchange)
      body.release()
      if (connection.socket.destroyed) return
      if (connection.running.size === 0) connection.enter('sending', core.now())
      response.sendDate = false // among the fields
      response.writeHead(ready.status, core.renderer.fields(ready, requestId, connection.last))
      response.end(ready.body)
    }
  }

  /** An answer is out, or its connection is gone. */
  function answered(side: Side): void {
    const { connection } = side
    side.answering -= 1
    if (side.answering > 0) return
    if (side.ending !== undefined) {
      conclude(side)
    } else if (connection.last) {
      connection.enter('closing', core.now()) // Node closes after a last answer
    } else {
      connection.bytesAtRest = side.bytesRead
      connection.enter(side.arriving.size > 0 ? 'receiving' : 'idle', core.now())
    }
  }

  /** No more is read from here; `answer` is the last, after those still owed. */
  function end(side: Side, answer: HttpAnswer, request?: IncomingMessage): void {
    if (side.ending !== undefined) return
    side.ending = { answer, withoutBody: request?.method === 'HEAD' }
    let owed = true // those before it; they stand in the order of their heads
    for (const known of side.arriving) {
      owed &&= known !== request && known.complete
      if (!owed) side.arriving.delete(known)
    }
    const { socket } = side.connection
    socket.removeAllListeners('data')
    socket.on('data', ignore)
    socket.resume()
    conclude(side)
  }

  /** Sends the last answer, unless others are owed before it. */
  function conclude({ connection, answering, arriving, ending }: Side): void {
    if (ending === undefined || answering > 0 || arriving.size > 0) return
    refuse(core, connection, ending.answer, ending.withoutBody)
  }
}

function ignore(): void {}

/** What is wrong with a request that Node's parser let pass. */
function mistakeOf({ httpVersion, url = '', rawHeaders }: IncomingMessage): string | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'only HTTP/1.1 and HTTP/1.0 are served'
  if (!url.startsWith('/')) return 'the request target is not a path'
  let hosts = 0
  let contentTypes = 0
  const codings: string[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase()
    if (name === 'host') hosts += 1
    else if (name === 'content-type') contentTypes += 1
    else if (name === 'transfer-encoding') codings.push(rawHeaders[at + 1]?.trim().toLowerCase() ?? '')
  }
  if (hosts > 1) return 'there is more than one Host header'
  if (hosts === 0 && httpVersion === '1.1') return 'there is no Host header'
  if (contentTypes > 1) return 'there is more than one Content-Type header'
  if (codings.length === 0) return undefined
  if (httpVersion === '1.0') return 'Transfer-Encoding does not exist in HTTP/1.0'
  return codings.length > 1 || codings[0] !== 'chunked' ? 'Transfer-Encoding is not "chunked"' : undefined
}

/** Bytes; `undefined` for chunks and for no body at all. */
function declaredLength({ headers }: IncomingMessage): number | undefined {
  const value = headers['content-length']
  return value === undefined ? undefined : Number(value)
}

function invalid(message: string): HttpAnswer {
  return statusAnswer(ERROR_CODES.request_invalid.status, message)
}

function tooLarge(): HttpAnswer {
  return statusAnswer(ERROR_CODES.body_too_large.status, ERROR_CODES.body_too_large.meaning)
}

function bodyRefusal(outcome: Exclude<BodyOutcome, 'ok'>): HttpAnswer {
  return outcome === 'too-large' ? tooLarge() : overloadedAnswer(ERROR_CODES.overloaded.meaning)
}

function parseErrorAnswer(code: string): HttpAnswer {
  if (code === 'HPE_HEADER_OVERFLOW') return statusAnswer(431, 'the head is longer than `server.limits.headerBytes`')
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return tooLarge()
  return invalid(ERROR_CODES.request_invalid.meaning)
}
