/**
 * The password file of kube-apiserver up to 1.18 (`--basic-auth-file`): CSV with passwords in clear. Owns what its records
 * mean; leaves the grammar to `readCsv`.
 *
 * @module
 */
import { InvalidDocumentError, type Problem } from '../../errors.ts'
import { readCsv } from '../token-file-format.ts'
import type { PasswordFileContent, PasswordFileEntry, PasswordFileWarning } from './file-text.ts'
import { MAX_PASSWORD_BYTES, storedClear, takesWhole } from './stored-hash.ts'

const COLUMNS = 3
const MAX_PROBLEMS = 20

/**
 * Reads `password,user name,user uid[,"group1,group2"[,ignored…]]`, one record a user; of several, the last counts. Throws
 * `file_invalid` with the line and the remedy.
 *
 * @param where names the file in the error
 */
export function parseBasicAuthCsv(text: string, where: string): PasswordFileContent {
  const { records, problem } = readCsv(text)
  const short = records.filter(({ fields }) => fields.length < COLUMNS).slice(0, MAX_PROBLEMS)
  const problems = [...short.map(({ line }) => tooShort(line)), ...(problem === undefined ? [] : [problem])]
  if (problems.length > 0) throw new InvalidDocumentError('file_invalid', where, problems)

  const entries = new Map<string, PasswordFileEntry>()
  const warnings: PasswordFileWarning[] = []
  const warn = (line: number, message: string) => warnings.push({ line, message })
  if (text.startsWith('\uFEFF')) {
    warn(1, 'a byte order mark stands before the first password and is part of it. Save the file without it')
  }
  for (const { line, fields } of records) {
    const [password = '', username = '', uid = '', groups] = fields
    const earlier = entries.get(username)
    if (earlier !== undefined) warn(line, `the user is that of line ${earlier.line} too; this record wins`)
    for (const message of doubtsAbout(password, username, groups, fields.length)) warn(line, message)
    entries.set(username, { line, username, uid, groups: groups?.split(',') ?? [], stored: storedClear(password) })
  }
  return { entries: [...entries.values()], warnings }
}

function tooShort(line: number): Problem {
  return {
    path: '',
    line,
    message:
      `has fewer than ${COLUMNS} columns. A record is password,user name,user uid[,"group1,group2"]; ` +
      'there are no comments, and a line of spaces is a record',
  }
}

function doubtsAbout(
  password: string,
  username: string,
  groups: string | undefined,
  columns: number,
): readonly string[] {
  return [
    ...(username === '' ? ['the user name is empty; nobody logs in by it'] : []),
    ...(password === '' ? ['the password is empty: whoever knows the user name is let in'] : []),
    ...(takesWhole('clear', password)
      ? []
      : [`the password is longer than ${MAX_PASSWORD_BYTES} bytes and will be refused`]),
    ...(groups?.split(',').includes('') === true
      ? ['a group name is empty. Leave the fourth column out when there are no groups']
      : []),
    ...(columns > COLUMNS + 1
      ? ['columns after the fourth are ignored. Several groups stand in one pair of quotes: "group1,group2"']
      : []),
  ]
}
