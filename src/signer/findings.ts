/**
 * What a person ought to know before approving a request: what is wrong with it, and how far what is asked for goes
 * beyond whoever asks. Owns the judgement; leaves showing it, and what is done about it, to the commands.
 *
 * @module
 */
import type { CertificateSigningRequest } from '../kube/certificate-signing-request.ts'
import { BUILT_IN_SIGNER } from '../kube/signer-name.ts'
import { isWithoutNames } from '../pki/names.ts'
import type { CertificateRequest } from '../pki/request.ts'
import { sortUsages } from '../pki/usages.ts'
import { foldName, isReservedName } from '../user.ts'
import { requestOf } from './asked.ts'
import { brokenRule, isBuiltIn } from './built-in-signers.ts'
import { type Finding, type FindingCode, quoted } from './finding.ts'
import { hazardsOf } from './hazards.ts'

export interface FindingsOptions {
  /** Signers of the cluster's own that the reader knows. */
  readonly signers: readonly string[]
  /** The longest life that is nothing unusual, in seconds. */
  readonly mostSeconds: number
}

/** A request with its findings; `request` is undefined where it cannot be read, and then nothing is known of it. */
export interface Reviewed {
  readonly csr: CertificateSigningRequest
  readonly request: CertificateRequest | undefined
  readonly findings: readonly Finding[]
}

export function review(csr: CertificateSigningRequest, options: FindingsOptions): Reviewed {
  const request = requestOf(csr)
  return { csr, request, findings: request === undefined ? [] : findingsOf(csr, request, options) }
}

/** Hostile ones first. */
function findingsOf(
  csr: CertificateSigningRequest,
  request: CertificateRequest,
  options: FindingsOptions,
): readonly Finding[] {
  const broken = brokenRule(csr.signerName, request, csr.usages)
  const found = [
    ...hazardsOf(request).map(({ code, message }): Finding => ({ code, severity: 'hostile', message })),
    ...subjectFindings(csr, request),
    ...(isServing(csr) ? servingFindings(csr, request) : clientFindings(csr, request)),
    ...finding(broken !== undefined, 'signer-rule', `${csr.signerName} will refuse it: ${broken}`),
    ...signerFindings(csr, options.signers),
    ...lifeFindings(csr, options.mostSeconds),
    ...droppedExtensions(request),
  ]
  return [
    ...found.filter(({ severity }) => severity === 'hostile'),
    ...found.filter(({ severity }) => severity === 'notice'),
  ]
}

/** Groups that may do everything, whatever RBAC says, or by the role every cluster of kubeadm has. */
const ADMIN_GROUPS = ['system:masters', 'kubeadm:cluster-admins']
const BOOTSTRAPPERS = 'system:bootstrappers'

function subjectFindings(csr: CertificateSigningRequest, { subject }: CertificateRequest): readonly Finding[] {
  const { requester, signerName } = csr
  const { commonName, organizations } = subject
  const isKubelet = signerName === BUILT_IN_SIGNER.kubeletClient || signerName === BUILT_IN_SIGNER.kubeletServing
  const isFirstOfNode = signerName === BUILT_IN_SIGNER.kubeletClient && requester.groups.includes(BOOTSTRAPPERS)
  const isNode = isKubelet && commonName.startsWith('system:node:')
  const foreign = commonName !== requester.username
  return [
    ...finding(
      isReservedName(commonName) && !isNode,
      'reserved-user',
      `user ${quoted(commonName)} is Kubernetes' own, or looks like it`,
    ),
    ...finding(
      foreign && !isFirstOfNode,
      'foreign-user',
      `${quoted(requester.username)} asks to become ${quoted(commonName)}`,
    ),
    ...organizations.flatMap((group) => groupFindings(group, requester.groups, isKubelet)),
  ]
}

function groupFindings(group: string, own: readonly string[], isKubelet: boolean): readonly Finding[] {
  const folded = foldName(group)
  if (ADMIN_GROUPS.includes(folded)) {
    return finding(true, 'cluster-admin', `group ${quoted(group)} may do everything in the cluster`)
  }
  if (isKubelet && group === 'system:nodes') return []
  return [
    ...finding(isReservedName(group), 'reserved-group', `group ${quoted(group)} is Kubernetes' own, or looks like it`),
    ...finding(!own.includes(group), 'foreign-group', `whoever asks is not in group ${quoted(group)}`),
  ]
}

function isServing({ signerName, usages }: CertificateSigningRequest): boolean {
  return signerName === BUILT_IN_SIGNER.kubeletServing || (!isBuiltIn(signerName) && usages.includes('server auth'))
}

/** Usages beside the purpose that go with every certificate of TLS. */
const USUAL = ['digital signature', 'signing', 'key encipherment']

function beyond(usages: readonly string[], purpose: string): readonly string[] {
  return usages.filter((usage) => usage !== purpose && !USUAL.includes(usage))
}

function clientFindings({ usages }: CertificateSigningRequest, { altNames }: CertificateRequest): readonly Finding[] {
  const more = beyond(usages, 'client auth')
  return [
    ...finding(
      !isWithoutNames(altNames),
      'names-on-client',
      `alternative names on a client certificate: ${namesOf(altNames)}`,
    ),
    ...finding(
      more.length > 0,
      'usage-beyond-client',
      `usages beyond those of a client: ${more.map(quoted).join(', ')}`,
    ),
    ...finding(
      sortUsages(usages).extendedKeyUsages.length === 0,
      'usage-beyond-client',
      'no usage says what for, so it would be good for everything, for servers too',
    ),
  ]
}

function servingFindings({ usages }: CertificateSigningRequest, { altNames }: CertificateRequest): readonly Finding[] {
  const none = isWithoutNames(altNames)
  const more = beyond(usages, 'server auth')
  return [
    ...finding(
      more.length > 0,
      'usage-beyond-server',
      `usages beyond those of a server: ${more.map(quoted).join(', ')}`,
    ),
    ...finding(none, 'no-names-on-server', 'a server certificate without names is good for no host'),
    ...notice(!none, 'names-on-server', `it will be good for ${namesOf(altNames)}`),
  ]
}

function signerFindings({ signerName }: CertificateSigningRequest, known: readonly string[]): readonly Finding[] {
  const isLegacy = signerName === BUILT_IN_SIGNER.legacy
  return [
    ...finding(isLegacy, 'legacy-signer', `${signerName} promises nothing about who signs and who trusts it`),
    ...finding(
      !isBuiltIn(signerName) && !known.includes(signerName),
      'unknown-signer',
      `${quoted(signerName)} is not a signer that was named as known`,
    ),
  ]
}

function lifeFindings({ expirationSeconds }: CertificateSigningRequest, most: number): readonly Finding[] {
  if (expirationSeconds === undefined) {
    return notice(
      true,
      'life-by-signer',
      'no lifetime is asked for: the signer decides, a year unless configured, and nothing revokes it',
    )
  }
  return finding(
    expirationSeconds > most,
    'long-life',
    `${expirationSeconds} s are more than ${most} s, and nothing revokes it`,
  )
}

/** Names, usages and basic constraints are judged above. */
const JUDGED: ReadonlySet<string> = new Set(['2.5.29.17', '2.5.29.15', '2.5.29.37', '2.5.29.19'])

function droppedExtensions({ extensions }: CertificateRequest): readonly Finding[] {
  const others = extensions.filter((type) => !JUDGED.has(type))
  return notice(
    others.length > 0,
    'extensions-dropped',
    `requested extensions that signers leave out: ${others.join(', ')}`,
  )
}

function namesOf({ dns, ip, email, uri, otherKinds }: CertificateRequest['altNames']): string {
  return [...[...dns, ...ip, ...email, ...uri].map(quoted), ...otherKinds].join(', ')
}

function finding(holds: boolean, code: FindingCode, message: string): readonly Finding[] {
  return holds ? [{ code, severity: 'hostile', message }] : []
}

function notice(holds: boolean, code: FindingCode, message: string): readonly Finding[] {
  return holds ? [{ code, severity: 'notice', message }] : []
}
