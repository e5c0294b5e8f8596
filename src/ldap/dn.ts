/**
 * Distinguished names (RFC 4514): read into their parts, compared, and made from a template in which a user name is a
 * value and can be nothing else.
 *
 * @module
 */

/** One `type=value`. */
export interface Ava {
  /** In lower case. */
  readonly type: string
  /** Unescaped. */
  readonly value: string
}

/** The name's own part first. Each part has one value, or several joined by `+`. */
export type Dn = readonly (readonly Ava[])[]

const TYPE = /^(?:[a-z][a-z0-9-]*|\d+(?:\.\d+)+)$/

/** Reads a DN; `undefined` for what is none, and for the empty one. */
export function parseDn(text: string): Dn | undefined {
  const parts: Ava[][] = [[]]
  for (const { piece, separator } of pieces(text)) {
    const equals = piece.indexOf('=')
    const type = piece.slice(0, equals).trim().toLowerCase()
    const value = unescapeValue(piece.slice(equals + 1))
    if (equals < 1 || !TYPE.test(type) || value === undefined) return undefined
    parts.at(-1)?.push({ type, value })
    if (separator === ',') parts.push([])
  }
  return parts
}

/** Cuts at every `,` and `+` that is not escaped. */
function* pieces(text: string): Generator<{ readonly piece: string; readonly separator: string }> {
  let begin = 0
  for (let at = 0; at <= text.length; at += 1) {
    const char = text[at] ?? ''
    if (char === '\\') at += 1
    else if (char === ',' || char === '+' || at === text.length) {
      yield { piece: text.slice(begin, at), separator: char }
      begin = at + 1
    }
  }
  if (begin <= text.length) yield { piece: text.slice(begin), separator: '' } // a backslash at the end
}

/** A value without its escapes and without the space around it; `undefined` where it is malformed. */
function unescapeValue(raw: string): string | undefined {
  const text = raw.trimStart()
  if (text.startsWith('#')) return undefined // BER in hexadecimal: nothing we could compare
  const bytes: Buffer[] = []
  let kept = 0 // bytes that trailing spaces must not be cut from
  for (let at = 0; at < text.length; at += 1) {
    const char = String.fromCodePoint(text.codePointAt(at) ?? 0)
    if (char !== '\\') {
      if (/["<>;\0]/.test(char)) return undefined
      bytes.push(Buffer.from(char))
      at += char.length - 1
      if (char !== ' ') kept = bytes.length
      continue
    }
    const pair = /^[0-9a-fA-F]{2}/.exec(text.slice(at + 1, at + 3))?.[0]
    const next = text[at + 1] ?? ''
    if (pair === undefined && !/^[ "#+,;<=>\\]$/.test(next)) return undefined
    bytes.push(pair === undefined ? Buffer.from(next) : Buffer.from(pair, 'hex'))
    at += pair?.length ?? 1
    kept = bytes.length
  }
  const whole = Buffer.concat(bytes.slice(0, kept))
  const value = whole.toString()
  return Buffer.from(value).equals(whole) ? value : undefined
}

/** A text as the value of a DN: all but letters, digits and `. _ @ -` of ASCII become pairs of hexadecimal digits. */
export function escapeDnValue(text: string): string {
  return text.replace(/[^A-Za-z0-9._@-]+/g, (run) =>
    Buffer.from(run).toString('hex').toUpperCase().replace(/../g, '\\$&'),
  )
}

/** The same for two spellings of a DN, as far as case and spaces go. For comparing, not for sending. */
export function dnKey(dn: Dn): string {
  const parts = dn.map((part) =>
    part
      .map(({ type, value }) => `${type}=${escapeDnValue(value.normalize('NFKC').toLowerCase().replace(/\s+/g, ' '))}`)
      .sort()
      .join('+'),
  )
  return parts.join(',')
}

/** Whether a DN stands under another one, or is it. */
export function isUnder(dn: Dn, base: Dn): boolean {
  return dn.length >= base.length && dnKey(dn.slice(dn.length - base.length)) === dnKey(base)
}

export type DnTemplate = (username: string) => string

const PLACEHOLDER = '{username}'

/** Compiles `uid={username},ou=people,dc=example,dc=org`. Throws a `TypeError` that says what is wrong. */
export function dnTemplate(template: string): DnTemplate {
  const [before, after, ...more] = template.split(PLACEHOLDER)
  if (before === undefined || after === undefined || more.length > 0) {
    throw new TypeError(`a DN template needs ${PLACEHOLDER}, once`)
  }
  if (/[{}]/.test(before + after)) throw new TypeError(`the only placeholder of a DN template is ${PLACEHOLDER}`)
  const marked = parseDn(before + PLACEHOLDER + after)
  if (marked === undefined) throw new TypeError('the template is not a DN, such as uid={username},ou=people,dc=example')
  if (marked.flat().filter(({ value }) => value.includes(PLACEHOLDER)).length !== 1) {
    throw new TypeError(`${PLACEHOLDER} has to stand in the value of an attribute`)
  }
  return (username) => before + escapeDnValue(username) + after
}
