/**
 * Credentials as files of one folder, an entry each. Owns which files there are and what a fault of one of them means:
 * a miss, and a sentence for {@link CredentialStore.problem}. How an entry is protected beyond the modes of its file is
 * handed in.
 *
 * @module
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { decodeEntry, encodeEntry } from './entry.ts'
import { type FolderPlace, openFolder } from './folder.ts'
import type { Clock } from './lock.ts'
import { folderNaming, isKey, type Naming } from './naming.ts'
import { openNoStore } from './no-store.ts'
import {
  discard,
  type PrivateFolder,
  printable,
  readPrivate,
  reasonOf,
  replacePrivate,
  sweepLeftovers,
  UnfitFileError,
} from './private-file.ts'
import { addServed, isServed, servedFile, servedLine } from './served.ts'
import type { Asker, CachedCredential, CredentialStore } from './store.ts'

/** Where a store is opened, and the parts of the outside it uses. */
export interface StorePlace extends FolderPlace {
  readonly clock?: Clock | undefined
}

/** What is done to an entry on its way to the disk and back. */
export interface Protection {
  /** Of the names of its files, with the dot. */
  readonly ending: (typeof ENDINGS)[number]
  /** Undefined where it cannot be done; {@link Protection.problem} says why. */
  protect(key: string, entry: Buffer): Promise<Buffer | undefined>
  /** Undefined also for bytes that were not protected under this key. */
  open(key: string, bytes: Buffer): Promise<Buffer | undefined>
  problem(): string | undefined
}

/** One entry has one file: writing one kind removes the other. */
const ENDINGS = ['.json', '.sealed'] as const
/** Tokens reach some 20 KB; nothing longer is written, and nothing longer is read. */
const MAX_ENTRY_BYTES = 256 * 1024
/** Beyond that nobody has logged in by hand. */
const MAX_LISTED = 10_000

/** Opens the store whose entries are plain files. Never throws. */
export function openFileStore(place: StorePlace): CredentialStore {
  const plain: Protection = {
    ending: '.json',
    protect: async (_key, entry) => entry,
    open: async (_key, bytes) => bytes,
    problem: () => undefined,
  }
  return openFolderStore('file', place, () => plain)
}

/** Opens a store of files; where nothing can be kept, one that keeps nothing and says why. Never throws. */
export function openFolderStore(
  kind: 'file' | 'keyring',
  place: StorePlace,
  protectionIn: (folder: PrivateFolder) => Protection,
): CredentialStore {
  const opened = openFolder(place)
  if (opened.kind === 'unusable') return openNoStore(kind, opened.problem)
  const { folder } = opened
  const named = folderNaming(folder)
  if (named.kind === 'unusable') return openNoStore(kind, named.problem)
  return storeIn({ kind, folder, naming: named.naming, protection: protectionIn(folder), clock: place.clock })
}

interface StoreParts {
  readonly kind: 'file' | 'keyring'
  readonly folder: PrivateFolder
  readonly naming: Naming
  readonly protection: Protection
  readonly clock: Clock | undefined
}

function storeIn({ kind, folder, naming, protection, clock }: StoreParts): CredentialStore {
  let first: string | undefined
  const tell = (problem: string | undefined) => {
    first ??= problem
  }
  const faultOf = (error: unknown) =>
    error instanceof UnfitFileError ? error.message : `${printable(folder.path)} keeps nothing: ${reasonOf(error)}`
  const fileOf = (key: string, ending: string = protection.ending) => `${key}${ending}`
  const lineOf = ({ token }: CachedCredential, asker: Asker) => servedLine(naming.digest(token), asker)

  async function readEntry(key: string): Promise<CachedCredential | undefined> {
    const file = readPrivate(folder, fileOf(key), MAX_ENTRY_BYTES)
    if (file.kind === 'unfit') tell(file.problem)
    const entry = file.kind === 'content' ? await protection.open(key, file.bytes) : undefined
    return entry === undefined ? undefined : decodeEntry(entry)
  }

  async function writeEntry(key: string, credential: CachedCredential): Promise<void> {
    const entry = await protection.protect(key, encodeEntry(credential))
    if (entry === undefined) return
    if (entry.length > MAX_ENTRY_BYTES) return tell(`a credential of ${entry.length} bytes is too long to be kept`)
    const writtenMs = replacePrivate(folder, fileOf(key), entry)
    const others = ENDINGS.filter((ending) => ending !== protection.ending).map((ending) => fileOf(key, ending))
    for (const file of [servedFile(key), ...others]) tell(discard(join(folder.path, file)))
    sweepLeftovers(folder, writtenMs)
  }

  return {
    kind,
    keyOf: naming.keyOf,
    digest: naming.digest,

    async read(key) {
      const credential = isKey(key) ? await readEntry(key) : undefined
      // A file under the name of another subject was put there by hand.
      return credential !== undefined && naming.keyOf(credential.subject) === key ? credential : undefined
    },

    async write(key, credential) {
      if (naming.keyOf(credential.subject) !== key) return tell('a credential is not filed under its own subject')
      try {
        await writeEntry(key, credential)
      } catch (error) {
        tell(faultOf(error))
      }
    },

    async remove(key) {
      if (!isKey(key)) return
      for (const file of [...ENDINGS.map((ending) => fileOf(key, ending)), servedFile(key)]) {
        tell(discard(join(folder.path, file)))
      }
    },

    async list() {
      const listed: { key: string; credential: CachedCredential }[] = []
      for (const key of keysIn(folder, protection.ending, tell)) {
        const credential = await readEntry(key)
        if (credential !== undefined) listed.push({ key, credential })
      }
      return listed
    },

    async lock(key, waitMs, signal) {
      if (!isKey(key)) throw new TypeError('a lock is for a key of this store')
      const { acquireLock } = await import('./lock.ts')
      try {
        return await acquireLock({ folder, name: key, waitMs, signal, clock })
      } catch (error) {
        signal?.throwIfAborted()
        tell(faultOf(error))
        return { async release() {} }
      }
    },

    async wasServed(key, credential, asker) {
      return isKey(key) && isServed(folder, key, lineOf(credential, asker), tell)
    },

    async served(key, credential, asker) {
      if (isKey(key)) addServed(folder, key, lineOf(credential, asker), tell)
    },

    problem: () => first ?? protection.problem(),
  }
}

function keysIn(folder: PrivateFolder, ending: string, tell: (problem: string) => void): readonly string[] {
  try {
    const names = readdirSync(folder.path).filter((name) => name.endsWith(ending))
    return names
      .map((name) => name.slice(0, -ending.length))
      .filter(isKey)
      .slice(0, MAX_LISTED)
      .sort()
  } catch (error) {
    tell(`${printable(folder.path)} cannot be listed: ${reasonOf(error)}`)
    return []
  }
}
