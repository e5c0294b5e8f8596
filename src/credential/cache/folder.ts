/**
 * Where the cache lives: one folder that only its owner can enter. Owns finding, making and judging it.
 *
 * What is checked is the folder itself, not the way to it. Whoever controls the way can put another folder in its place
 * at any time, and gains nothing to read by it: every file is made 0600 under a new name, and none is read that belongs
 * to somebody else.
 *
 * @module
 */
import { lstatSync, mkdirSync, statSync } from 'node:fs'
import { dirname, posix, win32 } from 'node:path'
import { codeOf, octal, type PrivateFolder, printable, reasonOf } from './private-file.ts'

export interface FolderPlace {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The home folder of whoever runs this; `''` where there is none. */
  readonly home: string
  readonly platform: NodeJS.Platform
  /** Who runs this; undefined on Windows. */
  readonly uid: number | undefined
}

export type FolderResult =
  | { readonly kind: 'ready'; readonly folder: PrivateFolder }
  /** In one line: what is wrong and what to do. */
  | { readonly kind: 'unusable'; readonly problem: string }

/**
 * The path: `$XDG_CACHE_HOME/archway` or `~/.cache/archway`, on Windows `%LOCALAPPDATA%\archway\cache`. A variable that
 * does not hold an absolute path counts as not set, as the XDG base directory specification has it. Undefined where
 * nothing absolute is known.
 */
export function cachePath({ env, home, platform }: FolderPlace): string | undefined {
  const path = platform === 'win32' ? win32 : posix
  const variable = env[platform === 'win32' ? 'LOCALAPPDATA' : 'XDG_CACHE_HOME'] ?? ''
  const below = platform === 'win32' ? ['archway', 'cache'] : ['archway']
  if (path.isAbsolute(variable)) return path.join(variable, ...below)
  if (!path.isAbsolute(home)) return undefined
  return path.join(home, ...(platform === 'win32' ? ['AppData', 'Local'] : ['.cache']), ...below)
}

/** Makes the folder where it is missing and looks at it. Never throws. */
export function openFolder(place: FolderPlace): FolderResult {
  const path = cachePath(place)
  if (path === undefined) return unusable('the cache', 'no home folder is known; set HOME or XDG_CACHE_HOME')
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false }) ?? make(path, place.uid)
    const problem = typeof stats === 'string' ? stats : problemOf(stats, place.uid)
    if (problem !== undefined) return unusable(path, problem)
    return { kind: 'ready', folder: { path, uid: place.uid } }
  } catch (error) {
    return unusable(path, reasonOf(error))
  }
}

function unusable(path: string, problem: string): FolderResult {
  return { kind: 'unusable', problem: `${printable(path)} keeps no credentials: ${problem}` }
}

type FolderStats = NonNullable<ReturnType<typeof lstatSync>>

function make(path: string, uid: number | undefined): FolderStats | string {
  const stranger = uid === 0 ? ownerOfWay(path) : 0
  if (stranger !== 0) return `this runs as root in the home of user ${stranger}, who could not use it; set HOME=/root`
  makeWithWay(path)
  return lstatSync(path)
}

/** `mkdirSync` with `recursive` says ENOENT of a file system that is read-only; this says what is the matter. */
function makeWithWay(path: string): void {
  try {
    makeOne(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || dirname(path) === path) throw error
    makeWithWay(dirname(path))
    makeOne(path)
  }
}

function makeOne(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error // else another process was quicker
  }
}

/** Whose the nearest folder on the way is that exists. `sudo` may leave HOME as it was. */
function ownerOfWay(path: string): number {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats === undefined ? ownerOfWay(posix.dirname(path)) : stats.uid
}

function problemOf(stats: FolderStats, uid: number | undefined): string | undefined {
  if (stats.isSymbolicLink()) return 'it is a symbolic link; remove it'
  if (!stats.isDirectory()) return 'it is not a folder; remove it'
  if (uid === undefined) return undefined
  if (stats.uid !== uid) return `it belongs to user ${stats.uid}, and this is user ${uid}; remove it`
  return (Number(stats.mode) & 0o077) === 0
    ? undefined
    : `others can enter it (mode ${octal(Number(stats.mode))}); chmod 700 it`
}
