/**
 * Files of keys and certificates. Owns who may read them, that nothing is written through a link or over a file nobody
 * asked to replace, and that a reader sees the old content or the new and nothing between.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { ArchwayError, messageOf } from '../errors.ts'
import { Secret } from '../secret.ts'

/** Keys are for nobody but us; certificates and public keys for everybody. */
const MODE = { secret: 0o600, public: 0o644, folder: 0o700 } as const

const GROUP_READS = 0o040
const MOST_BYTES = 4 * 1024 * 1024

/** One file to write. */
export interface NewFile {
  readonly path: string
  /** A {@link Secret} gets mode 0600. */
  readonly content: string | Secret
}

/**
 * Writes a file that is not there yet. Folders that are missing are made, for nobody but us.
 *
 * @throws ArchwayError `file_unwritable`; where something is there already, also a link, nothing has changed
 */
export function writeNewFile({ path, content }: NewFile): void {
  attempt(path, () => {
    mkdirSync(dirname(path), { recursive: true, mode: MODE.folder })
    writeWhole(path, content)
  })
}

/**
 * Puts a file in the place of one that may be there. A link is refused. The owner stays, and a key its group could read
 * stays one: whoever runs on it must not be locked out by a renewal.
 *
 * @throws ArchwayError `file_unwritable`; the old file is as it was
 */
export function replaceFile({ path, content }: NewFile): void {
  const temporary = join(dirname(path), `.archway-${process.pid}-${randomBytes(6).toString('hex')}`)
  attempt(path, () => {
    mkdirSync(dirname(path), { recursive: true, mode: MODE.folder })
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found?.isSymbolicLink() === true) throw new Error('it is a link')
    writeWhole(temporary, content, found)
    try {
      renameSync(temporary, path)
    } catch (thrown) {
      unlinkSync(temporary)
      throw thrown
    }
  })
}

/** Removes a file; one that is not there is none to remove. */
export function removeFile(path: string): void {
  attempt(path, () => {
    if (isThere(path)) unlinkSync(path)
  })
}

/** Whether anything has that name, a broken link too. */
export function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** A folder of ours, in which nobody else could put a link in our way. */
export function makeFolder(path: string): void {
  attempt(path, () => {
    mkdirSync(path, { recursive: true, mode: MODE.folder })
    const found = lstatSync(path)
    if (found.isSymbolicLink()) throw new Error('it is a link')
    const owner = process.getuid?.()
    if (owner !== undefined && found.uid !== owner) throw new Error(`it belongs to another user (${found.uid})`)
    if ((found.mode & 0o022) !== 0) throw new Error('others may write in it; chmod go-w')
  })
}

function writeWhole(path: string, content: string | Secret, like?: Stats): void {
  const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW = 0 } = constants
  const isSecret = content instanceof Secret
  const descriptor = openSync(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, isSecret ? MODE.secret : MODE.public)
  try {
    if (like !== undefined) {
      const { uid, gid } = fstatSync(descriptor)
      if (uid !== like.uid || gid !== like.gid) fchownSync(descriptor, like.uid, like.gid)
      if (isSecret) fchmodSync(descriptor, MODE.secret | (like.mode & GROUP_READS))
    }
    writeFileSync(descriptor, isSecret ? content.reveal() : content)
    fsyncSync(descriptor)
  } catch (thrown) {
    unlinkSync(path)
    throw thrown
  } finally {
    closeSync(descriptor)
  }
}

/** A file that was read. */
export interface ReadFile {
  readonly content: Buffer
  readonly mode: number
}

/**
 * Reads a file of at most 4 MiB.
 *
 * @throws ArchwayError `file_invalid` for what is no file, is too long or cannot be read
 */
export function readFile(path: string): ReadFile {
  try {
    // Without waiting: a pipe would keep us for ever.
    const descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    try {
      const found = fstatSync(descriptor)
      if (!found.isFile()) throw new Error('it is no file')
      return { content: readWhole(descriptor), mode: found.mode & 0o777 }
    } finally {
      closeSync(descriptor)
    }
  } catch (cause) {
    throw new ArchwayError('file_invalid', `${path}: cannot be read (${messageOf(cause)})`, { cause })
  }
}

function readWhole(descriptor: number): Buffer {
  const chunks: Buffer[] = []
  for (let size = 0; size <= MOST_BYTES; ) {
    const chunk = Buffer.alloc(65_536)
    const read = readSync(descriptor, chunk)
    if (read === 0) return Buffer.concat(chunks)
    chunks.push(chunk.subarray(0, read))
    size += read
  }
  throw new Error('it is longer than 4 MiB')
}

/** Reads a file that holds a secret. */
export function readSecretFile(path: string): Secret {
  return new Secret(readFile(path).content.toString('utf8'))
}

/** Reads a file of text. */
export function readTextFile(path: string): string {
  return readFile(path).content.toString('utf8')
}

function attempt(path: string, act: () => void): void {
  try {
    act()
  } catch (cause) {
    if (cause instanceof ArchwayError) throw cause
    const why = codeOf(cause) === 'EEXIST' ? 'there is a file of that name' : messageOf(cause)
    throw new ArchwayError('file_unwritable', `${path}: cannot be written: ${why}`, { cause })
  }
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
}
