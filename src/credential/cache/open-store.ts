/**
 * Opens the cache of the kind that is wanted. Owns what of this process goes into it.
 *
 * @module
 */
import { openFileStore } from './file-store.ts'
import { openKeyringStore } from './keyring-store.ts'
import type { Clock } from './lock.ts'
import { openNoStore } from './no-store.ts'
import type { CredentialStore } from './store.ts'

export interface StoreOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The home folder; `''` where there is none. */
  readonly home: string
  /** That of this process, unless given. */
  readonly platform?: NodeJS.Platform
  /** The effective one of this process, unless given. Windows has none. */
  readonly uid?: number
  /** Where the program that asks the keyring is, when it is not beside these files (a bundle). */
  readonly keyringProgram?: string
  /** For waiting. */
  readonly clock?: Clock
}

/**
 * Opens the store. Never throws: a store that cannot keep anything is one too, and {@link CredentialStore.problem} says
 * why. The folder is made and looked at here; the keyring is asked only when it is needed.
 */
export function openStore(kind: CredentialStore['kind'], options: StoreOptions): CredentialStore {
  if (kind === 'none') return openNoStore()
  const { env, home, platform = process.platform, uid = process.geteuid?.(), clock } = options
  const place = { env, home, platform, uid: platform === 'win32' ? undefined : uid, clock }
  return kind === 'keyring' ? openKeyringStore({ ...place, program: options.keyringProgram }) : openFileStore(place)
}
