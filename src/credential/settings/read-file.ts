/**
 * Reading the small files settings come from, with what has to be known of them before they are believed.
 *
 * @module
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

/** A file, read. */
export interface SettingsFile {
  readonly text: string
  /** Others than its owner can read it. */
  readonly readableByOthers: boolean
  /** It belongs neither to whoever runs this nor to root. */
  readonly foreign: boolean
}

/** Reads a file; `undefined`: there is none. Throws the errors of `node:fs`, or one that says what is wrong. */
export type ReadSettingsFile = (path: string) => SettingsFile | undefined

const MAX_BYTES = 1024 * 1024
const READABLE_BY_OTHERS = 0o044

/** The files of this machine. Without owners and modes (Windows) nothing is foreign, and nothing readable by others. */
export const readSettingsFile: ReadSettingsFile = (path) => {
  const descriptor = openExisting(path)
  if (descriptor === undefined) return undefined
  try {
    const facts = fstatSync(descriptor)
    if (!facts.isFile()) throw new Error('it is not a file')
    if (facts.size > MAX_BYTES) throw new Error('it is longer than 1 MiB')
    const self = process.getuid?.()
    return {
      text: readFileSync(descriptor, 'utf8'),
      readableByOthers: self !== undefined && (facts.mode & READABLE_BY_OTHERS) !== 0,
      foreign: self !== undefined && facts.uid !== self && facts.uid !== 0,
    }
  } finally {
    closeSync(descriptor)
  }
}

/** Without waiting for anybody: a pipe that lies there has nobody to write into it. */
function openExisting(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw thrown
  }
}
