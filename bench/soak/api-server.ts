/**
 * The API server of the soak: small objects, a list of 5 MB, watches that end after a while, uploads, tunnels that say
 * back what they are told, errors, slow answers, answers that break off. Owns what it answers, and knows how much of it
 * is still under way; who asks is what the proxy says, and is in the answers.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { crc32 } from 'node:zlib'

/** Everything below is in one namespace of one group. */
export const OBJECTS = '/api/v1/namespaces/default'
export const LIST = '/api/v1/configmaps'

const FILLING = 'key: value\n'.repeat(60)
const ITEMS = Array.from({ length: 5400 }, (_, at) => ({
  metadata: { name: `map-${at}`, namespace: 'default', uid: '0f0e0d0c-0000-4000-8000-000000000000' },
  data: { 'settings.yaml': FILLING },
}))
const LIST_BODY = Buffer.from(JSON.stringify({ kind: 'ConfigMapList', apiVersion: 'v1', metadata: {}, items: ITEMS }))
export const LIST_BYTES = LIST_BODY.length
export const LIST_CRC = crc32(LIST_BODY)

export interface ApiServer {
  readonly url: string
  /** Exchanges under way, tunnels included. */
  open(): number
  /** Requests so far, without health checks. */
  requests(): number
  close(): void
}

/** What an answer says of its request. */
export interface Echoed {
  readonly user: string | undefined
  readonly target: string
  readonly bytes: number
  readonly crc: number
}

type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => void

const ANSWERS: ReadonlyMap<string, Answer> = new Map([
  ['configmaps', (request, response) => void echo(request, response, 200)],
  ['slow', (request, response) => void setTimeout(() => void echo(request, response, 200), 400 + Math.random() * 800)],
  ['missing', (request, response) => void echo(request, response, 404)],
  ['faulty', (request, response) => void echo(request, response, 500)],
  ['forbidden', (_, response) => answer(response, 403, {})], // without reading the body
  ['mute', (request) => request.socket.destroy()],
  ['cut', cut],
  ['pods', watch],
])

export async function startApiServer(tls: ServerOptions): Promise<ApiServer> {
  let requests = 0
  const open = new Set<object>()
  const count = (one: Duplex | ServerResponse): void => {
    requests++
    open.add(one)
    one.on('error', () => {})
    one.on('close', () => open.delete(one))
  }
  const serve = (request: IncomingMessage, response: ServerResponse, expects: boolean): void => {
    if (request.url === '/readyz') {
      response.end('ok')
      return
    }
    count(response)
    const url = new URL(request.url ?? '/', 'https://localhost')
    if (expects && !url.pathname.includes('forbidden')) response.writeContinue()
    if (url.pathname === LIST) list(response, url)
    else ANSWERS.get(kindOf(url))?.(request, response, url)
  }
  const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: true, keepAliveTimeout: 90_000 })
  server.on('request', (request, response) => serve(request, response, false))
  server.on('checkContinue', (request, response) => serve(request, response, true))
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, early: Buffer) => {
    count(socket)
    tunnel(request, socket, early)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open: () => open.size,
    requests: () => requests,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** `slow` of `/api/v1/namespaces/default/slow/17`. */
function kindOf({ pathname }: URL): string {
  return pathname.startsWith(OBJECTS) ? (pathname.split('/')[5] ?? '') : ''
}

async function echo(request: IncomingMessage, response: ServerResponse, status: number): Promise<void> {
  let [bytes, crc] = [0, 0]
  try {
    for await (const chunk of request) {
      bytes += chunk.length
      crc = crc32(chunk, crc)
    }
  } catch {
    return // the client has left; so has the proxy
  }
  const user = request.headers['x-remote-user']?.toString()
  answer(response, status, { user, target: request.url ?? '', bytes, crc } satisfies Echoed)
}

function answer(response: ServerResponse, status: number, said: object): void {
  const body = JSON.stringify({ kind: status < 400 ? 'ConfigMap' : 'Status', apiVersion: 'v1', ...said, data: FILLING })
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
  response.end(body)
}

function list(response: ServerResponse, url: URL): void {
  const length = url.searchParams.has('chunked') ? {} : { 'Content-Length': LIST_BYTES }
  response.writeHead(200, { 'Content-Type': 'application/json', ...length })
  response.end(LIST_BODY)
}

/** With a length or in chunks, and never whole. */
function cut({ socket }: IncomingMessage, response: ServerResponse, url: URL): void {
  const length = url.searchParams.has('chunked') ? {} : { 'Content-Length': 100_000 }
  response.writeHead(200, { 'Content-Type': 'application/json', ...length })
  response.write(FILLING, () => socket.destroy())
}

/** As many events as were asked for, now and then one; then the end. */
function watch({ url: target }: IncomingMessage, response: ServerResponse, { searchParams }: URL): void {
  const events = Number(searchParams.get('events'))
  let sent = 0
  response.writeHead(200, { 'Content-Type': 'application/json' })
  const send = (): void => {
    response.write(`${JSON.stringify({ type: 'MODIFIED', object: { at: sent++, target, data: FILLING } })}\n`)
    if (sent < events) return
    clearInterval(timer)
    response.end()
  }
  const timer = setInterval(send, 300)
  response.on('close', () => clearInterval(timer))
  send()
}

/** Says back what it hears; after `bytes` of them, where that is asked for, it ends. */
function tunnel({ url = '', headers }: IncomingMessage, socket: Duplex, early: Buffer): void {
  const { searchParams } = new URL(url, 'https://localhost')
  if (searchParams.has('refused')) {
    socket.end('HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nnot today\n')
    return
  }
  let left = Number(searchParams.get('bytes') ?? Number.POSITIVE_INFINITY)
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${headers.upgrade}\r\n\r\n`)
  socket.write(early)
  socket.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (!socket.write(chunk)) socket.pause()
    if (left <= 0) socket.end()
  })
  socket.on('drain', () => socket.resume())
  socket.on('end', () => socket.end())
}
