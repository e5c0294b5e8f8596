/**
 * The TLS side of the listener: from files to a context, whole and checked before it is used, and from a client
 * certificate to the question whether its owner may ask. Owns the rules for certificate files and caller names; leaves
 * when files are read to `reload/`, and what happens to open connections to the listener.
 *
 * @module
 */
import { constants, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContextOptions, type TLSSocket } from 'node:tls'
import { ArchwayError, messageOf } from '../errors.ts'

/** Where the certificate is and whom it is shown to. Paths; the files are PEM. */
export interface TlsOptions {
  /** The server's certificate, followed by its intermediates. */
  readonly certFile: string
  /** Its private key, without a passphrase. */
  readonly keyFile: string
  /** Authorities of the callers. When present, every caller needs a certificate from one of them. */
  readonly clientCAFile?: string
  /** Callers by common name or DNS name of their certificate. Absent: every caller the authorities vouch for. */
  readonly clientNames?: readonly string[]
  /** Default `TLSv1.2`; nothing older can be chosen. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL cipher list for TLS 1.2; Node's default when absent. */
  readonly ciphers?: string
  /** How often the files are looked at, milliseconds. Default: that of `reload/`; 0 never by itself. */
  readonly reloadIntervalMs?: number
}

/** What the files came to. */
export interface TlsMaterial {
  /** Everything a context is made of, every time: what is left out here would be lost at a reload. */
  readonly context: SecureContextOptions
  /** End of validity of the server's own certificate. */
  readonly notAfter: Date
  readonly subject: string
  /** Changes when the authorities of the callers do; `undefined` without any. */
  readonly clientCA: string | undefined
}

/** The files that are one set. */
export function tlsPaths({ certFile, keyFile, clientCAFile }: TlsOptions): string[] {
  return [...new Set([certFile, keyFile, ...(clientCAFile === undefined ? [] : [clientCAFile])])]
}

/** Checks the files and makes of them what a context is built from. Throws `file_invalid`, naming the file. */
export function readTlsMaterial(options: TlsOptions, files: ReadonlyMap<string, Buffer>): TlsMaterial {
  const { certFile, keyFile, clientCAFile, minVersion = 'TLSv1.2', ciphers } = options
  const chain = readCertificates(certFile, files)
  const [leaf] = chain
  if (!leaf.checkPrivateKey(readKey(keyFile, files)))
    throw new ArchwayError('file_invalid', `${keyFile}: is not the key of the certificate in ${certFile}`)
  const authorities = clientCAFile === undefined ? undefined : readCertificates(clientCAFile, files)
  const context: SecureContextOptions = {
    cert: chain.map(String).join(''),
    key: textOf(keyFile, files),
    ...(authorities === undefined ? {} : { ca: authorities.map(String) }),
    ...(ciphers === undefined ? {} : { ciphers }),
    minVersion,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    sessionIdContext: 'archway',
  }
  try {
    createSecureContext(context)
  } catch (thrown) {
    const files = `${certFile}, ${keyFile}`
    throw new ArchwayError('file_invalid', `${files}: OpenSSL does not take them: ${messageOf(thrown)}`)
  }
  return {
    context,
    notAfter: new Date(leaf.validTo),
    subject: leaf.subject.replaceAll('\n', ', '),
    clientCA: authorities?.map(({ fingerprint256 }) => fingerprint256).join(),
  }
}

/** A caller that has a certificate, or `undefined` when it has none. */
export interface Caller {
  /** Common name; `undefined` when there is none or more than one. */
  readonly commonName: string | undefined
  /** Whether it goes by one of these names. */
  isOneOf(names: ReadonlySet<string>): boolean
}

/** The caller at the other end, by the certificate the handshake has verified. */
export function callerOf(socket: TLSSocket): Caller | undefined {
  const { raw, subject } = socket.getPeerCertificate()
  if (raw === undefined) return undefined
  const commonName: unknown = subject?.CN // a list when there are several
  const certificate = new X509Certificate(raw)
  return {
    commonName: typeof commonName === 'string' ? commonName : undefined,
    isOneOf(names) {
      if (typeof commonName === 'string' && names.has(commonName)) return true
      for (const name of names) if (hasDnsName(certificate, name)) return true
      return false
    },
  }
}

/** OpenSSL's comparison, so no list of names has to be taken apart. To it a leading dot means "anything below". */
function hasDnsName(certificate: X509Certificate, name: string): boolean {
  if (!/^[A-Za-z\d_-][A-Za-z\d._-]*$/.test(name)) return false
  return certificate.checkHost(name, { subject: 'never', wildcards: false, partialWildcards: false }) !== undefined
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** At least one: OpenSSL takes an empty list of authorities for "the public ones". */
function readCertificates(path: string, files: ReadonlyMap<string, Buffer>): [X509Certificate, ...X509Certificate[]] {
  const text = textOf(path, files)
  const blocks = text.match(CERTIFICATE) ?? []
  const begun = text.split('-----BEGIN CERTIFICATE-----').length - 1
  const [first, ...rest] = blocks.map((block, at) => {
    try {
      return new X509Certificate(block)
    } catch (thrown) {
      const message = `${path}: certificate ${at + 1} cannot be read: ${messageOf(thrown)}`
      throw new ArchwayError('file_invalid', message, { cause: thrown })
    }
  })
  if (first === undefined || begun !== blocks.length)
    throw new ArchwayError('file_invalid', `${path}: has no certificate, or one that is cut off; expected PEM`)
  return [first, ...rest]
}

function readKey(path: string, files: ReadonlyMap<string, Buffer>): KeyObject {
  const text = textOf(path, files)
  try {
    return createPrivateKey(text)
  } catch {
    // What OpenSSL says of a key is left out: it helps nobody, and nothing of a key is to be told.
    const reason = /ENCRYPTED/.test(text)
      ? 'is protected by a passphrase; store it without'
      : 'is no private key in PEM'
    throw new ArchwayError('file_invalid', `${path}: ${reason}`)
  }
}

function textOf(path: string, files: ReadonlyMap<string, Buffer>): string {
  const bytes = files.get(path)
  if (bytes === undefined) throw new ArchwayError('file_invalid', `${path}: was not read`)
  return bytes.toString('latin1')
}
