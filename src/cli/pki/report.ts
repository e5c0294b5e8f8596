/**
 * Certificates and requests told to people, and to programs as JSON. Text of strangers is printed with what cannot be
 * seen spelled out.
 *
 * @module
 */
import { parseCertificate } from '../../authn/x509/certificate.ts'
import { identityOf } from '../../authn/x509/certificate-identity.ts'
import { MalformedError } from '../../authn/x509/der.ts'
import { type CertificateFacts, chainOf, isForClients, isForServers } from '../../pki/certificate.ts'
import { duration, type Finding, finding, findingsOf } from '../../pki/findings.ts'
import type { SubjectAltNames } from '../../pki/names.ts'
import type { CertificateRequest } from '../../pki/request.ts'
import type { ReadUsages } from '../../pki/usages.ts'
import { isReservedName } from '../../user.ts'
import { printable } from '../terminal.ts'
import type { Found } from './sources.ts'

/** Who kube-apiserver would take the bearer for, if it trusts the authority. */
type KubernetesView =
  | { readonly kind: 'user'; readonly username: string; readonly groups: readonly string[]; readonly uid: string }
  | { readonly kind: 'nobody'; readonly why: string }

function kubernetesView(certificate: CertificateFacts): KubernetesView {
  if (!isForClients(certificate)) return { kind: 'nobody', why: 'it is not for clients' }
  try {
    const user = identityOf(parseCertificate(certificate.der), { usernamePrefix: '', groupPrefix: '' })
    if (user === undefined) return { kind: 'nobody', why: 'it has no common name' }
    if (user === 'invalid') return { kind: 'nobody', why: 'its uid is empty, or stands twice' }
    return { kind: 'user', username: user.username, groups: user.groups, uid: user.uid }
  } catch (thrown) {
    if (thrown instanceof MalformedError)
      return { kind: 'nobody', why: `kube-apiserver cannot read it: ${thrown.message}` }
    throw thrown
  }
}

/** Everything that is to be said of one thing that was found; plain data, for JSON. */
export function documentOf(found: Found, all: readonly Found[], now: Date): Readonly<Record<string, unknown>> {
  switch (found.kind) {
    case 'certificate':
      return {
        where: found.where,
        kind: 'certificate',
        ...certificateDocument(found.certificate, certificatesOf(all), now),
      }
    case 'request':
      return { where: found.where, kind: 'request', ...requestDocument(found.request) }
    case 'key':
      return { where: found.where, kind: 'key', label: found.label }
    case 'unreadable':
      return { where: found.where, kind: 'unreadable', why: found.why }
    default:
      return found satisfies never
  }
}

function certificatesOf(all: readonly Found[]): readonly CertificateFacts[] {
  return all.flatMap((found) => (found.kind === 'certificate' ? [found.certificate] : []))
}

function certificateDocument(certificate: CertificateFacts, among: readonly CertificateFacts[], now: Date) {
  const { subject, issuer, serial, notBefore, notAfter, key, signatureHash, fingerprint, isAuthority, pathLength } =
    certificate
  return {
    subject: { text: subject.text, commonName: subject.commonName, organizations: subject.organizations },
    issuer,
    serial,
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    daysLeft: Math.floor((notAfter.getTime() - now.getTime()) / 86_400_000),
    altNames: namesDocument(certificate.altNames),
    usages: usagesOf(certificate.usages),
    isAuthority,
    pathLength: pathLength ?? null,
    key: key.text,
    signatureHash: signatureHash === '' ? null : signatureHash,
    sha256: fingerprint,
    selfSigned: certificate.isSelfSigned,
    chain: chainOf(certificate, among).map((one) => one.subject.text),
    kubernetes: kubernetesView(certificate),
    findings: inspectionFindings(certificate, now),
  }
}

function requestDocument({
  subject,
  altNames,
  key,
  signatureHash,
  usages,
  wantsAuthority,
  extensions,
}: CertificateRequest) {
  return {
    subject: { text: subject.text, commonName: subject.commonName, organizations: subject.organizations },
    altNames: namesDocument(altNames),
    usages: usagesOf(usages),
    wantsAuthority,
    key: key.text,
    keyWeakness: key.weakness ?? null,
    signatureHash: signatureHash === '' ? null : signatureHash,
    extensions,
  }
}

function namesDocument({ dns, ip, email, uri }: SubjectAltNames) {
  return { dns, ip, email, uri }
}

function usagesOf({ keyUsages, extendedKeyUsages, unknown }: ReadUsages): readonly string[] {
  return [...keyUsages, ...extendedKeyUsages, ...unknown]
}

/** What is wrong with it, and what Kubernetes would think of who is in it. */
function inspectionFindings(certificate: CertificateFacts, now: Date): readonly Finding[] {
  const view = kubernetesView(certificate)
  const isClient = view.kind === 'user' && !certificate.isAuthority && !isForServers(certificate)
  const reserved = isClient ? [view.username, ...view.groups].find(isReservedName) : undefined
  const meant = reserved === undefined || reserved === 'system:masters'
  return [
    ...findingsOf(certificate, now),
    ...(meant
      ? []
      : [finding('note', 'past_rbac', `"${reserved}" is a name of Kubernetes' own: a component's certificate`)]),
  ]
}

/** The same for people, with an empty line at the end. */
export function textOf(found: Found, all: readonly Found[], now: Date): string {
  const lines = [found.where, ...linesOf(found, all, now).map(([name, value]) => `  ${name.padEnd(11)}${value}`)]
  return `${lines.map(printable).join('\n')}\n\n`
}

type Line = readonly [name: string, value: string]

function linesOf(found: Found, all: readonly Found[], now: Date): readonly Line[] {
  switch (found.kind) {
    case 'certificate':
      return certificateLines(found.certificate, certificatesOf(all), now)
    case 'request':
      return requestLines(found.request)
    case 'key':
      return [['key', `${found.label}: not looked into`]]
    case 'unreadable':
      return [['unreadable', found.why]]
    default:
      return found satisfies never
  }
}

function certificateLines(
  certificate: CertificateFacts,
  among: readonly CertificateFacts[],
  now: Date,
): readonly Line[] {
  const { subject, issuer, serial, notBefore, notAfter, altNames, usages, key, signatureHash, fingerprint } =
    certificate
  const left = notAfter.getTime() - now.getTime()
  const until = left < 0 ? `expired ${duration(-left)} ago` : `${duration(left)} left`
  const limit = certificate.pathLength === undefined ? '' : `, path length ${certificate.pathLength}`
  return [
    ['subject', subject.text],
    ['issuer', certificate.isSelfSigned ? 'itself' : issuer],
    ['serial', serial],
    ['valid', `${notBefore.toISOString()} to ${notAfter.toISOString()} (${until})`],
    ...lineIf(namesText(altNames) !== '', 'names', namesText(altNames)),
    ['usages', usagesOf(usages).join(', ') || 'not restricted'],
    ...lineIf(certificate.isAuthority, 'authority', `yes${limit}`),
    ['key', `${key.text}${signatureHash === '' ? '' : `; the certificate is signed with ${signatureHash}`}`],
    ['sha256', fingerprint],
    ...lineIf(!certificate.isSelfSigned, 'chain', chainText(certificate, among)),
    ['kubernetes', viewText(kubernetesView(certificate))],
    ...inspectionFindings(certificate, now).map(({ severity, message }): Line => [severity, message]),
  ]
}

function requestLines({
  subject,
  altNames,
  usages,
  key,
  signatureHash,
  wantsAuthority,
}: CertificateRequest): readonly Line[] {
  return [
    ['request', subject.text],
    ...lineIf(namesText(altNames) !== '', 'names', namesText(altNames)),
    ...lineIf(usagesOf(usages).length > 0, 'usages', usagesOf(usages).join(', ')),
    ['key', `${key.text}${signatureHash === '' ? '' : `; the request is signed with ${signatureHash}`}`],
    ...lineIf(key.weakness !== undefined, 'critical', `its key: ${key.weakness}`),
    ...lineIf(wantsAuthority, 'critical', 'wants to be an authority'),
  ]
}

function lineIf(holds: boolean, name: string, value: string): readonly Line[] {
  return holds ? [[name, value]] : []
}

function namesText({ dns, ip, email, uri }: SubjectAltNames): string {
  return [...dns, ...ip, ...email, ...uri].join(', ')
}

function chainText(certificate: CertificateFacts, among: readonly CertificateFacts[]): string {
  const chain = chainOf(certificate, among)
  const end = chain.at(-1)?.isSelfSigned === true ? '' : ' → (not here)'
  return `${chain.map(({ subject }) => subject.text).join(' → ')}${end}`
}

function viewText(view: KubernetesView): string {
  if (view.kind === 'nobody') return `nobody: ${view.why}`
  const groups =
    view.groups.length === 0 ? 'no groups' : `groups ${view.groups.map((group) => JSON.stringify(group)).join(', ')}`
  return `user ${JSON.stringify(view.username)}, ${groups}`
}
