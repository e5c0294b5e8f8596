/**
 * Whom the proxy trusts as API servers, and as whom it appears to them: a CA file, and the front-proxy certificate with
 * its key. Read whole, checked, swapped together; the last good ones stay. Owns the rules for these files; leaves when
 * they are read to `reload/`, and what happens to open connections to whoever asked to be told.
 *
 * @module
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import { parseBlocks } from '../../authn/x509/pem.ts'
import type { CallLog } from '../../context.ts'
import { ArchwayError, messageOf } from '../../errors.ts'
import { type LookOutcome, type ReloadStatus, reloading } from '../../reload/reloading.ts'

/** Paths; the files are PEM. */
export interface UpstreamTlsFiles {
  /** Authorities of the API servers; nothing else is trusted. */
  readonly caFile: string
  /** The front-proxy certificate, followed by its intermediates. */
  readonly certFile: string
  /** Its private key, without a passphrase. */
  readonly keyFile: string
}

/** What the files came to. */
export interface UpstreamTls {
  /** Another object means other content. */
  readonly context: SecureContext
  /** Of the front-proxy certificate, for people. */
  readonly subject: string
  /** What `--requestheader-allowed-names` of the API servers must hold; empty where the certificate has none. */
  readonly commonName: string
  /** End of validity of the front-proxy certificate. */
  readonly notAfter: Date
  /** The first end of validity among the authorities. */
  readonly caNotAfter: Date
}

export interface UpstreamCredentialsOptions {
  readonly files: UpstreamTlsFiles
  readonly log: CallLog
  /** After a swap, not after the first load. */
  readonly onChange: () => void
  /** How often the files are looked at, milliseconds. Default: that of `reload/`; 0 never by itself. */
  readonly intervalMs?: number | undefined
  readonly now?: () => Date
}

/** For readiness and metrics. */
export type UpstreamCredentialsStatus = ReloadStatus & Pick<UpstreamTls, 'subject' | 'notAfter' | 'caNotAfter'>

export interface UpstreamCredentials {
  current(): UpstreamTls
  status(): UpstreamCredentialsStatus
  /** Looks now. */
  check(): Promise<LookOutcome>
  close(): void
}

/** Loads and follows the files. Throws `file_invalid` where the first load cannot be used. */
export async function upstreamCredentials(options: UpstreamCredentialsOptions): Promise<UpstreamCredentials> {
  const { files, log, onChange, intervalMs, now = () => new Date() } = options
  const followed = await reloading({
    name: 'upstream-tls',
    paths: [...new Set([files.caFile, files.certFile, files.keyFile])],
    load: (contents) => readUpstreamTls(files, contents),
    log,
    ...(intervalMs === undefined ? {} : { intervalMs }),
    onChange(value) {
      announce(value)
      onChange()
    },
  })
  announce(followed.current())

  function announce({ subject, notAfter, caNotAfter }: UpstreamTls): void {
    log.info({ subject, notAfter }, 'front-proxy certificate in use')
    if (notAfter < now())
      log.warn({ subject, notAfter }, 'the front-proxy certificate has expired, API servers refuse it')
    if (caNotAfter < now()) log.warn({ file: files.caFile, caNotAfter }, 'an authority of the API servers has expired')
  }

  return {
    current: () => followed.current(),
    status() {
      const { subject, notAfter, caNotAfter } = followed.current()
      return { ...followed.status(), subject, notAfter, caNotAfter }
    },
    check: () => followed.check(),
    close: () => followed.close(),
  }
}

/** Throws `file_invalid`, naming the file. What has expired is taken: clocks differ, and the server has its say. */
function readUpstreamTls(paths: UpstreamTlsFiles, contents: ReadonlyMap<string, Buffer>): UpstreamTls {
  const { caFile, certFile, keyFile } = paths
  const authorities = readCertificates(caFile, contents)
  const chain = readCertificates(certFile, contents)
  const [leaf] = chain
  const key = readKey(keyFile, contents)
  if (!leaf.checkPrivateKey(key)) throw invalid(keyFile, `is not the key of the certificate in ${certFile}`)
  demandClientUse(leaf, certFile)
  return {
    context: makeContext(paths, { authorities, chain, key }),
    subject: leaf.subject.replaceAll('\n', ', '),
    commonName: commonNameOf(leaf),
    notAfter: leaf.validToDate,
    caNotAfter: new Date(Math.min(...authorities.map(({ validToDate }) => validToDate.getTime()))),
  }
}

interface Material {
  readonly authorities: readonly X509Certificate[]
  readonly chain: readonly X509Certificate[]
  readonly key: KeyObject
}

function makeContext({ certFile, keyFile }: UpstreamTlsFiles, { authorities, chain, key }: Material): SecureContext {
  try {
    return createSecureContext({
      ca: authorities.map(String),
      cert: chain.map(String).join(''),
      key: key.export({ type: 'pkcs8', format: 'pem' }),
      minVersion: 'TLSv1.2',
    })
  } catch (thrown) {
    throw invalid(`${certFile}, ${keyFile}`, `OpenSSL does not take them: ${messageOf(thrown)}`)
  }
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_USE = '2.5.29.37.0'

/** An API server takes a certificate without any extended use, and one for clients; no other. */
function demandClientUse({ keyUsage }: X509Certificate, certFile: string): void {
  const uses: readonly string[] | undefined = keyUsage // absent where there is no such extension, whatever the types say
  if (uses === undefined || uses.includes(CLIENT_AUTH) || uses.includes(ANY_USE)) return
  throw invalid(certFile, 'its certificate is not for clients; issue one with the extended key usage clientAuth')
}

/** The last, as the API server reads it. */
function commonNameOf(leaf: X509Certificate): string {
  const name: unknown = leaf.toLegacyObject().subject?.CN // a list where there are several
  const last: unknown = Array.isArray(name) ? name.at(-1) : name
  return typeof last === 'string' ? last : ''
}

/** At least one: OpenSSL takes an empty list of authorities for "the public ones". */
function readCertificates(
  path: string,
  contents: ReadonlyMap<string, Buffer>,
): readonly [X509Certificate, ...X509Certificate[]] {
  const parse = (der: Uint8Array): X509Certificate => new X509Certificate(der)
  try {
    const [first, ...rest] = parseBlocks(contentOf(path, contents), { where: path, label: 'CERTIFICATE', parse })
    if (first !== undefined) return [first, ...rest]
  } catch (thrown) {
    if (thrown instanceof ArchwayError) throw thrown
    throw invalid(path, `has a certificate that cannot be read: ${messageOf(thrown)}`)
  }
  throw invalid(path, 'has no certificate')
}

function readKey(path: string, contents: ReadonlyMap<string, Buffer>): KeyObject {
  const text = contentOf(path, contents).toString('latin1')
  try {
    return createPrivateKey(text)
  } catch {
    // What OpenSSL says of a key is left out: it helps nobody, and nothing of a key is to be told.
    throw invalid(
      path,
      /ENCRYPTED/.test(text) ? 'is protected by a passphrase; store it without' : 'is no private key in PEM',
    )
  }
}

function contentOf(path: string, contents: ReadonlyMap<string, Buffer>): Buffer {
  const bytes = contents.get(path)
  if (bytes === undefined) throw invalid(path, 'was not read')
  return bytes
}

function invalid(where: string, fault: string): ArchwayError {
  return new ArchwayError('file_invalid', `${where}: ${fault}`)
}
