/**
 * Reading BER as LDAP uses it (RFC 4511 section 5.1, X.690): definite lengths, one-byte tags. Every element must end
 * where what holds it ends or before; nothing is guessed, nothing is read past an end.
 *
 * @module
 */

/** One element: its tag and what it holds, a view of the bytes read. */
export interface Element {
  readonly tag: number
  readonly content: Buffer
}

export const TAG = { boolean: 0x01, integer: 0x02, octets: 0x04, enumerated: 0x0a, sequence: 0x30, set: 0x31 } as const

/** The bytes are not BER, or not what was expected in their place. */
export class BerError extends Error {}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Size of tag and length, and of the content; `undefined`: more bytes are needed to say. */
export function header(bytes: Buffer, start = 0): { readonly head: number; readonly length: number } | undefined {
  const [tag, first] = [bytes[start], bytes[start + 1]]
  if (tag === undefined) return undefined
  if ((tag & 0x1f) === 0x1f) throw new BerError('a tag of several bytes')
  if (first === undefined) return undefined
  if (first < 0x80) return { head: 2, length: first }
  const count = first & 0x7f
  if (count === 0 || count > 4) throw new BerError('a length that is indefinite or too long')
  if (bytes.length < start + 2 + count) return undefined
  return { head: 2 + count, length: bytes.readUIntBE(start + 2, count) }
}

/** The elements that make up `bytes`, which they must fill exactly. */
export function elements(bytes: Buffer): Element[] {
  const found: Element[] = []
  let at = 0
  while (at < bytes.length) {
    const size = header(bytes, at)
    if (size === undefined || at + size.head + size.length > bytes.length) throw new BerError('an element without end')
    const begin = at + size.head
    found.push({ tag: bytes.readUInt8(at), content: bytes.subarray(begin, begin + size.length) })
    at = begin + size.length
  }
  return found
}

/** The content of an element that must be there with this tag. */
export function expect(element: Element | undefined, tag: number): Buffer {
  if (element?.tag !== tag) throw new BerError(`expected tag ${tag}, found ${element?.tag ?? 'nothing'}`)
  return element.content
}

/** A number that is not negative, of at most four bytes. */
export function unsigned(element: Element | undefined, tag: number): number {
  const content = expect(element, tag)
  if (content.length < 1 || content.length > 4) throw new BerError(`a number of ${content.length} bytes`)
  const value = content.readIntBE(0, content.length)
  if (value < 0) throw new BerError('a number below zero')
  return value
}

/** Text that must be UTF-8. */
export function text(element: Element | undefined): string {
  const decoded = decodeText(expect(element, TAG.octets))
  if (decoded === undefined) throw new BerError('text that is not UTF-8')
  return decoded
}

/** UTF-8 as text; `undefined` for anything else. */
export function decodeText(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}
