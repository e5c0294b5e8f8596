/**
 * JSON as it comes from outside: parsed only if every reader would read the same.
 *
 * @module
 */

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * The value of a JSON text, or `undefined` when it is not JSON or an object in it has a key twice. JSON leaves open
 * which of two equal keys counts (RFC 8259, section 4), so two readers may see two documents.
 */
export function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return repeatsKey(text) ? undefined : value
  } catch {
    // The message of a SyntaxError quotes the text.
    return undefined
  }
}

/** Whether an object in the text, which is well-formed JSON, has a key twice. One pass, no recursion. */
function repeatsKey(json: string): boolean {
  const open: (Set<string> | undefined)[] = [] // keys of the objects around here; undefined for an array
  let keyNext = false
  for (let at = 0; at < json.length; at++) {
    switch (json[at]) {
      case '{':
        open.push(new Set())
        keyNext = true
        break
      case '[':
        open.push(undefined)
        keyNext = false
        break
      case '}':
      case ']':
        open.pop()
        keyNext = false
        break
      case ',':
        keyNext = open.at(-1) !== undefined
        break
      case '"': {
        const end = endOfString(json, at)
        if (keyNext) {
          const key: string = JSON.parse(json.slice(at, end + 1))
          const keys = open.at(-1)
          if (keys?.has(key)) return true
          keys?.add(key)
          keyNext = false
        }
        at = end
        break
      }
    }
  }
  return false
}

/** Index of the quote that ends the string begun at `start`. */
function endOfString(json: string, start: number): number {
  let at = start + 1
  for (; at < json.length; at++) {
    const code = json.charCodeAt(at)
    if (code === QUOTE) break
    if (code === BACKSLASH) at++
  }
  return at
}
