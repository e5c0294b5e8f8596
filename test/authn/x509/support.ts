/**
 * What the tests of client certificates stand on: an authenticator over files in memory, and a small CA whose
 * certificates are made by openssl.
 *
 * @module
 */
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ClientCertificate } from '../../../src/authn/request/credentials.ts'
import { type X509Authenticator, type X509Authority, x509 } from '../../../src/authn/x509/x509.ts'
import { LATER, type MemoryFiles, memoryFiles, type RecordingLog, recordingLog } from '../../reload/support.ts'

export interface UnderTest {
  readonly authenticator: X509Authenticator
  readonly files: MemoryFiles
  readonly log: RecordingLog
}

/** Authorities by their content: `ca`, with `crl` where it is given. Files: `/ca.pem`, `/crl.pem`, `/ca1.pem` … */
export interface AuthorityContent
  extends Partial<Pick<X509Authority, 'usernamePrefix' | 'groupPrefix' | 'requireCrl'>> {
  readonly ca: string
  readonly crl?: string
}

export async function authenticatorOf(
  first: AuthorityContent | readonly AuthorityContent[],
  { now = () => LATER, entries = 100, onChange = () => {} } = {},
): Promise<UnderTest> {
  const files = memoryFiles()
  const authorities = [first].flat().map(({ ca, crl, ...rest }, at): X509Authority => {
    const [caFile, crlFile] = [`/ca${at || ''}.pem`, `/crl${at || ''}.pem`]
    files.write(caFile, ca)
    if (crl !== undefined) files.write(crlFile, crl)
    const prefixes = { usernamePrefix: '', groupPrefix: '' }
    return { caFile, ...(crl === undefined ? {} : { crlFile }), requireCrl: true, ...prefixes, ...rest }
  })
  const log = recordingLog()
  const options = { name: 'x509', authorities, entries, log, intervalMs: 0, onChange, now, reads: files }
  return { authenticator: await x509(options), files, log }
}

/** DER of certificates in PEM, the leaf first. */
export function presented(leaf: string, ...intermediates: readonly string[]): ClientCertificate {
  const der = (pem: string): Uint8Array => new X509Certificate(pem).raw
  return { leaf: der(leaf), intermediates: intermediates.map(der) }
}

export interface Issued {
  readonly cert: string
  /** Path of the private key. */
  readonly keyFile: string
  readonly subject: string
}

export interface IssueOptions {
  /** As `openssl -subj` takes it; `+` joins attributes of one set. */
  readonly subject: string
  /** Absent: signed by itself. */
  readonly issuer?: Issued
  /** Lines of an extension section. */
  readonly extensions?: readonly string[]
  /** `openssl genpkey` arguments; P-256 unless told otherwise. */
  readonly key?: readonly string[]
  /** More arguments of `openssl ca`: a hash, signature options. */
  readonly sign?: readonly string[]
  /** `YYYYMMDDHHMMSSZ`. */
  readonly notBefore?: string
  readonly notAfter?: string
  /** Another one's key instead of a new one. */
  readonly keyOf?: Issued
}

export interface OpensslCa {
  issue(options: IssueOptions): Promise<Issued>
  /** A list of an authority, PEM. */
  crl(
    issuer: Issued,
    options?: {
      readonly revoked?: readonly string[]
      readonly thisUpdate?: string
      readonly nextUpdate?: string
      readonly extensions?: readonly string[]
    },
  ): Promise<string>
  remove(): void
}

export const AUTHORITY: readonly string[] = [
  'basicConstraints=critical,CA:TRUE',
  'keyUsage=critical,keyCertSign,cRLSign',
]
export const CLIENT: readonly string[] = [
  'basicConstraints=critical,CA:FALSE',
  'keyUsage=critical,digitalSignature',
  'extendedKeyUsage=clientAuth',
]
const P256 = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']

/** A folder in which openssl issues. Everything it makes is valid from 2025 to 2035 unless told otherwise. */
export function opensslCa(): OpensslCa {
  const folder = mkdtempSync(join(tmpdir(), 'archway-x509-'))
  let made = 0
  const openssl = (...args: readonly string[]) =>
    promisify(execFile)('openssl', [...args], { cwd: folder, timeout: 60_000 })

  /** The database `openssl ca` works on, of one call. */
  function configure(id: string, extensions: readonly string[], index = ''): string {
    writeFileSync(join(folder, `${id}.index`), index)
    writeFileSync(join(folder, `${id}.index.attr`), 'unique_subject = no\n')
    const config = `
oid_section = oids
[oids]
k8sUid = 1.3.6.1.4.1.57683.2
[req]
distinguished_name = dn
string_mask = utf8only
utf8 = yes
[dn]
[ca]
default_ca = here
[here]
database = ${id}.index
new_certs_dir = .
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
[any]
${['countryName', 'organizationName', 'organizationalUnitName', 'commonName', 'emailAddress', 'k8sUid'].map((name) => `${name} = optional`).join('\n')}
[own]
${extensions.join('\n')}
`
    writeFileSync(join(folder, `${id}.cnf`), config)
    return `${id}.cnf`
  }

  return {
    async issue({ subject, issuer, extensions = CLIENT, key = P256, sign = [], keyOf, ...dates }) {
      made += 1
      const id = `c${made}`
      const keyFile = keyOf?.keyFile ?? join(folder, `${id}.key`)
      if (keyOf === undefined) await openssl('genpkey', ...key, '-out', keyFile)
      const config = configure(id, extensions)
      const utf8 = ['-utf8', '-multivalue-rdn']
      await openssl('req', '-new', '-config', config, '-key', keyFile, '-subj', subject, ...utf8, '-out', `${id}.csr`)
      const by =
        issuer === undefined ? ['-selfsign', '-keyfile', keyFile] : ['-cert', `${id}.ca`, '-keyfile', issuer.keyFile]
      if (issuer !== undefined) writeFileSync(join(folder, `${id}.ca`), issuer.cert)
      const { notBefore = '20250101000000Z', notAfter = '20350101000000Z' } = dates
      const validity = ['-startdate', notBefore, '-enddate', notAfter]
      const rest = [
        '-in',
        `${id}.csr`,
        '-out',
        `${id}.pem`,
        '-batch',
        '-notext',
        '-utf8',
        '-preserveDN',
        '-extensions',
        'own',
      ]
      await openssl('ca', '-config', config, ...by, ...validity, ...sign, ...rest)
      return { cert: readFileSync(join(folder, `${id}.pem`), 'utf8'), keyFile, subject }
    },

    async crl(issuer, { revoked = [], extensions, ...dates } = {}) {
      made += 1
      const id = `l${made}`
      const { thisUpdate = '20250101000000Z', nextUpdate = '20350101000000Z' } = dates
      const index = revoked.map((cert) => {
        const { serialNumber } = new X509Certificate(cert)
        return `R\t350101000000Z\t260101000000Z\t${serialNumber}\tunknown\t/CN=revoked\n`
      })
      const config = configure(id, extensions ?? [], index.join(''))
      writeFileSync(join(folder, `${id}.ca`), issuer.cert)
      const dated = ['-crl_lastupdate', thisUpdate, '-crl_nextupdate', nextUpdate]
      const more = extensions === undefined ? [] : ['-crlexts', 'own']
      const by = ['-config', config, '-cert', `${id}.ca`, '-keyfile', issuer.keyFile]
      await openssl('ca', '-gencrl', ...by, ...dated, ...more, '-out', `${id}.pem`)
      return readFileSync(join(folder, `${id}.pem`), 'utf8')
    },

    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
