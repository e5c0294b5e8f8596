/**
 * Files that only their owner can read. Owns how such a file is read without trust in what stands at its path, how it
 * is replaced so that readers meet the old content or the new and nothing between, and how leftovers of writers that
 * were killed are found. Leaves what is in the files to others.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

/** A folder that has been looked at (`folder.ts`). */
export interface PrivateFolder {
  readonly path: string
  /** Whose the files in it have to be; undefined where the system has no owners and modes (Windows). */
  readonly uid: number | undefined
}

/** What stands at a path. */
export type FileState =
  | { readonly kind: 'missing' }
  | { readonly kind: 'content'; readonly bytes: Buffer; readonly modifiedMs: number; readonly inode: number }
  /** Something is there that is not to be trusted or cannot be read; `problem` says what, and what to do. */
  | { readonly kind: 'unfit'; readonly problem: string }

/** A file that is needed is {@link FileState unfit}; the message is its problem. */
export class UnfitFileError extends Error {}

/** Neither follows a link at the end of the path nor waits for the other end of a pipe. Windows knows neither. */
export const CAREFULLY: number = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

const OWNER_ONLY = 0o600
const LEFTOVER = /^tmp-[\w-]{16}$/
/** No writer takes that long between making a file and renaming it. */
const LEFTOVER_MS = 600_000
const MAX_SWEPT = 100

/** Reads a file of `folder`, at most `maxBytes` of it. Never throws. */
export function readPrivate(folder: PrivateFolder, name: string, maxBytes: number): FileState {
  const path = join(folder.path, name)
  try {
    if (folder.uid === undefined && lstatSync(path).isSymbolicLink()) return unfit(path, LINK)
    const fd = openSync(path, constants.O_RDONLY | CAREFULLY)
    try {
      const stats = fstatSync(fd)
      const problem = problemOf(stats, folder.uid) ?? (stats.size > maxBytes ? TOO_LONG : undefined)
      if (problem !== undefined) return unfit(path, problem)
      const bytes = readUpTo(fd, stats.size)
      return { kind: 'content', bytes, modifiedMs: stats.mtimeMs, inode: stats.ino }
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? { kind: 'missing' } : unfit(path, reasonOf(error))
  }
}

const LINK = 'it is a symbolic link; remove it'
const TOO_LONG = 'it is longer than anything written here; remove it'

function unfit(path: string, problem: string): FileState {
  return { kind: 'unfit', problem: `${printable(path)} is not used: ${problem}` }
}

/** Why an open file is not to be trusted, with the remedy. */
export function problemOf(stats: Stats, uid: number | undefined): string | undefined {
  if (!stats.isFile()) return 'it is not a regular file; remove it'
  if (uid === undefined) return undefined
  if (stats.uid !== uid) return `it belongs to user ${stats.uid}, and this is user ${uid}; remove it`
  if ((stats.mode & 0o777 & ~OWNER_ONLY) === 0) return undefined
  return `others may have read it (mode ${octal(stats.mode)} instead of 0600); remove it`
}

function readUpTo(fd: number, limit: number): Buffer {
  const buffer = Buffer.allocUnsafe(limit)
  let filled = 0
  for (;;) {
    const count = filled < limit ? readSync(fd, buffer, filled, limit - filled, null) : 0
    if (count === 0) return buffer.subarray(0, filled)
    filled += count
  }
}

/** A file under a name of its own, with its content on the disk. */
export interface TemporaryFile {
  readonly path: string
  readonly fd: number
}

/** Makes a new file with `content` under a temporary name. Throws what `node:fs` throws, and then leaves nothing. */
export function makeTemporary(folder: PrivateFolder, content: Buffer): TemporaryFile {
  const path = join(folder.path, `tmp-${randomBytes(12).toString('base64url')}`)
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | CAREFULLY, OWNER_ONLY)
  try {
    if (folder.uid !== undefined) fchmodSync(fd, OWNER_ONLY) // whatever the umask has taken away
    writeFileSync(fd, content)
    fsyncSync(fd)
    return { path, fd }
  } catch (error) {
    closeSync(fd)
    discard(path)
    throw error
  }
}

/**
 * Puts `content` in the place of whatever `name` was; a link is replaced, not followed. Returns the moment it was
 * written by the clock of the file system, ms since the epoch. Throws what `node:fs` throws; the old content then stays.
 */
export function replacePrivate(folder: PrivateFolder, name: string, content: Buffer): number {
  const { path, fd } = makeTemporary(folder, content)
  try {
    const { mtimeMs } = fstatSync(fd)
    closeSync(fd) // first: Windows renames no open file
    renameSync(path, join(folder.path, name))
    return mtimeMs
  } catch (error) {
    discard(path)
    throw error
  }
}

/** Removes what writers have left that were killed. `nowMs` by the clock of the file system: it may be another machine's. */
export function sweepLeftovers(folder: PrivateFolder, nowMs: number): void {
  const names = readdirSync(folder.path).filter((name) => LEFTOVER.test(name))
  for (const name of names.slice(0, MAX_SWEPT)) {
    const path = join(folder.path, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined || (folder.uid !== undefined && stats.uid !== folder.uid)) continue
    if (nowMs - stats.mtimeMs > LEFTOVER_MS) discard(path)
  }
}

/** Removes a file or link. Returns why it is still there, if it is. */
export function discard(path: string): string | undefined {
  try {
    unlinkSync(path)
    return undefined
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? undefined : `${printable(path)} cannot be removed: ${reasonOf(error)}`
  }
}

/** The code of an error of `node:fs`, `''` for any other. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied; make it yours',
  EPERM: 'permission denied; make it yours',
  EROFS: 'the file system is read-only; point XDG_CACHE_HOME to one that can be written',
  ENOSPC: 'no space is left on the device; make room',
  EDQUOT: 'the disk quota is used up; make room',
  EFBIG: 'the limit for the size of files (ulimit -f) is reached; raise it',
  ENOTDIR: 'a part of this path is not a folder; remove it, or set XDG_CACHE_HOME',
  ELOOP: LINK,
  ENOENT: 'a link on the way to it leads nowhere; remove that',
  EISDIR: 'a folder is in its place; remove it',
  ENOTEMPTY: 'a folder is in its place; remove it',
}

/** What went wrong with a file, and what to do about it. Says nothing of what is in the file. */
export function reasonOf(error: unknown): string {
  const code = codeOf(error)
  return REASONS[code] ?? (code === '' ? 'it cannot be used' : `it cannot be used (${code})`)
}

export function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}

/** A path as part of one line. */
export function printable(path: string): string {
  return path.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�')
}
