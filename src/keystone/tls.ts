/**
 * TLS towards Keystone: whom to trust, and as whom to appear.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import { createSecureContext, getCACertificates, type SecureContext, type SecureContextOptions } from 'node:tls'
import { ArchwayError } from '../errors.ts'

/** TLS towards Keystone; all PEM. Not used for an `http:` URL. */
export interface KeystoneTls {
  /** Authorities, one or more certificates (`caFile`). */
  readonly ca?: string | Buffer
  /**
   * `replace`: nothing but `ca` is trusted. `add`: `ca` besides Node's roots and those of the system. Without `ca`,
   * Node's roots and those of the system are trusted.
   */
  readonly caMode?: 'replace' | 'add'
  /** Certificate to show to a server that asks for one, with the rest of its chain; goes with `key`. */
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  /** Name that is asked for and that the certificate must have, where that is not the host of the URL. */
  readonly serverName?: string
}

/**
 * Checks the PEM texts now, and gives a function that makes the context: with the roots of Node and of the system that
 * takes a tenth of a second, which a check alone need not.
 *
 * @throws ArchwayError `file_invalid` for what is not PEM, or a key that is not the certificate's.
 */
export function secureContext(tls: KeystoneTls): () => SecureContext {
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw invalid('clientCertFile and clientKeyFile go together; only one of them is given')
  }
  const own: SecureContextOptions = {
    minVersion: 'TLSv1.2',
    ...(tls.cert === undefined || tls.key === undefined ? {} : { cert: tls.cert, key: tls.key }),
  }
  const ca = tls.ca === undefined ? [] : readAuthorities(tls.ca)
  const checked = tryContext({ ...own, ...(tls.ca === undefined ? {} : { ca }) })
  if (tls.ca !== undefined && tls.caMode !== 'add') return () => checked
  return () => createSecureContext({ ...own, ca: [...new Set([...systemAuthorities(), ...ca])] })
}

function systemAuthorities(): string[] {
  return [...getCACertificates('default'), ...getCACertificates('system')]
}

/** Node takes a CA text without any certificate and trusts nobody; say it here, where the file is still known. */
function readAuthorities(ca: string | Buffer): string[] {
  const blocks = ca.toString('utf8').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0)
    throw invalid('caFile has no certificate in it; it must be PEM (-----BEGIN CERTIFICATE-----)')
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block)
    } catch {
      throw invalid(`certificate ${index + 1} in caFile cannot be read`)
    }
  }
  return blocks
}

function tryContext(options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
    throw invalid(
      `clientCertFile and clientKeyFile cannot be used together; is it the key of that certificate, both in PEM?${code}`,
    )
  }
}

function invalid(fault: string): ArchwayError {
  return new ArchwayError('file_invalid', `TLS towards Keystone: ${fault}`)
}
