/**
 * The names a certificate carries: its subject, as far as Kubernetes looks at it, and its alternative names. Owns how
 * they stand in a certificate and how they are read again; leaves who may have which name to others.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.6
 * @module
 */
import 'reflect-metadata'
import { isIP } from 'node:net'
import {
  type GeneralName,
  type JsonGeneralName,
  type JsonNameParams,
  Name,
  SubjectAlternativeNameExtension,
} from '@peculiar/x509'
import { ArchwayError } from '../errors.ts'

/** What kube-apiserver makes a user of: the common name is the user, each organization a group. */
export interface CertificateSubject {
  /** May be empty where there are alternative names. */
  readonly commonName: string
  /** In this order, each in an attribute set of its own, so that the order stays. */
  readonly organizations: readonly string[]
}

export interface SubjectAltNames {
  /** Host names; the first label may be `*`. */
  readonly dns: readonly string[]
  /** IPv4 or IPv6, as text. */
  readonly ip: readonly string[]
  readonly email: readonly string[]
  readonly uri: readonly string[]
}

export const NO_ALT_NAMES: SubjectAltNames = Object.freeze({ dns: [], ip: [], email: [], uri: [] })

/** Whether there is no name at all. */
export function isWithoutNames({ dns, ip, email, uri }: SubjectAltNames): boolean {
  return dns.length + ip.length + email.length + uri.length === 0
}

/** Attributes of a name as text, in the order of the certificate; values that are no text are left out of them. */
export interface ReadSubject extends CertificateSubject {
  /** All of them; {@link CertificateSubject.commonName} is the last, as with kube-apiserver. */
  readonly commonNames: readonly string[]
  /** Whether there is anything but common names and organizations, or a value that is no text. */
  readonly hasOthers: boolean
  /** One line, for people. */
  readonly text: string
}

export function readSubject(name: Name): ReadSubject {
  const commonNames = name.getField('CN')
  const organizations = name.getField('O')
  const written = name.toJSON().flatMap((set) => Object.entries(set).flatMap(([type, values]) => asPairs(type, values)))
  const plain = [...commonNames.map((value) => pair('CN', value)), ...organizations.map((value) => pair('O', value))]
  return {
    commonName: commonNames.at(-1) ?? '',
    organizations,
    commonNames,
    hasOthers: written.sort().join('\n') !== plain.sort().join('\n'),
    text: name.toString(),
  }
}

function asPairs(type: string, values: readonly unknown[]): string[] {
  return values.map((value) => pair(type, typeof value === 'string' ? value : JSON.stringify(value)))
}

function pair(type: string, value: string): string {
  return JSON.stringify([type, value])
}

/**
 * The name for a certificate: organizations first, as Go writes them, and every value as UTF-8 text, never as DER.
 *
 * @throws ArchwayError `certificate_not_issued` for what cannot be seen, or is no text
 */
export function subjectName({ commonName, organizations }: CertificateSubject): Name {
  for (const value of [commonName, ...organizations]) {
    if (/[\p{Cc}\p{Cs}]/u.test(value)) {
      throw new ArchwayError('certificate_not_issued', `${JSON.stringify(value)}: has characters that cannot be seen`)
    }
  }
  const json: JsonNameParams = [
    ...organizations.map((value) => ({ O: [{ utf8String: value }] })),
    ...(commonName === '' ? [] : [{ CN: [{ utf8String: commonName }] }]),
  ]
  return new Name(json)
}

/**
 * The extension with these names; undefined without any.
 *
 * @param isCritical has to be where the subject is empty (RFC 5280, 4.2.1.6)
 * @throws ArchwayError `certificate_not_issued` for a name that is not of its kind
 */
export function altNamesExtension(
  names: SubjectAltNames,
  isCritical: boolean,
): SubjectAlternativeNameExtension | undefined {
  if (isWithoutNames(names)) return undefined
  const json: JsonGeneralName[] = [
    ...names.dns.map((value) => ({ type: 'dns' as const, value: checked('DNS name', value, isHostName(value)) })),
    ...names.ip.map((value) => ({ type: 'ip' as const, value: checked('IP address', value, isAddress(value)) })),
    ...names.email.map((value) => ({ type: 'email' as const, value: checked('mail address', value, isMail(value)) })),
    ...names.uri.map((value) => ({ type: 'url' as const, value: checked('URI', value, isUri(value)) })),
  ]
  return new SubjectAlternativeNameExtension(json, isCritical)
}

function checked(what: string, value: string, isGood: boolean): string {
  if (isGood) return value
  throw new ArchwayError('certificate_not_issued', `${JSON.stringify(value)} is no ${what}`)
}

/** A name as a certificate may carry it; capital letters too, since requests have them. */
export function isHostName(text: string): boolean {
  return (
    text.length <= 253 &&
    /^(\*\.)?[a-z\d_]([a-z\d_-]{0,61}[a-z\d_])?(\.[a-z\d_]([a-z\d_-]{0,61}[a-z\d_])?)*$/i.test(text)
  )
}

function isAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes('%')
}

function isMail(text: string): boolean {
  return /^[!-?A-~]+@[!-?A-~]+$/.test(text)
}

function isUri(text: string): boolean {
  return /^[!-~]+$/.test(text) && URL.canParse(text)
}

/** What was read of an alternative-names extension. */
export interface ReadAltNames extends SubjectAltNames {
  /** Kinds that are there beside the four: `dn`, `id`, `upn`, `guid`. */
  readonly otherKinds: readonly string[]
}

export function readAltNames(extension: SubjectAlternativeNameExtension | undefined): ReadAltNames {
  const items: readonly GeneralName[] = extension?.names.items ?? []
  const of = (kind: GeneralName['type']): string[] => items.flatMap(({ type, value }) => (type === kind ? [value] : []))
  const others = items.map(({ type }) => type).filter((type) => !['dns', 'ip', 'email', 'url'].includes(type))
  return { dns: of('dns'), ip: of('ip'), email: of('email'), uri: of('url'), otherKinds: [...new Set(others)] }
}
