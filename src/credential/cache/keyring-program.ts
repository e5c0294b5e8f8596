/**
 * The program that asks the system's keyring, started by `keyring-store.ts` as a process of its own. A keyring may ask
 * its user to unlock it on a screen nobody sits at, or hang; a call into it cannot be ended, and a process can.
 *
 * usage: node keyring-program.ts get | make
 *
 * `get` looks for the secret, `make` makes one where there is none. Prints one {@link KeyringAnswer}; nothing else.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'

/** What it prints, as JSON. */
export interface KeyringAnswer {
  /** 32 bytes in base64; `''` where there is none. */
  readonly secret?: string
  /** Why the keyring cannot be used, as it says itself. */
  readonly problem?: string
}

const SERVICE = 'archway'
const ACCOUNT = 'credential-cache'
const SECRET = /^[A-Za-z0-9+/]{43}=$/

async function answer(action: string | undefined): Promise<KeyringAnswer> {
  const { Entry } = await import('@napi-rs/keyring')
  // Only the Secret Service on Linux: the kernel's keyring, taken in its absence, forgets with the session.
  const entry = new Entry(SERVICE, ACCOUNT, { linux: { store: 'secret-service' } })
  const stored = entry.getPassword() ?? ''
  if (SECRET.test(stored)) return { secret: stored }
  if (action !== 'make') return { secret: '' }
  entry.setPassword(randomBytes(32).toString('base64'))
  return { secret: entry.getPassword() ?? '' }
}

function problemOf(error: unknown): string {
  const isMissing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
  if (isMissing) return 'the package @napi-rs/keyring is not installed'
  return error instanceof Error ? error.message : String(error)
}

const given = await answer(process.argv[2]).catch((error: unknown): KeyringAnswer => ({ problem: problemOf(error) }))
process.stdout.write(JSON.stringify(given))
