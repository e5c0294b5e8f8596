/**
 * JSON text → tree. `JSON.parse` would let the last of two equal keys win, and say nothing of where a mistake stands;
 * in a policy the first can open a restricted rule to everybody.
 *
 * @module
 */

/** A value of a text and where it stands. */
export type Tree = ObjectTree | ListTree | ScalarTree

export interface ObjectTree {
  readonly kind: 'object'
  readonly at: number
  /** In the order of the text, repeated keys included. */
  readonly members: readonly Member[]
}

export interface ListTree {
  readonly kind: 'list'
  readonly at: number
  readonly items: readonly Tree[]
}

export interface ScalarTree {
  readonly kind: 'scalar'
  readonly at: number
  readonly value: string | number | boolean | null
}

export interface Member {
  readonly key: string
  readonly at: number
  readonly value: Tree
}

/** A text that is not of its language. `at` is an index into the text; the message never quotes it. */
export class TextFault extends Error {
  readonly at: number

  constructor(at: number, message: string) {
    super(message)
    this.name = 'TextFault'
    this.at = at
  }
}

/** Reads the first JSON value of a text. `end` is where it ends and the blanks after it. */
export function readJson(text: string, maxDepth: number): { readonly tree: Tree; readonly end: number } {
  const cursor: Cursor = { text, at: 0, depth: 0, maxDepth }
  skipBlanks(cursor)
  const tree = readValue(cursor)
  skipBlanks(cursor)
  return { tree, end: cursor.at }
}

interface Cursor {
  readonly text: string
  readonly maxDepth: number
  at: number
  depth: number
}

const SCALAR = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

function readValue(cursor: Cursor): Tree {
  const { text, at } = cursor
  if (text[at] === '{') return nested(cursor, readObject)
  if (text[at] === '[') return nested(cursor, readList)
  if (text[at] === '"') return { kind: 'scalar', at, value: readString(cursor) }
  SCALAR.lastIndex = at
  const [word] = SCALAR.exec(text) ?? []
  if (word === undefined) throw new TextFault(at, unexpected(text[at]))
  cursor.at += word.length
  return { kind: 'scalar', at, value: JSON.parse(word) }
}

function nested<T>(cursor: Cursor, read: (cursor: Cursor) => T): T {
  if (cursor.depth === cursor.maxDepth) {
    throw new TextFault(cursor.at, `nested deeper than ${cursor.maxDepth} levels; a policy needs five`)
  }
  cursor.depth += 1
  const value = read(cursor)
  cursor.depth -= 1
  return value
}

function readObject(cursor: Cursor): ObjectTree {
  const at = cursor.at
  const members: Member[] = []
  for (let more = opens(cursor, '}'); more; more = goesOn(cursor, '}')) {
    const keyAt = cursor.at
    if (cursor.text[keyAt] !== '"') throw new TextFault(keyAt, unexpected(cursor.text[keyAt], 'a key in double quotes'))
    const key = readString(cursor)
    skipBlanks(cursor)
    if (cursor.text[cursor.at] !== ':') throw new TextFault(cursor.at, unexpected(cursor.text[cursor.at], 'a colon'))
    cursor.at += 1
    skipBlanks(cursor)
    members.push({ key, at: keyAt, value: readValue(cursor) })
  }
  return { kind: 'object', at, members }
}

function readList(cursor: Cursor): ListTree {
  const at = cursor.at
  const items: Tree[] = []
  for (let more = opens(cursor, ']'); more; more = goesOn(cursor, ']')) items.push(readValue(cursor))
  return { kind: 'list', at, items }
}

/** Past the opening bracket; false where the closing one follows at once. */
function opens(cursor: Cursor, close: string): boolean {
  cursor.at += 1
  skipBlanks(cursor)
  if (cursor.text[cursor.at] !== close) return true
  cursor.at += 1
  return false
}

/** Past the comma, or past the closing bracket. */
function goesOn(cursor: Cursor, close: string): boolean {
  skipBlanks(cursor)
  const found = cursor.text[cursor.at]
  if (found !== ',' && found !== close) throw new TextFault(cursor.at, unexpected(found, `a comma or ${close}`))
  const comma = cursor.at
  cursor.at += 1
  if (found === close) return false
  skipBlanks(cursor)
  if (cursor.text[cursor.at] === close) throw new TextFault(comma, `a comma before ${close}. Take it away`)
  return true
}

const UNESCAPED = /[^"\\\u0000-\u001f]*/y

function readString(cursor: Cursor): string {
  const { text, at: start } = cursor
  for (let at = start + 1; ; at += 2) {
    UNESCAPED.lastIndex = at
    at += UNESCAPED.exec(text)?.[0].length ?? 0
    if (text[at] === '"') {
      cursor.at = at + 1
      return unescaped(text, start, at + 1)
    }
    if (at >= text.length) throw new TextFault(start, 'a quote that is never closed')
    if (text[at] !== '\\') throw new TextFault(at, 'a line break or control character inside quotes. Write it as \\n')
  }
}

function unescaped(text: string, start: number, end: number): string {
  try {
    return String(JSON.parse(text.slice(start, end)))
  } catch {
    throw new TextFault(start, 'a backslash with a letter that means nothing to JSON. Write \\\\ for a backslash')
  }
}

function skipBlanks(cursor: Cursor): void {
  for (; ; cursor.at += 1) {
    const code = cursor.text.charCodeAt(cursor.at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
  }
}

function unexpected(found: string | undefined, wanted = 'a value'): string {
  if (found === undefined) return `ends where ${wanted} is expected`
  if (found === "'") return `has a single quote where ${wanted} is expected. JSON has double quotes only`
  if (found === '/' || found === '#') return `has a comment where ${wanted} is expected. JSON has none; YAML has`
  return `has something else where ${wanted} is expected`
}
