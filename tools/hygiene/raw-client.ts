/** Sends bytes as they are and reads what comes back; no HTTP library would write what the corpus holds. */

import { connect } from 'node:tls'
import { bodyLength, firstHead } from './lenient-parser.ts'

export interface Target {
  readonly host: string
  readonly port: number
  /** CA of the proxy's certificate, PEM; the system's where it is absent. */
  readonly ca?: string
  /** The proxy's certificate is not looked at. */
  readonly insecure?: boolean
  /** Until a case counts as unanswered. */
  readonly timeoutMs: number
}

export interface Exchange {
  /** Everything received; latin1. */
  readonly text: string
  /** Of the last answer that is not interim; undefined where there is none. */
  readonly status: number | undefined
  /** Nothing came to an end in time. */
  readonly timedOut: boolean
}

/** One connection: sends, and reads until the connection or, unless `untilClose`, the first answer is over. */
export function exchange(target: Target, bytes: Buffer, untilClose: boolean): Promise<Exchange> {
  const { host, port, ca, insecure = false, timeoutMs } = target
  return new Promise((resolve, reject) => {
    let text = ''
    let connected = false
    const socket = connect({
      host,
      port,
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: !insecure,
      ...(ca === undefined ? {} : { ca }),
      ...(/^[0-9.]+$|:/.test(host) ? {} : { servername: host }),
    })
    const end = (timedOut: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ text, status: statusOf(text), timedOut })
    }
    const timer = setTimeout(() => end(true), timeoutMs)
    socket.once('secureConnect', () => {
      connected = true
      socket.write(bytes)
    })
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (!untilClose && isWhole(text)) end(false)
    })
    socket.once('close', () => end(false))
    socket.on('error', (error) => {
      if (connected) return end(false) // a reset is an answer too
      clearTimeout(timer)
      reject(new Error(`no connection to ${host}:${port}: ${error.message}`, { cause: error }))
    })
  })
}

/** The text without interim answers (RFC 9110, 15.2), 101 not being one that is followed by another. */
function withoutInterim(text: string): string {
  const found = firstHead(text)
  if (found === undefined || !/^HTTP\/1\.1 1(?!01)/.test(text)) return text
  return withoutInterim(text.slice(found.length))
}

function statusOf(text: string): number | undefined {
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(withoutInterim(text))?.[1]
  return status === undefined ? undefined : Number(status)
}

function isWhole(text: string): boolean {
  const rest = withoutInterim(text)
  const found = firstHead(rest)
  if (found === undefined) return false
  if (statusOf(text) === 101) return true
  return hasLength(found.head) && bodyLength(found.head, rest.slice(found.length)) !== undefined
}

/** Without one the end of the connection is the end of the answer. */
function hasLength(head: string): boolean {
  return /^(?:content-length|transfer-encoding):/im.test(head)
}

/** The body of an answer, its chunks joined. */
export function bodyOf(text: string): string {
  const rest = withoutInterim(text)
  const found = firstHead(rest)
  if (found === undefined) return ''
  const body = rest.slice(found.length)
  return /^transfer-encoding:.*chunked/im.test(found.head) ? joined(body) : body
}

function joined(chunked: string): string {
  let text = ''
  let at = 0
  for (;;) {
    const end = chunked.indexOf('\n', at)
    const size = Number.parseInt(chunked.slice(at, end), 16)
    if (end === -1 || !(size > 0)) return text
    text += chunked.slice(end + 1, end + 1 + size)
    at = end + 1 + size + 2
  }
}
