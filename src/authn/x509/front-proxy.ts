/**
 * Which certificates are a front proxy's, so that the identity headers beside them count: a path to its own
 * authorities, and one of the names that were allowed.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/authentication/#authenticating-proxy
 * @module
 */
import type { RequestHeaderOptions } from '../request/request-header.ts'
import {
  type CertificateVerdict,
  type CertificateVerifierOptions,
  certificateVerifier,
} from './certificate-verifier.ts'
import { commonNameOf } from './name.ts'
import { verdictMemory } from './verdict-memory.ts'

export interface FrontProxyVerifierOptions extends CertificateVerifierOptions {
  /** Common names, exactly as written. Empty: every certificate of the authorities, one without a name included. */
  readonly allowedNames: readonly string[]
}

/** A front proxy has one certificate; the rest is room for renewals and replicas. */
const ENTRIES = 256

/**
 * What {@link RequestHeaderOptions.frontProxy} asks. Made anew when a file changes. Throws `file_invalid` where `ca` or
 * `crl` cannot be used; the function it gives throws `certificate_status_unknown`.
 */
export function frontProxyVerifier(options: FrontProxyVerifierOptions): RequestHeaderOptions['frontProxy'] {
  const { verify } = certificateVerifier(options)
  const allowed = new Set(options.allowedNames)
  const memory = verdictMemory<CertificateVerdict>({
    judge: verify,
    goodUntil: (verdict) => (verdict.kind === 'good' ? verdict.until : undefined),
    entries: ENTRIES,
    now: options.now ?? (() => new Date()),
  })
  return (certificate) => {
    const verdict = memory.judge(certificate)
    if (verdict.kind === 'refused') return 'certificate_untrusted'
    return allowed.size === 0 || allowed.has(commonNameOf(verdict.path[0].subject))
      ? undefined
      : 'certificate_forbidden'
  }
}
