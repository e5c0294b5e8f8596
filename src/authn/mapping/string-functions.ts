/**
 * Functions of strings as kube-apiserver's CEL has them (cel-go with its strings extension, version 2), in the place
 * of the library's own, which count in UTF-16 units, fold letters beyond ASCII and match with a backtracking engine.
 *
 * @module
 */
import type { Environment } from '@marcbachmann/cel-js'
import { RE2JS } from 're2js'
import { messageOf } from '../../errors.ts'

/** Stands before a name once our function is in the place of the library's. */
export const OWN_PREFIX = 'archway_'

/** Names that {@link withStringFunctions} defines. */
export const STRING_FUNCTIONS: ReadonlySet<string> = new Set([
  ...[
    'charAt',
    'indexOf',
    'lastIndexOf',
    'lowerAscii',
    'matches',
    'replace',
    'split',
    'substring',
    'trim',
    'upperAscii',
  ],
])

/** Longest list or map that an expression may work on; a loop within a loop over such a list takes a tenth of a second. */
export const MAX_ENTRIES = 500
/** Longest text that `replace` makes, in characters. */
const MAX_MADE = 65_536
/** Instructions of a compiled pattern; matching takes time in proportion to them. */
const MAX_PATTERN_SIZE = 2000

/** White space as of Unicode, which is what Go trims; `String.prototype.trim` takes U+FEFF too, and leaves U+0085. */
const OUTER_SPACE = /^\p{White_Space}+|\p{White_Space}+$/gu

/** The patterns of one expression: compiled when it is read, and only then. */
export interface PatternTable {
  /** Throws a `TypeError` for what is not RE2, or too big. */
  add(pattern: string, place: string): void
  test(pattern: string, text: string): boolean
}

export function patternTable(): PatternTable {
  const compiled = new Map<string, RE2JS>()
  return {
    add(pattern, place) {
      const made = compilePattern(pattern, place)
      if (made.programSize() > MAX_PATTERN_SIZE) throw new TypeError(`the pattern of matches() is too big${place}`)
      compiled.set(pattern, made)
    },
    test(pattern, text) {
      const found = compiled.get(pattern)
      if (found === undefined) throw new TypeError('a pattern that was not read with its expression')
      return found.test(text)
    },
  }
}

function compilePattern(pattern: string, place: string): RE2JS {
  try {
    return RE2JS.compile(pattern)
  } catch (thrown) {
    throw new TypeError(`the pattern of matches() is not one of RE2: ${messageOf(thrown)}${place}`)
  }
}

/** Defines the functions. Positions and lengths are in code points, as in Go. */
export function withStringFunctions(environment: Environment, patterns: PatternTable): Environment {
  const define = (signature: string, handler: (...args: never[]) => unknown): void => {
    environment.registerFunction(`string.${OWN_PREFIX}${signature}`, handler)
  }
  define('charAt(int): string', (text: string, at: bigint) => {
    const characters = [...text]
    return characters[inRange(at, characters.length)] ?? ''
  })
  define('indexOf(string): int', (text: string, part: string) => find(text, part, 0n))
  define('indexOf(string, int): int', find)
  define('lastIndexOf(string): int', (text: string, part: string) => findLast(text, part, undefined))
  define('lastIndexOf(string, int): int', findLast)
  define('lowerAscii(): string', (text: string) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()))
  define('upperAscii(): string', (text: string) => text.replace(/[a-z]+/g, (letters) => letters.toUpperCase()))
  define('matches(string): bool', (text: string, pattern: string) => patterns.test(pattern, text))
  define('replace(string, string): string', (text: string, old: string, made: string) => replace(text, old, made, -1n))
  define('replace(string, string, int): string', replace)
  define('split(string): list<string>', (text: string, separator: string) => split(text, separator, -1n))
  define('split(string, int): list<string>', split)
  define('substring(int): string', (text: string, from: bigint) => {
    const characters = [...text]
    return characters.slice(inRange(from, characters.length)).join('')
  })
  define('substring(int, int): string', (text: string, from: bigint, to: bigint) => {
    const characters = [...text]
    if (to < from) throw new RangeError('the end is before the start')
    return characters.slice(inRange(from, characters.length), inRange(to, characters.length)).join('')
  })
  define('trim(): string', (text: string) => text.replace(OUTER_SPACE, ''))
  return environment
}

function inRange(at: bigint, length: number): number {
  if (at < 0n || at > BigInt(length)) throw new RangeError('outside of the text')
  return Number(at)
}

function find(text: string, part: string, from: bigint): bigint {
  const characters = [...text]
  const start = inRange(from, characters.length)
  const skipped = characters.slice(0, start).join('').length
  const at = text.indexOf(part, skipped)
  return at < 0 ? -1n : BigInt([...text.slice(0, at)].length)
}

function findLast(text: string, part: string, from: bigint | undefined): bigint {
  const characters = [...text]
  const last = from === undefined ? characters.length : inRange(from, characters.length)
  const at = text.lastIndexOf(part, characters.slice(0, last).join('').length)
  return at < 0 ? -1n : BigInt([...text.slice(0, at)].length)
}

/** The first `limit` occurrences; all of them when it is negative. */
function replace(text: string, old: string, made: string, limit: bigint): string {
  const parts = old === '' ? ['', ...text, ''] : text.split(old)
  const times = limit < 0n || limit > BigInt(parts.length - 1) ? parts.length - 1 : Number(limit)
  if (text.length + times * made.length > MAX_MADE) throw new RangeError('the text would be too long')
  return (
    parts.slice(0, times + 1).join(made) +
    parts
      .slice(times + 1)
      .map((part) => old + part)
      .join('')
  )
}

/** At most `limit` parts, of which the last is the rest; all of them when it is negative. */
function split(text: string, separator: string, limit: bigint): string[] {
  const parts = separator === '' ? [...text] : text.split(separator)
  if (limit >= 0n && limit < BigInt(parts.length)) {
    const kept = Number(limit)
    if (kept === 0) return []
    return [...parts.slice(0, kept - 1), parts.slice(kept - 1).join(separator)]
  }
  if (parts.length > MAX_ENTRIES) throw new RangeError('more parts than an expression may work on')
  return parts
}
