/**
 * The signers of kube-controller-manager: what each of them accepts, and which one a request of v1beta1 is for that
 * does not say. For whoever signs in their place, and to tell people before they approve what will fail.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers
 * @module
 */
import type { CertificateSigningRequest } from '../kube/certificate-signing-request.ts'
import { BUILT_IN_SIGNER, isUsage } from '../kube/signer-name.ts'
import type { CertificateRequest } from '../pki/request.ts'
import { requestOf } from './asked.ts'
import { quoted } from './finding.ts'

type Names = Pick<CertificateRequest, 'subject' | 'altNames'>
type Rule = (request: Names, usages: readonly string[]) => string | undefined

const NODE_GROUP = 'system:nodes'
const NODE_USER = 'system:node:'
const KEY_USAGES = ['digital signature', 'key encipherment']

const RULES: ReadonlyMap<string, Rule> = new Map([
  [BUILT_IN_SIGNER.client, (_, usages) => clientUsages(usages)],
  [
    BUILT_IN_SIGNER.kubeletClient,
    (request, usages) => nodeSubject(request) ?? noNames(request) ?? exactUsages(usages, 'client auth'),
  ],
  [
    BUILT_IN_SIGNER.kubeletServing,
    (request, usages) => nodeSubject(request) ?? servingNames(request) ?? exactUsages(usages, 'server auth'),
  ],
  [BUILT_IN_SIGNER.legacy, (_, usages) => unknownUsage(usages)],
])

/** Whether kube-controller-manager brings the signer. */
export function isBuiltIn(signerName: string): boolean {
  return RULES.has(signerName)
}

/** Which rule of its signer a request breaks, in words; `undefined`: none, or the signer is somebody's own. */
export function brokenRule(signerName: string, request: Names, usages: readonly string[]): string | undefined {
  return RULES.get(signerName)?.(request, usages)
}

/** `signerName` and usages as v1beta1 fills them in where they are absent. */
export function withDefaults(csr: CertificateSigningRequest, hasUsages: boolean): CertificateSigningRequest {
  const usages = hasUsages ? csr.usages : KEY_USAGES
  if (csr.signerName !== '') return { ...csr, usages }
  const request = requestOf(csr)
  const fitting = [BUILT_IN_SIGNER.kubeletClient, BUILT_IN_SIGNER.kubeletServing].find(
    (name) => request !== undefined && brokenRule(name, request, usages) === undefined,
  )
  return { ...csr, usages, signerName: fitting ?? BUILT_IN_SIGNER.legacy }
}

function clientUsages(usages: readonly string[]): string | undefined {
  if (!usages.includes('client auth')) return 'the usages have to include "client auth"'
  const other = usages.find((usage) => usage !== 'client auth' && !KEY_USAGES.includes(usage))
  return other === undefined ? undefined : `usage ${quoted(other)} does not go with this signer`
}

/** A set: order and repetition do not count. Newer clusters let "key encipherment" be absent. */
function exactUsages(usages: readonly string[], purpose: string): string | undefined {
  const wanted = [...KEY_USAGES, purpose]
  const isExact = wanted.every((usage) => usages.includes(usage)) && usages.every((usage) => wanted.includes(usage))
  return isExact ? undefined : `the usages have to be ${wanted.map(quoted).join(', ')}`
}

function unknownUsage(usages: readonly string[]): string | undefined {
  const unknown = usages.find((usage) => !isUsage(usage))
  return unknown === undefined ? undefined : `usage ${quoted(unknown)} is unknown`
}

function nodeSubject({ subject }: Names): string | undefined {
  const [group, ...more] = subject.organizations
  if (group !== NODE_GROUP || more.length > 0) return `the organization has to be ${NODE_GROUP} and no other`
  return subject.commonName.startsWith(NODE_USER) ? undefined : `the common name has to begin with ${NODE_USER}`
}

function noNames({ altNames: { dns, ip, email, uri } }: Names): string | undefined {
  return dns.length + ip.length + email.length + uri.length === 0 ? undefined : 'alternative names are not allowed'
}

function servingNames({ altNames: { dns, ip, email, uri } }: Names): string | undefined {
  if (email.length + uri.length > 0) return 'mail addresses and URIs are not allowed'
  return dns.length + ip.length === 0 ? 'there has to be a host name or an address' : undefined
}
