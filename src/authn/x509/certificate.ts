/**
 * A certificate taken apart: what path validation and the mapping to an identity ask of it. Nothing here is believed
 * yet; `path.ts` decides. A certificate that Go's crypto/x509 would not parse is not parsed here either.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5280#section-4
 * @module
 */
import type { KeyObject } from 'node:crypto'
import {
  booleanOf,
  countOf,
  type Der,
  MalformedError,
  membersOf,
  octetsOfBits,
  oidOf,
  parseDer,
  TAG,
  timeOf,
} from './der.ts'
import { nameOf, type Rdn } from './name.ts'
import { type NameConstraints, nameConstraintsOf } from './name-constraints.ts'
import { publicKeyOf, type Signed, signatureAlgorithm } from './signature.ts'

/** Bits of KeyUsage that are asked for. */
export const KEY_USAGE = { certSign: 5, crlSign: 6 } as const

export interface Certificate extends Signed {
  readonly der: Uint8Array
  readonly version: 1 | 2 | 3
  /** Content of the INTEGER, hex. */
  readonly serial: string
  /** Hex of the DER: chains are made of names that are the same byte for byte. */
  readonly issuerId: string
  readonly subjectId: string
  readonly subject: readonly Rdn[]
  /** Milliseconds since the epoch, both ends included. */
  readonly notBefore: number
  readonly notAfter: number
  /** Hex of the SubjectPublicKeyInfo. */
  readonly keyId: string
  /** `undefined`: a key that does not count. */
  readonly key: KeyObject | undefined
  readonly extensions: Extensions
}

export interface Extensions {
  readonly basicConstraints?: { readonly isAuthority: boolean; readonly pathLength?: number }
  /** Numbers of the bits that are set. */
  readonly keyUsage?: ReadonlySet<number>
  /** Dotted. */
  readonly extendedKeyUsage?: ReadonlySet<string>
  /** GeneralNames of the subject alternative name. */
  readonly alternativeNames: readonly Der[]
  readonly nameConstraints?: NameConstraints
  /** Whether there is a critical one that is not understood here. */
  readonly hasUnknownCritical: boolean
}

/** Takes a certificate apart. Throws {@link MalformedError}. */
export function parseCertificate(bytes: Uint8Array): Certificate {
  const outer = parseDer(bytes, 'certificate')
  const signed = membersOf(outer, TAG.sequence, 'certificate')
  const body = signed.take(TAG.sequence, 'its body')
  const algorithm = signed.take(TAG.sequence, 'signature algorithm')
  const signature = signed.take(TAG.bitString, 'signature')
  signed.end()

  const members = membersOf(body, TAG.sequence, 'certificate')
  const version = versionOf(members.takeIf(0xa0))
  const serial = members.take(TAG.integer, 'serial number')
  const inner = members.take(TAG.sequence, 'signature algorithm')
  if (!Buffer.from(inner.raw).equals(algorithm.raw))
    throw new MalformedError('certificate: names two signature algorithms')
  const issuer = members.take(TAG.sequence, 'issuer')
  const validity = membersOf(members.take(TAG.sequence, 'validity'), TAG.sequence, 'validity')
  const subject = members.take(TAG.sequence, 'subject')
  const keyInfo = members.take(TAG.sequence, 'public key')
  const ids = [members.takeIf(0x81), members.takeIf(0x82)]
  const extensions = members.takeIf(0xa3)
  members.end()
  if ((version < 2 && ids.some((id) => id !== undefined)) || (version < 3 && extensions !== undefined))
    throw new MalformedError('certificate: has more in it than its version allows')
  nameOf(issuer, 'issuer')
  const [notBefore, notAfter] = [timeOf(takeTime(validity), 'notBefore'), timeOf(takeTime(validity), 'notAfter')]
  validity.end()

  return {
    der: outer.raw,
    signedBytes: body.raw,
    algorithm: signatureAlgorithm(algorithm),
    signature: octetsOfBits(signature, 'signature'),
    version,
    serial: hex(serial.content),
    issuerId: hex(issuer.raw),
    subjectId: hex(subject.raw),
    subject: nameOf(subject, 'subject'),
    notBefore,
    notAfter,
    keyId: hex(keyInfo.raw),
    key: publicKeyOf(keyInfo.raw),
    extensions: extensionsOf(extensions),
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

function takeTime(members: ReturnType<typeof membersOf>): Der | undefined {
  return members.takeIf(TAG.utcTime) ?? members.takeIf(TAG.generalizedTime)
}

function versionOf(der: Der | undefined): 1 | 2 | 3 {
  if (der === undefined) return 1
  const [number, more] = der.children
  const written = number === undefined || more !== undefined ? -1 : countOf(number, 'version')
  if (written === 1) return 2
  if (written === 2) return 3
  throw new MalformedError('certificate: is of an unknown version')
}

/** One extension, its value still closed. */
export interface Extension {
  readonly oid: string
  readonly isCritical: boolean
  readonly value: Uint8Array
}

/** The members of an Extensions SEQUENCE; one of a kind. */
export function extensionList(der: Der): Extension[] {
  if (der.tag !== TAG.sequence || der.children.length === 0) throw new MalformedError('extensions: are malformed')
  const seen = new Set<string>()
  return der.children.map((child) => {
    const members = membersOf(child, TAG.sequence, 'extension')
    const oid = oidOf(members.take(TAG.oid, 'its type'), 'extension')
    const critical = members.takeIf(TAG.boolean)
    const { content: value } = members.take(TAG.octetString, 'its value')
    members.end()
    if (seen.has(oid)) throw new MalformedError('extensions: one stands twice')
    seen.add(oid)
    return { oid, isCritical: critical !== undefined && booleanOf(critical), value }
  })
}

/** Understood, and nothing in them matters here: key identifiers, policies, where CRLs are. */
const IRRELEVANT: ReadonlySet<string> = new Set(['2.5.29.14', '2.5.29.35', '2.5.29.32', '2.5.29.31'])

function extensionsOf(explicit: Der | undefined): Extensions {
  const [list, more] = explicit?.children ?? []
  if (explicit !== undefined && (list === undefined || more !== undefined))
    throw new MalformedError('extensions: are malformed')
  let found: Extensions = { alternativeNames: [], hasUnknownCritical: false }
  for (const { oid, isCritical, value } of list === undefined ? [] : extensionList(list)) {
    const part = known(oid, value)
    found = { ...found, ...part, hasUnknownCritical: found.hasUnknownCritical || (isCritical && part === undefined) }
  }
  return found
}

/** What an extension says; `undefined`: it is not understood. */
function known(oid: string, value: Uint8Array): Partial<Extensions> | undefined {
  switch (oid) {
    case '2.5.29.15':
      return { keyUsage: bitsOf(parseDer(value, 'key usage')) }
    case '2.5.29.17': {
      const { tag, children } = parseDer(value, 'alternative names')
      if (tag !== TAG.sequence || children.length === 0) throw new MalformedError('alternative names: are malformed')
      const isUnderstood = children.some(({ tag }) => UNDERSTOOD_NAMES.has(tag))
      return isUnderstood ? { alternativeNames: children } : undefined
    }
    case '2.5.29.19':
      return { basicConstraints: basicConstraintsOf(parseDer(value, 'basic constraints')) }
    case '2.5.29.30':
      return { nameConstraints: nameConstraintsOf(parseDer(value, 'name constraints')) }
    case '2.5.29.37': {
      const { tag, children } = parseDer(value, 'extended key usage')
      if (tag !== TAG.sequence || children.length === 0) throw new MalformedError('extended key usage: is malformed')
      return { extendedKeyUsage: new Set(children.map((child) => oidOf(child, 'extended key usage'))) }
    }
    default:
      return IRRELEVANT.has(oid) ? {} : undefined
  }
}

/** rfc822Name, dNSName, directoryName, uniformResourceIdentifier, iPAddress. */
const UNDERSTOOD_NAMES: ReadonlySet<number> = new Set([0x81, 0x82, 0xa4, 0x86, 0x87])

function basicConstraintsOf(der: Der): NonNullable<Extensions['basicConstraints']> {
  const members = membersOf(der, TAG.sequence, 'basic constraints')
  const flag = members.takeIf(TAG.boolean)
  const length = members.takeIf(TAG.integer)
  members.end()
  const isAuthority = flag !== undefined && booleanOf(flag)
  return { isAuthority, ...(length === undefined ? {} : { pathLength: countOf(length, 'path length') }) }
}

function bitsOf({ tag, content }: Der): Set<number> {
  const [unused = 8, ...octets] = content
  if (tag !== TAG.bitString || unused > 7) throw new MalformedError('key usage: is malformed')
  const bits = new Set<number>()
  for (const [at, octet] of octets.entries()) {
    for (let bit = 0; bit < 8; bit += 1) if ((octet & (0x80 >> bit)) !== 0) bits.add(at * 8 + bit)
  }
  return bits
}
