/**
 * The files of a recording on this machine: created anew, for their owner alone, never through a link.
 *
 * @module
 */
import { constants } from 'node:fs'
import { type FileHandle, lstat, open, rename } from 'node:fs/promises'
import { ArchwayError, messageOf } from '../../errors.ts'

/** A file that only grows. */
export interface RecordingFile {
  append(text: string): Promise<void>
  close(): Promise<void>
}

/** The outside of this room. */
export interface RecordingFiles {
  /** Creates a file that must not exist. Throws `file_invalid`. */
  create(path: string): Promise<RecordingFile>
  exists(path: string): Promise<boolean>
  rename(from: string, to: string): Promise<void>
}

/** The files of this machine. */
export function diskFiles(): RecordingFiles {
  return { create, exists, rename }
}

const NEW = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

async function create(path: string): Promise<RecordingFile> {
  const handle = await created(path)
  return {
    append: (text) => handle.appendFile(text),
    close: () => handle.close(),
  }
}

async function created(path: string): Promise<FileHandle> {
  try {
    return await open(path, NEW, 0o600)
  } catch (cause) {
    throw new ArchwayError('file_invalid', `${path}: ${sentenceFor(cause)}`, { cause })
  }
}

function sentenceFor(cause: unknown): string {
  switch (cause instanceof Error && 'code' in cause ? cause.code : undefined) {
    case 'EEXIST':
      return 'is there already, and a recording never goes into a file it did not make. Move it away'
    case 'ENOENT':
    case 'ENOTDIR':
      return 'its folder is not there. Create it'
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'this user may not create it. Check owner and mode of its folder'
    default:
      return `cannot be created (${messageOf(cause)})`
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return false
    throw thrown
  }
}
