/** Authorities and names for the tests of `src/pki`. */
import 'reflect-metadata'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { BasicConstraintsExtension, PublicKey, X509CertificateGenerator } from '@peculiar/x509'
import fc from 'fast-check'
import {
  type AuthorityOptions,
  type CertificateTemplate,
  createAuthority,
  openAuthority,
} from '../../src/pki/issuing.ts'
import { generateKey } from '../../src/pki/keys.ts'
import { type CertificateSubject, NO_ALT_NAMES, type SubjectAltNames } from '../../src/pki/names.ts'

export const NOW = new Date('2030-01-01T00:00:00Z')
const DAY_MS = 86_400_000

export function later(days: number): Date {
  return new Date(NOW.getTime() + days * DAY_MS)
}

/** ECDSA P-256, good for ten years, for leaves only. */
export async function testAuthority(options: AuthorityOptions & { readonly notAfter?: Date } = {}) {
  const key = await generateKey('ecdsa-p256')
  const { certificatePem } = await createAuthority(key, {
    commonName: 'kubernetes',
    notBefore: later(-1),
    notAfter: options.notAfter ?? later(3650),
    pathLength: 0,
  })
  return { key, certificatePem, authority: openAuthority(certificatePem, key, { now: () => NOW, ...options }) }
}

/** A client called jane, for a day. */
export function client(more: Partial<CertificateTemplate> = {}): CertificateTemplate {
  return {
    subject: { commonName: 'jane', organizations: ['devs'] },
    altNames: NO_ALT_NAMES,
    notBefore: NOW,
    notAfter: later(1),
    keyUsages: ['digital signature'],
    extendedKeyUsages: ['client auth'],
    ...more,
  }
}

/** One key for tests in which any will do: making them takes the time. */
let shared: Promise<KeyObject> | undefined
export function anyKey(): Promise<KeyObject> {
  shared ??= generateKey('ecdsa-p256')
  return shared
}

/** Text that may stand in a name: all of Unicode that can be seen. */
const visible = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((text) => !/[\p{Cc}\p{Cs}]/u.test(text))

export const subject: fc.Arbitrary<CertificateSubject> = fc.record({
  commonName: fc.oneof(visible, fc.constantFrom('#0403', '"quoted"', 'a\\, b', 'a+b=c', 'system:node:n1', ' ')),
  organizations: fc.array(fc.oneof(visible, fc.constantFrom('#ff', 'CN=x, O=y', '\\0a')), { maxLength: 5 }),
})

const label = fc.stringMatching(/^[a-z]([a-z\d-]{0,10}[a-z\d])?$/)
const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))

export const altNames: fc.Arbitrary<SubjectAltNames> = fc.record({
  dns: fc.array(
    fc.oneof(
      host,
      host.map((name) => `*.${name}`),
    ),
    { maxLength: 4 },
  ),
  ip: fc.array(fc.oneof(fc.ipV4(), fc.ipV6().map(canonical)), { maxLength: 4 }),
  email: fc.array(
    fc.tuple(label, host).map(([local, domain]) => `${local}@${domain}`),
    { maxLength: 2 },
  ),
  uri: fc.array(
    host.map((name) => `spiffe://${name}/x`),
    { maxLength: 2 },
  ),
})

function canonical(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1)
}

/** An authority by the look of it, whose key no certificate here is signed with: secp256k1. */
export async function unusableAuthority() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
  const signer = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.create({
    subject: 'CN=unusable',
    issuer: 'CN=somebody',
    notBefore: new Date('2020-01-01T00:00:00Z'),
    notAfter: new Date('2050-01-01T00:00:00Z'),
    publicKey: new PublicKey(new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))),
    signingKey: signer.privateKey,
    signingAlgorithm: algorithm,
    extensions: [new BasicConstraintsExtension(true, 0, true)],
  })
  return { certificatePem: `${certificate.toString('pem')}\n`, privateKey }
}
