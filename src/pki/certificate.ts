/**
 * Certificates as they are looked at: what each says, and which issued which. Nothing here is believed; whether a
 * client may come in with one is decided by whoever verifies.
 *
 * @module
 */
import 'reflect-metadata'
import { type KeyObject, X509Certificate as NodeCertificate } from 'node:crypto'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
} from '@peculiar/x509'
import { ArchwayError, messageOf } from '../errors.ts'
import { judgeKey, type KeyJudgement } from './keys.ts'
import { nameConstraintsOf } from './name-constraints.ts'
import { type ReadAltNames, type ReadSubject, readAltNames, readSubject } from './names.ts'
import { readPem, writePem } from './pem.ts'
import { type ReadUsages, readUsages } from './usages.ts'

export interface CertificateFacts {
  readonly der: Buffer
  /** One block. */
  readonly pem: string
  readonly subject: ReadSubject
  /** One line, for people. */
  readonly issuer: string
  /** Hex. */
  readonly serial: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly altNames: ReadAltNames
  readonly usages: ReadUsages
  readonly isAuthority: boolean
  readonly pathLength: number | undefined
  /** Value of the extension, as it stands there. */
  readonly nameConstraints: Uint8Array | undefined
  readonly publicKey: KeyObject
  readonly key: KeyJudgement
  /** `SHA-256`; empty where the algorithm has its own, as Ed25519; the object identifier where it has no name here. */
  readonly signatureHash: string
  /** SHA-256 of the DER, hex. */
  readonly fingerprint: string
  /** Signed by its own key. */
  readonly isSelfSigned: boolean
}

const LIMITS = { berOptions: { maxDepth: 32, maxNodes: 10_000 } } as const
const MOST_BYTES = 256 * 1024

/**
 * Takes a certificate apart.
 *
 * @throws ArchwayError `file_invalid`, naming `where`
 */
export function readCertificate(der: Buffer, where: string): CertificateFacts {
  if (der.length > MOST_BYTES) throw unreadable(where, 'is longer than 256 KiB')
  try {
    return factsOf(der)
  } catch (cause) {
    throw unreadable(where, `cannot be read (${messageOf(cause)})`, cause)
  }
}

/** All certificates of a PEM text, in order; other blocks do not matter. Throws `file_invalid`, naming the line. */
export function readCertificates(pem: string, where: string): CertificateFacts[] {
  return readPem(pem).flatMap(({ label, der, line }) => {
    if (label !== 'CERTIFICATE') return []
    if (der === undefined) throw unreadable(`${where}: line ${line}`, 'is cut off, or not base64')
    return [readCertificate(der, `${where}: line ${line}`)]
  })
}

function factsOf(der: Buffer): CertificateFacts {
  const certificate = new X509Certificate(new Uint8Array(der), LIMITS)
  const node = new NodeCertificate(der)
  if (node.raw.length !== der.length) throw new Error('something stands after its end')
  const extensions = certificate.extensions
  const of = <T extends Extension>(type: new (raw: ArrayBuffer) => T): T | undefined =>
    extensions.find((extension) => extension instanceof type) as T | undefined
  const basic = of(BasicConstraintsExtension)
  return {
    der,
    pem: writePem('CERTIFICATE', der),
    subject: readSubject(certificate.subjectName),
    issuer: certificate.issuer,
    serial: certificate.serialNumber,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    altNames: readAltNames(of(SubjectAlternativeNameExtension)),
    usages: readUsages(of(KeyUsagesExtension), of(ExtendedKeyUsageExtension)),
    isAuthority: basic?.ca === true,
    pathLength: basic?.pathLength,
    nameConstraints: nameConstraintsOf(extensions),
    publicKey: node.publicKey,
    key: judgeKey(node.publicKey),
    signatureHash: hashOf(certificate),
    fingerprint: node.fingerprint256.replaceAll(':', '').toLowerCase(),
    isSelfSigned: node.checkIssued(node) && verifies(node, node.publicKey),
  }
}

function hashOf({ signatureAlgorithm }: X509Certificate): string {
  const { name, hash } = signatureAlgorithm as { readonly name: string; readonly hash?: { readonly name: string } }
  return hash?.name ?? (/^(Ed25519|EdDSA)$/i.test(name) ? '' : name)
}

/** OpenSSL throws at keys and signatures that do not go together. */
function verifies(node: NodeCertificate, key: KeyObject): boolean {
  try {
    return node.verify(key)
  } catch {
    return false
  }
}

/** Whether one has signed the other, and may have. */
export function isIssuedBy(child: CertificateFacts, issuer: CertificateFacts): boolean {
  if (!issuer.isAuthority) return false
  const [node, above] = [new NodeCertificate(child.der), new NodeCertificate(issuer.der)]
  return node.checkIssued(above) && verifies(node, above.publicKey)
}

export function isSameCertificate(one: CertificateFacts, other: CertificateFacts): boolean {
  return one.der.equals(other.der)
}

/** From a certificate upwards among these, each once: itself, who issued it, and so on as far as it goes. */
export function chainOf(leaf: CertificateFacts, among: readonly CertificateFacts[]): readonly CertificateFacts[] {
  const chain = [leaf]
  for (let last = leaf; !last.isSelfSigned; ) {
    const issuer = among.find((one) => !chain.includes(one) && isIssuedBy(last, one))
    if (issuer === undefined) break
    chain.push(issuer)
    last = issuer
  }
  return chain
}

/** Whether it may be shown by a server, by its usages; those without usages may be shown by anybody. */
export function isForServers({ usages, isAuthority }: CertificateFacts): boolean {
  return !isAuthority && usages.extendedKeyUsages.some((usage) => usage === 'server auth' || usage === 'any')
}

export function isForClients({ usages }: CertificateFacts): boolean {
  const { extendedKeyUsages, restrictsExtendedKeyUsage } = usages
  return !restrictsExtendedKeyUsage || extendedKeyUsages.some((usage) => usage === 'client auth' || usage === 'any')
}

function unreadable(where: string, message: string, cause?: unknown): ArchwayError {
  return new ArchwayError('file_invalid', `${where}: the certificate ${message}`, { cause })
}
