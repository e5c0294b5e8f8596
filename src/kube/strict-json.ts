/**
 * JSON from strangers: valid UTF-8, one value, no key twice in one object, bounded depth. `JSON.parse` checks the
 * grammar; what it lets pass (duplicate keys: the last one silently wins; any depth) is checked here.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer'
import { ArchwayError } from '../errors.ts'
import { structureProblem } from '../json.ts'

export interface StrictJsonOptions {
  /** Deepest nesting of objects and arrays that is accepted. Default 32; a review needs 5. */
  readonly maxDepth?: number
}

/**
 * Parses one JSON value. Throws `body_invalid`; the message never quotes the text, which may hold a token.
 *
 * Objects come as `JSON.parse` makes them: read own properties only.
 */
export function parseStrictJson(bytes: Buffer, options: StrictJsonOptions = {}): unknown {
  if (bytes.length === 0) throw new ArchwayError('body_invalid', 'the body is empty; send one JSON object')
  if (!isUtf8(bytes)) throw new ArchwayError('body_invalid', 'the body is not UTF-8')
  const text = bytes.toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new ArchwayError('body_invalid', 'the body is not valid JSON')
  }
  const problem = structureProblem(text, { maxDepth: options.maxDepth ?? 32, maxKeys: MAX_KEYS })
  if (problem !== undefined) throw new ArchwayError('body_invalid', problem)
  return value
}

/** Objects of reviews have a handful of keys. */
const MAX_KEYS = 256

/** A stranger's text, short and quoted, for an error message. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text)
}
