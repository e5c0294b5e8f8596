/**
 * Writes the head of a request, with framing and connection lines of our own. Whatever it is given, what it writes is one
 * head: what could be read as more than one line, or as other framing, is refused (H8).
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import { isFieldValue, isToken } from './header-line.ts'
import type { UpstreamRequest } from './upstream.ts'

/** No blanks or control characters; no character that is more than a byte. */
const TARGET = /^[\x21-\x7e\x80-\xff]+$/

const OURS: ReadonlySet<string> = new Set(['connection', 'content-length', 'expect', 'transfer-encoding', 'upgrade'])

/**
 * The head as latin1, the empty line included.
 *
 * @throws ArchwayError `internal`: a part that could break a line; a line that is ours to write; CONNECT, whose answers
 * are read by other rules; an upgrade with a body. Hygiene lets none of these through.
 */
export function requestHead(request: UpstreamRequest): string {
  const { method, target, headers, framing, upgrade } = request
  if (!isToken(method) || method === 'CONNECT') throw refused('the method')
  if (!TARGET.test(target)) throw refused('the target')
  if (upgrade !== undefined && framing.kind !== 'none') throw refused('an upgrade with a body')
  let text = `${method} ${target} HTTP/1.1\r\n`
  for (const [name, value] of headers) {
    if (!isToken(name) || OURS.has(name.toLowerCase())) throw refused('the name of a header line')
    if (!isFieldValue(value)) throw refused(`the value of ${name}`)
    text += `${name}: ${value}\r\n`
  }
  return `${text}${ownLines(request)}\r\n`
}

function ownLines({ framing, upgrade, expectContinue = false }: UpstreamRequest): string {
  let lines = ''
  if (framing.kind === 'chunked') lines += 'Transfer-Encoding: chunked\r\n'
  if (framing.kind === 'length') lines += `Content-Length: ${countOf(framing.bytes)}\r\n`
  if (expectContinue) lines += 'Expect: 100-continue\r\n'
  if (upgrade !== undefined) lines += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`
  return lines
}

function countOf(bytes: number): number {
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw refused('the length of the body')
  return bytes
}

function refused(part: string): ArchwayError {
  return new ArchwayError('internal', `${part} cannot be sent to an API server`)
}
