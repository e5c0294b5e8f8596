/**
 * Reading and replacing kubeconfig files. Owns locks, modes, owners and links: kubectl's lock is respected and held, a
 * reader sees the old file or the new one and nothing between, and a program that dies midway leaves the old one.
 *
 * The work under the locks is synchronous, so a caller who listens for signals is not interrupted by them there.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ArchwayError, messageOf } from '../../errors.ts'

const MAX_BYTES = 4 * 1024 * 1024
const RETRY_MS = 50

/**
 * The content of a file; undefined where there is none. A link is followed.
 *
 * @throws ArchwayError `file_invalid` for what is no file, is too long or cannot be read
 */
export function readKubeconfigFile(path: string): Buffer | undefined {
  let descriptor: number
  try {
    // Without waiting: a pipe would keep us for ever.
    descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return undefined
    throw new ArchwayError('file_invalid', `${path}: cannot be read (${messageOf(cause)})`, { cause })
  }
  try {
    if (!fstatSync(descriptor).isFile()) throw new ArchwayError('file_invalid', `${path}: is not a file; use --print`)
    const buffer = Buffer.alloc(MAX_BYTES + 1)
    let size = 0
    for (;;) {
      const read = readSync(descriptor, buffer, size, buffer.length - size, null)
      size += read
      if (size > MAX_BYTES)
        throw new ArchwayError('file_invalid', `${path}: is longer than 4 MiB, which no kubeconfig is`)
      if (read === 0) return buffer.subarray(0, size)
    }
  } finally {
    closeSync(descriptor)
  }
}

/** What {@link withKubeconfigLocks} needs. */
export interface LockOptions {
  /** As they were named: kubectl locks by name. */
  readonly paths: readonly string[]
  /** How long to wait for whoever has them. kubectl has them for milliseconds. */
  readonly waitMs: number
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs `work` holding kubectl's lock of each file, `FILE.lock`, and that of the file a link leads to. Folders that are
 * missing are made, for nobody but us.
 *
 * @throws ArchwayError `kubeconfig_locked`, `kubeconfig_unwritable`, `credential_interrupted`
 */
export async function withKubeconfigLocks<T>({ paths, waitMs, signal }: LockOptions, work: () => T): Promise<T> {
  const targets = paths.flatMap((path) => [path, targetOf(path)])
  const locks = [...new Set(targets)].sort().map((path) => `${path}.lock`)
  for (const lock of locks) attempt(lock, () => mkdirSync(dirname(lock), { recursive: true, mode: 0o700 }))
  const until = performance.now() + waitMs
  for (;;) {
    const taken: string[] = []
    try {
      for (const lock of locks) {
        if (!take(lock)) break
        taken.push(lock)
      }
      if (taken.length === locks.length) return work()
    } finally {
      for (const lock of taken) removeIfThere(lock)
    }
    if (performance.now() >= until) {
      const lock = locks[taken.length] ?? ''
      throw new ArchwayError(
        'kubeconfig_locked',
        `${lock} is there: kubectl or another program is changing the file, or has died while it did. ` +
          `If none of them runs, remove it: rm ${lock}`,
      )
    }
    await delay(RETRY_MS, undefined, { signal }).catch(() => undefined)
    if (signal?.aborted === true) throw new ArchwayError('credential_interrupted', 'interrupted; nothing was written')
  }
}

/** What {@link replaceKubeconfigFile} needs. */
export interface ReplaceOptions {
  readonly path: string
  readonly content: string
  /** What was read; undefined for a file that was not there. */
  readonly previous: string | undefined
  /** Keep the old one beside it, as `FILE.bak-TIME`. */
  readonly backup: boolean
  readonly now: Date
}

/**
 * Puts a file in the place of the old one: same mode, same owner; a new one is for nobody but us. Of a link the target is
 * replaced. Resolves to the path of the backup, if one was made.
 *
 * @throws ArchwayError `kubeconfig_unwritable`; the old file is as it was
 */
export function replaceKubeconfigFile({ path, content, previous, backup, now }: ReplaceOptions): string | undefined {
  const target = targetOf(path)
  const temporary = `${target}.archway-${process.pid}-${randomBytes(6).toString('hex')}`
  const found = previous === undefined ? undefined : attempt(target, () => lstatSync(target))
  const kept = backup && found !== undefined ? `${target}.bak-${stamp(now)}` : undefined
  try {
    attempt(target, () => writeWhole(temporary, content, found))
    const present = readKubeconfigFile(target)
    if (present?.toString() !== previous) {
      throw new ArchwayError(
        'kubeconfig_unwritable',
        `${path}: somebody else has just changed it; nothing was written. Try again`,
      )
    }
    if (kept !== undefined) attempt(kept, () => copyFileSync(target, kept, constants.COPYFILE_EXCL))
    attempt(target, () => renameSync(temporary, target))
  } catch (thrown) {
    removeIfThere(temporary)
    throw thrown
  }
  syncFolder(dirname(target))
  return kept
}

function writeWhole(path: string, content: string, like: Stats | undefined): void {
  const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW = 0 } = constants
  const descriptor = openSync(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600)
  try {
    if (like !== undefined) {
      const { uid, gid } = fstatSync(descriptor)
      if (uid !== like.uid || gid !== like.gid) fchownSync(descriptor, like.uid, like.gid)
      fchmodSync(descriptor, like.mode & 0o777)
    }
    writeFileSync(descriptor, content)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** The new name is on the disk as well once this returns; not every system can. */
function syncFolder(folder: string): void {
  try {
    const descriptor = openSync(folder, 'r')
    try {
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch {
    // The file is in its place; only how soon that is on the disk is left to the system.
  }
}

/** The file itself where `path` is a link to it. */
function targetOf(path: string): string {
  try {
    return realpathSync(path)
  } catch (cause) {
    if (!isLink(path)) return path
    throw new ArchwayError(
      'kubeconfig_unwritable',
      `${path}: is a link to a file that is not there. Make or remove it`,
      {
        cause,
      },
    )
  }
}

function isLink(path: string): boolean {
  return attempt(path, () => lstatSync(path, { throwIfNoEntry: false }))?.isSymbolicLink() === true
}

/** Whether the lock was free and now is ours. */
function take(lock: string): boolean {
  try {
    closeSync(openSync(lock, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0))
    return true
  } catch (thrown) {
    if (codeOf(thrown) === 'EEXIST') return false
    throw unwritable(lock, thrown)
  }
}

function attempt<T>(path: string, act: () => T): T {
  try {
    return act()
  } catch (thrown) {
    throw unwritable(path, thrown)
  }
}

function unwritable(path: string, cause: unknown): ArchwayError {
  const remedy =
    codeOf(cause) === 'EPERM'
      ? 'It belongs to somebody else: run this as its owner'
      : 'Name another file with --kubeconfig, or use --print'
  return new ArchwayError('kubeconfig_unwritable', `${path}: cannot be written (${messageOf(cause)}). ${remedy}`, {
    cause,
  })
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
  }
}

function stamp(now: Date): string {
  return now.toISOString().replace(/[-:]|\.\d+/g, '')
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
}
