/**
 * From an answer to what goes on the wire. The one place that knows which headers every answer carries; both sides of
 * the listener use it, so that nobody can tell them apart. Leaves what is answered to the handler.
 *
 * @module
 */
import { STATUS_CODES } from 'node:http'
import type { HttpAnswer } from '../http.ts'

const JSON_TYPE = 'application/json'
/** On every answer: reviews are nobody's to keep and nobody's to guess the type of. */
const ALWAYS = [
  ['X-Content-Type-Options', 'nosniff'],
  ['Cache-Control', 'no-store'],
] as const

/** Content types are the program's own and few; the bound is there so that a mistake costs speed and not memory. */
const MAX_PREFIXES = 256
const HEADER_NAME = /^[A-Za-z\d-]+$/
const HEADER_VALUE = /^[\x20-\x7e]*$/

/** Renders answers; keeps the Date header of the running second. */
export interface Renderer {
  /** Head and body in one string. `close`: the last answer of its connection. */
  text(answer: HttpAnswer, requestId: string, close: boolean): string
  /** The same head for `ServerResponse.writeHead`: names and values by turns. */
  fields(answer: HttpAnswer, requestId: string, close: boolean): string[]
}

/** @param now monotonic clock, milliseconds; says when a second has gone by */
export function createRenderer(now: () => number): Renderer {
  const prefixes = new Map<number, Map<string, string>>()
  let kept = 0
  let second = Number.NaN
  let date = ''

  return {
    text(answer, requestId, close) {
      const { body, headers } = answer
      let head = `${prefix(answer)}Date: ${currentDate()}\r\nX-Request-Id: ${requestId}\r\n`
      if (headers !== undefined) for (const [name, value] of headers) head += `${name}: ${value}\r\n`
      if (close) head += 'Connection: close\r\n'
      return `${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    },
    fields(answer, requestId, close) {
      const fields = ['Content-Type', answer.contentType ?? JSON_TYPE, ...ALWAYS.flat()]
      fields.push('Date', currentDate(), 'X-Request-Id', requestId)
      if (answer.headers !== undefined) for (const [name, value] of answer.headers) fields.push(name, value)
      if (close) fields.push('Connection', 'close')
      fields.push('Content-Length', String(Buffer.byteLength(answer.body)))
      return fields
    },
  }

  function prefix({ status, contentType = JSON_TYPE }: HttpAnswer): string {
    const known = prefixes.get(status)?.get(contentType)
    if (known !== undefined) return known
    const fixed = [['Content-Type', contentType] as const, ...ALWAYS].map(([name, value]) => `${name}: ${value}\r\n`)
    const made = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${fixed.join('')}`
    if (kept < MAX_PREFIXES) {
      kept += 1
      prefixes.set(status, new Map([...(prefixes.get(status) ?? []), [contentType, made]]))
    }
    return made
  }

  function currentDate(): string {
    const current = Math.floor(now() / 1000)
    if (current !== second) {
      second = current
      date = new Date().toUTCString()
    }
    return date
  }
}

/**
 * Throws for an answer that would not come out as one answer: a header with a line break, a body that is no string.
 * That is a fault of the handler, which the types alone cannot keep out.
 */
export function assertAnswer(answer: HttpAnswer): void {
  const { status, body, contentType, headers } = answer
  if (!(status >= 200 && status <= 599) || typeof body !== 'string') throw new TypeError('the handler gave no answer')
  if (contentType !== undefined && contentType !== JSON_TYPE && !HEADER_VALUE.test(contentType))
    throw new TypeError('the handler gave a Content-Type that cannot be sent')
  if (headers === undefined) return
  for (const [name, value] of headers)
    if (!HEADER_NAME.test(name) || !HEADER_VALUE.test(value))
      throw new TypeError('the handler gave a header that cannot be sent')
}
