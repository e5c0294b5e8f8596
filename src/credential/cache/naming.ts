/**
 * Names that tell nothing: HMAC-SHA256 under a random key. Owns the key of a folder (made once, however many processes
 * begin at the same time) and what is named with it.
 *
 * @module
 */
import { createHmac, randomBytes } from 'node:crypto'
import { closeSync, linkSync } from 'node:fs'
import { join } from 'node:path'
import type { Secret } from '../../secret.ts'
import type { LoginSubject } from '../plan.ts'
import {
  codeOf,
  discard,
  makeTemporary,
  type PrivateFolder,
  readPrivate,
  reasonOf,
  replacePrivate,
} from './private-file.ts'

export interface Naming {
  /** 43 characters of base64url; equal for equal subjects, in whatever order their members stand. */
  keyOf(subject: LoginSubject): string
  /** Of the same form, and never equal to the name of a subject. */
  digest(secret: Secret): string
}

export type NamingResult =
  | { readonly kind: 'ready'; readonly naming: Naming }
  | { readonly kind: 'unusable'; readonly problem: string }

const KEY_FILE = 'key'
const KEY_BYTES = 32

/** Whether `key` has the form of a name. */
export function isKey(key: string): boolean {
  return /^[\w-]{43}$/.test(key)
}

/** Names that hold for this process only. */
export function passingNaming(): Naming {
  return namingUnder(randomBytes(KEY_BYTES))
}

/** Names that hold in this folder. Never throws. */
export function folderNaming(folder: PrivateFolder): NamingResult {
  try {
    const key = readKey(folder) ?? makeKey(folder)
    return typeof key === 'string' ? { kind: 'unusable', problem: key } : { kind: 'ready', naming: namingUnder(key) }
  } catch (error) {
    return { kind: 'unusable', problem: `${join(folder.path, KEY_FILE)} cannot be made: ${reasonOf(error)}` }
  }
}

/** The key, a problem, or undefined where none is there or what is there is no key (a disk that was full). */
function readKey(folder: PrivateFolder): Buffer | string | undefined {
  const file = readPrivate(folder, KEY_FILE, KEY_BYTES)
  if (file.kind === 'unfit') return file.problem
  return file.kind === 'content' && file.bytes.length === KEY_BYTES ? file.bytes : undefined
}

/**
 * Whoever links first has made it; everybody else reads that one. Where there are no links, or a spoilt key is in the
 * way, the last one stays: a process that named with an earlier one logs in once more, and that is all.
 */
function makeKey(folder: PrivateFolder): Buffer | string {
  const { path, fd } = makeTemporary(folder, randomBytes(KEY_BYTES))
  closeSync(fd)
  try {
    linkSync(path, join(folder.path, KEY_FILE))
  } catch (error) {
    const isMade = codeOf(error) === 'EEXIST' && readKey(folder) !== undefined
    if (!isMade) replacePrivate(folder, KEY_FILE, randomBytes(KEY_BYTES))
  } finally {
    discard(path)
  }
  return readKey(folder) ?? `${join(folder.path, KEY_FILE)} cannot be made; remove it`
}

function namingUnder(key: Buffer): Naming {
  const name = (label: string, text: string) =>
    createHmac('sha256', key).update(`${label}\0${text}`).digest('base64url')
  return {
    keyOf(subject) {
      const members = Object.entries(subject).sort(([a], [b]) => (a < b ? -1 : 1))
      return name('subject', JSON.stringify(members))
    },
    digest: (secret) => name('secret', secret.reveal()),
  }
}
