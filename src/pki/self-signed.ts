/**
 * Certificates on the spot, for trying things out: a CA that lives as long as the call, and one certificate of it, for
 * a server or a client. PEM out; where it goes is the caller's business.
 *
 * @module
 */
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'

/** A certificate with its CA. */
export interface SelfSigned {
  /** CA certificate, PEM: what the other side trusts. Its key is not kept. */
  readonly ca: string
  /** The certificate, PEM. */
  readonly certificate: string
  /** Its private key, PKCS #8 PEM. */
  readonly key: string
}

export interface ServingCertificateOptions {
  /** DNS names the certificate is for. */
  readonly names: readonly string[]
  /** IP addresses the certificate is for. */
  readonly addresses: readonly string[]
  readonly days: number
  readonly now?: () => Date
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

export interface ClientCertificateOptions {
  readonly commonName: string
  readonly days: number
  readonly now?: () => Date
}

/** Makes a CA and a serving certificate, both ECDSA P-256. */
export function servingCertificate({ names, addresses, ...rest }: ServingCertificateOptions): Promise<SelfSigned> {
  const altNames = new x509.SubjectAlternativeNameExtension([
    ...names.map((value) => ({ type: 'dns' as const, value })),
    ...addresses.map((value) => ({ type: 'ip' as const, value })),
  ])
  return selfSigned({ ...rest, commonName: 'archway', extensions: [serverAuth(), altNames] })
}

/** Makes a CA and a client certificate, both ECDSA P-256. */
export function clientCertificate(options: ClientCertificateOptions): Promise<SelfSigned> {
  return selfSigned({
    ...options,
    extensions: [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])],
  })
}

function serverAuth(): x509.Extension {
  return new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth])
}

interface Options extends ClientCertificateOptions {
  readonly extensions: readonly x509.Extension[]
}

async function selfSigned(options: Options): Promise<SelfSigned> {
  const { commonName, days, extensions, now = () => new Date() } = options
  const notBefore = new Date(now().getTime() - 60_000)
  const notAfter = new Date(now().getTime() + days * 86_400_000)
  const caKeys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Archway demonstration CA',
    notBefore,
    notAfter,
    keys: caKeys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey, false),
    ],
  })
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [commonName] }],
    issuer: ca.subject,
    notBefore,
    notAfter,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      ...extensions,
      await x509.AuthorityKeyIdentifierExtension.create(ca, false),
    ],
  })
  const exported = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey))
  return {
    ca: `${ca.toString('pem')}\n`,
    certificate: `${certificate.toString('pem')}\n`,
    key: `${x509.PemConverter.encode(exported, 'PRIVATE KEY')}\n`,
  }
}
