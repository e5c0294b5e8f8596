/**
 * A credential as the text of its file. Owns the format and the check of what is read; whatever is not exactly what is
 * written here is no credential.
 *
 * @module
 */
import { Secret } from '../../secret.ts'
import type { CachedCredential } from './store.ts'

/** Raised with every change of the format: older and newer files are misses. */
const VERSION = 1
const REQUIRED = ['account', 'expiresAt', 'expiresAtText', 'issuedAt', 'subject', 'token', 'version']
const FORMS = [REQUIRED.join(), [...REQUIRED, 'refreshToken'].sort().join()]

/** Throws a RangeError where a date of the credential is none. */
export function encodeEntry(credential: CachedCredential): Buffer {
  return Buffer.from(
    JSON.stringify({
      version: VERSION,
      subject: credential.subject,
      account: credential.account,
      issuedAt: credential.issuedAt.toISOString(),
      expiresAt: credential.expiresAt.toISOString(),
      expiresAtText: credential.expiresAtText,
      token: credential.token.reveal(),
      refreshToken: credential.refreshToken?.reveal(),
    }),
  )
}

/** The credential, or undefined for any other bytes. Never throws. */
export function decodeEntry(bytes: Uint8Array): CachedCredential | undefined {
  const entry = parse(bytes)
  if (entry === undefined || !FORMS.includes(Object.keys(entry).sort().join())) return undefined
  const { version, expiresAtText, token, refreshToken } = entry
  const subject = toStrings(entry['subject'])
  const account = toStrings(entry['account'])
  const issuedAt = toDate(entry['issuedAt'])
  const expiresAt = toDate(entry['expiresAt'])
  if (version !== VERSION || !isText(expiresAtText) || !isText(token) || token === '') return undefined
  if (subject === undefined || account === undefined || issuedAt === undefined || expiresAt === undefined) return
  if (refreshToken !== undefined && (!isText(refreshToken) || refreshToken === '')) return undefined
  return {
    token: new Secret(token),
    issuedAt,
    expiresAt,
    expiresAtText,
    ...(refreshToken !== undefined && { refreshToken: new Secret(refreshToken) }),
    subject,
    account,
  }
}

function parse(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function toStrings(value: unknown): Readonly<Record<string, string>> | undefined {
  if (!isObject(value)) return undefined
  const entries = Object.entries(value).filter((entry): entry is [string, string] => isText(entry[1]))
  return entries.length === Object.keys(value).length ? Object.fromEntries(entries) : undefined
}

/** Only as `toISOString` writes it. */
function toDate(value: unknown): Date | undefined {
  if (!isText(value)) return undefined
  const date = new Date(value)
  return !Number.isNaN(date.getTime()) && date.toISOString() === value ? date : undefined
}
