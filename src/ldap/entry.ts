/**
 * Entries of a directory: attributes by name, as text or as bytes.
 *
 * @module
 */
import { hasForbiddenCharacters } from '../user.ts'
import { guidText, sidText } from './active-directory.ts'
import { decodeText } from './ber.ts'
import type { RawEntry } from './message.ts'

export interface Entry {
  readonly dn: string
  /** Values of an attribute, whatever the case of its name; empty where there is none. */
  values(attribute: string): readonly Buffer[]
  /** Whether the server gave only a part of the values (Active Directory does, from 1500 on). */
  isPartial(attribute: string): boolean
}

export function entryOf({ dn, attributes }: RawEntry): Entry {
  const byName = new Map<string, Buffer[]>()
  const partial = new Set<string>()
  for (const { description, values } of attributes) {
    const name = description.toLowerCase()
    const [plain = '', ...options] = name.split(';')
    byName.set(name, [...(byName.get(name) ?? []), ...values])
    if (options.some((option) => option.startsWith('range='))) partial.add(plain)
  }
  return {
    dn,
    values: (attribute) => byName.get(attribute.toLowerCase()) ?? [],
    isPartial: (attribute) => partial.has(attribute.toLowerCase()),
  }
}

/**
 * A value that may be bytes, as text: `objectGUID` and `objectSid` as they are written, text as it is, and what no name
 * would hold as `hex:…`.
 */
export function identifierText(attribute: string, value: Buffer): string {
  const name = attribute.toLowerCase()
  const special = name === 'objectguid' ? guidText(value) : name === 'objectsid' ? sidText(value) : undefined
  if (special !== undefined) return special
  const text = decodeText(value)
  return text === undefined || hasForbiddenCharacters(text) ? `hex:${value.toString('hex')}` : text
}
