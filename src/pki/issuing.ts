/**
 * Authorities and what they issue. Owns what every certificate has whoever asks for it: a random serial number, key
 * identifiers, basic constraints, an end that is not past the authority's. Leaves who gets which certificate to the
 * callers, and files to others.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5280#section-4
 * @module
 */
import 'reflect-metadata'
import { type KeyObject, X509Certificate as NodeCertificate, randomBytes } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type Extension,
  KeyUsagesExtension,
  type Name,
  PublicKey,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { ArchwayError, messageOf } from '../errors.ts'
import { isSameKey, judgeKey, publicOf } from './keys.ts'
import { type NameConstraints, nameConstraintsExtension } from './name-constraints.ts'
import {
  altNamesExtension,
  type CertificateSubject,
  isWithoutNames,
  NO_ALT_NAMES,
  type SubjectAltNames,
  subjectName,
} from './names.ts'
import { type Usages, usageExtensions } from './usages.ts'
import { proveKeys, type SigningKeys, signingKeys } from './webcrypto-key.ts'

/** Everything a certificate says, but for what its authority adds. */
export interface CertificateTemplate extends Usages {
  readonly subject: CertificateSubject
  readonly altNames: SubjectAltNames
  /** Both to the second. */
  readonly notBefore: Date
  readonly notAfter: Date
  /** Makes it an authority itself. */
  readonly ca?: AuthorityLimits
}

export interface AuthorityLimits {
  /** How many authorities may stand between it and a leaf: 0, it issues leaves only. Absent: any number. */
  readonly pathLength?: number | undefined
  /** Or the value of the extension of another certificate. */
  readonly nameConstraints?: NameConstraints | Uint8Array | undefined
}

export interface IssuedCertificate {
  /** The certificate alone, PEM. */
  readonly certificatePem: string
  /** Hex, lower case. */
  readonly serial: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** A certificate and the key it is issued with. */
export interface Authority {
  readonly certificatePem: string
  /** Its last second. */
  readonly notAfter: Date
  /**
   * @throws ArchwayError `certificate_not_issued`: the authority has expired, ends before the template (unless it clamps),
   * or may not issue authorities; the key is weak; a name is none
   */
  issue(publicKey: KeyObject, template: CertificateTemplate): Promise<IssuedCertificate>
  /**
   * Settles where it could issue now.
   *
   * @throws ArchwayError `key_unusable` where its key signs nothing; `certificate_not_issued` where it has expired, or is
   * not valid yet
   */
  ready(): Promise<void>
}

export interface AuthorityOptions {
  /** What becomes of a template that ends after the authority: it is refused, or ends with it. Default `refuse`. */
  readonly pastEnd?: 'refuse' | 'clamp'
  readonly now?: () => Date
  readonly random?: (bytes: number) => Uint8Array
}

const SERIAL_BYTES = 16

/**
 * An authority that issues.
 *
 * @throws ArchwayError `certificate_not_issued` where the certificate is no authority's; `key_unusable` where the key
 * is not that of the certificate
 */
export function openAuthority(certificatePem: string, key: KeyObject, options: AuthorityOptions = {}): Authority {
  const { pastEnd = 'refuse', now = () => new Date(), random = randomBytes } = options
  const own = readAuthority(certificatePem)
  if (!isSameKey(own.node.publicKey, key)) {
    throw new ArchwayError('key_unusable', `the key is not that of the authority "${own.name}"`)
  }
  const keys = signingKeys(key)
  keys.catch(() => undefined) // issue() and ready() throw it; here nobody waits for it

  return {
    certificatePem,
    notAfter: own.certificate.notAfter,
    async issue(publicKey, template) {
      const notAfter = endOf(template.notAfter)
      if (template.ca !== undefined && own.pathLength === 0) {
        throw refused(`"${own.name}" issues no authorities (path length 0)`)
      }
      const name = own.certificate.subjectName
      const keyId = own.keyId ?? (await keyIdOf(own.node.publicKey))
      const issued = await certify(publicKey, { ...template, notAfter }, { name, keyId, keys: await keys, random })
      const node = new NodeCertificate(issued.certificatePem)
      if (node.checkIssued(own.node) && node.verify(own.node.publicKey)) return issued
      throw new ArchwayError('internal', `"${own.name}": a certificate came out that is not by it`)
    },
    async ready() {
      endOf(own.certificate.notAfter)
      await proveKeys(await keys)
    },
  }

  function endOf(wanted: Date): Date {
    const { notBefore: begin, notAfter: end } = own.certificate
    if (begin > now()) throw refused(`"${own.name}" is not valid before ${begin.toISOString()}; look at the clocks`)
    if (end <= now()) throw refused(`"${own.name}" has expired (${end.toISOString()})`)
    if (toSecond(wanted) <= end) return wanted
    if (pastEnd === 'clamp') return end
    throw refused(`it would end ${wanted.toISOString()}, after "${own.name}" (${end.toISOString()}); ask for less`)
  }
}

function readAuthority(certificatePem: string) {
  let certificate: X509Certificate
  let node: NodeCertificate
  try {
    certificate = new X509Certificate(certificatePem)
    node = new NodeCertificate(certificatePem)
  } catch (cause) {
    throw new ArchwayError('file_invalid', `the authority's certificate cannot be read (${messageOf(cause)})`, {
      cause,
    })
  }
  const name = certificate.subject
  const constraints = certificate.getExtension(BasicConstraintsExtension)
  const usages = certificate.getExtension(KeyUsagesExtension)
  const maySign = usages === null || (usages.usages & CERT_SIGN) !== 0
  if (constraints?.ca !== true || !maySign) throw refused(`"${name}" is the certificate of no authority`)
  const keyId = certificate.getExtension(SubjectKeyIdentifierExtension)?.keyId
  return { certificate, node, name, keyId, pathLength: constraints.pathLength }
}

const CERT_SIGN = 32

/** What {@link createAuthority} makes. */
export interface AuthorityTemplate extends AuthorityLimits {
  readonly commonName: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** Makes the certificate of an authority that nobody stands above, PEM. */
export async function createAuthority(
  key: KeyObject,
  template: AuthorityTemplate,
  { random = randomBytes }: Pick<AuthorityOptions, 'random'> = {},
): Promise<IssuedCertificate> {
  const { commonName, notBefore, notAfter, ...limits } = template
  const subject = { commonName, organizations: [] }
  return certify(
    publicOf(key),
    {
      subject,
      altNames: NO_ALT_NAMES,
      notBefore,
      notAfter,
      keyUsages: ['digital signature', 'cert sign', 'crl sign'],
      extendedKeyUsages: [],
      ca: limits,
    },
    { name: subjectName(subject), keyId: await keyIdOf(publicOf(key)), keys: await signingKeys(key), random },
  )
}

interface Issuer {
  readonly name: Name
  /** Hex. */
  readonly keyId: string
  readonly keys: SigningKeys
  readonly random: (bytes: number) => Uint8Array
}

async function certify(
  publicKey: KeyObject,
  template: CertificateTemplate,
  issuer: Issuer,
): Promise<IssuedCertificate> {
  const { subject, altNames, ca } = template
  const [notBefore, notAfter] = [toSecond(template.notBefore), toSecond(template.notAfter)]
  if (!(notBefore < notAfter)) throw refused('it would end before it begins')
  const { weakness } = judgeKey(publicKey)
  if (weakness !== undefined) throw refused(`its key: ${weakness}`)
  const isNameless = subject.commonName === '' && subject.organizations.length === 0
  if (isNameless && isWithoutNames(altNames)) throw refused('it would have no name at all')
  const serial = serialOf(issuer.random(SERIAL_BYTES))
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serial,
    subject: subjectName(subject),
    issuer: issuer.name,
    notBefore,
    notAfter,
    publicKey: new PublicKey(new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))),
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: issuer.keys.algorithm,
    extensions: [
      new BasicConstraintsExtension(ca !== undefined, ca?.pathLength, true),
      ...usageExtensions(template),
      ...present(ca?.nameConstraints === undefined ? undefined : nameConstraintsExtension(ca.nameConstraints)),
      ...present(altNamesExtension(altNames, isNameless)),
      new SubjectKeyIdentifierExtension(await keyIdOf(publicKey)),
      new AuthorityKeyIdentifierExtension(issuer.keyId),
    ],
  })
  return { certificatePem: `${certificate.toString('pem')}\n`, serial, notBefore, notAfter }
}

function present(extension: Extension | undefined): Extension[] {
  return extension === undefined ? [] : [extension]
}

/** Certificates know no parts of a second. */
function toSecond(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000)
}

/** Positive, and of the same length whatever is drawn. */
function serialOf(random: Uint8Array): string {
  const [first = 0, ...rest] = random
  return Buffer.from([(first & 0x7f) | 0x40, ...rest]).toString('hex')
}

/** SHA-1 of the key's bits (RFC 5280, 4.2.1.2): a name for it, nothing that has to withstand anybody. */
async function keyIdOf(publicKey: KeyObject): Promise<string> {
  const info = new PublicKey(new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })))
  return Buffer.from(await info.getKeyIdentifier()).toString('hex')
}

function refused(message: string): ArchwayError {
  return new ArchwayError('certificate_not_issued', message)
}
