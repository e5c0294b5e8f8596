/**
 * Certificates for tests, made in the process: an authority, what it issues, and files of them. P-256 throughout.
 *
 * @module
 */
import { webcrypto } from 'node:crypto'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import 'reflect-metadata' // before x509, which is built on it
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const DAY_MS = 86_400_000

/** A certificate and its key, both PEM. */
export interface Issued {
  readonly cert: string
  readonly key: string
}

export interface IssueOptions {
  readonly commonName?: string
  readonly organizations?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  /** Default: yesterday to tomorrow. */
  readonly notBefore?: Date
  readonly notAfter?: Date
}

/** A certificate authority. */
export interface TestAuthority {
  /** Its own certificate, PEM. */
  readonly cert: string
  readonly key: string
  /** For `127.0.0.1` and `localhost`, unless told otherwise. */
  server(options?: IssueOptions): Promise<Issued>
  client(options: IssueOptions): Promise<Issued>
}

/** Makes an authority; two of the same name are still two. */
export async function createAuthority(name = 'Test CA'): Promise<TestAuthority> {
  const keys = await newKeys()
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: `CN=${name}`,
    keys,
    signingAlgorithm: ALGORITHM,
    ...validity({}),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return {
    cert: `${certificate.toString('pem')}\n`,
    key: await privatePem(keys),
    server: (options = {}) =>
      issue(
        { commonName: 'localhost', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], ...options },
        ExtendedKeyUsage.serverAuth,
      ),
    client: (options) => issue(options, ExtendedKeyUsage.clientAuth),
  }

  async function issue(options: IssueOptions, usage: ExtendedKeyUsage): Promise<Issued> {
    const own = await newKeys()
    const names: JsonGeneralName[] = [
      ...(options.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
      ...(options.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
    ]
    const issued = await X509CertificateGenerator.create({
      serialNumber: newSerial(),
      subject: [
        ...(options.organizations ?? []).map((value) => ({ O: [value] })),
        ...(options.commonName === undefined ? [] : [{ CN: [options.commonName] }]),
      ],
      issuer: certificate.subject,
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: ALGORITHM,
      ...validity(options),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([usage]),
        await AuthorityKeyIdentifierExtension.create(keys.publicKey),
        ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names)]),
      ],
    })
    return { cert: `${issued.toString('pem')}\n`, key: await privatePem(own) }
  }
}

/** A folder of files for one test. */
export interface TestFolder {
  path(name: string): string
  /** Writes by replacing, as a careful program does; returns the path. */
  write(name: string, content: string): Promise<string>
  remove(): Promise<void>
}

export async function createFolder(): Promise<TestFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'archway-test-'))
  return {
    path: (name) => join(folder, name),
    async write(name, content) {
      const path = join(folder, name)
      await writeFile(`${path}.new`, content, { mode: 0o600 })
      await rename(`${path}.new`, path)
      return path
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

function newKeys(): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']) as Promise<CryptoKeyPair>
}

type CryptoKeyPair = webcrypto.CryptoKeyPair

async function privatePem({ privateKey }: CryptoKeyPair): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', privateKey), 'PRIVATE KEY')}\n`
}

/** Positive and unlike any other: OpenSSL tells two certificates of one issuer apart by it. */
function newSerial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(12))
  return `01${Buffer.from(bytes).toString('hex')}`
}

function validity({ notBefore, notAfter }: IssueOptions): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: notBefore ?? new Date(Date.now() - DAY_MS),
    notAfter: notAfter ?? new Date(Date.now() + DAY_MS),
  }
}
