/**
 * What is wrong with a cluster's certificates taken together: chains, keys, who may read them, and authorities that
 * have to be two. Owns the judgement; leaves reading to `holdings.ts`.
 *
 * @module
 */
import { type CertificateFacts, chainOf, isSameCertificate } from './certificate.ts'
import { type Finding, finding, findingsOf, SEVERITIES, type Severity, type Thresholds, when } from './findings.ts'
import type { HeldKey, Holding, Holdings } from './holdings.ts'
import { isSameKey } from './keys.ts'
import type { AuthorityName } from './layout.ts'
import { PROFILES } from './profiles.ts'

export interface CheckOptions {
  readonly now: Date
  readonly thresholds: Thresholds
}

/** One certificate and what is to be said of it. */
export interface CheckedItem {
  readonly name: string
  /** Undefined where it could not be read. */
  readonly certificate: CertificateFacts | undefined
  readonly findings: readonly Finding[]
}

/** Judges all of them, in their order. */
export function checkHoldings({ found, unreadable }: Holdings, options: CheckOptions): readonly CheckedItem[] {
  const authorities = found.filter(({ authority }) => authority !== undefined)
  const items = found.flatMap((holding) => checkHolding(holding, authorities, options))
  const failed = unreadable.map(({ name, why }) => ({
    name,
    certificate: undefined,
    findings: [finding('unknown', 'file_unreadable', why)],
  }))
  return [...items, ...failed]
}

/** The worst of all; undefined where there is none. */
export function worstOf(findings: readonly Finding[]): Severity | undefined {
  return SEVERITIES.findLast((severity) => findings.some((one) => one.severity === severity))
}

/** Of a bundle each certificate has its own findings: the old one of a rotation may end before the new one. */
function checkHolding(
  holding: Holding,
  authorities: readonly Holding[],
  options: CheckOptions,
): readonly CheckedItem[] {
  const [first, ...others] = holding.certificates
  if (first === undefined) return []
  const own = [
    ...findingsOf(first, options.now, options.thresholds),
    ...keyFindings(holding),
    ...modeFindings(holding),
    ...(holding.authority === undefined
      ? chainFindings(holding, first, authorities)
      : sharedFindings(holding, authorities)),
  ]
  const items = others.map((certificate, at) => ({
    name: `${holding.name}#${at + 2}`,
    certificate,
    findings: findingsOf(certificate, options.now, options.thresholds),
  }))
  return [{ name: holding.name, certificate: first, findings: own }, ...items]
}

/** A bundle of authorities has the key of one of them; a leaf has its own, and it stands first. */
function keyFindings({ authority, certificates, key }: Holding): readonly Finding[] {
  switch (key.state) {
    case 'missing':
      return authority === undefined
        ? [finding('note', 'key_missing', 'its key is not beside it')]
        : [finding('note', 'key_missing', 'its key is not here: nothing can be issued from this folder')]
    case 'encrypted':
      return [finding('unknown', 'key_encrypted', 'its key is encrypted; to compare it, name --passphrase-file')]
    case 'unreadable':
      return [finding('unknown', 'file_unreadable', key.why)]
    case 'present': {
      const candidates = authority === undefined ? certificates.slice(0, 1) : certificates
      const isOwn = candidates.some(({ publicKey }) => isSameKey(publicKey, key.key))
      return when(!isOwn, 'critical', 'key_mismatch', 'the key beside it is that of another certificate')
    }
    default:
      return key satisfies never
  }
}

function modeFindings({ key, paths }: Holding): readonly Finding[] {
  const mode = modeOf(key)
  const path = paths.at(-1) ?? ''
  const octal = mode.toString(8).padStart(4, '0')
  if ((mode & 0o027) !== 0)
    return [finding('critical', 'file_mode', `${path}: mode ${octal} opens the key to others; chmod 600`)]
  return when(
    (mode & 0o040) !== 0,
    'warning',
    'file_mode',
    `${path}: mode ${octal} shows the key to its group; chmod 600`,
  )
}

function modeOf(key: HeldKey): number {
  return key.state === 'present' || key.state === 'encrypted' ? key.mode : 0
}

/** Which authority a file is to come from, where its name says so. */
function expectedAuthority(name: string): AuthorityName | undefined {
  return Object.values(PROFILES).find(({ fixedFile }) => fixedFile === name)?.authority
}

function chainFindings(
  { name, certificates }: Holding,
  leaf: CertificateFacts,
  authorities: readonly Holding[],
): readonly Finding[] {
  const anchors = authorities.flatMap((authority) => authority.certificates)
  const chain = chainOf(leaf, [...certificates, ...anchors])
  const top = chain.at(-1)
  const anchor = authorities.find((one) =>
    one.certificates.some((trusted) => top !== undefined && isSameCertificate(trusted, top)),
  )
  if (anchor === undefined) {
    return [finding('critical', 'chain_incomplete', `no authority in this folder has issued it (${leaf.issuer})`)]
  }
  const expected = expectedAuthority(name)
  const shortest = chain.toSorted((one, other) => one.notAfter.getTime() - other.notAfter.getTime())[0]
  return [
    ...when(
      expected !== undefined && expected !== anchor.name,
      'critical',
      'wrong_authority',
      `is by ${anchor.name}, and ought to be by ${expected}`,
    ),
    ...when(
      shortest !== undefined && shortest.notAfter < leaf.notAfter,
      'warning',
      'ends_after_authority',
      `ends after its authority, which ends ${shortest?.notAfter.toISOString()}: from then on nobody takes it`,
    ),
  ]
}

/** Whoever is certified by an authority for clients could be a front proxy too, and say to be anybody. */
function sharedFindings(holding: Holding, authorities: readonly Holding[]): readonly Finding[] {
  if (holding.authority !== 'front-proxy-ca') return []
  const client = authorities.find(({ authority }) => authority === 'ca')
  const isShared = holding.certificates.some(({ publicKey }) =>
    client?.certificates.some((other) => isSameKey(other.publicKey, publicKey)),
  )
  const message =
    'is the authority of clients (ca) too: every client could claim to be anybody by X-Remote-User; make another'
  return when(isShared, 'critical', 'authority_shared', message)
}
