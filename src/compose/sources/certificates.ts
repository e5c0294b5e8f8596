/**
 * Client certificates as sources: of people, and of the front proxies that vouch for people.
 *
 * @module
 */
import { type RequestHeaderOptions, requestHeader } from '../../authn/request/request-header.ts'
import { certificateTrust } from '../../authn/x509/certificate-identity.ts'
import { frontProxyVerifier } from '../../authn/x509/front-proxy.ts'
import { x509 } from '../../authn/x509/x509.ts'
import type { RequestHeaderSource } from '../../config/request-header-source.ts'
import { type X509Source, x509Options } from '../../config/x509-source.ts'
import { reloading } from '../../reload/reloading.ts'
import type { Source, SourceOptions } from './source.ts'

/** Throws where a file cannot be used. What is remembered of certificates is forgotten by itself when one changes. */
export async function openX509(source: X509Source, { log }: SourceOptions): Promise<Source> {
  const certificates = await x509({ ...x509Options(source), log })
  return {
    name: certificates.name,
    proofs: { certificate: certificates },
    trust: certificateTrust,
    caches: [],
    files: [certificates],
    checks: [],
    close: () => certificates.close(),
  }
}

/** Throws where the CA file cannot be used. */
export async function openRequestHeader(source: RequestHeaderSource, { log }: SourceOptions): Promise<Source> {
  const { name, caFile, allowedNames, usernameHeaders, uidHeaders, groupHeaders, extraHeaderPrefixes } = source
  const verifier = await reloading<RequestHeaderOptions['frontProxy']>({
    name,
    paths: [caFile],
    log,
    load(files) {
      const ca = files.get(caFile) ?? Buffer.alloc(0)
      return frontProxyVerifier({ ca, allowedNames, names: { ca: caFile, crl: '' } })
    },
  })
  return {
    name,
    proofs: {
      requestHeader: requestHeader({
        name,
        headers: {
          username: usernameHeaders,
          uid: uidHeaders,
          group: groupHeaders,
          extraPrefix: extraHeaderPrefixes,
        },
        frontProxy: (certificate) => verifier.current()(certificate),
      }),
    },
    caches: [],
    files: [verifier],
    checks: [],
    close: () => verifier.close(),
  }
}
