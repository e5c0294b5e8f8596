/**
 * Clients that ask short questions: over a kept connection of HTTP/1.1, and in many streams of HTTP/2.
 *
 * @module
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { crc32 } from 'node:zlib'
import {
  type Answer,
  anyOf,
  ask,
  bearer,
  breaksOff,
  type Client,
  checkEcho,
  checkStatus,
  freshPath,
  keptConnection,
  type Place,
  userOf,
} from './client.ts'

const BODY = Buffer.from('{"kind":"ConfigMap"}'.repeat(50))

/** Gets, small posts, errors, and answers that are late, break off or never come. */
export function keptAlive(place: Place, n: number): Client {
  const agent = keptConnection(place)
  const get = (path: string): Promise<Answer> => ask(place, { agent, path, headers: bearer(n) })

  async function expect(kind: string, status: number): Promise<void> {
    const target = freshPath(kind)
    checkEcho(await get(target), { status, target, user: userOf(n) })
  }

  async function post(): Promise<void> {
    const target = freshPath('configmaps')
    const headers = { ...bearer(n), 'Content-Type': 'application/json', 'Content-Length': BODY.length }
    const answer = await ask(place, { agent, path: target, method: 'POST', headers }, BODY)
    checkEcho(answer, { status: 200, target, user: userOf(n), bytes: BODY.length, crc: crc32(BODY) })
  }

  const rare = [
    () => expect('missing', 404),
    () => expect('faulty', 500),
    () => expect('slow', 200),
    () => breaksOff(get(freshPath('cut')), 'cut'),
    () => breaksOff(get(`${freshPath('cut')}?chunked`), 'cut chunks'),
    async () => checkStatus(await get(freshPath('mute')), 502, 'mute'),
  ]
  return {
    async round() {
      for (let at = 0; at < 4; at++) await expect('configmaps', 200)
      await post()
      await anyOf(rare)()
    },
    close: () => agent.destroy(),
  }
}

const ROUNDS_OF_A_SESSION = 30

/** Several streams at once, some of them taken back; a new session now and then, ended in good order or not. */
export function manyStreams(place: Place, n: number): Client {
  let session: ClientHttp2Session | undefined
  let rounds = 0

  function open(): ClientHttp2Session {
    if (session !== undefined && !session.closed && !session.destroyed) return session
    session = connect(`https://127.0.0.1:${place.port}`, { ca: place.ca })
    return session.on('error', () => {}) // the streams tell it
  }

  async function expect(kind: string, status: number): Promise<void> {
    const target = freshPath(kind)
    checkEcho(await collected(stream(open(), n, target)), { status, target, user: userOf(n) })
  }

  async function post(): Promise<void> {
    const target = freshPath('configmaps')
    const answer = collected(stream(open(), n, target, BODY))
    checkEcho(await answer, { status: 200, target, user: userOf(n), bytes: BODY.length, crc: crc32(BODY) })
  }

  async function takenBack(path: string, when: 'at once' | 'in the middle'): Promise<void> {
    const taken = stream(open(), n, path)
    const closed = new Promise<void>((resolve) => taken.on('close', resolve))
    taken.on('error', () => {})
    if (when === 'in the middle') await new Promise<void>((resolve) => taken.on('data', () => resolve()))
    taken.close(constants.NGHTTP2_CANCEL)
    await closed
  }

  return {
    async round() {
      await Promise.all([
        expect('configmaps', 200),
        expect('configmaps', 200),
        expect('missing', 404),
        post(),
        takenBack(`${freshPath('pods')}?watch=true&events=100`, 'in the middle'),
        takenBack(freshPath('slow'), 'at once'),
        breaksOff(collected(stream(open(), n, freshPath('cut'))), 'cut over HTTP/2'),
      ])
      if (++rounds % ROUNDS_OF_A_SESSION !== 0) return
      if (rounds % (2 * ROUNDS_OF_A_SESSION) === 0) session?.destroy()
      else session?.close()
    },
    close: () => session?.destroy(),
  }
}

/** A request in a stream of its own. */
export function stream(session: ClientHttp2Session, n: number, path: string, body?: Buffer): ClientHttp2Stream {
  const method = body === undefined ? 'GET' : 'POST'
  const opened = session.request({ ':method': method, ':path': path, authorization: bearer(n).Authorization })
  return opened.end(body)
}

/** Rejects where the stream is closed without an end, whatever code it is closed with. */
function collected(opened: ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let status = 0
    let isEnded = false
    const chunks: Buffer[] = []
    opened.on('response', (headers) => {
      status = headers[':status'] ?? 0
    })
    opened.on('data', (chunk: Buffer) => chunks.push(chunk))
    opened.on('end', () => {
      isEnded = true
    })
    opened.on('error', reject)
    opened.on('close', () => {
      const { rstCode, aborted } = opened
      if (isEnded && rstCode === 0 && !aborted) resolve({ status, body: Buffer.concat(chunks) })
      else reject(new Error(`the stream was closed with ${rstCode}, ended: ${isEnded}, aborted: ${aborted}`))
    })
  })
}
