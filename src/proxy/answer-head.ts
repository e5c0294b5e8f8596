/**
 * What the door reads of an answer's head, above all how the end of the body is told to the client: by its length where
 * the API server told it, else by chunks.
 *
 * @module
 */
import type { UpstreamHead } from './upstream/upstream.ts'
import type { Framing } from './wire.ts'

const NONE: Framing = { kind: 'none' }
const CHUNKED: Framing = { kind: 'chunked' }
const DIGITS = /^\d{1,15}$/

export function answerFraming(method: string, { status, headers, framing }: UpstreamHead): Framing {
  if (status === 204) return NONE
  if (method === 'HEAD' || status === 304) return entityLength(headers)
  return framing.kind === 'until-close' ? CHUNKED : framing
}

/** Where there is no body, the length is of the one there would be (RFC 9110, section 8.6). */
function entityLength(headers: UpstreamHead['headers']): Framing {
  const length = lineOf(headers, 'content-length')
  return length !== undefined && DIGITS.test(length) ? { kind: 'length', bytes: Number(length) } : NONE
}

/** The value of the first line of that name, which is given in lower case. */
export function lineOf(lines: UpstreamHead['headers'], wanted: string): string | undefined {
  for (const [name, value] of lines) if (name.length === wanted.length && name.toLowerCase() === wanted) return value
  return undefined
}
