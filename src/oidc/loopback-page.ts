/**
 * The page on this machine that the browser comes back to: one address on 127.0.0.1, good for one answer. Owns who may
 * end the wait; what the answer says is the flow's to judge.
 *
 * Anything in a browser can send requests here, so only the request that carries the state counts, and everything else
 * is refused without an effect. The page has no script and repeats nothing it was sent.
 *
 * @module
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { ArchwayError, messageOf } from '../errors.ts'
import type { Secret } from '../secret.ts'

export interface LoopbackPageOptions {
  /** In the redirect address; what is listened on is 127.0.0.1 in either case. */
  readonly host: '127.0.0.1' | 'localhost'
  /** The first free one is taken; 0 is any. */
  readonly ports: readonly number[]
  /** Begins with `/`. */
  readonly path: string
  readonly state: Secret
}

export interface LoopbackPage {
  readonly redirectUri: string
  /** The redirect address with what the issuer added. Never rejects. */
  readonly answer: Promise<URL>
  /** Stops listening and cuts what is connected. */
  close(): Promise<void>
}

/** Longest request target, in characters; codes and error descriptions are far shorter. */
const MAX_TARGET = 8192

/** Longest head of a request, in bytes, with cookies other programs on this host have set. */
const MAX_HEADER_BYTES = 64 * 1024

const HEAD_TIMEOUT_MS = 10_000

/** Parameters that have one meaning, and must therefore come once. */
const SINGLE = ['state', 'code', 'error', 'iss']

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  connection: 'close',
} as const

/**
 * Listens.
 *
 * @throws ArchwayError `credential_settings_invalid` where none of the ports is free.
 */
export async function openLoopbackPage(options: LoopbackPageOptions): Promise<LoopbackPage> {
  const { promise: answer, resolve } = Promise.withResolvers<URL>()
  const limits = { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: HEAD_TIMEOUT_MS, requestTimeout: HEAD_TIMEOUT_MS }
  let redirectUri = ''
  let done = false
  const server = createServer(limits, (request, response) => {
    const verdict = judge(request, { redirectUri, state: options.state })
    if (verdict instanceof URL && !done) {
      done = true
      // Not before the page has left: the end of the flow cuts the connection.
      response.once('close', () => resolve(verdict))
      const refused = verdict.searchParams.has('error')
      return refused
        ? send(response, 200, 'The login was refused', 'The terminal says why. You can close this window.')
        : send(response, 200, 'The answer has arrived', 'Go on at the terminal. You can close this window.')
    }
    const status = verdict instanceof URL ? 410 : verdict
    send(response, status, 'Not a login', 'This address is for one login, and this request is not part of it.')
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    sendRaw(socket, error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400)
  })
  const port = await listen(server, options.ports)
  server.on('error', () => {}) // of a connection that could not be accepted; the browser tries again
  redirectUri = new URL(`http://${options.host}:${port}${options.path}`).href
  return {
    redirectUri,
    answer,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  }
}

/** The whole redirect address, or the HTTP status it is refused with. */
function judge(request: IncomingMessage, page: { readonly redirectUri: string; readonly state: Secret }): URL | number {
  const { url: target = '', method, headersDistinct } = request
  const own = new URL(page.redirectUri)
  if (target.length > MAX_TARGET) return 414
  if (method !== 'GET') return 405
  // A page of another origin can point its own host name at 127.0.0.1 (DNS rebinding).
  if (headersDistinct['host']?.length !== 1 || headersDistinct['host'][0] !== own.host) return 421
  const [path, ...rest] = target.split('?')
  if (path !== own.pathname) return 404
  own.search = rest.join('?')
  const parameters = own.searchParams
  if (SINGLE.some((name) => parameters.getAll(name).length > 1)) return 400
  if (!isSame(parameters.get('state') ?? '', page.state.reveal())) return 403
  return parameters.has('code') || parameters.has('error') ? own : 400
}

function isSame(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(one), digest(other))
}

function send(response: ServerResponse, status: number, title: string, text: string): void {
  response.writeHead(status, { ...HEADERS, ...(status === 405 ? { allow: 'GET' } : {}) }).end(html(title, text))
}

/** For what is not HTTP, or too long to be read. */
function sendRaw(socket: Duplex, status: number): void {
  if (!socket.writable) return void socket.destroy()
  const body = html('Not a login', 'This request cannot be read.')
  const fields = Object.entries({ ...HEADERS, 'content-length': Buffer.byteLength(body) })
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...fields.map(([name, value]) => `${name}: ${value}`)]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

function html(title: string, text: string): string {
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title></head>
<body><h1>${title}</h1><p>${text}</p></body>
</html>
`
}

async function listen(server: Server, ports: readonly number[]): Promise<number> {
  const faults: string[] = []
  for (const port of ports) {
    try {
      return await listenAt(server, port)
    } catch (error) {
      faults.push(messageOf(error))
    }
  }
  const fault = `the browser has to come back to 127.0.0.1, and no port is free (${faults.join('; ')})`
  throw new ArchwayError('credential_settings_invalid', `ports: ${fault}; name another, or 0 for any`)
}

function listenAt(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      server.off('error', reject)
      const address = server.address()
      if (typeof address === 'object' && address !== null) resolve(address.port)
      else reject(new Error(`port ${port} has no address`))
    })
  })
}
