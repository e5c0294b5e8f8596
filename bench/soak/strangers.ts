/**
 * Clients that are nobody, hostile, new, or gone before anything has begun.
 *
 * @module
 */
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp, type Socket } from 'node:net'
import { setTimeout as passed } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import {
  anyOf,
  ask,
  type Client,
  check,
  checkEcho,
  checkStatus,
  dial,
  freshPath,
  keptConnection,
  type Place,
  tokenOf,
  userOf,
} from './client.ts'

/** A wrong token each time, a wrong password, or nothing at all. */
export function unknown(place: Place): Client {
  const agent = keptConnection(place)
  return {
    async round() {
      const wrong = [
        `Bearer ${Math.random()}`,
        `Basic ${Buffer.from(`a:${Math.random()}`).toString('base64')}`,
        undefined,
      ]
      for (const proof of wrong) {
        const headers = proof === undefined ? {} : { Authorization: proof }
        checkStatus(await ask(place, { agent, path: freshPath('configmaps'), headers }), 401, `${proof}`)
      }
    },
    close: () => agent.destroy(),
  }
}

/** Heads with something in them that two could read in two ways, behind `GET … HTTP/1.1` and a token; and no HTTP. */
const HOSTILE: readonly string[] = [
  'Host: a\r\nHost: b\r\n',
  'Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n',
  'Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n',
  'Host: a\r\nTransfer-Encoding: identity, chunked\r\n',
  'Host: a\r\nConnection: X-Remote-User\r\n',
  'Host: a\r\nImpersonate_User: admin\r\n',
  'Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n',
  'Host: a\r\n folded\r\n',
  'Host : a\r\n',
  'Host: a\0\r\n',
]

/** Requests that are refused for what they are, each on its own connection; and one that only claims to be somebody. */
export function hostile(place: Place, n: number): Client {
  async function answerTo(head: string, path: string): Promise<string> {
    const socket = await dial(place)
    let answer = ''
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text
    })
    socket.write(`GET ${path} HTTP/1.1\r\nAuthorization: Bearer ${tokenOf(n)}\r\nConnection: close\r\n${head}\r\n`)
    if (!socket.closed) await once(socket, 'close')
    return answer
  }

  return {
    async round() {
      const head = anyOf(HOSTILE)
      const refusal = await answerTo(head, freshPath('never'))
      check(/^HTTP\/1\.1 (?:400|403|501) /.test(refusal), `${JSON.stringify(head)}: ${refusal}`)
      const target = freshPath('configmaps')
      const answer = await answerTo('Host: a\r\nX-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n', target)
      const body = Buffer.from(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'latin1')
      checkEcho({ status: Number(answer.slice(9, 12)), body }, { status: 200, target, user: userOf(n) })
    },
    close() {},
  }
}

let certificates = 0

/** Somebody else each time, with a certificate that was made for it. */
export function newcomer(place: Place): Client {
  return {
    async round() {
      const user = `newcomer-${certificates++}`
      const target = freshPath('configmaps')
      const identity = await place.certificate(user)
      const answer = await ask(place, { agent: false, path: target, ...identity })
      checkEcho(answer, { status: 200, target, user })
    },
    close() {},
  }
}

/** The begin of a handshake, as far as a record's length. */
const HALF_HELLO = Buffer.from('1603010200010001fc0303', 'hex')

/** Hangs up: before a byte, in the handshake, behind it, in a head, in the preface of HTTP/2; or speaks no TLS at all. */
export function dropper({ port, ca }: Place): Client {
  async function opened(): Promise<Socket> {
    const socket = connectTcp(port, '127.0.0.1').on('error', () => {})
    await once(socket, 'connect')
    return socket
  }

  async function tcp(bytes: string | Buffer): Promise<void> {
    const socket = await opened()
    socket.write(bytes)
    await leave(socket)
  }

  async function tls(bytes: string, protocol: string): Promise<void> {
    const socket = await opened()
    const secure = connectTls({ socket, ca, host: '127.0.0.1', ALPNProtocols: [protocol] }).on('error', () => {})
    await once(secure, 'secureConnect')
    secure.write(bytes)
    await leave(socket)
  }

  const ways = [
    () => tcp(''),
    () => tcp(HALF_HELLO),
    () => tcp('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
    () => tls('', 'http/1.1'),
    () => tls('GET /api HTTP/1.1\r\nHo', 'http/1.1'),
    () => tls('PRI * HTTP/2.0\r\n', 'h2'),
    async () => {
      const socket = await opened()
      connectTls({ socket, ca, host: '127.0.0.1' }).on('error', () => {})
      await passed(Math.random() * 5) // anywhere in the handshake
      await leave(socket)
    },
    async () => {
      const session = connectHttp2(`https://127.0.0.1:${port}`, { ca }).on('error', () => {})
      await once(session, 'connect')
      session.destroy()
    },
  ]
  return { round: () => anyOf(ways)(), close() {} }
}

/** With a proper end on the level of TCP, or with a reset. */
async function leave(socket: Socket): Promise<void> {
  await passed(Math.random() * 20)
  if (socket.destroyed) return
  if (Math.random() < 0.5) socket.destroy()
  else socket.resetAndDestroy()
}
