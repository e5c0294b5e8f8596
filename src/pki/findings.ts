/**
 * What is wrong with a certificate, or might soon be. Owns the judgement and its words; leaves to the commands what
 * becomes of it.
 *
 * @module
 */
import { type CertificateFacts, isForServers } from './certificate.ts'
import { isWithoutNames } from './names.ts'

/** From harmless to harmful; `unknown`: it could not be told. */
export const SEVERITIES = ['note', 'unknown', 'warning', 'critical'] as const
export type Severity = (typeof SEVERITIES)[number]

export interface Finding {
  readonly severity: Severity
  /** Stable, for programs. */
  readonly code: FindingCode
  /** For people; says what to do. */
  readonly message: string
}

export type FindingCode =
  | 'authority_shared'
  | 'chain_incomplete'
  | 'ends_after_authority'
  | 'expired'
  | 'expires_soon'
  | 'file_mode'
  | 'file_unreadable'
  | 'key_encrypted'
  | 'key_mismatch'
  | 'key_missing'
  | 'key_weak'
  | 'names_missing'
  | 'not_yet_valid'
  | 'past_rbac'
  | 'rotation_open'
  | 'signature_weak'
  | 'wrong_authority'

/** When somebody is to be told that a certificate ends. */
export interface Thresholds {
  readonly warnDays: number
  readonly criticalDays: number
}

export const THRESHOLDS: Thresholds = { warnDays: 30, criticalDays: 7 }

const DAY_MS = 86_400_000
const WEAK_HASHES: ReadonlySet<string> = new Set(['SHA-1', '1.2.840.113549.1.1.4', '1.2.840.113549.1.1.2'])

/** What is wrong with the certificate alone, whatever it lies beside. */
export function findingsOf(certificate: CertificateFacts, now: Date, thresholds = THRESHOLDS): readonly Finding[] {
  return [
    ...validity(certificate, now, thresholds),
    ...when(certificate.key.weakness !== undefined, 'critical', 'key_weak', `its key: ${certificate.key.weakness}`),
    ...when(
      WEAK_HASHES.has(certificate.signatureHash) && !certificate.isSelfSigned,
      'critical',
      'signature_weak',
      `is signed with ${certificate.signatureHash}, which can be forged and which Kubernetes refuses; issue it again`,
    ),
    ...when(
      isForServers(certificate) && isWithoutNames(certificate.altNames),
      'critical',
      'names_missing',
      'is for a server and has no alternative name: no client takes it, the common name does not count',
    ),
    ...when(
      certificate.subject.organizations.includes('system:masters') && !certificate.isAuthority,
      'note',
      'past_rbac',
      'is in system:masters: it is past all authorization, and cannot be revoked',
    ),
  ]
}

/**
 * Of a certificate for a short time, the thresholds are a third and a sixth of that time: it would be expiring all its
 * life.
 */
function validity(
  certificate: CertificateFacts,
  now: Date,
  { warnDays, criticalDays }: Thresholds,
): readonly Finding[] {
  const { notBefore, notAfter } = certificate
  const [life, left] = [notAfter.getTime() - notBefore.getTime(), notAfter.getTime() - now.getTime()]
  if (left < 0) return [finding('critical', 'expired', `has expired, ${notAfter.toISOString()}; renew it`)]
  if (notBefore > now) {
    return [finding('critical', 'not_yet_valid', `is not valid before ${notBefore.toISOString()}; look at the clocks`)]
  }
  const message = `expires in ${duration(left)}, ${notAfter.toISOString()}; renew it`
  if (left < Math.min(criticalDays * DAY_MS, life / 6)) return [finding('critical', 'expires_soon', message)]
  return when(left < Math.min(warnDays * DAY_MS, life / 3), 'warning', 'expires_soon', message)
}

/** `41 days`, `5 hours`, `12 minutes`. */
export function duration(ms: number): string {
  const [unit, size] = ms >= 2 * DAY_MS ? ['day', DAY_MS] : ms >= 7_200_000 ? ['hour', 3_600_000] : ['minute', 60_000]
  const count = Math.floor(ms / Number(size))
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

export function finding(severity: Severity, code: FindingCode, message: string): Finding {
  return { severity, code, message }
}

export function when(holds: boolean, ...of: Parameters<typeof finding>): readonly Finding[] {
  return holds ? [finding(...of)] : []
}
