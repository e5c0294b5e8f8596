/**
 * What a folder holds: certificates with the keys beside them. Owns which files belong together and which of them are
 * authorities; what is embedded in other files is brought by whoever can read those.
 *
 * @module
 */

import type { KeyObject } from 'node:crypto'
import { type Dirent, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { ArchwayError, messageOf } from '../errors.ts'
import { Secret } from '../secret.ts'
import { type CertificateFacts, readCertificates } from './certificate.ts'
import { isThere, readFile, replaceFile } from './files.ts'
import { isEncryptedKey, keyPem, readKey } from './keys.ts'
import { AUTHORITY_NAMES, type AuthorityName, pairPaths } from './layout.ts'

export type HeldKey =
  | { readonly state: 'present'; readonly key: KeyObject; readonly mode: number }
  | { readonly state: 'encrypted'; readonly mode: number }
  | { readonly state: 'missing' }
  | { readonly state: 'unreadable'; readonly why: string }

/** One certificate, what came with it, and its key. */
export interface Holding {
  /** Path from the folder, without the ending: `etcd/server`. */
  readonly name: string
  /** Files, for messages. */
  readonly paths: readonly string[]
  readonly authority: AuthorityName | undefined
  /** The certificate, then what came with it; of an authority all that are trusted. Never empty. */
  readonly certificates: readonly CertificateFacts[]
  readonly key: HeldKey
  /** Puts another certificate and key in their place. */
  replace(chainPem: string, key: KeyObject): void
}

/** Something that could not be read. */
export interface Unreadable {
  readonly name: string
  readonly why: string
}

export interface Holdings {
  readonly found: readonly Holding[]
  readonly unreadable: readonly Unreadable[]
}

/** Folders of ours that hold no certificates in use. */
const BACKUPS = 'backup'
const MOST_FILES = 10_000

/** Paths of all files of a folder and of those in it, sorted; links are not followed into folders. */
export function filesOf(folder: string): readonly string[] {
  let entries: Dirent[]
  try {
    entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  } catch (cause) {
    throw new ArchwayError('file_invalid', `${folder}: cannot be read (${messageOf(cause)})`, { cause })
  }
  if (entries.length > MOST_FILES) {
    throw new ArchwayError(
      'file_invalid',
      `${folder}: holds more than ${MOST_FILES} files; name the folder of certificates`,
    )
  }
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !relative(folder, path).startsWith(`${BACKUPS}/`))
    .sort()
}

export function backupFolder(folder: string, now: Date): string {
  return join(folder, BACKUPS, now.toISOString().replace(/[-:]|\.\d+/g, ''))
}

/** The certificates of a folder: files that end in `.crt`, and the `.key` beside each. */
export function holdingsOf(folder: string, passphrase: Secret | undefined): Holdings {
  const found: Holding[] = []
  const unreadable: Unreadable[] = []
  for (const path of filesOf(folder)) {
    const name = relative(folder, path).replace(/\.crt$/, '')
    if (!path.endsWith('.crt') || isRotationFile(name)) continue
    try {
      found.push(holdingOf(folder, name, passphrase))
    } catch (thrown) {
      if (!(thrown instanceof ArchwayError)) throw thrown
      unreadable.push({ name, why: thrown.message })
    }
  }
  return { found, unreadable }
}

/** Between the steps of a rotation: `ca.next`, `ca.old`, `ca.issuing`. */
function isRotationFile(name: string): boolean {
  return /\.(next|old|issuing)$/.test(name)
}

/** One pair. Throws `file_invalid`. */
function holdingOf(folder: string, name: string, passphrase: Secret | undefined): Holding {
  const paths = pairPaths(folder, name)
  const certificates = readCertificates(readFile(paths.certificate).content.toString('utf8'), paths.certificate)
  if (certificates.length === 0)
    throw new ArchwayError('file_invalid', `${paths.certificate}: holds no certificate, PEM`)
  return {
    name,
    paths: isThere(paths.key) ? [paths.certificate, paths.key] : [paths.certificate],
    authority: AUTHORITY_NAMES.find((authority) => authority === name),
    certificates,
    key: heldKey(paths.key, passphrase),
    replace(chainPem, key) {
      replaceFile({ path: paths.key, content: keyPem(key) })
      replaceFile({ path: paths.certificate, content: chainPem })
    },
  }
}

function heldKey(path: string, passphrase: Secret | undefined): HeldKey {
  if (!isThere(path)) return { state: 'missing' }
  try {
    const { content, mode } = readFile(path)
    const pem = new Secret(content.toString('utf8'))
    if (isEncryptedKey(pem.reveal()) && passphrase === undefined) return { state: 'encrypted', mode }
    return { state: 'present', key: readKey(pem, { where: path, passphrase }), mode }
  } catch (thrown) {
    if (!(thrown instanceof ArchwayError)) throw thrown
    return { state: 'unreadable', why: thrown.message }
  }
}
