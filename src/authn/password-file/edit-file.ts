/**
 * Changing a file of users so that a reader finds the old one or the new one, whole, and two writers do not lose each
 * other's change. Owns the swap, the lock, owner and mode; leaves what changes to its caller.
 *
 * @module
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { ArchwayError, messageOf } from '../../errors.ts'
import { textOf } from './file-text.ts'

export interface EditOptions {
  /** How long to wait for another writer, milliseconds; default 2000. */
  readonly waitMs?: number
}

const TRY_AGAIN_MS = 50
const NEW_FILE_MODE = 0o600

/** The text of a file, or undefined where there is none. Throws `file_invalid`. */
export function readText(path: string): string | undefined {
  return onDisk(path, () =>
    statSync(path, { throwIfNoEntry: false }) === undefined ? undefined : textOf(readFileSync(path), path),
  )
}

/** As {@link readText}, of a file that {@link editFile} would take; throws `file_invalid` for any other. */
export function readEditable(path: string): string | undefined {
  return onDisk(path, () => stateOf(path))?.text
}

/**
 * Replaces a file by what `change` makes of its text; a file that is not there has an empty one, and is made with mode
 * 0600. Owner and mode stay. The new content goes to a file beside it which only one writer can make, and which the rename
 * gives up: it is the lock. What `change` throws comes out, and nothing has happened.
 *
 * Throws `file_invalid` for links, what is no regular file, files of somebody else, and a lock that stays.
 */
export async function editFile(
  path: string,
  change: (text: string) => string,
  { waitMs = 2000 }: EditOptions = {},
): Promise<void> {
  const beside = `${path}.archway-new`
  const descriptor = await locked(path, beside, waitMs)
  let renamed = false
  try {
    const before = onDisk(path, () => stateOf(path))
    const text = change(before?.text ?? '')
    if (text === (before?.text ?? '')) return
    onDisk(path, () => {
      writeFileSync(descriptor, text)
      if (before !== undefined) keepAttributes(descriptor, before.stats)
      fsyncSync(descriptor)
      renameSync(beside, path)
      renamed = true
      syncFolder(dirname(path))
    })
  } finally {
    closeSync(descriptor)
    if (!renamed) unlinkSync(beside)
  }
}

async function locked(path: string, beside: string, waitMs: number): Promise<number> {
  for (let waited = 0; ; waited += TRY_AGAIN_MS) {
    const descriptor = onDisk(path, () => exclusive(beside))
    if (descriptor !== undefined) return descriptor
    if (waited >= waitMs) {
      throw new ArchwayError(
        'file_invalid',
        `${path}: is being changed by somebody else, or that was broken off. If nobody is at it, remove ${beside}`,
      )
    }
    await setTimeout(TRY_AGAIN_MS)
  }
}

/** A file that was not there; undefined where it was. */
function exclusive(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, NEW_FILE_MODE)
  } catch (thrown) {
    if (codeOf(thrown) === 'EEXIST') return undefined
    throw thrown
  }
}

interface State {
  readonly text: string
  readonly stats: Stats
}

function stateOf(path: string): State | undefined {
  const looked = lstatSync(path, { throwIfNoEntry: false })
  if (looked === undefined) return undefined
  const fault = faultOf(looked)
  if (fault !== undefined) throw new ArchwayError('file_invalid', `${path}: ${fault}`)
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stats = fstatSync(descriptor)
    if (stats.ino !== looked.ino || stats.dev !== looked.dev) {
      throw new ArchwayError('file_invalid', `${path}: is being replaced. Try again`)
    }
    return { text: textOf(readFileSync(descriptor), path), stats }
  } finally {
    closeSync(descriptor)
  }
}

const MAX_BYTES = 16 * 1024 * 1024

function faultOf(stats: Stats): string | undefined {
  if (stats.isSymbolicLink()) return 'is a symbolic link. Name the file itself'
  if (!stats.isFile()) return 'is not a regular file'
  if (stats.size > MAX_BYTES) return `is longer than ${MAX_BYTES} bytes. Check that it is the right file`
  const self = process.geteuid?.()
  if (self === undefined || self === 0 || stats.uid === self) return undefined
  return `belongs to another user (uid ${stats.uid}), whose it would not be any more. Change it as that user`
}

function keepAttributes(descriptor: number, { uid, gid, mode }: Stats): void {
  const made = fstatSync(descriptor)
  if (made.uid !== uid || made.gid !== gid) fchownSync(descriptor, uid, gid)
  fchmodSync(descriptor, mode & 0o777)
}

/** So that the rename outlives a loss of power. */
function syncFolder(path: string): void {
  const descriptor = openSync(path, constants.O_RDONLY)
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** What the file system refuses becomes `file_invalid`. */
function onDisk<T>(path: string, act: () => T): T {
  try {
    return act()
  } catch (thrown) {
    if (thrown instanceof ArchwayError || codeOf(thrown) === undefined) throw thrown
    throw new ArchwayError('file_invalid', `${path}: cannot be used (${messageOf(thrown)})`, { cause: thrown })
  }
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
}
