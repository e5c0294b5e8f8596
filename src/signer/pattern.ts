/**
 * Patterns of names in a policy: `*` stands for any text, `\*` for the star itself, `{username}` for the name of
 * whoever asks. Matching takes time in proportion to pattern and text, whatever they are.
 *
 * @module
 */

/** A compiled pattern. */
export interface Pattern {
  readonly text: string
  matches(name: string, username: string): boolean
}

type Part = { readonly kind: 'text'; readonly text: string } | { readonly kind: 'any' } | { readonly kind: 'username' }

const PARTS = /\\\*|\*|\{username\}|[^\\*{]+|[\\{]/g

/** @param any which text `*` stands for; without it any, the empty one too */
export function compilePattern(text: string, any: (piece: string) => boolean = () => true): Pattern {
  const parts = [...text.matchAll(PARTS)].map(([piece]): Part => {
    if (piece === '*') return { kind: 'any' }
    if (piece === '{username}') return { kind: 'username' }
    return { kind: 'text', text: piece === '\\*' ? '*' : piece }
  })
  return {
    text,
    matches: (name, username) => matches(literals(parts, username), name, any),
  }
}

/** The texts between the stars. */
function literals(parts: readonly Part[], username: string): readonly string[] {
  const texts = ['']
  for (const part of parts) {
    if (part.kind === 'any') texts.push('')
    else texts[texts.length - 1] += part.kind === 'username' ? username : part.text
  }
  return texts
}

/** Each star takes as little as it can; what the last one takes is settled by the end. */
function matches(texts: readonly string[], name: string, any: (piece: string) => boolean): boolean {
  const [first = '', ...rest] = texts
  const last = rest.pop()
  if (last === undefined) return name === first
  if (!name.startsWith(first) || name.length < first.length + last.length || !name.endsWith(last)) return false
  const end = name.length - last.length
  let at = first.length
  for (const text of rest) {
    const found = name.indexOf(text, at)
    if (found === -1 || found + text.length > end || !any(name.slice(at, found))) return false
    at = found + text.length
  }
  return any(name.slice(at, end))
}

/** What `*` stands for in a host name: part of one label, and never a star, which would be a certificate for any name. */
export function isWithinLabel(piece: string): boolean {
  return !/[.*]/.test(piece)
}
