/**
 * Name constraints: which names an authority may certify. Owns their writing, by asn1js, for which @peculiar/x509 has
 * nothing; judging certificates by them is the business of whoever verifies.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.10
 * @module
 */
import 'reflect-metadata'
import { isIP } from 'node:net'
import { Extension } from '@peculiar/x509'
import { Constructed, Primitive, Sequence } from 'asn1js'
import { ArchwayError } from '../errors.ts'

/** Names a constraint is about. */
export interface ConstrainedNames {
  /** `example.org` is that and all below it. */
  readonly dns: readonly string[]
  /** Networks, `10.0.0.0/8`. */
  readonly ip: readonly string[]
}

/** Of each kind: only what is permitted where anything is, and never what is excluded. */
export interface NameConstraints {
  readonly permitted: ConstrainedNames
  readonly excluded: ConstrainedNames
}

const ID = '2.5.29.30'
const CONTEXT = 3
const [TAG_DNS, TAG_IP] = [2, 7]

/** Value of the extension, as it stands in a certificate. */
export function nameConstraintsOf(extensions: readonly Extension[]): Uint8Array | undefined {
  const found = extensions.find(({ type }) => type === ID)
  return found === undefined ? undefined : new Uint8Array(found.value)
}

/**
 * From constraints, or from the value of the extension of another certificate. Undefined where nothing is constrained.
 *
 * @throws ArchwayError `certificate_not_issued` for what is neither a domain nor a network
 */
export function nameConstraintsExtension(constraints: NameConstraints | Uint8Array): Extension | undefined {
  if (constraints instanceof Uint8Array) return new Extension(ID, true, new Uint8Array(constraints).buffer)
  const { permitted, excluded } = constraints
  const lists = [permitted, excluded].map(subtrees)
  const value = lists.flatMap((list, at) => (list.length === 0 ? [] : [contextual(at, list)]))
  return value.length === 0 ? undefined : new Extension(ID, true, new Sequence({ value }).toBER())
}

function contextual(tagNumber: number, value: Sequence[]): Constructed {
  return new Constructed({ idBlock: { tagClass: CONTEXT, tagNumber }, value })
}

function subtrees({ dns, ip }: ConstrainedNames): Sequence[] {
  return [
    ...dns.map((domain) => subtree(TAG_DNS, Buffer.from(checkedDomain(domain), 'latin1'))),
    ...ip.map((network) => subtree(TAG_IP, networkBytes(network))),
  ]
}

function subtree(tagNumber: number, bytes: Uint8Array): Sequence {
  const valueHex = new Uint8Array(bytes).buffer
  return new Sequence({ value: [new Primitive({ idBlock: { tagClass: CONTEXT, tagNumber }, valueHex })] })
}

function checkedDomain(domain: string): string {
  if (domain.length <= 253 && /^[a-z\d]([a-z\d-]*[a-z\d])?(\.[a-z\d]([a-z\d-]*[a-z\d])?)*$/i.test(domain)) return domain
  throw refused(`name constraint ${JSON.stringify(domain)}: expected a domain, such as example.org`)
}

/** Address and mask, as a certificate has them. */
function networkBytes(network: string): Uint8Array {
  const [, address = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(network) ?? []
  const bytes = addressBytes(address)
  const bits = Number(length)
  if (bytes === undefined || bits > bytes.length * 8) {
    throw refused(`name constraint ${JSON.stringify(network)}: expected a network, such as 10.0.0.0/8`)
  }
  const mask = bytes.map((_, at) => 0xff & ~(0xff >> Math.min(8, Math.max(0, bits - at * 8))))
  return Uint8Array.from([...bytes.map((octet, at) => octet & (mask[at] ?? 0)), ...mask])
}

/** The octets of an address; undefined for what is none. */
export function addressBytes(address: string): number[] | undefined {
  if (isIP(address) === 4) return address.split('.').map(Number)
  if (isIP(address) !== 6 || address.includes('%')) return undefined
  const { hostname } = new URL(`http://[${address}]/`) // the URL parser writes an IPv4 tail as hexadecimal
  const [head = '', tail] = hostname.slice(1, -1).split('::')
  const [before, after] = [groupsOf(head), groupsOf(tail ?? '')]
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length
  return [...before, ...Array<number>(zeros).fill(0), ...after].flatMap((group) => [group >> 8, group & 0xff])
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}

function refused(message: string): ArchwayError {
  return new ArchwayError('certificate_not_issued', message)
}
