/**
 * The contract of the cache between invocations. Owns what is kept; where it is kept is one file each beside this one.
 *
 * @module
 */
import type { Secret } from '../../secret.ts'
import type { LoginSubject } from '../plan.ts'

/** A token that was got, and what is known of it. */
export interface CachedCredential {
  readonly token: Secret
  readonly issuedAt: Date
  readonly expiresAt: Date
  /** As the issuer wrote it. */
  readonly expiresAtText: string
  /** Gets the next token without asking anybody. */
  readonly refreshToken?: Secret
  readonly subject: LoginSubject
  /** Whose it is, as people read it: `{ user: 'alice', project: 'demo', domain: 'Default' }`. */
  readonly account: Readonly<Record<string, string>>
}

/**
 * Keeps credentials between processes. A fault of the store never costs the login: reading what cannot be read is a
 * miss, and {@link CredentialStore.problem} says why.
 */
export interface CredentialStore {
  readonly kind: 'file' | 'keyring' | 'none'
  /** Names the entry of a subject: a keyed digest, never anything secret in clear. */
  keyOf(subject: LoginSubject): string
  /** For what is itself a secret and has to stand in a subject (a token that identifies): keyed, one way. */
  digest(secret: Secret): string
  read(key: string): Promise<CachedCredential | undefined>
  write(key: string, credential: CachedCredential): Promise<void>
  remove(key: string): Promise<void>
  list(): Promise<readonly { readonly key: string; readonly credential: CachedCredential }[]>
  /**
   * Waits until no other process logs in for this key, then holds the place. A holder that died, on this machine or
   * another one that shares the folder, keeps nobody waiting for long. Resolves to `undefined` after `waitMs`.
   */
  lock(key: string, waitMs: number, signal?: AbortSignal): Promise<CacheLock | undefined>
  /**
   * Whether the program that asks now (kubectl: the parent process) was given this very token before. It then asks
   * again because the API server has refused it, or because its expiry has passed.
   */
  wasServed(key: string, credential: CachedCredential, asker: Asker): Promise<boolean>
  /** Remembers that `asker` got it. */
  served(key: string, credential: CachedCredential, asker: Asker): Promise<void>
  /** Why the store does not keep anything, in one line, if so (a home that is read-only, a folder of somebody else). */
  problem(): string | undefined
}

export interface CacheLock {
  release(): Promise<void>
}

/** The process that started the plugin, told apart from a later one with the same pid. */
export interface Asker {
  readonly pid: number
  /** Start time or whatever else tells it apart; '' where the system does not say. */
  readonly started: string
}
