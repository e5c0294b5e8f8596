/**
 * Users with passwords from a file, followed while we run: htpasswd, or the CSV of kube-apiserver's `--basic-auth-file`.
 * Owns keeping, looking up and the equal answer to every failed login; leaves the text to a file for each format, the
 * hashes to `hashing.ts`, the following to `reload/`, how many logins are tried at once and how often to whoever wraps it,
 * and whether a name may leave Archway to the identity gate.
 *
 * @module
 */
import { resolve } from 'node:path'
import type { CallContext, CallLog } from '../../context.ts'
import { ArchwayError } from '../../errors.ts'
import type { FileReads } from '../../reload/file-set.ts'
import { type Reloading, type ReloadStatus, reloading } from '../../reload/reloading.ts'
import type { UserInfo } from '../../user.ts'
import type { AuthnResult, PasswordAuthenticator } from '../authenticator.ts'
import { parseBasicAuthCsv } from './basic-auth-csv.ts'
import {
  formatOf,
  type PasswordFileContent,
  type PasswordFileEntry,
  type PasswordFileFormat,
  type PasswordFileWarning,
  textOf,
} from './file-text.ts'
import { type GroupLine, parseGroupsFile } from './groups-file.ts'
import { type PasswordVerifier, passwordVerifier } from './hashing.ts'
import { parseHtpasswd } from './htpasswd.ts'
import { MAX_PASSWORD_BYTES, type StoredHash, takesWhole } from './stored-hash.ts'

/** How many warnings of one load are logged in full. */
const LOGGED_WARNINGS = 20

/** What {@link passwordFile} needs. */
export interface PasswordFileOptions {
  readonly path: string
  readonly log: CallLog
  /** Default `password-file`. */
  readonly name?: string
  /** Default `auto`: see {@link formatOf}. */
  readonly format?: 'auto' | PasswordFileFormat
  /** Uids and groups of an htpasswd file's users; see `groups-file.ts`. The two files are one set. */
  readonly groupsFile?: string
  /** See {@link reloading}. */
  readonly intervalMs?: number
  /** After users have changed: what remembers logins of the old ones forgets them. */
  readonly onChange?: () => void
  readonly now?: () => Date
  readonly reads?: FileReads
  /** What compares; it is closed with the authenticator. */
  readonly verifier?: PasswordVerifier
}

/** The authenticator and the files behind it. */
export interface PasswordFileAuthenticator extends PasswordAuthenticator, Pick<Reloading<unknown>, 'check' | 'close'> {
  status(): ReloadStatus
}

/**
 * Accepts the users of a file. Every refusal is `login_failed`, and each costs one comparison of the kind that is most
 * common in the file, or of the user's own: an unknown name is compared with somebody's hash, and refused whatever comes
 * of it.
 *
 * @throws ArchwayError `file_invalid` when the file cannot be used at start; later mistakes leave the last good users in
 * force. `config_invalid` for options that do not go together.
 */
export async function passwordFile(options: PasswordFileOptions): Promise<PasswordFileAuthenticator> {
  const { path, log, name = 'password-file', groupsFile, onChange, intervalMs, now, reads } = options
  checkOptions(options)
  const verifier = options.verifier ?? passwordVerifier()
  const file = await reloading<Table>({
    name,
    paths: groupsFile === undefined ? [path] : [path, groupsFile],
    secret: true,
    log,
    load: (files) => tableFrom(files, options, name),
    onChange: (table) => {
      logDoubts(table)
      onChange?.()
    },
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(now === undefined ? {} : { now }),
    ...(reads === undefined ? {} : { reads }),
  })
  logDoubts(file.current())
  const failed: AuthnResult = Object.freeze({ kind: 'rejected', code: 'login_failed', source: name })

  return {
    name,
    async authenticate({ username, password }, ctx) {
      const { users, decoy, allowEmpty } = file.current()
      if (!isComparable(password, allowEmpty)) return refuse('a password no user can have', ctx)
      const user = users.get(username)
      const stored = user?.stored ?? decoy
      if (stored === undefined) return refuse('the file has no users', ctx)
      ctx.signal.throwIfAborted()
      const whole = takesWhole(stored.scheme, password)
      const matches = await verifier.matches(stored, whole ? password : '')
      if (user === undefined) return refuse('no such user', ctx)
      if (!whole) return refuse('the password is longer than bcrypt reads', ctx, username)
      if (!matches) return refuse('wrong password', ctx, username)
      return user.result ?? refuse('the user name is empty', ctx)
    },
    check: file.check,
    status: file.status,
    close() {
      file.close()
      verifier.close()
    },
  }

  /** Names that are not in the file are not logged: people type passwords there. */
  function refuse(cause: string, ctx: CallContext, username?: string): AuthnResult {
    const who = username === undefined ? {} : { username }
    ctx.log.info({ source: name, code: 'login_failed', cause, ...who }, 'login refused')
    return failed
  }

  function logDoubts({ warnings, format }: Table): void {
    if (format === 'csv') {
      log.warn({ file: name, path, remedy: CLEAR_REMEDY }, 'password file holds passwords in clear')
    }
    if (warnings.length === 0) return
    const shown = warnings.slice(0, LOGGED_WARNINGS)
    log.warn({ file: name, path, count: warnings.length, warnings: shown }, 'password file has doubtful records')
  }
}

const CLEAR_REMEDY =
  'whoever reads the file can log in as anybody in it: make an htpasswd file with `archway passwd`, and new passwords'

function checkOptions({ path, format, groupsFile }: PasswordFileOptions): void {
  if (groupsFile === undefined) return
  if (format === 'csv') throw new ArchwayError('config_invalid', `groupsFile: ${NO_GROUPS_FILE}`)
  if (resolve(groupsFile) === resolve(path))
    throw new ArchwayError('config_invalid', 'groupsFile: is the password file. Name another')
}

const NO_GROUPS_FILE = 'goes with htpasswd files; a CSV has uids and groups itself. Leave it out'

/**
 * Whether anybody could have the password. The answer is the same for every user name, so nothing is computed. NUL: bcrypt
 * repeats what it is given with NUL between, so that `a`, NUL, `a` passes for `a`. Half a surrogate is hashed as U+FFFD.
 */
function isComparable(password: string, allowEmpty: boolean): boolean {
  return (
    (allowEmpty || password !== '') &&
    !password.includes('\0') &&
    password.isWellFormed() &&
    Buffer.byteLength(password) <= MAX_PASSWORD_BYTES
  )
}

interface KnownUser {
  readonly stored: StoredHash
  /** Made once and shared; undefined where the record names nobody. */
  readonly result: AuthnResult | undefined
}

interface Table {
  readonly format: PasswordFileFormat
  readonly users: ReadonlyMap<string, KnownUser>
  /** What unknown users are compared with: a hash of the most common cost. Undefined when there are no users. */
  readonly decoy: StoredHash | undefined
  /** kube-apiserver took empty passwords that stood in the file. */
  readonly allowEmpty: boolean
  readonly warnings: readonly PasswordFileWarning[]
}

function tableFrom(files: ReadonlyMap<string, Buffer>, options: PasswordFileOptions, source: string): Table {
  const { path, groupsFile, format: asked = 'auto' } = options
  const text = textOf(files.get(path) ?? Buffer.alloc(0), path)
  const format = asked === 'auto' ? formatOf(text, path) : asked
  const { entries, warnings } = format === 'csv' ? csv() : htpasswd()
  const users = new Map<string, KnownUser>()
  for (const entry of entries) users.set(detached(entry.username), knownUser(entry, source))
  return { format, users, decoy: mostCommon(entries), allowEmpty: format === 'csv', warnings }

  function csv(): PasswordFileContent {
    if (groupsFile !== undefined) throw new ArchwayError('file_invalid', `${path}: \`groupsFile\` ${NO_GROUPS_FILE}`)
    return parseBasicAuthCsv(text, path)
  }

  function htpasswd(): PasswordFileContent {
    if (groupsFile === undefined) return parseHtpasswd(text, path)
    const records = parseGroupsFile(textOf(files.get(groupsFile) ?? Buffer.alloc(0), groupsFile), groupsFile)
    const content = parseHtpasswd(text, path, records)
    return { ...content, warnings: [...content.warnings, ...orphans(records, content.entries)] }
  }
}

/** Records of the groups file without a user: left from somebody who is gone, or a name misspelt. */
function orphans(
  records: ReadonlyMap<string, GroupLine>,
  entries: readonly PasswordFileEntry[],
): readonly PasswordFileWarning[] {
  const names = new Set(entries.map(({ username }) => username))
  return [...records].flatMap(([username, { line }]) =>
    names.has(username) ? [] : [{ line, message: 'of the groups file: the user is not in the password file' }],
  )
}

function mostCommon(entries: readonly PasswordFileEntry[]): StoredHash | undefined {
  const counts = new Map<string, number>()
  let most: StoredHash | undefined
  for (const { stored } of entries) {
    const count = (counts.get(stored.effort) ?? 0) + 1
    counts.set(stored.effort, count)
    if (most === undefined || count > (counts.get(most.effort) ?? 0)) most = stored
  }
  return most
}

function knownUser({ username, uid, groups, stored }: PasswordFileEntry, source: string): KnownUser {
  if (username === '') return { stored, result: undefined }
  const user: UserInfo = Object.freeze({
    username: detached(username),
    uid: detached(uid),
    groups: Object.freeze(groups.map(detached)),
    extra: new Map(),
  })
  return { stored, result: Object.freeze({ kind: 'authenticated', user, source }) }
}

/** A copy: what is cut from a longer string keeps all of that in memory, here a file with passwords. */
function detached(text: string): string {
  return Buffer.from(text).toString()
}
