/**
 * What all clients of the soak have in common: where they are, how they ask and how they look at an answer. Owns what is
 * a right answer; what each of them does is its own file's.
 *
 * @module
 */
import { once } from 'node:events'
import { Agent, type RequestOptions, request } from 'node:https'
import { connect, type TLSSocket } from 'node:tls'
import { crc32 } from 'node:zlib'
import { type Echoed, OBJECTS } from './api-server.ts'

/** Where clients live. */
export interface Place {
  readonly port: number
  /** CA of the proxy's certificate, PEM. */
  readonly ca: string
  /** A certificate that the proxy takes for this name, PEM. */
  certificate(name: string): Promise<{ readonly cert: string; readonly key: string }>
}

/** One of the many; each is somebody else. */
export interface Client {
  /** Does something and looks at what comes of it. Throws where that is wrong. */
  round(): Promise<void>
  close(): void
}

export interface Answer {
  readonly status: number
  readonly body: Buffer
}

export const userOf = (n: number): string => `user-${n}`
export const tokenOf = (n: number): string => `soak-token-${n}-0123456789abcdef0123456789abcdef`
export const bearer = (n: number): { readonly Authorization: string } => ({ Authorization: `Bearer ${tokenOf(n)}` })

let names = 0
/** Of an object that nobody has asked for yet. */
export const freshPath = (kind: string): string => `${OBJECTS}/${kind}/object-${names++}`

export function check(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise)
}

/** It is the answer to this request, of this user, with this body, and to no other. */
export function checkEcho({ status, body }: Answer, expected: Partial<Echoed> & { readonly status: number }): void {
  check(status === expected.status, `${expected.target}: ${status} instead of ${expected.status}: ${head(body)}`)
  const echoed = JSON.parse(body.toString()) as Echoed
  for (const name of ['user', 'target', 'bytes', 'crc'] as const) {
    const wanted = expected[name]
    if (wanted !== undefined)
      check(echoed[name] === wanted, `${expected.target}: ${name} is ${echoed[name]} instead of ${wanted}`)
  }
}

export function checkStatus({ status, body }: Answer, expected: number, what: string): void {
  check(status === expected, `${what}: ${status} instead of ${expected}: ${head(body)}`)
}

function head(body: Buffer): string {
  return body.subarray(0, 200).toString()
}

/** It must not look whole; a whole answer that says so, as a proxy gives before the head of another, would be right. */
export async function breaksOff(asking: Promise<Answer>, what: string): Promise<void> {
  const whole = await asking.catch(() => undefined)
  if (whole !== undefined) checkStatus(whole, 502, `${what}, ${whole.body.length} bytes, looks whole`)
}

export function keptConnection({ ca }: Place): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1, ca })
}

/** Asks over HTTP/1.1; rejects where no whole answer comes. */
export function ask({ port, ca }: Place, options: RequestOptions, sent?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port, ca, ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }))
    })
    asking.on('error', reject)
    asking.end(sent)
  })
}

export async function dial({ port, ca }: Place): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ca, ALPNProtocols: ['http/1.1'] })
  await once(socket, 'secureConnect')
  return socket.on('error', () => {}) // 'close' follows
}

/** Bytes of a stream, counted and summed up as they come. */
export class Sum {
  bytes = 0
  crc = 0

  add(chunk: Buffer): void {
    this.bytes += chunk.length
    this.crc = crc32(chunk, this.crc)
  }

  equals({ bytes, crc }: Pick<Sum, 'bytes' | 'crc'>): boolean {
    return this.bytes === bytes && this.crc === crc
  }
}

/** One of them, any. */
export function anyOf<T>(choices: readonly T[]): T {
  const chosen = choices[Math.floor(Math.random() * choices.length)]
  if (chosen === undefined) throw new TypeError('nothing to choose from')
  return chosen
}
