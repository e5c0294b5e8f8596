/**
 * DER as a tree of views over one buffer. Owns strictness: one value and nothing behind it, definite lengths in their
 * shortest form, low tag numbers. Decoding is asn1js's; meaning is left to whoever reads the tree.
 *
 * @module
 */
import { type BaseBlock, Constructed, fromBER, ObjectIdentifier } from 'asn1js'

/** Identifier octets (X.690, 8.1.2) of what certificates and CRLs are made of. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const

/** One value. */
export interface Der {
  /** The identifier octet. */
  readonly tag: number
  /** Everything, tag and length included. */
  readonly raw: Uint8Array
  readonly content: Uint8Array
  /** Of a constructed value; empty for any other. */
  readonly children: readonly Der[]
  /** Dotted, of an OBJECT IDENTIFIER. */
  readonly oid?: string
}

/** The bytes are not what they have to be. The message names the part, never its content. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError'
}

/** Bounds of one parse; a CRL needs more values than a certificate. */
export interface DerLimits {
  readonly maxNodes?: number
}

const MAX_DEPTH = 32
const MAX_NODES = 10_000

/** Parses exactly one value. Throws {@link MalformedError} for anything else. */
export function parseDer(bytes: Uint8Array, what: string, { maxNodes = MAX_NODES }: DerLimits = {}): Der {
  const { result, offset } = decode(bytes, what, maxNodes)
  if (offset !== bytes.length) throw new MalformedError(`${what}: is no single DER value`)
  return treeOf(result, what)
}

function decode(bytes: Uint8Array, what: string, maxNodes: number): ReturnType<typeof fromBER> {
  try {
    // A copy: asn1js works on the whole buffer behind a view, and the tree must not change with the caller's bytes.
    return fromBER(Uint8Array.from(bytes), { maxDepth: MAX_DEPTH, maxNodes, maxContentLength: bytes.length })
  } catch (thrown) {
    throw new MalformedError(`${what}: cannot be decoded`, { cause: thrown })
  }
}

function treeOf(block: BaseBlock, what: string): Der {
  const raw = block.valueBeforeDecodeView
  const tag = raw[0]
  const { length, isIndefiniteForm } = block.lenBlock
  if (
    tag === undefined ||
    (tag & 0x1f) === 0x1f ||
    isIndefiniteForm ||
    raw.length !== 1 + lengthOctets(length) + length
  )
    throw new MalformedError(`${what}: is not DER`)
  return {
    tag,
    raw,
    content: raw.subarray(raw.length - length),
    children: block instanceof Constructed ? block.valueBlock.value.map((child) => treeOf(child, what)) : [],
    ...(block instanceof ObjectIdentifier ? { oid: block.getValue() } : {}),
  }
}

/** How many octets the shortest form of a length takes. */
function lengthOctets(length: number): number {
  if (length < 0x80) return 1
  return length < 0x100 ? 2 : length < 0x1_0000 ? 3 : length < 0x100_0000 ? 4 : 5
}

/** Takes the members of a SEQUENCE or SET one after the other, as its definition lists them. */
export interface Members {
  /** The next one, which must have this tag. */
  take(tag: number, what: string): Der
  /** The next one if it has this tag. */
  takeIf(tag: number): Der | undefined
  /** Throws where one is left. */
  end(): void
}

export function membersOf(der: Der, tag: number, what: string): Members {
  if (der.tag !== tag) throw new MalformedError(`${what}: is of the wrong type`)
  let at = 0
  function takeIf(wanted: number): Der | undefined {
    const next = der.children[at]
    if (next?.tag !== wanted) return undefined
    at += 1
    return next
  }
  return {
    takeIf,
    take(wanted, name) {
      const next = takeIf(wanted)
      if (next === undefined) throw new MalformedError(`${what}: ${name} is missing or of the wrong type`)
      return next
    },
    end() {
      if (at < der.children.length) throw new MalformedError(`${what}: has more in it than it may`)
    },
  }
}

/** The dotted form of an OBJECT IDENTIFIER. */
export function oidOf(der: Der | undefined, what: string): string {
  if (der?.oid === undefined) throw new MalformedError(`${what}: is no object identifier`)
  return der.oid
}

/** TRUE or FALSE, as DER writes them. */
export function booleanOf(der: Der): boolean {
  const [value] = der.content
  if (der.tag !== TAG.boolean || der.content.length !== 1 || (value !== 0 && value !== 0xff))
    throw new MalformedError('BOOLEAN: is malformed')
  return value === 0xff
}

/** A small number that is not negative. */
export function countOf(der: Der, what: string): number {
  const { content } = der
  const [first = 0x80, second = 0x80] = content
  const isShortest = content.length === 1 || first !== 0 || second >= 0x80
  if (first >= 0x80 || content.length > 4 || !isShortest) throw new MalformedError(`${what}: is no small number`)
  return Buffer.from(content).readUIntBE(0, content.length)
}

/** The bytes of a BIT STRING without unused bits. */
export function octetsOfBits(der: Der, what: string): Uint8Array {
  if (der.tag !== TAG.bitString || der.content[0] !== 0) throw new MalformedError(`${what}: is no string of octets`)
  return der.content.subarray(1)
}

/** UTCTime or GeneralizedTime in the one form RFC 5280 (4.1.2.5) allows: to the second, in UTC. Milliseconds. */
export function timeOf(der: Der | undefined, what: string): number {
  const digits = der?.tag === TAG.utcTime ? 2 : der?.tag === TAG.generalizedTime ? 4 : undefined
  const text = Buffer.from(der?.content ?? []).toString('latin1')
  const parts =
    digits === undefined ? null : new RegExp(`^(\\d{${digits}})(\\d\\d)(\\d\\d)(\\d\\d)(\\d\\d)(\\d\\d)Z$`).exec(text)
  if (parts === null) throw new MalformedError(`${what}: is no time`)
  const [given = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1).map(Number)
  const year = digits === 4 ? given : given + (given < 50 ? 2000 : 1900)
  const written = [year, month, day].map((n, i) => String(n).padStart(i === 0 ? 4 : 2, '0')).join('-')
  const clock = [hour, minute, second].map((n) => String(n).padStart(2, '0')).join(':')
  const time = Date.parse(`${written}T${clock}Z`)
  // Date.parse takes the 31st of February, and 24:00, for the day after.
  if (Number.isNaN(time) || !new Date(time).toISOString().startsWith(`${written}T${clock}.`))
    throw new MalformedError(`${what}: is no time`)
  return time
}
