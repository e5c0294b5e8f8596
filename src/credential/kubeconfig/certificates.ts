/**
 * Certificates as people compare them: whose they are, until when, and the two digests they are known by. Owns what a
 * pin is.
 *
 * @module
 */
import { createHash, X509Certificate } from 'node:crypto'
import { ArchwayError } from '../../errors.ts'

/** Every certificate of a PEM text, in order. Throws `file_invalid`, naming `what`, where there is none or a broken one. */
export function certificatesOf(pem: string, what: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) {
    throw new ArchwayError(
      'file_invalid',
      `${what}: has no certificate in it; it must be PEM (-----BEGIN CERTIFICATE-----)`,
    )
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block)
    } catch (cause) {
      throw new ArchwayError('file_invalid', `${what}: certificate ${index + 1} cannot be read`, { cause })
    }
  })
}

/** PEM of certificates and nothing else: no keys and no remarks that stood beside them. */
export function pemOf(certificates: readonly X509Certificate[]): string {
  return certificates
    .map((certificate) => certificate.toString().trimEnd())
    .join('\n')
    .concat('\n')
}

/**
 * Digest of the public key, `sha256:` and 64 digits: what kubeadm calls `--discovery-token-ca-cert-hash`. It stays when
 * the certificate is renewed under the same key.
 *
 * @see https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-join/#token-based-discovery-with-ca-pinning
 */
export function pinOf(certificate: X509Certificate): string {
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return `sha256:${createHash('sha256').update(key).digest('hex')}`
}

/**
 * Reads a pin: 64 hexadecimal digits, colons or not, `sha256:` before them or not.
 *
 * @throws ArchwayError `credential_settings_invalid`
 */
export function parsePin(text: string): string {
  const digits = text
    .replace(/^sha256:/i, '')
    .replaceAll(':', '')
    .toLowerCase()
  if (/^[0-9a-f]{64}$/.test(digits)) return `sha256:${digits}`
  throw new ArchwayError(
    'credential_settings_invalid',
    '--ca-pin: is not sha256: followed by 64 hexadecimal digits; kubeadm calls it the discovery token CA cert hash',
  )
}

/** Whether a pin is meant for this certificate: of its key, or of itself as `openssl x509 -fingerprint -sha256` has it. */
export function isPinned(certificate: X509Certificate, pin: string): boolean {
  return pinOf(certificate) === pin || `sha256:${fingerprintOf(certificate)}` === pin
}

function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase()
}

/** Whether it can be trusted by itself: an authority, or a server's own that nobody else has signed. */
export function canBeTrusted(certificate: X509Certificate): boolean {
  return certificate.ca || certificate.checkIssued(certificate)
}

/** The names a server may have by its certificate: `localhost`, `10.0.0.1`. */
export function namesOf(certificate: X509Certificate): readonly string[] {
  const names = certificate.subjectAltName?.split(', ') ?? []
  return names.map((name) => printable(name.replace(/^(DNS|IP Address):/, '')))
}

/** For people: `kubernetes-ca, until 2034-01-02`. */
export function describeCertificate(certificate: X509Certificate): string {
  const until = certificate.validToDate.toISOString().slice(0, 10)
  return `${subjectOf(certificate.subject)}, until ${until}`
}

/** The common name, or the whole subject where there is none. */
export function subjectOf(subject: string | undefined): string {
  const name = /^CN=(.*)$/m.exec(subject ?? '')?.[1] ?? (subject ?? '').replaceAll('\n', ', ')
  return JSON.stringify(printable(name))
}

/** A stranger's text on one line of a terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\u00a1-\u1fff\u3040-\ud7ff]/g, '?').slice(0, 200)
}
