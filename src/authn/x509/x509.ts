/**
 * X.509 client certificates, as kube-apiserver's `--client-ca-file`, with revocation, and with several authorities
 * whose names do not mix. Owns the files and which authority counts; leaves judgement to `certificate-verifier.ts`, the
 * names to `certificate-identity.ts`, and whether they may leave Archway to the identity gate.
 *
 * @module
 */
import type { CallLog } from '../../context.ts'
import { ArchwayError } from '../../errors.ts'
import type { FileReads } from '../../reload/file-set.ts'
import { type Reloading, type ReloadStatus, reloading } from '../../reload/reloading.ts'
import { type Authenticator, type AuthnResult, SKIPPED } from '../authenticator.ts'
import type { ClientCertificate } from '../request/credentials.ts'
import { identityOf, type NamePrefixes } from './certificate-identity.ts'
import { type CertificateVerdict, type CertificateVerifier, certificateVerifier } from './certificate-verifier.ts'
import { verdictMemory } from './verdict-memory.ts'

/** Authorities of one standing, and the names they may give. Paths. */
export interface X509Authority extends NamePrefixes {
  /** PEM; each certificate in it is an anchor. */
  readonly caFile: string
  /** PEM, any number of lists, or one in DER. */
  readonly crlFile?: string
  /** See {@link certificateVerifier}. */
  readonly requireCrl: boolean
}

/** What {@link x509} needs. */
export interface X509Options {
  readonly name: string
  /** In this order; a certificate of the authorities may not be in two of them. */
  readonly authorities: readonly X509Authority[]
  /** How many certificates are remembered; as many refused ones. */
  readonly entries: number
  readonly log: CallLog
  /** See {@link reloading}. */
  readonly intervalMs?: number
  /** After authorities or lists have changed: what remembers results of the old ones forgets them. */
  readonly onChange?: () => void
  readonly now?: () => Date
  readonly reads?: FileReads
}

/** The authenticator and the files behind it. */
export interface X509Authenticator
  extends Authenticator<ClientCertificate>,
    Pick<Reloading<unknown>, 'check' | 'close'> {
  status(): ReloadStatus
}

/**
 * Accepts certificates of the authorities. `skipped`: the certificate is good, and has no common name. Throws
 * `certificate_status_unknown`, and at start `file_invalid`; later mistakes in a file leave all of them as they were.
 */
export async function x509(options: X509Options): Promise<X509Authenticator> {
  const { name, authorities, entries, log, onChange, intervalMs, reads, now = () => new Date() } = options
  const paths = authorities.flatMap(({ caFile, crlFile }) => [caFile, ...(crlFile === undefined ? [] : [crlFile])])
  const files = await reloading<readonly Judge[]>({
    name,
    paths: [...new Set(paths)],
    log,
    now,
    load: (contents) => judgesFrom(authorities, contents, now),
    onChange: () => {
      memory.flush()
      onChange?.()
    },
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(reads === undefined ? {} : { reads }),
  })
  const memory = verdictMemory<AuthnResult>({
    judge: (certificate) => judged(certificate, files.current(), name),
    goodUntil: (result) => (result.kind === 'authenticated' ? result.expiresAt : undefined),
    entries,
    now,
  })

  return {
    name,
    authenticate: async (certificate) => memory.judge(certificate),
    check: files.check,
    status: files.status,
    close: files.close,
  }
}

interface Judge extends NamePrefixes, Pick<CertificateVerifier, 'verify'> {}

function judgesFrom(
  authorities: readonly X509Authority[],
  contents: ReadonlyMap<string, Buffer>,
  now: () => Date,
): readonly Judge[] {
  const seen = new Map<string, string>()
  return authorities.map(({ caFile, crlFile, requireCrl, usernamePrefix, groupPrefix }) => {
    const crl = crlFile === undefined ? {} : { crl: contentOf(crlFile, contents) }
    const names = { ca: caFile, crl: crlFile ?? '' }
    const verifier = certificateVerifier({ ca: contentOf(caFile, contents), ...crl, requireCrl, now, names })
    // Which prefix would it be? The order would decide, and nobody looks at that.
    const ids = new Set(verifier.authorities.map(({ subjectId, keyId }) => `${subjectId} ${keyId}`))
    const other = [...ids].map((id) => seen.get(id)).find((file) => file !== undefined)
    if (other !== undefined)
      throw new ArchwayError('file_invalid', `${caFile}: shares an authority with ${other}; leave it in one of them`)
    for (const id of ids) seen.set(id, caFile)
    return { verify: verifier.verify, usernamePrefix, groupPrefix }
  })
}

function contentOf(path: string, contents: ReadonlyMap<string, Buffer>): Buffer {
  const content = contents.get(path)
  if (content === undefined) throw new ArchwayError('file_invalid', `${path}: was not read`)
  return content
}

/** The first authority that the certificate is good under. What one has revoked, none after it makes good. */
function judged(certificate: ClientCertificate, judges: readonly Judge[], source: string): AuthnResult {
  let nearest: Extract<CertificateVerdict, { kind: 'refused' }> = { kind: 'refused', code: 'certificate_untrusted' }
  let unknown: unknown
  for (const judge of judges) {
    try {
      const verdict = judge.verify(certificate)
      if (verdict.kind === 'good') return accepted(verdict, judge, source)
      if (nearest.code === 'certificate_untrusted') nearest = verdict
      if (verdict.code === 'certificate_revoked') return { ...verdict, kind: 'rejected', source }
    } catch (thrown) {
      unknown ??= thrown
    }
  }
  if (unknown !== undefined) throw unknown
  return { kind: 'rejected', code: nearest.code, source }
}

function accepted(
  { path: [leaf], until }: Extract<CertificateVerdict, { kind: 'good' }>,
  prefixes: NamePrefixes,
  source: string,
): AuthnResult {
  const user = identityOf(leaf, prefixes)
  if (user === undefined) return SKIPPED
  if (user === 'invalid') return { kind: 'rejected', code: 'identity_invalid', source }
  return Object.freeze({ kind: 'authenticated', user, source, expiresAt: until })
}
