/**
 * A serving certificate on the spot, for trying things out: a CA that lives as long as the process, and one
 * certificate of it. PEM out; where it goes is the caller's business.
 *
 * @module
 */
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'

export interface ServingCertificate {
  /** CA certificate, PEM: what clients trust. Its key is not kept. */
  readonly ca: string
  /** Serving certificate, PEM. */
  readonly certificate: string
  /** Private key of the serving certificate, PKCS #8 PEM. */
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

/** Makes a CA and a serving certificate, both ECDSA P-256. */
export async function servingCertificate(options: ServingCertificateOptions): Promise<ServingCertificate> {
  const { names, addresses, days, now = () => new Date() } = options
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
    subject: 'CN=archway',
    issuer: ca.subject,
    notBefore,
    notAfter,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        ...names.map((value) => ({ type: 'dns' as const, value })),
        ...addresses.map((value) => ({ type: 'ip' as const, value })),
      ]),
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
