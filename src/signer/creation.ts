/**
 * Whether the API server would take a request: said before it is sent, with the field.
 *
 * @module
 */

import type { Problem } from '../errors.ts'
import type { CertificateSigningRequest, CsrVersion } from '../kube/certificate-signing-request.ts'
import { BUILT_IN_SIGNER, isSignerName, isUsage } from '../kube/signer-name.ts'
import { requestOf } from './asked.ts'
import { LEAST_SECONDS } from './policy-schema.ts'

/** Every field it would refuse; none: it would take it. */
export function creationProblems(csr: CertificateSigningRequest, version: CsrVersion): readonly Problem[] {
  const { signerName, usages, expirationSeconds } = csr
  const isLegacy = version === 'v1' && signerName === BUILT_IN_SIGNER.legacy
  return [
    ...problem(requestOf(csr) === undefined, 'spec.request', 'is no CERTIFICATE REQUEST signed by its own key'),
    ...problem(!isSignerName(signerName), 'spec.signerName', 'is no name of a signer, such as example.com/people'),
    ...problem(isLegacy, 'spec.signerName', `${BUILT_IN_SIGNER.legacy} is not for requests of v1`),
    ...problem(usages.length === 0, 'spec.usages', 'is empty; name at least one, such as "client auth"'),
    ...(version === 'v1' ? usageProblems(usages) : []),
    ...problem(
      expirationSeconds !== undefined && expirationSeconds < LEAST_SECONDS,
      'spec.expirationSeconds',
      `is less than ${LEAST_SECONDS}`,
    ),
  ]
}

function usageProblems(usages: readonly string[]): readonly Problem[] {
  return usages.flatMap((usage, at) => [
    ...problem(!isUsage(usage), `spec.usages[${at}]`, 'is no usage the API knows'),
    ...problem(usages.indexOf(usage) !== at, `spec.usages[${at}]`, 'stands there twice'),
  ])
}

function problem(holds: boolean, path: string, message: string): readonly Problem[] {
  return holds ? [{ path, message }] : []
}
