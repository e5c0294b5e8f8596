/**
 * Comparing passwords with stored hashes, and making new hashes. Owns which code computes which kind, and where: argon2id
 * and bcrypt on the thread pool of Node, the rest of what takes time in a thread of its own, never on the event loop.
 *
 * @module
 */
import { hash as plainHash, timingSafeEqual } from 'node:crypto'
import { hash as argon2Hash, verify as argon2Verify } from '@node-rs/argon2'
import { hash as bcryptHash, verify as bcryptVerify } from '@node-rs/bcrypt'
import { cryptThread } from './crypt-thread.ts'
import { clearDigest, type StoredHash } from './stored-hash.ts'

/** What is done for a login: the one seam through which every password goes. */
export interface PasswordVerifier {
  /** Whether the password is that of the hash. Throws where it cannot be told. */
  matches(stored: StoredHash, password: string): Promise<boolean>
  close(): void
}

export function passwordVerifier(): PasswordVerifier {
  const thread = cryptThread()
  return {
    async matches(stored, password) {
      switch (stored.scheme) {
        case 'argon2id':
          return argon2Verify(stored.encoded, password)
        case 'bcrypt':
          return bcryptVerify(password, stored.encoded)
        case 'sha256-crypt':
        case 'sha512-crypt':
        case 'apr1':
          return thread.matches(stored, password)
        case 'sha1':
          return isSame(plainHash('sha1', password, 'base64'), stored.digest)
        case 'clear':
          return isSame(clearDigest(stored.key, password), stored.digest)
      }
    },
    close: thread.close,
  }
}

function isSame(computed: string, kept: string): boolean {
  return computed.length === kept.length && timingSafeEqual(Buffer.from(computed), Buffer.from(kept))
}

/** Kinds of hash that are made. */
export const NEW_HASHES = ['argon2id', 'bcrypt'] as const
export type NewHash = (typeof NEW_HASHES)[number]

/** OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane. */
const ARGON2ID = { memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 } as const
/** `2y` is how Apache writes it. */
const BCRYPT = { cost: 12, version: '2y', rejectLongPasswords: true } as const

/** A new hash with a salt of its own, as it stands in an htpasswd file. */
export function hashPassword(kind: NewHash, password: string): Promise<string> {
  return kind === 'argon2id' ? argon2Hash(password, ARGON2ID) : bcryptHash(password, BCRYPT)
}
