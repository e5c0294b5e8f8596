/**
 * One stored password hash: which kinds are taken, and how much work a kind may ask for. Owns the grammar and the bounds,
 * so that nothing which gets past here surprises the libraries that compute; leaves computing to `hashing.ts`.
 *
 * A hash is work that whoever wrote the file makes us do at every login. One that asks for minutes or gigabytes is
 * refused when the file is loaded.
 *
 * @module
 */
import { createHmac, randomBytes } from 'node:crypto'
import { parseOptions as argon2Options } from '@node-rs/argon2'
import { parseOptions as bcryptOptions } from '@node-rs/bcrypt'

/** A hash that is computed beside the event loop. */
export interface CryptHash {
  readonly scheme: 'sha256-crypt' | 'sha512-crypt' | 'apr1'
  /** Equal for hashes that cost the same work. */
  readonly effort: string
  readonly rounds: number
  readonly salt: string
  /** As it is written, without what stands before it. */
  readonly digest: string
}

/** What a password is compared with. */
export type StoredHash =
  | CryptHash
  | { readonly scheme: 'bcrypt' | 'argon2id'; readonly effort: string; readonly encoded: string }
  /** `{SHA}`: SHA-1, base64. */
  | { readonly scheme: 'sha1'; readonly effort: string; readonly digest: string }
  /** A password that stands in the file in clear; kept as a keyed digest (hex) with a key (hex) of its own. */
  | { readonly scheme: 'clear'; readonly effort: string; readonly key: string; readonly digest: string }

export type HashScheme = StoredHash['scheme']

/** What a text came to: a hash, or what is wrong with it. Problems never quote the text. */
export type ParsedHash =
  | { readonly kind: 'hash'; readonly stored: StoredHash }
  | { readonly kind: 'problem'; readonly message: string }

/** Passwords longer than this many bytes are never compared. */
export const MAX_PASSWORD_BYTES = 1024
/** bcrypt reads no further (CVE-2021-3563). */
export const BCRYPT_BYTES = 72

/** Each bound is some two seconds of one processor. */
const MAX_BCRYPT_COST = 15
const MAX_ARGON2_KIB = 256 * 1024
/** KiB times passes. */
const MAX_ARGON2_WORK = 1024 * 1024
const MAX_ARGON2_LANES = 16
const MAX_ROUNDS = 700_000

const REMEDY = 'Set the password again with `archway passwd`'

/** Reads what stands behind the name in an htpasswd file. */
export function parseStoredHash(text: string): ParsedHash {
  if (text.startsWith('$argon2')) return parseArgon2(text)
  if (/^\$2.?\$/.test(text)) return parseBcrypt(text)
  if (/^\$[56]\$/.test(text)) return parseShaCrypt(text)
  if (text.startsWith('$apr1$')) return parseApr1(text)
  if (text.startsWith('{SHA}')) return parseSha1(text)
  return problem('the hash is none of argon2id, bcrypt, $5$, $6$, $apr1$ and {SHA}')
}

/** What the file held in clear, in a form that does not show it. */
export function storedClear(password: string): StoredHash {
  const key = randomBytes(16).toString('hex')
  return { scheme: 'clear', effort: 'clear', key, digest: clearDigest(key, password) }
}

/** Hex. */
export function clearDigest(key: string, password: string): string {
  return createHmac('sha256', Buffer.from(key, 'hex')).update(password).digest('hex')
}

/** Whether a scheme has all of a password count. */
export function takesWhole(scheme: HashScheme, password: string): boolean {
  return Buffer.byteLength(password) <= (scheme === 'bcrypt' ? BCRYPT_BYTES : MAX_PASSWORD_BYTES)
}

/** What to say of a hash that is taken and should not be used; undefined where it is sound. */
export function doubtAbout({ scheme }: StoredHash): string | undefined {
  if (scheme === 'sha1') return `{SHA} is one round of SHA-1 without salt, and guessed quickly. ${REMEDY}`
  if (scheme === 'apr1') return `$apr1$ is 1000 rounds of MD5, and guessed quickly. ${REMEDY}`
  return undefined
}

function problem(message: string): ParsedHash {
  return { kind: 'problem', message: `${message}. ${REMEDY}` }
}

function parseArgon2(encoded: string): ParsedHash {
  const fields =
    /^\$argon2id\$v=19\$m=([1-9]\d{0,9}),t=([1-9]\d{0,9}),p=([1-9]\d{0,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/.exec(
      encoded,
    )
  if (fields === null) return problem('the hash is not argon2id of version 19 in its usual form')
  const [memory, passes, lanes] = fields.slice(1, 4).map(Number)
  if (memory === undefined || passes === undefined || lanes === undefined) return problem('the hash is incomplete')
  if (memory > MAX_ARGON2_KIB || memory * passes > MAX_ARGON2_WORK || lanes > MAX_ARGON2_LANES) {
    return problem(
      `argon2id with m=${memory},t=${passes},p=${lanes} is more work than is done for a login ` +
        `(m up to ${MAX_ARGON2_KIB}, m times t up to ${MAX_ARGON2_WORK}, p up to ${MAX_ARGON2_LANES})`,
    )
  }
  if (!isReadBy(argon2Options, encoded)) return problem('the hash is not argon2id in its usual form')
  const effort = `argon2id m=${memory},t=${passes},p=${lanes}`
  return { kind: 'hash', stored: { scheme: 'argon2id', effort, encoded } }
}

function parseBcrypt(encoded: string): ParsedHash {
  if (encoded.startsWith('$2x$')) return problem('$2x$ marks hashes of a faulty bcrypt')
  const fields = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(encoded)
  if (fields === null || !isReadBy(bcryptOptions, encoded)) return problem('the hash is not bcrypt in its usual form')
  const cost = Number(fields[1])
  if (cost > MAX_BCRYPT_COST) {
    return problem(`bcrypt with cost ${cost} is more work than is done for a login (up to ${MAX_BCRYPT_COST})`)
  }
  return { kind: 'hash', stored: { scheme: 'bcrypt', effort: `bcrypt ${cost}`, encoded } }
}

/** The libraries' own readers have the last word, so that a login meets no hash which they cannot read. */
function isReadBy(read: (encoded: string) => unknown, encoded: string): boolean {
  try {
    read(encoded)
    return true
  } catch {
    return false
  }
}

const DEFAULT_ROUNDS = 5000

function parseShaCrypt(text: string): ParsedHash {
  const fields =
    /^\$([56])\$(?:rounds=([1-9]\d{3,})\$)?([./0-9A-Za-z]{1,16})\$([./0-9A-Za-z]{43}|[./0-9A-Za-z]{86})$/.exec(text)
  const [, id, given, salt = '', digest = ''] = fields ?? []
  if (fields === null || digest.length !== (id === '5' ? 43 : 86)) {
    return problem(`the hash is not $5$ or $6$ in its usual form`)
  }
  const rounds = given === undefined ? DEFAULT_ROUNDS : Number(given)
  if (rounds > MAX_ROUNDS) {
    return problem(`SHA-crypt with ${given} rounds is more work than is done for a login (up to ${MAX_ROUNDS})`)
  }
  const scheme = id === '5' ? 'sha256-crypt' : 'sha512-crypt'
  return { kind: 'hash', stored: { scheme, effort: `${scheme} ${rounds}`, rounds, salt, digest } }
}

function parseApr1(text: string): ParsedHash {
  const [, salt, digest] = /^\$apr1\$([./0-9A-Za-z]{1,8})\$([./0-9A-Za-z]{22})$/.exec(text) ?? []
  if (salt === undefined || digest === undefined) return problem('the hash is not $apr1$ in its usual form')
  return { kind: 'hash', stored: { scheme: 'apr1', effort: 'apr1', rounds: 1000, salt, digest } }
}

function parseSha1(text: string): ParsedHash {
  const digest = /^\{SHA\}([A-Za-z0-9+/]{27}=)$/.exec(text)?.[1]
  if (digest === undefined) return problem('the hash is not {SHA} in its usual form')
  return { kind: 'hash', stored: { scheme: 'sha1', effort: 'sha1', digest } }
}
