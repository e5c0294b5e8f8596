/**
 * Credentials in files that only the system's keyring can open: the Secret Service on Linux, the Keychain on macOS, the
 * Credential Manager on Windows. The keyring holds one secret; with it each entry is encrypted (AES-256-GCM), and then
 * stands in the folder of the cache like any other.
 *
 * So a token may be longer than a keyring takes (2560 bytes on Windows), entries are listed without asking the keyring
 * for each, and replacing, locking and removing them is what it is for files. A keyring that cannot be used is a miss;
 * there is no falling back to plain files.
 *
 * @module
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { executableVersion } from '../../build.ts'
import { openFolderStore, type Protection, type StorePlace } from './file-store.ts'
import type { KeyringAnswer } from './keyring-program.ts'
import { type PrivateFolder, printable } from './private-file.ts'
import type { CredentialStore } from './store.ts'

export interface KeyringPlace extends StorePlace {
  /** Where `keyring-program.ts`, or what was built from it, is: beside this file unless given. */
  readonly program?: string | undefined
  /** How long the keyring may take, its question to the user included. */
  readonly limitMs?: number
}

const LIMIT_MS = 30_000
const LOCK_NAME = 'keyring'
const FORMAT = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEAD_BYTES = 1 + NONCE_BYTES + TAG_BYTES

/** Opens the store; the keyring itself is asked when there is something to open or to protect. Never throws. */
export function openKeyringStore(place: KeyringPlace): CredentialStore {
  return openFolderStore('keyring', place, (folder) => protectionBy(place, folder))
}

function protectionBy(place: KeyringPlace, folder: PrivateFolder): Protection {
  let secret: KeyObject | undefined
  let problem: string | undefined

  /** Once a keyring has failed it is not asked again: it may have taken its whole time to. */
  async function secretBy(action: 'get' | 'make'): Promise<KeyObject | undefined> {
    if (secret !== undefined || problem !== undefined) return secret
    const answer = await ask(action, place)
    if (answer.problem !== undefined) problem = `the keyring cannot be used: ${printable(answer.problem)}`
    const bytes = Buffer.from(answer.secret ?? '', 'base64')
    if (bytes.length === 32) secret = createSecretKey(bytes)
    return secret
  }

  /** One process makes the secret; the others wait and find it. */
  async function madeSecret(): Promise<KeyObject | undefined> {
    if ((await secretBy('get')) !== undefined || problem !== undefined) return secret
    const { acquireLock } = await import('./lock.ts')
    const limit = place.limitMs ?? LIMIT_MS
    const lock = await acquireLock({ folder, name: LOCK_NAME, waitMs: limit, clock: place.clock })
    try {
      if (lock === undefined) problem = `the keyring cannot be used: another process waited ${limit} ms for it`
      const made = await secretBy('make')
      if (made === undefined) problem ??= 'the keyring cannot be used: it does not keep what it is given'
      return made
    } finally {
      await lock?.release()
    }
  }

  return {
    ending: '.sealed',
    async protect(key, entry) {
      const made = await madeSecret()
      return made && seal(made, key, entry)
    },
    async open(key, bytes) {
      const found = await secretBy('get')
      return found && unseal(found, key, bytes)
    },
    problem: () => problem,
  }
}

/** The library that asks is native: it would have to be unpacked, and loaded from where others may write. */
const NOT_IN_THIS_FILE = 'the single executable has no way to it; use --cache file, or the package archway'

/** In the form this file itself has, source or built. */
function beside(): string {
  return import.meta.filename.replace('keyring-store', 'keyring-program')
}

/** Never rejects. */
async function ask(
  action: 'get' | 'make',
  { env, limitMs = LIMIT_MS, program = beside() }: KeyringPlace,
): Promise<KeyringAnswer> {
  if (executableVersion !== undefined) return { problem: NOT_IN_THIS_FILE }
  const { execFile } = await import('node:child_process')
  const options = { env, timeout: limitMs, killSignal: 'SIGKILL', windowsHide: true } as const
  return new Promise((resolve) => {
    execFile(process.execPath, [program, action], options, (error, stdout) => {
      const answer = error === null ? parse(stdout) : undefined
      resolve(answer ?? { problem: failureOf(error, limitMs) })
    })
  })
}

function failureOf(error: (Error & { readonly killed?: boolean }) | null, limitMs: number): string {
  if (error?.killed) return `it did not answer within ${limitMs / 1000} s; unlock it`
  return 'the program that asks it has failed'
}

function parse(text: string): KeyringAnswer | undefined {
  try {
    const { secret, problem }: Readonly<Record<string, unknown>> = JSON.parse(text)
    if (typeof problem === 'string') return { problem }
    return typeof secret === 'string' ? { secret } : undefined
  } catch {
    return undefined
  }
}

/** Format, nonce, tag, ciphertext; bound to the name of the entry. */
function seal(secret: KeyObject, key: string, entry: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', secret, nonce, { authTagLength: TAG_BYTES }).setAAD(boundTo(key))
  const sealed = Buffer.concat([cipher.update(entry), cipher.final()])
  return Buffer.concat([Buffer.of(FORMAT), nonce, cipher.getAuthTag(), sealed])
}

/** Undefined for anything that {@link seal} did not make with this secret for this key. */
function unseal(secret: KeyObject, key: string, bytes: Buffer): Buffer | undefined {
  if (bytes.length < HEAD_BYTES || bytes[0] !== FORMAT) return undefined
  const nonce = bytes.subarray(1, 1 + NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', secret, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(boundTo(key)).setAuthTag(bytes.subarray(1 + NONCE_BYTES, HEAD_BYTES))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(HEAD_BYTES)), decipher.final()])
  } catch {
    return undefined // the keyring holds another secret by now, or the file is not whole
  }
}

function boundTo(key: string): Buffer {
  return Buffer.from(`archway credential ${FORMAT} ${key}`)
}
