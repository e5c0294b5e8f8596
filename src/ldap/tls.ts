/**
 * TLS towards LDAP servers: whom to trust.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { ArchwayError } from '../errors.ts'

/**
 * A context that trusts the authorities in `ca` (PEM) and no others; without `ca`, Node's roots and those of the
 * system. TLS 1.2 or later.
 *
 * @throws ArchwayError `file_invalid` for what is not PEM.
 */
export function trustOf(ca: string | Buffer | undefined): SecureContext {
  const roots =
    ca === undefined
      ? [...new Set([...getCACertificates('default'), ...getCACertificates('system')])]
      : readAuthorities(ca.toString())
  return createSecureContext({ minVersion: 'TLSv1.2', ca: roots })
}

/** Node takes a text without any certificate and trusts nobody; say it here, where the file is still known. */
function readAuthorities(ca: string): string[] {
  const blocks = ca.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw invalid('has no certificate in it; it must be PEM (-----BEGIN CERTIFICATE-----)')
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block)
    } catch {
      throw invalid(`has a certificate (number ${index + 1}) that cannot be read`)
    }
  }
  return blocks
}

function invalid(fault: string): ArchwayError {
  return new ArchwayError('file_invalid', `TLS towards the directory: caFile ${fault}`)
}
