/**
 * Clients of what takes long: lists that are read slowly, watches, uploads, tunnels; each of them also left in the
 * middle.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { connect } from 'node:http2'
import { request } from 'node:https'
import type { Readable } from 'node:stream'
import { setTimeout as passed } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { crc32 } from 'node:zlib'
import { LIST, LIST_BYTES, LIST_CRC, OBJECTS } from './api-server.ts'
import {
  anyOf,
  ask,
  bearer,
  type Client,
  check,
  checkEcho,
  checkStatus,
  dial,
  freshPath,
  keptConnection,
  type Place,
  Sum,
  userOf,
} from './client.ts'
import { stream } from './requests.ts'

const PIECE_MS = 15

/** The list of 5 MB, no faster than some megabytes a second. */
export function slowReader(place: Place, n: number): Client {
  async function read(from: Readable, until: number): Promise<Sum> {
    const sum = new Sum()
    let sinceRest = 0
    for await (const chunk of from) {
      sum.add(chunk)
      if (sum.bytes >= until) break
      sinceRest += chunk.length
      if (sinceRest < 64 * 1024) continue
      sinceRest = 0
      await passed(PIECE_MS)
    }
    return sum
  }

  async function overHttp1(path: string, until: number): Promise<Sum> {
    return read(await opened(place, n, path), until)
  }

  async function overHttp2(path: string, until: number): Promise<Sum> {
    const session = connect(`https://127.0.0.1:${place.port}`, { ca: place.ca })
    session.on('error', () => {})
    const sum = await read(stream(session, n, path), until)
    session.destroy()
    return sum
  }

  return {
    async round() {
      const path = anyOf([LIST, `${LIST}?chunked`])
      const until = anyOf([LIST_BYTES + 1, LIST_BYTES + 1, 1_000_000])
      const sum = await anyOf([overHttp1, overHttp2])(path, until)
      if (until <= LIST_BYTES) return
      check(sum.equals({ bytes: LIST_BYTES, crc: LIST_CRC }), `the list had ${sum.bytes} bytes, sum ${sum.crc}`)
    },
    close() {},
  }
}

/** To its end, or left after an event or two. */
export function watcher(place: Place, n: number): Client {
  return {
    async round() {
      const events = anyOf([3, 10, 30])
      const enough = anyOf([1, 2, events + 1])
      const target = `${OBJECTS}/pods?watch=true&events=${events}&by=${n}`
      let text = ''
      for await (const chunk of await opened(place, n, target)) {
        text += chunk
        if (text.split('\n').length > enough) break
      }
      const lines = text.split('\n')
      if (enough > events)
        check(lines.length === events + 1 && lines.at(-1) === '', `a watch had ${lines.length} lines`)
      for (const [at, line] of lines.slice(0, -1).entries()) {
        const { object } = JSON.parse(line) as { object: { at: number; target: string } }
        check(object.at === at && object.target === target, `event ${at} of ${target} is ${line.slice(0, 100)}`)
      }
    },
    close() {},
  }
}

/** A connection of its own, closed with the answer or with whoever stops reading. */
function opened(place: Place, n: number, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asking = begun(place, n, { path })
    asking.on('error', reject)
    asking.on('response', (response) => {
      if (response.statusCode === 200) resolve(response)
      else reject(new Error(`${path}: ${response.statusCode} instead of 200`))
    })
    asking.end()
  })
}

interface Begun {
  readonly path: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | number>>
}

function begun({ port, ca }: Place, n: number, { path, method = 'GET', headers = {} }: Begun): ClientRequest {
  return request({ host: '127.0.0.1', port, ca, agent: false, path, method, headers: { ...bearer(n), ...headers } })
}

const UPLOAD = randomBytes(200_000)

/** With `100 Continue` and without, refused before a byte, refused in the middle, and left in the middle. */
export function uploader(place: Place, n: number): Client {
  const agent = keptConnection(place)

  async function whole(headers: Readonly<Record<string, string | number>>): Promise<void> {
    const target = freshPath('configmaps')
    const answer = await ask(
      place,
      { agent, method: 'PUT', path: target, headers: { ...bearer(n), ...headers } },
      UPLOAD,
    )
    checkEcho(answer, { status: 200, target, user: userOf(n), bytes: UPLOAD.length, crc: crc32(UPLOAD) })
  }

  /** Sends only when it is told to, as kubectl does. */
  async function patient(kind: string): Promise<{ readonly status: number; readonly isContinued: boolean }> {
    const headers = { Expect: '100-continue', 'Content-Length': UPLOAD.length }
    const asking = begun(place, n, { path: freshPath(kind), method: 'PUT', headers })
    let isContinued = false
    asking.on('continue', () => {
      isContinued = true
      asking.end(UPLOAD)
    })
    asking.flushHeaders()
    const [response] = (await once(asking, 'response')) as [IncomingMessage]
    await once(response.resume(), 'end')
    asking.destroy()
    return { status: response.statusCode ?? 0, isContinued }
  }

  async function left(): Promise<void> {
    const headers = anyOf([{ 'Content-Length': UPLOAD.length }, { 'Transfer-Encoding': 'chunked' }])
    const asking = begun(place, n, { path: freshPath('configmaps'), method: 'PUT', headers })
    asking.on('error', () => {})
    await new Promise<void>((resolve) => asking.write(UPLOAD.subarray(0, 90_000), () => resolve()))
    await passed(20)
    asking.destroy()
  }

  const ways = [
    () => whole({ 'Content-Length': UPLOAD.length }),
    () => whole({ 'Transfer-Encoding': 'chunked' }),
    async () => {
      const { status, isContinued } = await patient('configmaps')
      check(status === 200 && isContinued, `a patient upload: ${status}, continued: ${isContinued}`)
    },
    async () => {
      const { status, isContinued } = await patient('forbidden')
      check(status === 403 && !isContinued, `a patient upload, refused: ${status}, continued: ${isContinued}`)
    },
    async () => {
      const headers = { ...bearer(n), 'Content-Length': UPLOAD.length }
      checkStatus(
        await ask(place, { agent, method: 'PUT', path: freshPath('forbidden'), headers }, UPLOAD),
        403,
        'refused',
      )
    },
    left,
  ]
  return { round: () => anyOf(ways)(), close: () => agent.destroy() }
}

const PIECES = Array.from({ length: 10 }, (_, at) => randomBytes(1 << (2 * at + 1)))

/** Tunnels that are ended by the client, by the server, or cut; and upgrades that are refused. */
export function tunneller(place: Place, n: number): Client {
  async function upgraded(protocol: string, query: string): Promise<{ socket: TLSSocket; head: string }> {
    const socket = await dial(place)
    const lines = [`GET ${OBJECTS}/pods/p/exec?${query} HTTP/1.1`, 'Host: localhost', 'Connection: Upgrade']
    const key =
      protocol === 'websocket' ? ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='] : []
    const mine = [`Upgrade: ${protocol}`, ...key, `Authorization: ${bearer(n).Authorization}`]
    socket.write(`${[...lines, ...mine].join('\r\n')}\r\n\r\n`)
    let head = ''
    while (!head.includes('\r\n\r\n')) {
      const [chunk] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [undefined])])
      check(chunk !== undefined, `the connection was closed instead of upgraded, after ${head}`)
      head += chunk
    }
    return { socket, head }
  }

  /** Says something and hears all of it again. */
  async function talk(socket: TLSSocket): Promise<void> {
    const [said, heard] = [new Sum(), new Sum()]
    for (const piece of PIECES) said.add(piece)
    const all = new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        heard.add(chunk)
        if (heard.bytes >= said.bytes) resolve()
      })
      socket.on('close', () => resolve())
    })
    for (const piece of PIECES) socket.write(piece)
    await all
    check(heard.equals(said), `a tunnel gave back ${heard.bytes} bytes of ${said.bytes}, sum ${heard.crc}`)
  }

  const total = PIECES.reduce((sum, { length }) => sum + length, 0)
  const ends: readonly ((socket: TLSSocket) => void)[] = [(socket) => socket.end(), (socket) => socket.destroy()]

  return {
    async round() {
      const protocol = anyOf(['websocket', 'SPDY/3.1'])
      const query = anyOf(['', '', `bytes=${total}`, 'refused'])
      const { socket, head } = await upgraded(protocol, query)
      const closed = once(socket, 'close')
      if (query === 'refused') check(head.startsWith('HTTP/1.1 403 '), `a refused upgrade: ${head}`)
      else {
        check(head.startsWith('HTTP/1.1 101 ') && head.endsWith('\r\n\r\n'), `an upgrade: ${head}`)
        await talk(socket)
      }
      if (query === '') anyOf(ends)(socket)
      socket.resume()
      await closed
    },
    close() {},
  }
}
