/**
 * The text of a token file: CSV by the rules of Go's `encoding/csv`, and what kube-apiserver makes of its records.
 * Owns the grammar, the warnings and the wording of mistakes; leaves reading, keeping and looking up to
 * `token-file.ts`.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer'
import { InvalidDocumentError, type Problem } from '../errors.ts'
import { Secret } from '../secret.ts'

/** One record of a CSV text. */
export interface CsvRecord {
  /** Line on which the record begins, counted from 1. */
  readonly line: number
  readonly fields: readonly string[]
}

/** Who a token stands for. */
export interface TokenFileEntry {
  readonly line: number
  readonly token: Secret
  readonly username: string
  readonly uid: string
  readonly groups: readonly string[]
}

/** Something kube-apiserver accepts and whoever wrote it most likely did not mean. Never holds a token. */
export interface TokenFileWarning {
  readonly line: number
  readonly message: string
}

/** What a token file says. */
export interface TokenFile {
  /** One for each token; of equal tokens, the last. */
  readonly entries: readonly TokenFileEntry[]
  readonly warnings: readonly TokenFileWarning[]
}

const COLUMNS = 3
const BOM = '\uFEFF'
/** A picture or an archive in place of the file must not make a message of megabytes. */
const MAX_PROBLEMS = 20
const QUOTING = 'Put quotes around the whole field, without a space before them, and write a quote inside it twice'

/**
 * Reads `token,user name,user uid[,"group1,group2"[,ignored…]]`, one record a token. Throws `file_invalid` with the
 * line and the remedy; a token is never part of a message.
 *
 * @param where names the file in the error
 */
export function parseTokenFile(content: string | Buffer, where = 'token file'): TokenFile {
  const text = decoded(content, where)
  const { records, problem } = readCsv(text)
  const short = records.filter(({ fields }) => fields.length < COLUMNS).slice(0, MAX_PROBLEMS)
  const problems = [...short.map(tooShort), ...(problem === undefined ? [] : [problem])]
  if (problems.length === 0) return toTokenFile(records, text.startsWith(BOM))
  throw new InvalidDocumentError('file_invalid', where, [...problems, ...(text.startsWith(BOM) ? [bomProblem()] : [])])
}

/**
 * Reads CSV as Go's `encoding/csv` does with `FieldsPerRecord = -1`: blank lines are skipped, a carriage return goes
 * only where it ends a line (inside quotes too), quotes must open a field at once. Stops at the first mistake; the
 * records before it are returned with it.
 */
export function readCsv(text: string): { readonly records: readonly CsvRecord[]; readonly problem?: Problem } {
  const records: CsvRecord[] = []
  const nextLine = lineReader(text)
  for (let line = nextLine(); line !== undefined; line = nextLine()) {
    if (line.text === '' || line.text === '\n') continue
    const record = readRecord(line, nextLine)
    if ('message' in record) return { records, problem: record }
    records.push(record)
  }
  return { records }
}

function decoded(content: string | Buffer, where: string): string {
  const bad = typeof content === 'string' ? !content.isWellFormed() : !isUtf8(content)
  if (!bad) return content.toString()
  throw new InvalidDocumentError('file_invalid', where, [
    {
      path: '',
      message: 'is not UTF-8. Save it as UTF-8, without byte order mark',
      ...(typeof content === 'string' ? {} : { line: firstBadLine(content) }),
    },
  ])
}

/** A line feed is never part of a longer UTF-8 sequence, so lines can be judged one by one. */
function firstBadLine(content: Buffer): number {
  let line = 1
  for (let start = 0, end = content.indexOf(10); end >= 0; start = end + 1, end = content.indexOf(10, start)) {
    if (!isUtf8(content.subarray(start, end))) return line
    line += 1
  }
  return line
}

interface Line {
  readonly number: number
  /** With its line feed; without the carriage return before it. */
  readonly text: string
}

/** Gives one line a call, as Go's reader does: the last may lack its line feed, and then loses one carriage return. */
function lineReader(text: string): () => Line | undefined {
  let number = 0
  let start = 0
  return () => {
    if (start >= text.length) return undefined
    number += 1
    const feed = text.indexOf('\n', start)
    const end = feed < 0 ? text.length : feed
    const line = text.slice(start, text[end - 1] === '\r' && end > start ? end - 1 : end)
    start = end + 1
    return { number, text: feed < 0 ? line : `${line}\n` }
  }
}

/** Where in a record the reading is: `at` is an index into the line. */
interface Cursor {
  line: Line
  at: number
}

interface Field {
  readonly value: string
  readonly last: boolean
}

function readRecord(line: Line, nextLine: () => Line | undefined): CsvRecord | Problem {
  const fields: string[] = []
  const cursor: Cursor = { line, at: 0 }
  for (;;) {
    const number = fields.length + 1
    const field =
      cursor.line.text[cursor.at] === '"' ? quotedField(cursor, number, nextLine) : bareField(cursor, number)
    if ('message' in field) return field
    fields.push(field.value)
    if (field.last) return { line: line.number, fields }
  }
}

function bareField(cursor: Cursor, number: number): Field | Problem {
  const { text } = cursor.line
  const comma = text.indexOf(',', cursor.at)
  const end = comma >= 0 ? comma : text.length - (text.endsWith('\n') ? 1 : 0)
  const value = text.slice(cursor.at, end)
  const quote = value.indexOf('"')
  if (quote >= 0) {
    return mistake(
      cursor.line,
      cursor.at + quote,
      `field ${number} has a quote but does not begin with one. ${QUOTING}`,
    )
  }
  cursor.at = end + 1
  return { value, last: comma < 0 }
}

function quotedField(cursor: Cursor, number: number, nextLine: () => Line | undefined): Field | Problem {
  const opened = { line: cursor.line, at: cursor.at }
  let value = ''
  cursor.at += 1
  for (;;) {
    const { text } = cursor.line
    const quote = text.indexOf('"', cursor.at)
    if (quote < 0) {
      value += text.slice(cursor.at)
      const next = nextLine()
      if (next === undefined) {
        return mistake(opened.line, opened.at, `the quote that opens field ${number} is never closed. ${QUOTING}`)
      }
      cursor.line = next
      cursor.at = 0
      continue
    }
    value += text.slice(cursor.at, quote)
    cursor.at = quote + 2
    const after = text[quote + 1]
    if (after === undefined || after === '\n') return { value, last: true }
    if (after === ',') return { value, last: false }
    if (after !== '"') return mistake(cursor.line, quote, `field ${number} goes on after its closing quote. ${QUOTING}`)
    value += '"'
  }
}

function mistake(line: Line, at: number, message: string): Problem {
  return { path: '', line: line.number, column: at + 1, message }
}

function tooShort({ line, fields }: CsvRecord): Problem {
  const found = fields.length === 1 ? 'one column' : `${fields.length} columns`
  return {
    path: '',
    line,
    message:
      `has ${found}, fewer than ${COLUMNS}. A record is token,user name,user uid[,"group1,group2"]; ` +
      'there are no comments, and a line of spaces is a record',
  }
}

function bomProblem(): Problem {
  return { path: '', line: 1, message: 'a byte order mark stands before the first field. Save the file without it' }
}

function toTokenFile(records: readonly CsvRecord[], bom: boolean): TokenFile {
  const entries = new Map<string, TokenFileEntry>()
  const warnings: TokenFileWarning[] = []
  const warn = (line: number, message: string) => warnings.push({ line, message })
  if (bom) warn(1, 'a byte order mark stands before the first token and is part of it. Save the file without it')
  for (const { line, fields } of records) {
    const [token = '', username = '', uid = '', groups] = fields
    if (token === '') {
      warn(line, 'the token is empty; the record is skipped')
      continue
    }
    for (const message of doubtsAbout(username, groups, fields.length)) warn(line, message)
    const earlier = entries.get(token)
    if (earlier !== undefined) warn(line, `the token is that of line ${earlier.line} too; this record wins`)
    entries.set(token, { line, token: new Secret(token), username, uid, groups: groups?.split(',') ?? [] })
  }
  return { entries: [...entries.values()], warnings }
}

function doubtsAbout(username: string, groups: string | undefined, columns: number): readonly string[] {
  return [
    ...(username === '' ? ['the user name is empty; its token will be refused'] : []),
    ...(groups?.split(',').includes('') === true
      ? ['a group name is empty. Leave the fourth column out when there are no groups']
      : []),
    ...(columns > COLUMNS + 1
      ? ['columns after the fourth are ignored. Several groups stand in one pair of quotes: "group1,group2"']
      : []),
  ]
}
