/**
 * Uids and groups beside an htpasswd file, which has no room for them: CSV by the rules of the token file, without its
 * column of tokens (`user,uid[,"group1,group2"]`). Owns what a record means, reading and changing; leaves the grammar to
 * `readCsv`.
 *
 * The file decides who is in which group, so what is doubtful in it is a mistake, unlike in files that kube-apiserver
 * reads.
 *
 * @module
 */
import { InvalidDocumentError, type Problem } from '../../errors.ts'
import { type CsvRecord, readCsv } from '../token-file-format.ts'

/** What the file adds to a user. */
export interface GroupRecord {
  readonly uid: string
  readonly groups: readonly string[]
}

export interface GroupLine extends GroupRecord {
  readonly line: number
}

const MAX_PROBLEMS = 20

/**
 * Records by user name. Throws `file_invalid` with every line that cannot be used.
 *
 * @param where names the file in the error
 */
export function parseGroupsFile(text: string, where: string): ReadonlyMap<string, GroupLine> {
  const { records, problem } = readCsv(text)
  const found = new Map<string, GroupLine>()
  const problems: Problem[] = problem === undefined ? [] : [problem]
  for (const { line, fields } of records) {
    const [username = '', uid = '', groups] = fields
    const message = faultOf(fields, found.get(username)?.line)
    if (message === undefined) found.set(username, { line, uid, groups: groups?.split(',') ?? [] })
    else problems.push({ path: '', line, message })
  }
  if (problems.length > 0) throw new InvalidDocumentError('file_invalid', where, problems.slice(0, MAX_PROBLEMS))
  return found
}

function faultOf(
  [username = '', , groups, ...more]: CsvRecord['fields'],
  earlier: number | undefined,
): string | undefined {
  if (username === '') return 'the user name is empty. A record is user,uid[,"group1,group2"]'
  if (username.startsWith('\uFEFF'))
    return 'a byte order mark stands before the first user name. Save the file without it'
  if (username.includes(':')) return 'the user name has a colon. Is this the password file?'
  if (more.length > 0) return 'has more than three columns. Several groups stand in one pair of quotes: "group1,group2"'
  if (groups?.split(',').includes('') === true) {
    return 'a group name is empty. Leave the third column out when there are no groups'
  }
  return earlier === undefined ? undefined : `the user is that of line ${earlier} too. Keep one of the two records`
}

/** The text with the record of a user changed where it stands, or added at the end. */
export function withRecord(text: string, username: string, record: GroupRecord): string {
  const lines = text.split('\n')
  const place = placeOf(text, username)
  const written = [username, record.uid, ...(record.groups.length === 0 ? [] : [record.groups.join(',')])]
  const entry = written.map(quoted).join(',')
  if (place !== undefined) return lines.toSpliced(place.from, place.count, entry).join('\n')
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${entry}\n`
}

/** The text without the record of a user; the same text where there is none. */
export function withoutRecord(text: string, username: string): string {
  const place = placeOf(text, username)
  return place === undefined ? text : text.split('\n').toSpliced(place.from, place.count).join('\n')
}

interface Place {
  /** Index of its first line. */
  readonly from: number
  /** Lines; more than one where a quoted field holds a line feed. */
  readonly count: number
}

/** The lines of a record: up to the next one, without the blank lines between them. */
function placeOf(text: string, username: string): Place | undefined {
  const { records } = readCsv(text)
  const index = records.findIndex(({ fields: [name] }) => name === username)
  const found = records[index]
  if (found === undefined) return undefined
  const lines = text.split('\n')
  const from = found.line - 1
  let end = (records[index + 1]?.line ?? lines.length + 1) - 1
  while (end > from + 1 && lines[end - 1]?.trim() === '') end -= 1
  return { from, count: end - from }
}

function quoted(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field
}
