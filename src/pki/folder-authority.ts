/**
 * An authority of a folder, opened to issue. In the middle of a rotation there are several certificates in its file;
 * the one that its key is of is the one that issues.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { type CertificateFacts, chainOf, readCertificates } from './certificate.ts'
import { isThere, readSecretFile, readTextFile } from './files.ts'
import { type Authority, type AuthorityOptions, openAuthority } from './issuing.ts'
import { isSameKey, readKey } from './keys.ts'
import { type AuthorityName, pairPaths } from './layout.ts'

export interface FolderAuthority extends Authority {
  readonly certificate: CertificateFacts
  /** Every certificate of its file: what has to be trusted. PEM. */
  readonly bundlePem: string
  /** What stands between a leaf and an authority nobody stands above, PEM; empty where nothing does. */
  readonly intermediatesPem: string
}

export interface FolderAuthorityOptions extends AuthorityOptions {
  readonly folder: string
  readonly name: AuthorityName
  readonly passphrase: Secret | undefined
}

/** Throws `file_invalid`, `key_unusable`, `certificate_not_issued`. */
export function openFolderAuthority(options: FolderAuthorityOptions): FolderAuthority {
  const { folder, name, passphrase } = options
  const paths = pairPaths(folder, name)
  if (!isThere(paths.certificate)) {
    throw new ArchwayError(
      'file_invalid',
      `${paths.certificate}: is not there; make it with: archway pki init ${folder}`,
    )
  }
  const certificates = readCertificates(readTextFile(paths.certificate), paths.certificate)
  const key = readKey(readSecretFile(paths.key), { where: paths.key, passphrase })
  const certificate = certificates.find(({ publicKey }) => isSameKey(publicKey, key))
  if (certificate === undefined) {
    throw new ArchwayError('key_unusable', `${paths.key}: is the key of no certificate in ${paths.certificate}`)
  }
  const chain = chainOf(certificate, certificates).filter(({ isSelfSigned }) => !isSelfSigned)
  return {
    ...openAuthority(certificate.pem, key, options),
    certificate,
    bundlePem: certificates.map(({ pem }) => pem).join(''),
    intermediatesPem: chain.map(({ pem }) => pem).join(''),
  }
}
