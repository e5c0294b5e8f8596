/**
 * JSON that every reader reads the same: what `JSON.parse` lets pass and nobody should send. Owns the walk over the
 * text; what a problem leads to is each room's own to say. Problems name a place and never quote the text, which may
 * hold a token.
 *
 * @module
 */

export interface StructureLimits {
  /** Deepest nesting of objects and arrays. */
  readonly maxDepth: number
  /** Keys of one object; the comparison of keys costs their square. */
  readonly maxKeys: number
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/**
 * What is wrong with a text that `JSON.parse` takes; `undefined` where nothing is. RFC 8259, section 4, leaves open
 * which of two equal keys counts, so two readers may see two documents; and any depth is JSON.
 *
 * One pass, no recursion. Strings are skipped by `indexOf`, so a long token costs next to nothing.
 */
export function structureProblem(text: string, { maxDepth, maxKeys }: StructureLimits): string | undefined {
  /** Keys seen so far of each open object; `undefined` for an array. */
  const open: (string[] | undefined)[] = []
  let atKey = false
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE: {
        const end = closingQuote(text, i + 1)
        const keys = atKey ? open[open.length - 1] : undefined
        if (keys !== undefined) {
          const key = keyOf(text.slice(i + 1, end))
          if (keys.includes(key)) return `a key stands twice in one object, at character ${i + 1}`
          if (keys.length === maxKeys) return `an object has more than ${maxKeys} keys`
          keys.push(key)
        }
        i = end
        break
      }
      case OPEN_OBJECT:
      case OPEN_ARRAY: {
        const isObject = text.charCodeAt(i) === OPEN_OBJECT
        if (open.length === maxDepth) return `the text is nested deeper than ${maxDepth} levels`
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
  return undefined
}

function closingQuote(text: string, from: number): number {
  for (let at = text.indexOf('"', from); ; at = text.indexOf('"', at + 1)) {
    let backslashes = 0
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return at
  }
}

function keyOf(raw: string): string {
  return raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw
}
