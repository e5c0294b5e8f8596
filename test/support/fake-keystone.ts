/**
 * A Keystone for tests, on a real socket of this machine. It knows the tokens it issued, replays what a real Keystone
 * was recorded to answer, and can be scripted for faults a real one does not show on demand.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { TLSSocket, type TlsOptions } from 'node:tls'
import { z } from 'zod'

/** One recorded answer of a real Keystone (22.0, Zed); `body` is its JSON, or its text. */
export interface KeystoneSample {
  /** What was asked, for people. */
  readonly request: string
  /** The connection was reset, with no answer. */
  readonly reset?: boolean | undefined
  readonly status?: number | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: unknown
}

const samplesDocument = z.record(
  z.string(),
  z.object({
    request: z.string(),
    reset: z.boolean().optional(),
    status: z.number().optional(),
    headers: z.record(z.string(), z.string()).optional(),
    body: z.unknown().optional(),
  }),
)

/** All recorded answers, by name. */
export function keystoneSamples(): ReadonlyMap<string, KeystoneSample> {
  const text = readFileSync(new URL('./keystone-samples/index.json', import.meta.url), 'utf8')
  return new Map(Object.entries(samplesDocument.parse(JSON.parse(text))))
}

/** Answers one request instead of the fake itself. */
export type Script = (request: IncomingMessage, response: ServerResponse) => void

/** A request as it arrived; `headers` in lower case, of repeated ones Node's choice. */
export interface SeenRequest {
  readonly method: string
  /** Path and query, as sent. */
  readonly path: string
  readonly headers: Readonly<IncomingMessage['headers']>
  /** Number of the connection it came on, from 1. */
  readonly connection: number
  /** What has arrived of it; all of it once it was answered by the fake itself. */
  readonly body: string
}

/** Whom a token is for, and for what. Ids are made from names. */
export interface IssueOptions {
  readonly user?: string
  readonly userDomain?: string
  /** Absent: the token is unscoped. */
  readonly project?: string
  readonly roles?: readonly string[]
  readonly groups?: readonly string[]
  readonly methods?: readonly string[]
  /** Default: in an hour. */
  readonly expiresAt?: Date
  /** Further members of the answer's `token`, or other values of its own. */
  readonly extra?: Readonly<Record<string, unknown>>
}

export interface FakeKeystoneOptions {
  /** PEM; with it the server speaks TLS. `ca`: client certificates of that authority are asked for. */
  readonly tls?: Pick<TlsOptions, 'cert' | 'key' | 'ca' | 'minVersion' | 'maxVersion' | 'ciphers'>
  /** Users that can log in with a password, by name; what they get is an {@link FakeKeystone.issue}d token. */
  readonly users?: Readonly<Record<string, IssueOptions & { readonly password: string }>>
  /** 0, the default: any free port. */
  readonly port?: number
  /** Path before `/v3`, like `/identity`. */
  readonly prefix?: string
}

export interface FakeKeystone {
  /** `http://127.0.0.1:PORT/v3` */
  readonly url: string
  /** The same without `/v3`. */
  readonly root: string
  /** Every request, in order of arrival. */
  readonly requests: readonly SeenRequest[]
  /** Connections that were opened so far. */
  readonly connections: number
  /** Connections that are open now. */
  readonly open: number
  /** Requests that are being answered now, and the most there were at a time. */
  readonly inFlight: { readonly now: number; readonly most: number }
  /** The next requests are answered by these, one each. */
  script(...scripts: readonly Script[]): void
  /** From now on all requests are answered by this; `undefined`: by the fake itself again. */
  always(script: Script | undefined): void
  issue(options?: IssueOptions): string
  revoke(token: string): void
  /** Id that {@link FakeKeystone.issue} gives to a user. */
  userId(user: string): string
  /** Closes idle connections from this side, without a word, as a server does whose patience has ended. */
  dropIdle(): void
  /** Stops listening and resets what is open. */
  close(): Promise<void>
}

/** Status, body and headers. */
type Answer = readonly [status: number, body: unknown, headers?: AnswerHeaders]
type AnswerHeaders = Readonly<Record<string, string | string[]>>

const HTML = { 'Content-Type': 'text/html; charset=utf-8' } as const

interface Issued {
  readonly document: { readonly token: object }
  readonly userId: string
  readonly groups: readonly string[]
  readonly expiresAt: Date
}

/** Starts a fake on a loopback port. */
export async function startFakeKeystone(options: FakeKeystoneOptions = {}): Promise<FakeKeystone> {
  const { tls, users = {}, port = 0, prefix = '' } = options
  const tokens = new Map<string, Issued>()
  const requests: SeenRequest[] = []
  const sockets = new Map<Socket, { readonly number: number; busy: number }>()
  const queued: Script[] = []
  let standing: Script | undefined
  let opened = 0
  const inFlight = { now: 0, most: 0 }

  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const socket = sockets.get(request.socket)
    const seen = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      connection: socket?.number ?? 0,
      body: '',
    }
    requests.push(seen)
    request.setEncoding('utf8').on('data', (text: string) => {
      seen.body += text
    })
    inFlight.most = Math.max(inFlight.most, ++inFlight.now)
    if (socket !== undefined) socket.busy++
    response.on('close', () => {
      inFlight.now--
      if (socket !== undefined) socket.busy--
    })
    const script = queued.shift() ?? standing ?? itself
    script(request, response)
  }
  const server: Server = tls
    ? createTlsServer({ ...tls, ...(tls.ca === undefined ? {} : { requestCert: true }) }, onRequest)
    : createServer(onRequest)
  // The sockets that carry HTTP: with TLS, those inside.
  server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.set(socket, { number: ++opened, busy: 0 })
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no TCP address')
  const root = `${tls ? 'https' : 'http'}://127.0.0.1:${address.port}${prefix}`

  function issue(given: IssueOptions = {}): string {
    const { user = 'alice', userDomain = 'Default', roles = ['member'], groups = [] } = given
    const expiresAt = given.expiresAt ?? new Date(Date.now() + 3_600_000)
    const token = `gAAAAAB${randomBytes(132).toString('base64url')}`
    const userId = idOf(user)
    const document = {
      token: {
        methods: given.methods ?? ['password'],
        user: { id: userId, name: user, domain: named(userDomain), password_expires_at: null },
        audit_ids: [randomBytes(16).toString('base64url')],
        expires_at: instant(expiresAt),
        issued_at: instant(new Date()),
        ...(given.project !== undefined && {
          project: { ...named(given.project), domain: named('Default') },
          is_domain: false,
          roles: roles.map(named),
        }),
        ...given.extra,
      },
    }
    tokens.set(token, { document, userId, groups, expiresAt })
    return token
  }

  const itself: Script = (request, response) => {
    if (request.method === 'POST' && /\/v3\/auth\/tokens(\?|$)/.test(request.url ?? '')) login(request, response)
    else json(response, ...answer(request))
  }

  /** What Keystone itself would say, as far as it is needed here. */
  function answer(request: IncomingMessage): Answer {
    const { pathname } = new URL(request.url ?? '', root)
    const path = pathname.startsWith(prefix) ? pathname.slice(prefix.length) : pathname
    if (path === '/' || path === '') return [300, { versions: { values: [version(`${root}/v3/`)] } }]
    if (path === '/v3' || path === '/v3/') return [200, { version: version(`${root}/v3/`) }]
    const user = /^\/v3\/users\/([^/]+)\/groups$/.exec(path)?.[1]
    if (path !== '/v3/auth/tokens' && user === undefined) return [404, page(404), HTML]
    const auth = known(request.headers['x-auth-token'])
    if (auth === undefined) return refusal(401, root)
    return user === undefined ? aboutToken(request, auth) : groupsOf(decodeURIComponent(user), auth, path)
  }

  function aboutToken(request: IncomingMessage, auth: Issued): Answer {
    const subject = request.headers['x-subject-token']
    const found = known(subject)
    if (found === undefined) return refusal(404, root)
    if (found.userId !== auth.userId) return refusal(403, root)
    if (request.method !== 'DELETE') return [200, found.document, { 'X-Subject-Token': String(subject) }]
    tokens.delete(String(subject))
    return [204, '']
  }

  function groupsOf(userId: string, auth: Issued, path: string): Answer {
    if (userId !== auth.userId) return refusal(403, root)
    const groups = auth.groups.map((name) => ({ ...named(name), domain_id: 'default', description: '' }))
    return [200, { groups, links: { next: null, self: `${root}${path}`, previous: null } }]
  }

  function login(request: IncomingMessage, response: ServerResponse): void {
    let body = ''
    request.on('data', (text: string) => {
      body += text
    })
    request.on('end', () => {
      const { name, password } = loginDocument.parse(JSON.parse(body)).auth.identity.password.user
      const user = Object.hasOwn(users, name) ? users[name] : undefined
      if (user === undefined || user.password !== password) {
        json(response, ...refusal(401, root))
        return
      }
      const token = issue({ user: name, ...user })
      json(response, 201, tokens.get(token)?.document, { 'X-Subject-Token': token })
    })
  }

  function known(token: string | string[] | undefined): Issued | undefined {
    const found = typeof token === 'string' ? tokens.get(token) : undefined
    return found !== undefined && found.expiresAt.getTime() > Date.now() ? found : undefined
  }

  return {
    url: `${root}/v3`,
    root,
    requests,
    inFlight,
    get connections() {
      return opened
    },
    get open() {
      return sockets.size
    },
    script: (...scripts) => {
      queued.push(...scripts)
    },
    always: (script) => {
      standing = script
    },
    issue,
    revoke: (token) => {
      tokens.delete(token)
    },
    userId: idOf,
    dropIdle: () => {
      for (const [socket, { busy }] of sockets) if (busy === 0) socket.destroy()
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const loginDocument = z.object({
  auth: z.object({
    identity: z.object({ password: z.object({ user: z.object({ name: z.string(), password: z.string() }) }) }),
  }),
})

// --- scripts ---------------------------------------------------------------------------------------------------------

/** Never answers. */
export const hang: Script = () => {}

/** Resets the connection without an answer. */
export const reset: Script = (request) => {
  if (request.socket instanceof TLSSocket) request.socket.destroy()
  else request.socket.resetAndDestroy()
}

/** Answers with a status, a body (text, or JSON of anything else) and headers. */
export function reply(status: number, body: unknown = '', headers: AnswerHeaders = {}): Script {
  return (_request, response) => {
    json(response, status, body, headers)
  }
}

/** A web server's own error page. */
export function html(status: number, headers: Readonly<Record<string, string>> = {}): Script {
  return reply(status, page(status), { ...HTML, ...headers })
}

export function redirect(location: string, status = 302): Script {
  return html(status, { Location: location })
}

/** A recorded answer. */
export function sample({ reset: wasReset, status = 0, headers = {}, body }: KeystoneSample): Script {
  return wasReset === true ? reset : reply(status, body, headers)
}

/** The beginning of a good answer; then silence, or the end of the connection. */
export function half(then: 'hang' | 'reset'): Script {
  return (request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' })
    response.write('{"token": {')
    if (then === 'reset') setImmediate(() => request.socket.destroy())
  }
}

/** A head that does not end. */
export const halfHead: Script = (request) => {
  request.socket.write('HTTP/1.1 200 OK\r\nContent-Type: applic')
}

/** A body without end, of one JSON string, for as long as it is read. */
export const endless: Script = (_request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json' })
  const chunk = 'x'.repeat(65_536)
  const more = () => {
    while (!response.destroyed && response.write(chunk));
  }
  response.write('"')
  response.on('drain', more)
  more()
}

/** Bytes that are not HTTP. */
export function raw(text: string): Script {
  return (request) => {
    request.socket.end(text)
  }
}

/** Answers like `script` and closes the connection, saying so. */
export function closing(script: Script): Script {
  return (request, response) => {
    response.setHeader('Connection', 'close')
    script(request, response)
  }
}

// --- Keystone's documents --------------------------------------------------------------------------------------------

/** Keystone's error document for a status. */
export function keystoneError(status: number, message = 'The request you have made requires authentication.'): object {
  return { error: { code: status, message, title: String(status) } }
}

function refusal(status: 401 | 403 | 404, root: string): Answer {
  const challenge = { 'WWW-Authenticate': `Keystone uri="${root}/v3"` }
  return [status, keystoneError(status), { Vary: 'X-Auth-Token', ...(status === 401 && challenge) }]
}

function page(status: number): string {
  return `<!doctype html><title>${status}</title><h1>${status}</h1>`
}

function json(response: ServerResponse, status: number, body: unknown, headers: AnswerHeaders = {}): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'x-openstack-request-id': 'req-00000000-0000-4000-8000-000000000000',
    ...headers,
  })
  response.end(text)
}

function version(href: string): object {
  return { id: 'v3.14', status: 'stable', updated: '2020-04-07T00:00:00Z', links: [{ rel: 'self', href }] }
}

function named(name: string): { id: string; name: string } {
  return { id: name === 'Default' ? 'default' : idOf(name), name }
}

function idOf(name: string): string {
  return Buffer.from(name).toString('hex').padEnd(32, '0').slice(0, 32)
}

function instant(date: Date): string {
  return date.toISOString().replace('Z', '000Z')
}
