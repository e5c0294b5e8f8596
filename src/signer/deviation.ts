/**
 * In what an issued certificate is not what was asked for. The API looks at nothing but whether it is one; a signer may
 * have its reasons, and whoever is to use it ought to know before.
 *
 * @module
 */
import type { CertificateSigningRequest } from '../kube/certificate-signing-request.ts'
import { type CertificateFacts, chainOf } from '../pki/certificate.ts'
import type { CertificateRequest } from '../pki/request.ts'
import { sortUsages } from '../pki/usages.ts'
import { requestOf } from './asked.ts'
import { quoted } from './finding.ts'

/** A sentence for each; none: it is what was asked for. `certificates`: it, then what came with it. */
export function deviationsOf(
  csr: CertificateSigningRequest,
  certificates: readonly CertificateFacts[],
  now: Date,
): readonly string[] {
  const [leaf, ...above] = certificates
  const request = requestOf(csr)
  if (leaf === undefined) return []
  return [
    ...(request === undefined ? [] : nameDeviations(request, leaf)),
    ...usageDeviations(csr.usages, leaf),
    ...when(leaf.isAuthority, 'it is the certificate of an authority'),
    ...when(leaf.notAfter <= now, `it has expired, ${leaf.notAfter.toISOString()}`),
    ...when(leaf.notBefore > now, `it is not valid before ${leaf.notBefore.toISOString()}`),
    ...when(chainOf(leaf, above).length <= above.length, 'not all that came with it has issued it'),
  ]
}

const KINDS = ['dns', 'ip', 'email', 'uri'] as const

function nameDeviations({ subject, altNames }: CertificateRequest, leaf: CertificateFacts): readonly string[] {
  const isUser = leaf.subject.commonName === subject.commonName
  const namesOf = (names: CertificateRequest['altNames']): readonly string[] => KINDS.flatMap((kind) => names[kind])
  return [
    ...when(!isUser, `it is for ${quoted(leaf.subject.commonName)}; asked for was ${quoted(subject.commonName)}`),
    ...setDeviation('groups', subject.organizations, leaf.subject.organizations),
    ...setDeviation('alternative names', namesOf(altNames), namesOf(leaf.altNames)),
  ]
}

function setDeviation(what: string, asked: readonly string[], given: readonly string[]): readonly string[] {
  const isSame = asked.every((one) => given.includes(one)) && given.every((one) => asked.includes(one))
  return when(!isSame, `its ${what} are ${listed(given)}; asked for were ${listed(asked)}`)
}

/** Without the extension it is for everything. */
function usageDeviations(asked: readonly string[], { usages }: CertificateFacts): readonly string[] {
  const { extendedKeyUsages, restrictsExtendedKeyUsage } = usages
  const missing = sortUsages(asked).extendedKeyUsages.filter((usage) => !extendedKeyUsages.includes(usage))
  return when(
    restrictsExtendedKeyUsage && missing.length > 0 && !extendedKeyUsages.includes('any'),
    `it is not for ${missing.join(', ')}`,
  )
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.map(quoted).join(', ')
}

function when(holds: boolean, text: string): readonly string[] {
  return holds ? [text] : []
}
