/**
 * `archway passwd`: adds, changes, removes and lists the users of an htpasswd file.
 *
 * @module
 */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { editFile, readEditable, readText } from '../authn/password-file/edit-file.ts'
import { formatOf } from '../authn/password-file/file-text.ts'
import { type GroupRecord, parseGroupsFile, withoutRecord, withRecord } from '../authn/password-file/groups-file.ts'
import { hashPassword, NEW_HASHES, type NewHash } from '../authn/password-file/hashing.ts'
import { htpasswdLines, parseHtpasswd, withoutUser, withUser } from '../authn/password-file/htpasswd.ts'
import { BCRYPT_BYTES, MAX_PASSWORD_BYTES, parseStoredHash, takesWhole } from '../authn/password-file/stored-hash.ts'
import { ArchwayError, messageOf } from '../errors.ts'
import { permissionWarning } from '../reload/permissions.ts'
import { Secret } from '../secret.ts'
import { hasForbiddenCharacters, isReservedName } from '../user.ts'
import { type CommandIo, ExitError } from './io.ts'

const EXAMPLES = `
Examples:
  archway passwd users.htpasswd jane
  archway passwd users.htpasswd jane --add --groups-file groups.csv --uid 1001 --groups devs,oncall
  archway passwd users.htpasswd ci --stdin < ci.password
  archway passwd users.htpasswd jane --hash bcrypt
  archway passwd users.htpasswd jane --remove --groups-file groups.csv
  archway passwd users.htpasswd --list --groups-file groups.csv

The password is asked for twice, or read from standard input (one line feed at its end does not count); it is never an
argument, which every user of the machine could see. A file that is not there is made, with mode 0600.
Status 0: done; 1: refused, nothing has changed; 2: a wrong command line.
`

/** Somebody who can be asked; what `openTerminal` of `credential/terminal.ts` gives. */
export interface PasswordPrompt {
  ask(question: { readonly prompt: string; readonly hidden: boolean }): Promise<string>
  close(): void
}

interface PasswdFlags {
  readonly add?: boolean
  readonly remove?: boolean
  readonly list?: boolean
  readonly hash: NewHash
  readonly groupsFile?: string
  readonly groups?: string
  readonly uid?: string
  readonly stdin?: boolean
  readonly allowWeak?: boolean
}

/** @param openPrompt gives undefined where nobody can be asked; absent: nobody ever can */
export function addPasswdCommand(
  program: Command,
  io: CommandIo,
  done: (status: number) => void,
  openPrompt: () => PasswordPrompt | undefined = () => undefined,
): void {
  program
    .command('passwd')
    .description('add, change, remove and list the users of a password file')
    .argument('<file>', 'htpasswd file')
    .argument('[user]', 'name of the user')
    .addOption(new Option('--add', 'only add: a user who is there is left alone').conflicts(['remove', 'list']))
    .addOption(new Option('--remove', 'remove the user').conflicts('list'))
    .option('--list', 'print the users')
    .addOption(new Option('--hash <KIND>', 'how the password is kept').choices(NEW_HASHES).default('argon2id'))
    .option('--groups-file <FILE>', 'CSV with uids and groups (user,uid,"group1,group2")')
    .option('--groups <NAMES>', 'groups of the user, with commas between; goes with --groups-file')
    .option('--uid <UID>', 'uid of the user; goes with --groups-file')
    .option('--stdin', 'read the password from standard input')
    .option('--allow-weak', `take passwords shorter than ${MIN_LENGTH} characters`)
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, user: string | undefined, flags: PasswdFlags) => {
      try {
        await act(file, user, flags, io, openPrompt)
      } catch (thrown) {
        if (thrown instanceof ArchwayError) throw new ExitError(1, `archway: ${thrown.message}`)
        throw thrown
      }
      done(0)
    })
}

const MIN_LENGTH = 8

async function act(
  file: string,
  user: string | undefined,
  flags: PasswdFlags,
  io: CommandIo,
  openPrompt: () => PasswordPrompt | undefined,
): Promise<void> {
  checkFlags(file, user, flags)
  if (flags.list === true) {
    if (user !== undefined) throw new ExitError(2, 'archway: --list goes without USER')
    const text = existing(file)
    requireHtpasswd(text, file)
    io.out(listing(text, flags.groupsFile))
    return
  }
  if (user === undefined) throw new ExitError(2, 'archway: who? Name the user after the file, or ask for --list')
  if (flags.remove === true) await remove(file, user, flags, io)
  else await set(file, user, flags, io, openPrompt)
  complainOf(file, flags.groupsFile, io)
}

/** Mistakes of the command line are told before any file is opened. */
function checkFlags(file: string, user: string | undefined, flags: PasswdFlags): void {
  const { groupsFile, groups, uid, list, remove: removes } = flags
  const told = groups !== undefined || uid !== undefined
  if (told && groupsFile === undefined) throw new ExitError(2, 'archway: --groups and --uid go with --groups-file')
  if (told && (list === true || removes === true)) {
    throw new ExitError(2, 'archway: --groups and --uid go with a user who is added or changed')
  }
  if (groupsFile !== undefined && resolve(groupsFile) === resolve(file))
    throw new ExitError(2, 'archway: --groups-file is the password file. Name another')
  if (removes === true || list === true) return // what should not have got in must get out
  if (user !== undefined) refuseName('the user name', user)
  if (user !== undefined && /^[#\s]|[:]|\s$/u.test(user)) {
    throw new ExitError(1, 'archway: the user name must have no colon, no # in front and no space around it')
  }
  if (uid !== undefined && hasForbiddenCharacters(uid))
    throw new ExitError(1, 'archway: the uid has control characters')
  for (const group of groupNames(groups)) refuseName('a group name', group)
}

const MAX_NAME_BYTES = 255

function refuseName(what: string, name: string): void {
  const fault = nameFault(name)
  if (fault !== undefined) throw new ExitError(1, `archway: ${what} ${fault}`)
}

function nameFault(name: string): string | undefined {
  if (name === '') return 'is empty'
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `is longer than ${MAX_NAME_BYTES} bytes`
  if (hasForbiddenCharacters(name)) return 'has control or invisible characters'
  return isReservedName(name) ? 'is reserved for Kubernetes (system:…), or looks like one that is' : undefined
}

function groupNames(groups: string | undefined): readonly string[] {
  return groups === undefined || groups === '' ? [] : groups.split(',')
}

// --- adding and changing ----------------------------------------------------------------------------------------

async function set(
  file: string,
  user: string,
  flags: PasswdFlags,
  io: CommandIo,
  openPrompt: () => PasswordPrompt | undefined,
): Promise<void> {
  checkPlace(readEditable(file) ?? '', file, user, flags)
  checkRecords(flags)
  const password = await passwordFrom(flags, io, openPrompt)
  refuseWeak(password, flags)
  const encoded = await hashPassword(flags.hash, password.reveal())
  let known = false
  await editFile(file, (text) => {
    known = checkPlace(text, file, user, flags)
    return withUser(text, user, encoded)
  })
  io.out(`${known ? 'changed' : 'added'} ${user} (${flags.hash}) in ${file}\n`)
  if (flags.groupsFile !== undefined) await setRecord(flags.groupsFile, user, { ...flags, known }, io)
}

/** Whether the user is in the text, which must be of an htpasswd file. */
function checkPlace(text: string, file: string, user: string, { add }: Pick<PasswdFlags, 'add'>): boolean {
  requireHtpasswd(text, file)
  const places = htpasswdLines(text).filter(({ username }) => username === user)
  if (places.length > 1) {
    throw new ExitError(1, `archway: ${file}: ${user} stands on lines ${places.map(({ line }) => line).join(' and ')}`)
  }
  if (add === true && places.length > 0) {
    throw new ExitError(1, `archway: ${file}: ${user} is there already. Leave out --add to change the password`)
  }
  return places.length > 0
}

function requireHtpasswd(text: string, file: string): void {
  if (formatOf(text, file) === 'htpasswd') return
  throw new ExitError(
    1,
    `archway: ${file}: is no htpasswd file; a CSV would keep the password in clear. Begin a new file`,
  )
}

/** A groups file that could not be read afterwards is told before anything is asked. */
function checkRecords({ groupsFile }: PasswdFlags): void {
  if (groupsFile !== undefined) parseGroupsFile(readEditable(groupsFile) ?? '', groupsFile)
}

async function setRecord(
  file: string,
  user: string,
  { groups, uid, known }: PasswdFlags & { readonly known: boolean },
  io: CommandIo,
): Promise<void> {
  const inForce: GroupRecord[] = []
  await editFile(file, (text) => {
    const earlier = parseGroupsFile(text, file).get(user)
    if (groups === undefined && uid === undefined && earlier === undefined) return text
    const record: GroupRecord = {
      uid: uid ?? earlier?.uid ?? '',
      groups: groups === undefined ? (earlier?.groups ?? []) : groupNames(groups),
    }
    if (earlier !== undefined && !known) {
      io.err(`archway: ${file}: line ${earlier.line} had a record of this name already; what is not given stays\n`)
    }
    inForce.push(record)
    return withRecord(text, user, record)
  })
  for (const record of inForce) io.out(`${user} has ${described(record)}\n`)
}

function described({ uid, groups }: GroupRecord): string {
  return `${uid === '' ? 'no uid' : `uid ${uid}`}, ${groups.length === 0 ? 'no groups' : `groups ${groups.join(', ')}`}`
}

// --- the password -----------------------------------------------------------------------------------------------

async function passwordFrom(
  { stdin }: PasswdFlags,
  io: CommandIo,
  openPrompt: () => PasswordPrompt | undefined,
): Promise<Secret> {
  if (stdin === true) return new Secret(io.readInput().replace(/\r?\n$/, ''))
  const prompt = openPrompt()
  if (prompt === undefined) {
    throw new ExitError(
      2,
      'archway: standard input is no terminal, so nobody can be asked. Pipe the password to --stdin',
    )
  }
  try {
    const password = await prompt.ask({ prompt: 'New password: ', hidden: true })
    const again = await prompt.ask({ prompt: 'The same again: ', hidden: true })
    if (password !== again) throw new ExitError(1, 'archway: the two are not the same; nothing has changed')
    return new Secret(password)
  } finally {
    prompt.close()
  }
}

function refuseWeak(secret: Secret, { hash, allowWeak }: PasswdFlags): void {
  const fault = passwordFault(secret.reveal(), hash, allowWeak === true)
  if (fault !== undefined) throw new ExitError(1, `archway: the password ${fault}`)
}

function passwordFault(password: string, hash: NewHash, allowWeak: boolean): string | undefined {
  if (password === '') return 'is empty'
  if (/\p{Cc}/u.test(password)) return 'has control characters, which nobody could type (several lines?)'
  if (!password.isWellFormed() || password.includes('\uFFFD')) return 'is not UTF-8'
  if (!takesWhole(hash, password)) {
    return hash === 'bcrypt'
      ? `is longer than ${BCRYPT_BYTES} bytes, more than bcrypt reads. Make it shorter, or use --hash argon2id`
      : `is longer than ${MAX_PASSWORD_BYTES} bytes. Make it shorter`
  }
  if (allowWeak || [...password].length >= MIN_LENGTH) return undefined
  return `is shorter than ${MIN_LENGTH} characters. Choose a longer one, or say --allow-weak`
}

// --- removing, listing ------------------------------------------------------------------------------------------

async function remove(file: string, user: string, { groupsFile }: PasswdFlags, io: CommandIo): Promise<void> {
  const has = (text: string): boolean => {
    requireHtpasswd(text, file)
    return htpasswdLines(text).some(({ username }) => username === user)
  }
  if (!has(existing(file))) throw new ExitError(1, `archway: ${file}: has no such user`)
  await editFile(file, (text) => (has(text) ? withoutUser(text, user) : text))
  io.out(`removed ${shown(user)} from ${file}\n`)
  if (groupsFile === undefined || readText(groupsFile) === undefined) return
  await editFile(groupsFile, (text) => {
    parseGroupsFile(text, groupsFile) // a record is found only in a text that can be read
    return withoutRecord(text, user)
  })
}

function existing(file: string): string {
  const text = readText(file)
  if (text === undefined) throw new ExitError(1, `archway: ${file}: is not there`)
  return text
}

function listing(text: string, groupsFile: string | undefined): string {
  const records = groupsFile === undefined ? new Map() : parseGroupsFile(existing(groupsFile), groupsFile)
  const users = htpasswdLines(text)
  const width = Math.max(0, ...users.map(({ username }) => shown(username).length))
  const rows = users.map(({ line, username, encoded }) => {
    const parsed = parseStoredHash(encoded)
    const kind = parsed.kind === 'hash' ? parsed.stored.effort : `line ${line} cannot be used: ${parsed.message}`
    const record: GroupRecord | undefined = records.get(username)
    return `${shown(username).padEnd(width)}  ${kind}${record === undefined ? '' : `  ${described(record)}`}\n`
  })
  return rows.join('')
}

/** A name as it is, or as JSON where it would do something to a terminal. */
function shown(name: string): string {
  return hasForbiddenCharacters(name) || name === '' ? JSON.stringify(name) : name
}

/** What a server would say of the files now. */
function complainOf(file: string, groupsFile: string | undefined, io: CommandIo): void {
  for (const path of [file, groupsFile]) {
    const stats = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false })
    const warning = path === undefined || stats === undefined ? undefined : permissionWarning(path, stats.mode)
    if (warning !== undefined) io.err(`archway: ${warning}\n`)
  }
  try {
    const { warnings } = parseHtpasswd(existing(file), file)
    for (const { line, message } of warnings) io.err(`archway: ${file}: line ${line}: ${message}\n`)
  } catch (thrown) {
    io.err(`archway: a server will not take the file as it is: ${messageOf(thrown)}\n`)
  }
}
