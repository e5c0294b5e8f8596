/**
 * What somebody asks a signer for: the object of the API and the request in it, as one.
 *
 * @module
 */

import { ArchwayError } from '../errors.ts'
import type { CertificateSigningRequest } from '../kube/certificate-signing-request.ts'
import type { CertificateRequest } from '../pki/request.ts'
import { readRequest } from '../pki/request.ts'
import type { UserInfo } from '../user.ts'

export interface Asked {
  readonly signerName: string
  /** By the API server's word. */
  readonly requester: Pick<UserInfo, 'username' | 'groups'>
  /** Signed by its key. */
  readonly request: Pick<
    CertificateRequest,
    'subject' | 'altNames' | 'key' | 'signatureHash' | 'wantsAuthority' | 'extensions'
  >
  /** The certificate's, whatever the request itself says. */
  readonly usages: readonly string[]
  readonly expirationSeconds: number | undefined
}

/** The object with its request read; `undefined` where that is none. */
export function askedBy(
  csr: CertificateSigningRequest,
): (Asked & { readonly request: CertificateRequest }) | undefined {
  const request = requestOf(csr)
  return request === undefined ? undefined : { ...csr, request }
}

/** The request, its signature checked; `undefined` where it is none. */
export function requestOf({ request }: Pick<CertificateSigningRequest, 'request'>): CertificateRequest | undefined {
  try {
    return readRequest(request)
  } catch (thrown) {
    if (thrown instanceof ArchwayError && thrown.code === 'certificate_request_invalid') return undefined
    throw thrown
  }
}
