/**
 * Reads the head of an answer, strictly: each head has one reading, or none (RFC 9112 sections 4 to 6). Owns status line,
 * header lines and what they say about the body and the connection; where the head ends, and the body, is for
 * `response-parser.ts`.
 *
 * @module
 */
import type { HeaderLines } from '../wire.ts'
import { isFieldValue, isToken, listHas, withoutBlanks } from './header-line.ts'
import type { UpstreamHead } from './upstream.ts'

const END_OF_LINE = '\r\n'
/** The blank before an empty reason is left out by many. */
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/
const DIGITS = /^\d{1,16}$/

const NO_BODY = { kind: 'none' } as const
const CHUNKED = { kind: 'chunked' } as const
const UNTIL_CLOSE = { kind: 'until-close' } as const

/** What came is no answer that may be passed on. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer'
}

export interface AnswerHead extends UpstreamHead {
  /** As far as the head says, another request may follow on this connection. */
  readonly lasting: boolean
  /** Protocol the connection turns into, if `Connection` says that it does. */
  readonly upgrade: string | undefined
}

/**
 * Reads a head from its status line up to the end of its last line, CR LF included.
 *
 * @param bodiless the request was a HEAD, whose answers have no body whatever they say.
 * @throws MalformedAnswer
 */
export function readAnswerHead(text: string, bodiless: boolean, maxLines: number): AnswerHead {
  const begin = text.indexOf(END_OF_LINE)
  const [, minor, digits] = STATUS_LINE.exec(text.slice(0, begin)) ?? []
  if (minor === undefined || digits === undefined) throw new MalformedAnswer('the status line is none of HTTP/1.1')
  const status = Number(digits)
  const headers: [string, string][] = []
  const said = new Said()
  let at = begin + END_OF_LINE.length
  while (at < text.length) {
    if (headers.length === maxLines) throw new MalformedAnswer(`the head has more than ${maxLines} lines`)
    const end = text.indexOf(END_OF_LINE, at)
    const line = readLine(text, at, end)
    said.hear(line[0], line[1])
    headers.push(line)
    at = end + END_OF_LINE.length
  }
  return headOf(status, headers, said, { modern: minor === '1', bodiless })
}

/**
 * Reads one header line of `text`. Folded lines, blanks before the colon, lone CR or LF and control characters are no
 * part of one.
 *
 * @throws MalformedAnswer
 */
export function readLine(text: string, begin: number, end: number): [name: string, value: string] {
  const colon = text.indexOf(':', begin)
  const name = text.slice(begin, colon === -1 || colon > end ? end : colon)
  if (colon === -1 || colon > end || !isToken(name)) throw new MalformedAnswer('a header line has no proper name')
  const value = withoutBlanks(text, colon + 1, end)
  if (!isFieldValue(value)) throw new MalformedAnswer(`${name}: control characters in the value`)
  return [name, value]
}

/** What the lines say about framing and connection. */
class Said {
  length: number | undefined
  chunked = false
  close = false
  upgrades = false
  upgrade: string | undefined

  hear(name: string, value: string): void {
    switch (name.length) {
      case 7:
        if (name.toLowerCase() === 'upgrade') this.#hearUpgrade(value)
        break
      case 10:
        if (name.toLowerCase() === 'connection') this.#hearConnection(value)
        break
      case 14:
        if (name.toLowerCase() === 'content-length') this.#hearLength(value)
        break
      case 17:
        if (name.toLowerCase() === 'transfer-encoding') this.#hearEncoding(value)
        break
    }
  }

  #hearUpgrade(value: string): void {
    this.upgrade = this.upgrade === undefined ? value : `${this.upgrade}, ${value}`
  }

  #hearConnection(value: string): void {
    this.close ||= listHas(value, 'close')
    this.upgrades ||= listHas(value, 'upgrade')
  }

  #hearLength(value: string): void {
    const length = DIGITS.test(value) ? Number(value) : Number.NaN
    if (!Number.isSafeInteger(length)) throw new MalformedAnswer('Content-Length is no number')
    if (this.length !== undefined && this.length !== length) throw new MalformedAnswer('two values of Content-Length')
    this.length = length
  }

  #hearEncoding(value: string): void {
    if (this.chunked) throw new MalformedAnswer('two lines of Transfer-Encoding')
    if (value.toLowerCase() !== 'chunked') throw new MalformedAnswer('a Transfer-Encoding other than chunked')
    this.chunked = true
  }
}

interface Reading {
  readonly modern: boolean
  readonly bodiless: boolean
}

function headOf(status: number, headers: HeaderLines, said: Said, { modern, bodiless }: Reading): AnswerHead {
  if (status < 200 && !modern) throw new MalformedAnswer('an interim answer in HTTP/1.0')
  if (said.chunked && !modern) throw new MalformedAnswer('Transfer-Encoding in HTTP/1.0')
  if (said.chunked && said.length !== undefined) throw new MalformedAnswer('Content-Length beside Transfer-Encoding')
  const framing = bodiless || hasNoBody(status) ? NO_BODY : framingOf(said)
  return {
    status,
    headers,
    framing,
    lasting: modern && !said.close && framing.kind !== 'until-close',
    upgrade: said.upgrades ? said.upgrade : undefined,
  }
}

function framingOf({ chunked, length }: Said): UpstreamHead['framing'] {
  if (chunked) return CHUNKED
  return length === undefined ? UNTIL_CLOSE : { kind: 'length', bytes: length }
}

function hasNoBody(status: number): boolean {
  return status < 200 || status === 204 || status === 304
}
