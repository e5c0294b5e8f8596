/**
 * Whether a client certificate holds under some authorities: a path to one of them, and nothing on it revoked. Owns the
 * bounds of what is looked at at all; leaves the path to `path.ts`, lists to `revocation-list.ts`, files to `x509.ts`.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import type { RejectionCode } from '../authenticator.ts'
import type { ClientCertificate } from '../request/credentials.ts'
import { type Certificate, parseCertificate } from './certificate.ts'
import { MalformedError } from './der.ts'
import { commonNameOf } from './name.ts'
import { type Path, validPaths } from './path.ts'
import { parseBlocks } from './pem.ts'
import { readRevocationLists, revocations } from './revocation-list.ts'

export interface CertificateVerifierOptions {
  /** Authorities, PEM: each certificate of the bundle is an anchor, an intermediate too. */
  readonly ca: Buffer
  /** Revocation lists, PEM or one in DER. Absent: nothing is revoked. */
  readonly crl?: Buffer
  /** Whether each certificate needs a list of its issuer in force, where there is `crl`. Default true. */
  readonly requireCrl?: boolean
  readonly now?: () => Date
  /** What messages call the two. Default `ca` and `crl`. */
  readonly names?: { readonly ca: string; readonly crl: string }
}

export type CertificateVerdict =
  | {
      readonly kind: 'good'
      /** From the client's certificate to the authority. */
      readonly path: Path
      /** End of what was found: validity of all of the path, and of the lists. */
      readonly until: Date
    }
  | { readonly kind: 'refused'; readonly code: RejectionCode }

export interface CertificateVerifier {
  readonly authorities: readonly Certificate[]
  /**
   * Judges a certificate, now. Refused: `certificate_malformed`, `certificate_untrusted` (no path to an authority),
   * `certificate_expired`, `certificate_not_yet_valid`, `certificate_usage`, `certificate_revoked`,
   * `credential_too_large`. Throws `certificate_status_unknown` when a list is wanted and none is in force.
   */
  verify(certificate: ClientCertificate): CertificateVerdict
}

/** As TLS stacks bound it: certificates beside the first, and bytes of all. */
const MAX_INTERMEDIATES = 10
const MAX_BYTES = 64 * 1024

/** Throws `file_invalid` where `ca` or `crl` cannot be used. */
export function certificateVerifier(options: CertificateVerifierOptions): CertificateVerifier {
  const { ca, crl, requireCrl = true, now = () => new Date(), names = { ca: 'ca', crl: 'crl' } } = options
  const authorities = parseBlocks(ca, { where: names.ca, label: 'CERTIFICATE', parse: parseCertificate })
  const lists = crl === undefined ? [] : readRevocationLists(crl, { where: names.crl, authorities })
  const revoked = revocations(lists, { isRequired: crl !== undefined && requireCrl })

  return {
    authorities,
    verify({ leaf, intermediates }) {
      const bytes = intermediates.reduce((sum, { length }) => sum + length, leaf.length)
      if (intermediates.length > MAX_INTERMEDIATES || bytes > MAX_BYTES) return refused('credential_too_large')
      const own = parsed(leaf)
      if (own === undefined) return refused('certificate_malformed')
      const others = intermediates.map(parsed).filter((other) => other !== undefined)
      return judge(own, others)
    },
  }

  function judge(leaf: Certificate, intermediates: readonly Certificate[]): CertificateVerdict {
    const at = now().getTime()
    const paths = validPaths(leaf, { anchors: authorities, intermediates, at })
    let unknown: Certificate | undefined
    let isRevoked = false
    for (;;) {
      const found = paths.next()
      if (found.done === true) {
        if (unknown !== undefined) throw statusUnknown(unknown)
        return refused(isRevoked ? 'certificate_revoked' : found.value)
      }
      const path = found.value
      const status = revoked.statusOf(path, at)
      if (status.kind === 'good') {
        const until = Math.min(status.until, ...path.map(({ notAfter }) => notAfter))
        return { kind: 'good', path, until: new Date(until) }
      }
      if (status.kind === 'unknown') unknown ??= status.issuer
      else isRevoked = true
    }
  }

  function statusUnknown({ subject }: Certificate): ArchwayError {
    const issuer = JSON.stringify(commonNameOf(subject))
    const message = `${names.crl}: has no list of ${issuer} in force; fetch the current one, or set requireCrl: false`
    return new ArchwayError('certificate_status_unknown', message)
  }
}

function refused(code: RejectionCode): CertificateVerdict {
  return { kind: 'refused', code }
}

/** What cannot be read is no part of a path. */
function parsed(der: Uint8Array): Certificate | undefined {
  try {
    return parseCertificate(der)
  } catch (thrown) {
    if (thrown instanceof MalformedError) return undefined
    throw thrown
  }
}
