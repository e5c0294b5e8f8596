/**
 * From what was asked to what is certified: subject and names of the request, usages and lifetime of the object, and
 * nothing else. Owns the dates.
 *
 * @module
 */
import type { CertificateTemplate } from '../pki/issuing.ts'
import { sortUsages } from '../pki/usages.ts'
import type { Asked } from './asked.ts'

/** A clock that is behind must not take it for one that is not valid yet. */
const BACKDATED_MS = 300_000
/** Below this it lives for all of what was asked: five minutes of ten would be half. */
const SHORT_SECONDS = 8 * 3600

/** The certificate, as kube-controller-manager has it. Requested extensions other than names are dropped. */
export function templateOf(
  { request, usages }: Pick<Asked, 'request' | 'usages'>,
  seconds: number,
  now: Date,
): CertificateTemplate {
  const { commonName, organizations } = request.subject
  const { dns, ip, email, uri } = request.altNames
  const { keyUsages, extendedKeyUsages } = sortUsages(usages)
  const notBefore = now.getTime() - BACKDATED_MS
  const begin = seconds < SHORT_SECONDS ? now.getTime() : notBefore
  return {
    subject: { commonName, organizations },
    altNames: { dns, ip, email, uri },
    notBefore: new Date(notBefore),
    notAfter: new Date(begin + seconds * 1000),
    keyUsages,
    extendedKeyUsages,
  }
}
