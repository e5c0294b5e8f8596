/**
 * JSON from strangers: valid UTF-8, one value, no key twice in one object, bounded depth. `JSON.parse` checks the
 * grammar; what it lets pass (duplicate keys: the last one silently wins; any depth) is checked here.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer'
import { ArchwayError } from '../errors.ts'

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
  checkStructure(text, options.maxDepth ?? 32)
  return value
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Walks text that is known to be JSON. Strings are skipped by `indexOf`, so a long token costs next to nothing. */
function checkStructure(text: string, maxDepth: number): void {
  /** Keys seen so far of each open object; `undefined` for an array. */
  const open: (string[] | undefined)[] = []
  let atKey = false
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE: {
        const end = closingQuote(text, i + 1)
        if (atKey) addKey(open[open.length - 1], text.slice(i + 1, end))
        i = end
        break
      }
      case OPEN_OBJECT:
      case OPEN_ARRAY: {
        const isObject = text.charCodeAt(i) === OPEN_OBJECT
        if (open.length === maxDepth) {
          throw new ArchwayError('body_invalid', `the body is nested deeper than ${maxDepth} levels`)
        }
        open.push(isObject ? [] : undefined)
        atKey = isObject
        break
      }
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        open.pop()
        atKey = false
        break
      case COLON:
        atKey = false
        break
      case COMMA:
        atKey = open[open.length - 1] !== undefined
        break
    }
  }
}

function closingQuote(text: string, from: number): number {
  for (let at = text.indexOf('"', from); ; at = text.indexOf('"', at + 1)) {
    let backslashes = 0
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return at
  }
}

/** Objects of reviews have a handful of keys; the cap keeps a hostile one from costing its square. */
const MAX_KEYS = 256

function addKey(keys: string[] | undefined, raw: string): void {
  if (keys === undefined) return
  const key = raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw
  if (keys.includes(key)) throw new ArchwayError('body_invalid', `a key stands twice in one object: ${shown(key)}`)
  if (keys.length === MAX_KEYS) {
    throw new ArchwayError('body_invalid', `an object has more than ${MAX_KEYS} keys`)
  }
  keys.push(key)
}

/** A stranger's text, short and quoted, for an error message. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text)
}
