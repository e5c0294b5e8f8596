/**
 * Files of Apache's `htpasswd`: a line `name:hash` for each user, comments, blank lines. Owns their lines, reading and
 * changing; leaves the hashes to `stored-hash.ts`.
 *
 * @module
 */
import { InvalidDocumentError, type Problem } from '../../errors.ts'
import { hasForbiddenCharacters } from '../../user.ts'
import { isNoEntry, type PasswordFileContent, type PasswordFileEntry, type PasswordFileWarning } from './file-text.ts'
import type { GroupRecord } from './groups-file.ts'
import { doubtAbout, parseStoredHash } from './stored-hash.ts'

const MAX_PROBLEMS = 20

/** A line that names a user, read no further than the first colon. */
export interface HtpasswdLine {
  /** Counted from 1. */
  readonly line: number
  /** Empty where the line has no colon. */
  readonly username: string
  readonly encoded: string
}

/** The lines of a text that are neither blank nor comments (`#` in the first column). */
export function htpasswdLines(text: string): readonly HtpasswdLine[] {
  return text.split('\n').flatMap((whole, index) => {
    if (isNoEntry(whole)) return []
    const content = withoutReturn(whole)
    const colon = Math.max(content.indexOf(':'), 0)
    return [{ line: index + 1, username: content.slice(0, colon), encoded: content.slice(colon + 1) }]
  })
}

/**
 * Reads the whole file. Uids and groups are those of `records`. Throws `file_invalid` with every line that cannot be used:
 * a hash of no known kind, one that asks for too much work, a user who stands twice.
 *
 * @param where names the file in the error
 */
export function parseHtpasswd(
  text: string,
  where: string,
  records: ReadonlyMap<string, GroupRecord> = new Map(),
): PasswordFileContent {
  const entries = new Map<string, PasswordFileEntry>()
  const warnings: PasswordFileWarning[] = []
  const problems: Problem[] = []
  for (const { line, username, encoded } of htpasswdLines(text)) {
    const wrong = faultOf(username, entries.get(username)?.line)
    const parsed = wrong === undefined ? parseStoredHash(encoded) : { kind: 'problem' as const, message: wrong }
    if (parsed.kind === 'problem') {
      problems.push({ path: '', line, message: parsed.message })
      continue
    }
    const { stored } = parsed
    const doubt = doubtAbout(stored)
    if (doubt !== undefined) warnings.push({ line, message: doubt })
    const { uid, groups } = records.get(username) ?? { uid: '', groups: [] }
    entries.set(username, { line, username, uid, groups, stored })
  }
  if (problems.length > 0) throw new InvalidDocumentError('file_invalid', where, problems.slice(0, MAX_PROBLEMS))
  return { entries: [...entries.values()], warnings }
}

function faultOf(username: string, earlier: number | undefined): string | undefined {
  if (username === '') return 'has no user name. A line is name:hash; comments begin with #'
  if (hasForbiddenCharacters(username)) {
    return 'the user name holds control or invisible characters, perhaps a byte order mark. Take them out'
  }
  return earlier === undefined ? undefined : `the user is that of line ${earlier} too. Keep one of the two lines`
}

/** The text with the hash of a user changed where it stands, or added at the end. */
export function withUser(text: string, username: string, encoded: string): string {
  const lines = text.split('\n')
  const found = htpasswdLines(text).find((entry) => entry.username === username)
  const entry = `${username}:${encoded}`
  if (found !== undefined) return lines.with(found.line - 1, entry + returnOf(lines[found.line - 1])).join('\n')
  const ending = text.includes('\r\n') ? '\r\n' : '\n'
  return `${text}${text === '' || text.endsWith('\n') ? '' : ending}${entry}${ending}`
}

/** The text without the line of a user; the same text where there is none. */
export function withoutUser(text: string, username: string): string {
  const gone = new Set(htpasswdLines(text).flatMap((entry) => (entry.username === username ? [entry.line] : [])))
  return text
    .split(/(?<=\n)/)
    .filter((_, index) => !gone.has(index + 1))
    .join('')
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line
}

function returnOf(line: string | undefined): string {
  return line?.endsWith('\r') === true ? '\r' : ''
}
