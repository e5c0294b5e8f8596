/**
 * The text of a password file before it is read: that it is text, and which of the two formats it is in. Owns telling
 * them apart; leaves reading to a file for each format beside this one.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer'
import { ArchwayError } from '../../errors.ts'
import type { StoredHash } from './stored-hash.ts'

export type PasswordFileFormat = 'csv' | 'htpasswd'

/** Somebody a password file knows. */
export interface PasswordFileEntry {
  readonly line: number
  readonly username: string
  readonly uid: string
  readonly groups: readonly string[]
  readonly stored: StoredHash
}

/** Something that is taken, and that whoever wrote it should look at. Never holds a password or a hash. */
export interface PasswordFileWarning {
  readonly line: number
  readonly message: string
}

/** What a file says: one entry for each user. */
export interface PasswordFileContent {
  readonly entries: readonly PasswordFileEntry[]
  readonly warnings: readonly PasswordFileWarning[]
}

/** @throws ArchwayError `file_invalid` */
export function textOf(content: Buffer, where: string): string {
  if (!isUtf8(content)) throw new ArchwayError('file_invalid', `${where}: is not UTF-8. Save it as UTF-8`)
  return content.toString()
}

/** A name, a colon, and the beginning of a hash. */
const HASHED = /^[^:]+:(?:\$(?:2.?|argon2\w*|apr1|[156])\$|\{S?SHA\d*\})/

/**
 * The format of a text. A line is of an htpasswd file when a name and the mark of a hash begin it (the hash may hold
 * commas), or when it has a colon and too few commas for a record; any other is of a CSV file. Taking one for the other
 * would make a password of what is none, so a text with lines of both kinds is nobody's.
 *
 * @throws ArchwayError `file_invalid`
 */
export function formatOf(text: string, where: string): PasswordFileFormat {
  let found: PasswordFileFormat | undefined
  for (const line of text.split('\n')) {
    if (isNoEntry(line)) continue
    const format = HASHED.test(line) || (line.includes(':') && line.split(',').length < 3) ? 'htpasswd' : 'csv'
    found ??= format
    if (format !== found) {
      throw new ArchwayError(
        'file_invalid',
        `${where}: has lines of an htpasswd file and lines of a CSV file. Say which it is with \`format\``,
      )
    }
  }
  return found ?? 'htpasswd'
}

/** Blank lines and comments of an htpasswd file. */
export function isNoEntry(line: string): boolean {
  return line.trim() === '' || line.startsWith('#')
}
