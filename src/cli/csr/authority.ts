/**
 * The authority that signs, from files: certificate and key, and what of a chain comes after its certificates.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import type { Command } from 'commander'
import { ArchwayError } from '../../errors.ts'
import { openAuthority } from '../../pki/issuing.ts'
import { readKey } from '../../pki/keys.ts'
import { readPem, writePem } from '../../pki/pem.ts'
import { Secret } from '../../secret.ts'
import type { SigningAuthority } from '../../signer/answering.ts'

export interface AuthorityFlags {
  readonly caCert: string
  readonly caKey: string
  readonly passphraseFile?: string
}

/** Adds `--ca-cert`, `--ca-key` and `--passphrase-file`. */
export function addAuthorityFlags(command: Command): Command {
  return command
    .optionsGroup('Authority:')
    .requiredOption(
      '--ca-cert <FILE>',
      'certificate of the authority, PEM; intermediates after it go with what it signs',
    )
    .requiredOption('--ca-key <FILE>', 'its key, PEM')
    .option('--passphrase-file <FILE>', 'passphrase of the key; the first line counts')
    .optionsGroup('Options:')
}

/** In the order in which {@link authorityFrom} wants their contents. */
export function authorityPaths({ caCert, caKey, passphraseFile }: AuthorityFlags): readonly string[] {
  return [caCert, caKey, ...(passphraseFile === undefined ? [] : [passphraseFile])]
}

/** One that can sign now. Throws `file_invalid`, `key_unusable` or `certificate_not_issued`. */
export async function authorityFrom(
  flags: AuthorityFlags,
  files: ReadonlyMap<string, Buffer>,
  now?: () => Date,
): Promise<SigningAuthority> {
  const { caCert, caKey, passphraseFile } = flags
  const text = (path: string): string => files.get(path)?.toString('utf8') ?? ''
  const [line = ''] = passphraseFile === undefined ? [] : text(passphraseFile).split(/\r?\n/)
  const passphrase = line === '' ? undefined : new Secret(line)
  const key = readKey(new Secret(text(caKey)), { where: caKey, passphrase })
  const [own = '', ...above] = certificatesIn(text(caCert), caCert)
  const authority = openAuthority(own, key, { pastEnd: 'clamp', ...(now === undefined ? {} : { now }) })
  await authority.ready()
  return { authority, intermediates: [own, ...above].filter((pem) => !isRoot(pem)).join('') }
}

function certificatesIn(text: string, where: string): readonly string[] {
  const found = readPem(text).filter(({ label }) => label === 'CERTIFICATE')
  if (found.length === 0) throw new ArchwayError('file_invalid', `${where}: has no certificate, expected PEM`)
  return found.map(({ der, line }) => {
    if (der === undefined) throw new ArchwayError('file_invalid', `${where}: line ${line}: a certificate is cut off`)
    return writePem('CERTIFICATE', der)
  })
}

/** Clients have the root, or it would prove nothing. */
function isRoot(pem: string): boolean {
  const certificate = new X509Certificate(pem)
  return certificate.checkIssued(certificate)
}
