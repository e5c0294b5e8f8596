/**
 * One half of a version 2 key: a name, a list, a negation of either, or `*`. Which names it covers follows the
 * predecessor to the letter, since policies are in use; what its authors most likely did not mean is for `lint.ts`.
 *
 * @module
 */

/** The names a half covers. */
export type Pattern =
  /** Every name; `bare` is the `*` that stands alone, the only one that covers "no namespace". */
  | { readonly kind: 'every'; readonly bare: boolean }
  | { readonly kind: 'only'; readonly names: ReadonlySet<string> }
  | { readonly kind: 'except'; readonly names: ReadonlySet<string> }

/**
 * Reads a half that is trimmed and in lower case. Whatever is malformed covers the one name that is spelt like it,
 * which is none, but a negation that is malformed in the right way covers everything.
 */
export function parsePattern(half: string): Pattern {
  if (half === '*') return { kind: 'every', bare: true }
  if (half.startsWith('!') && half.indexOf('[') !== 1) return except(half, [half.slice(1)])
  const closed = half.indexOf(']') === half.length - 1 && half !== ''
  if (closed && half.startsWith('[')) return only(half, listItems(half) ?? [])
  if (!closed || !half.startsWith('![')) return only(half, [])
  const items = listItems(half.slice(1))
  return items === undefined ? only(half, []) : except(half, items)
}

/**
 * Whether it is a negation of something that no namespace and no resource can be called (`!kube-*`, `!a,b`, `!`), which
 * leaves out nothing, or not all that it seems to.
 */
export function excludesNothing(pattern: Pattern): boolean {
  if (pattern.kind !== 'except') return false
  return pattern.names.size === 0 || [...pattern.names].some((name) => !NAME.test(name))
}

/** What Kubernetes takes for the name of a namespace or a resource. */
const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/

/** Trims as Go does: the white space of Unicode, which is not quite that of JavaScript. */
export function trimBlanks(text: string): string {
  let [start, end] = [0, text.length]
  while (start < end && BLANK.test(text.charAt(start))) start += 1
  while (start < end && BLANK.test(text.charAt(end - 1))) end -= 1
  return text.slice(start, end)
}

const BLANK = /\p{White_Space}/u

/** Lower case as Go has it: letter by letter, without regard to the letters beside it. */
export function lowerCase(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text.toLowerCase()
  return Array.from(text, (letter) => (letter === '\u0130' ? 'i' : letter.toLowerCase())).join('')
}

function only(half: string, names: readonly string[]): Pattern {
  return names.includes('*') ? { kind: 'every', bare: false } : { kind: 'only', names: new Set([half, ...names]) }
}

function except(half: string, names: readonly string[]): Pattern {
  if (names.includes('*')) return only(half, [])
  return { kind: 'except', names: new Set(names) }
}

/** The items of `['a', 'b']`; `undefined` where that is no list of strings. */
function listItems(list: string): readonly string[] | undefined {
  let items: unknown
  try {
    items = JSON.parse(list.replaceAll("'", '"'))
  } catch {
    return undefined
  }
  if (!Array.isArray(items)) return undefined
  const names: unknown[] = items.map((item: unknown) => item ?? '') // null is the empty string to Go
  return names.every((name) => typeof name === 'string') ? names : undefined
}
