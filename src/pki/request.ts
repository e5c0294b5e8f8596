/**
 * Certificate signing requests, PKCS #10: made, and read. What is read is what somebody wants, whose key has signed it;
 * nothing of it is granted here. Every way in which a request is none ends in one error.
 *
 * @see https://www.rfc-editor.org/rfc/rfc2986
 * @module
 */
import 'reflect-metadata'
import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from '@peculiar/x509'
import { type BaseBlock, BitString, Constructed, fromBER, Sequence } from 'asn1js'
import { ArchwayError, messageOf } from '../errors.ts'
import { judgeKey, type KeyJudgement } from './keys.ts'
import {
  altNamesExtension,
  type CertificateSubject,
  type ReadAltNames,
  type ReadSubject,
  readAltNames,
  readSubject,
  type SubjectAltNames,
  subjectName,
} from './names.ts'
import { readPem } from './pem.ts'
import { type ReadUsages, readUsages } from './usages.ts'
import { signingKeys } from './webcrypto-key.ts'

/** What a request asks for. */
export interface CertificateRequest {
  readonly subject: ReadSubject
  readonly altNames: ReadAltNames
  /** Has signed the request. */
  readonly publicKey: KeyObject
  readonly key: KeyJudgement
  /** `SHA-256`, or `SHA-1`, which proves little; empty for Ed25519. */
  readonly signatureHash: string
  /** What the request would have the certificate be for. kube-controller-manager goes by other things. */
  readonly usages: ReadUsages
  /** Whether it asks for the certificate of an authority. */
  readonly wantsAuthority: boolean
  /** Object identifiers of everything requested, in order. */
  readonly extensions: readonly string[]
}

/** More than anybody needs; what takes long to read is longer. */
const MOST_CHARACTERS = 64 * 1024
const LIMITS = { maxDepth: 32, maxNodes: 10_000 } as const

/**
 * Reads the one PEM block of a text, which has to be a CERTIFICATE REQUEST, and checks its signature. Of two, whoever
 * approves might be shown the one and a signer that reads otherwise sign the other.
 *
 * @throws ArchwayError `certificate_request_invalid`
 */
export function readRequest(pem: string): CertificateRequest {
  if (pem.length > MOST_CHARACTERS) throw invalid('is longer than 64 KiB')
  if (pem.split('-----BEGIN').length > 2) throw invalid('has more than one PEM block')
  const [block] = readPem(pem)
  if (block === undefined) throw invalid('has no PEM block')
  if (block.label !== 'CERTIFICATE REQUEST') throw invalid(`is labelled ${block.label}, not CERTIFICATE REQUEST`)
  if (block.der === undefined || block.hasHeaders) throw invalid('is cut off, or not base64')
  const der = new Uint8Array(block.der)
  return attempt(() => requestOf(der))
}

/** The libraries throw errors of every kind at what is no request. */
function attempt<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof ArchwayError) throw cause
    throw invalid(`cannot be read (${messageOf(cause)})`, cause)
  }
}

function requestOf(der: Uint8Array<ArrayBuffer>): CertificateRequest {
  const request = new Pkcs10CertificateRequest(der, { berOptions: LIMITS })
  const publicKey = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: 'der', type: 'spki' })
  const signature = signatureOf(request, der)
  if (!isSignedBy(signature, publicKey)) throw invalid('is not signed by the key in it')
  const extensions = requestedExtensions(request)
  const of = <T extends Extension>(type: new (raw: ArrayBuffer) => T): T | undefined =>
    extensions.find((extension) => extension instanceof type) as T | undefined
  return {
    subject: readSubject(request.subjectName),
    altNames: readAltNames(of(SubjectAlternativeNameExtension)),
    publicKey,
    key: judgeKey(publicKey),
    signatureHash: signature.hash,
    usages: readUsages(of(KeyUsagesExtension), of(ExtendedKeyUsageExtension)),
    wantsAuthority: of(BasicConstraintsExtension)?.ca === true,
    extensions: extensions.map(({ type }) => type),
  }
}

/** One of each: of two, one reader would take the first, another the last. */
function requestedExtensions(request: Pkcs10CertificateRequest): readonly Extension[] {
  const attributes = request.attributes.filter(({ type }) => type === EXTENSION_REQUEST)
  const [attribute, second] = attributes
  if (second !== undefined || (attribute?.values.length ?? 1) !== 1) throw invalid('requests extensions twice')
  const extensions = request.extensions
  if (new Set(extensions.map(({ type }) => type)).size !== extensions.length)
    throw invalid('requests an extension twice')
  return extensions
}

const EXTENSION_REQUEST = '1.2.840.113549.1.9.14'

interface Signature {
  readonly algorithm: string
  /** Empty where the algorithm has its own. */
  readonly hash: string
  readonly signedBytes: Uint8Array
  readonly bytes: Uint8Array
}

/**
 * The signed bytes are those that came: what is written anew might not be the same. What is not signed has one form, so
 * that a request has one form.
 */
function signatureOf(request: Pkcs10CertificateRequest, der: Uint8Array): Signature {
  const { result, offset } = fromBER(Uint8Array.from(der), LIMITS)
  const members = result instanceof Sequence ? result.valueBlock.value : []
  const [signed, algorithm, bits] = members
  if (signed === undefined || members.length !== 3 || offset !== der.length || !isExact(result)) {
    throw invalid('has parts that do not fit together')
  }
  const isPlain =
    algorithm?.valueBeforeDecodeView[0] === SEQUENCE_TAG &&
    bits instanceof BitString &&
    !bits.idBlock.isConstructed &&
    bits.valueBlock.unusedBits === 0
  if (!isPlain) throw invalid('has a malformed signature')
  const { name, hash } = request.signatureAlgorithm as {
    readonly name: string
    readonly hash?: { readonly name: string }
  }
  const signedBytes = signed.valueBeforeDecodeView
  return { algorithm: name, hash: hash?.name ?? '', signedBytes, bytes: new Uint8Array(request.signature) }
}

/** The algorithm is the request's, the kind of key is the key's; one that does not go with the other is no signature. */
function isSignedBy({ algorithm, hash, signedBytes, bytes }: Signature, key: KeyObject): boolean {
  if (ALGORITHMS_OF.get(key.asymmetricKeyType ?? '')?.includes(algorithm) !== true) return false
  if ((hash === '') !== (key.asymmetricKeyType === 'ed25519')) return false
  const padding = algorithm === 'RSA-PSS' ? { padding: constants.RSA_PKCS1_PSS_PADDING } : {}
  return verify(hash === '' ? null : hash, signedBytes, { key, ...padding }, bytes)
}

const SEQUENCE_TAG = 0x30

/** Whether every part is as long as what is in it; the decoder lets a part reach past the one around it. */
function isExact(block: BaseBlock): boolean {
  if (block.lenBlock.isIndefiniteForm) return false
  if (!(block instanceof Constructed)) return true
  const parts = block.valueBlock.value
  const inside = parts.reduce((sum, part) => sum + part.valueBeforeDecodeView.length, 0)
  return inside === block.lenBlock.length && parts.every(isExact)
}

/** Type of key → what it signs with. */
const ALGORITHMS_OF: ReadonlyMap<string, readonly string[]> = new Map([
  ['rsa', ['RSASSA-PKCS1-v1_5', 'RSA-PSS']],
  ['ec', ['ECDSA']],
  ['ed25519', ['Ed25519', 'EdDSA']],
])

/** Asks for a certificate; PEM. Throws `certificate_not_issued` for a name that is none. */
export async function createRequest(
  key: KeyObject,
  subject: CertificateSubject,
  altNames: SubjectAltNames,
): Promise<string> {
  const { algorithm, privateKey, publicKey } = await signingKeys(key)
  const extension = altNamesExtension(altNames, subject.commonName === '' && subject.organizations.length === 0)
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: subjectName(subject),
    keys: { privateKey, publicKey },
    signingAlgorithm: algorithm,
    extensions: extension === undefined ? [] : [extension],
  })
  return `${request.toString('pem')}\n`
}

function invalid(message: string, cause?: unknown): ArchwayError {
  return new ArchwayError('certificate_request_invalid', `the certificate signing request ${message}`, { cause })
}
