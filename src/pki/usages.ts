/**
 * What a key is certified for, by the names Kubernetes has for it, which are those of Go's cfssl. Owns the table of
 * names, bits and object identifiers.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/certificate-signing-request-v1/
 * @module
 */
import 'reflect-metadata'
import { ExtendedKeyUsageExtension, KeyUsageFlags, KeyUsagesExtension } from '@peculiar/x509'

/** Usage → bit of the key usage extension. */
const KEY_USAGES = {
  'digital signature': KeyUsageFlags.digitalSignature,
  'content commitment': KeyUsageFlags.nonRepudiation,
  'key encipherment': KeyUsageFlags.keyEncipherment,
  'data encipherment': KeyUsageFlags.dataEncipherment,
  'key agreement': KeyUsageFlags.keyAgreement,
  'cert sign': KeyUsageFlags.keyCertSign,
  'crl sign': KeyUsageFlags.cRLSign,
  'encipher only': KeyUsageFlags.encipherOnly,
  'decipher only': KeyUsageFlags.decipherOnly,
} as const

/** Usage → object identifier of the extended key usage extension. */
const EXTENDED_KEY_USAGES = {
  any: '2.5.29.37.0',
  'server auth': '1.3.6.1.5.5.7.3.1',
  'client auth': '1.3.6.1.5.5.7.3.2',
  'code signing': '1.3.6.1.5.5.7.3.3',
  'email protection': '1.3.6.1.5.5.7.3.4',
  'ipsec end system': '1.3.6.1.5.5.7.3.5',
  'ipsec tunnel': '1.3.6.1.5.5.7.3.6',
  'ipsec user': '1.3.6.1.5.5.7.3.7',
  timestamping: '1.3.6.1.5.5.7.3.8',
  'ocsp signing': '1.3.6.1.5.5.7.3.9',
  'microsoft sgc': '1.3.6.1.4.1.311.10.3.3',
  'netscape sgc': '2.16.840.1.113730.4.1',
} as const

export type KeyUsageName = keyof typeof KEY_USAGES
export type ExtendedKeyUsageName = keyof typeof EXTENDED_KEY_USAGES

export interface Usages {
  readonly keyUsages: readonly KeyUsageName[]
  readonly extendedKeyUsages: readonly ExtendedKeyUsageName[]
}

/** Second names of the same thing. */
const SAME: ReadonlyMap<string, string> = new Map([
  ['signing', 'digital signature'],
  ['s/mime', 'email protection'],
])

/**
 * Sorts usages as a CertificateSigningRequest lists them into the two extensions: each once, in the order of their bits
 * and identifiers. `unknown`: what is no name of a usage.
 */
export function sortUsages(names: readonly string[]): Usages & { readonly unknown: readonly string[] } {
  const asked = new Set(names.map((name) => SAME.get(name) ?? name))
  const keyUsages = keysOf(KEY_USAGES).filter((name) => asked.delete(name))
  const extendedKeyUsages = keysOf(EXTENDED_KEY_USAGES).filter((name) => asked.delete(name))
  return { keyUsages, extendedKeyUsages, unknown: [...asked] }
}

function keysOf<T extends object>(table: T): (keyof T)[] {
  return Object.keys(table) as (keyof T)[]
}

/** The extensions; none where nothing is listed, for then nothing is restricted. */
export function usageExtensions({
  keyUsages,
  extendedKeyUsages,
}: Usages): (KeyUsagesExtension | ExtendedKeyUsageExtension)[] {
  const bits = keyUsages.reduce((sum, name) => sum | KEY_USAGES[name], 0)
  const identifiers = extendedKeyUsages.map((name) => EXTENDED_KEY_USAGES[name])
  return [
    ...(bits === 0 ? [] : [new KeyUsagesExtension(bits, true)]),
    ...(identifiers.length === 0 ? [] : [new ExtendedKeyUsageExtension(identifiers)]),
  ]
}

/** What was read of the extensions. */
export interface ReadUsages extends Usages {
  /** Object identifiers without a name here. */
  readonly unknown: readonly string[]
  readonly restrictsKeyUsage: boolean
  readonly restrictsExtendedKeyUsage: boolean
}

export function readUsages(
  bits: KeyUsagesExtension | undefined,
  extended: ExtendedKeyUsageExtension | undefined,
): ReadUsages {
  const identifiers = extended?.usages.map(String) ?? []
  const named = keysOf(EXTENDED_KEY_USAGES).filter((name) => identifiers.includes(EXTENDED_KEY_USAGES[name]))
  const known: readonly string[] = Object.values(EXTENDED_KEY_USAGES)
  return {
    keyUsages: keysOf(KEY_USAGES).filter((name) => ((bits?.usages ?? 0) & KEY_USAGES[name]) !== 0),
    extendedKeyUsages: named,
    unknown: identifiers.filter((identifier) => !known.includes(identifier)),
    restrictsKeyUsage: bits !== undefined,
    restrictsExtendedKeyUsage: extended !== undefined,
  }
}
