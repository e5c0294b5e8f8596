/**
 * Distinguished names: their attributes in the order of the certificate, as text. The string types are read as Go
 * reads them: UTF8, Printable, IA5, Numeric, BMP (no surrogates) and Teletex (as Latin-1). Any other type, and text
 * that is not of its type, makes the whole certificate unreadable.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.4
 * @module
 */
import { type Der, MalformedError, oidOf, TAG } from './der.ts'

export interface Attribute {
  /** Dotted. */
  readonly type: string
  readonly value: string
}

/** Sets of attributes, the most general first; the attributes of one set in the order of their DER. */
export type Rdn = readonly Attribute[]

export const ATTRIBUTE = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  /** Kubernetes' own, for the uid of a user. */
  uid: '1.3.6.1.4.1.57683.2',
} as const

export function nameOf(der: Der, what: string): Rdn[] {
  if (der.tag !== TAG.sequence) throw new MalformedError(`${what}: is no name`)
  return der.children.map((set) => {
    if (set.tag !== TAG.set) throw new MalformedError(`${what}: is no name`)
    return set.children.map((pair) => {
      const [type, value, more] = pair.children
      if (pair.tag !== TAG.sequence || value === undefined || more !== undefined)
        throw new MalformedError(`${what}: has a malformed attribute`)
      return { type: oidOf(type, what), value: textOf(value, what) }
    })
  })
}

/** Values of all attributes of a type, in order. */
export function valuesOf(name: readonly Rdn[], type: string): string[] {
  return name.flat().flatMap((attribute) => (attribute.type === type ? [attribute.value] : []))
}

/** The common name: the last, where there are several; empty without any. */
export function commonNameOf(name: readonly Rdn[]): string {
  return valuesOf(name, ATTRIBUTE.commonName).at(-1) ?? ''
}

const NARROW: ReadonlyMap<number, RegExp> = new Map([
  [TAG.printableString, /^[A-Za-z0-9 '()+,\-./:=?*&]*$/], // the last two are no part of it, and in use
  [TAG.ia5String, /^[\0-\x7f]*$/],
  [TAG.numericString, /^[0-9 ]*$/],
  [TAG.teletexString, /^[\0-\xff]*$/],
])

function textOf({ tag, content }: Der, what: string): string {
  const bytes = Buffer.from(content)
  const text = tag === TAG.utf8String ? utf8(bytes) : tag === TAG.bmpString ? bmp(bytes) : narrow(tag, bytes)
  if (text === undefined) throw new MalformedError(`${what}: has an attribute that is no text`)
  return text
}

function narrow(tag: number, bytes: Buffer): string | undefined {
  const text = bytes.toString('latin1')
  return NARROW.get(tag)?.test(text) === true ? text : undefined
}

function utf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function bmp(bytes: Buffer): string | undefined {
  if (bytes.length % 2 !== 0) return undefined
  const text = Buffer.from(bytes).swap16().toString('utf16le').replace(/\0$/, '')
  return /[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]/.test(text) ? undefined : text
}
