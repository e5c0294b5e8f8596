/**
 * Who was given a token: a file beside the entry, one line an asker. Owns the file; nothing in it is secret, and a line
 * that was lost costs one request with a token that is refused.
 *
 * @module
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { CAREFULLY, type PrivateFolder, printable, problemOf, readPrivate, reasonOf } from './private-file.ts'
import type { Asker } from './store.ts'

/** About a thousand askers of one token; after that the file begins anew. */
const MAX_BYTES = 64 * 1024

/** The file of an entry. */
export function servedFile(key: string): string {
  return `${key}.served`
}

/**
 * @param digest of the token: a line of another token says nothing of this one
 * @param tell is told what is wrong with the file, if something is
 */
export function isServed(folder: PrivateFolder, key: string, line: string, tell: (problem: string) => void): boolean {
  const file = readPrivate(folder, servedFile(key), 2 * MAX_BYTES)
  if (file.kind === 'unfit') tell(file.problem)
  return file.kind === 'content' && file.bytes.toString('latin1').split('\n').includes(line)
}

/** Adds a line. Never throws. */
export function addServed(folder: PrivateFolder, key: string, line: string, tell: (problem: string) => void): void {
  const path = join(folder.path, servedFile(key))
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | CAREFULLY
    const fd = openSync(path, flags, 0o600)
    try {
      const stats = fstatSync(fd)
      const problem = problemOf(stats, folder.uid)
      if (problem === undefined && stats.size > MAX_BYTES) ftruncateSync(fd)
      if (problem === undefined) writeSync(fd, `${line}\n`)
      else tell(`${printable(path)} is not used: ${problem}`)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    tell(`${printable(path)} cannot be written: ${reasonOf(error)}`)
  }
}

/** How an asker stands in the file. */
export function servedLine(tokenDigest: string, { pid, started }: Asker): string {
  return `${tokenDigest.slice(0, 22)} ${pid} ${encodeURIComponent(started)}`
}
