/**
 * Refusals that are remembered for a few seconds. A Kubernetes client runs the plugin again for each of its requests,
 * and many clients may run at once; without this, one wrong password would be sent often enough to lock the account.
 *
 * What is kept stands beside the credential, as an entry of its own that expires: the message, and a slow, salted hash
 * of the proofs, so that a corrected password is tried at once.
 *
 * @module
 */
import { ArchwayError, type ErrorCode } from '../errors.ts'
import { Secret } from '../secret.ts'
import type { CachedCredential, CredentialStore } from './cache/store.ts'
import type { LoginSubject } from './plan.ts'

/** How long, in milliseconds. */
const REMEMBERED_MS = 10_000

const REFUSALS: readonly ErrorCode[] = ['login_refused', 'oidc_refused']

export interface RefusalOptions {
  readonly store: CredentialStore
  readonly subject: LoginSubject
  readonly proofs: readonly Secret[]
  readonly now: () => Date
}

/** Throws the refusal these very proofs met a moment ago, if they did. */
export async function recallRefusal(options: RefusalOptions): Promise<void> {
  const { store, proofs, now } = options
  const key = keyOf(options)
  const entry = await store.read(key)
  if (entry === undefined) return
  const left = entry.expiresAt.getTime() - now().getTime()
  if (left <= 0 || left > REMEMBERED_MS) return store.remove(key)
  const { code, message = '' } = entry.account
  const known = REFUSALS.find((refusal) => refusal === code)
  if (known === undefined || !(await matches(entry.token, proofs))) return
  const seconds = Math.ceil(left / 1000)
  throw new ArchwayError(known, `${message} (said a moment ago; it is asked again in ${seconds} s, or with --force)`)
}

/** Keeps the error if it is a refusal. */
export async function rememberRefusal(options: RefusalOptions, thrown: unknown): Promise<void> {
  if (!(thrown instanceof ArchwayError) || !REFUSALS.includes(thrown.code)) return
  const { store, subject, proofs, now } = options
  const issuedAt = now()
  const expiresAt = new Date(issuedAt.getTime() + REMEMBERED_MS)
  await store.write(keyOf(options), {
    token: await hash(proofs),
    issuedAt,
    expiresAt,
    expiresAtText: expiresAt.toISOString(),
    subject: subjectOf(subject),
    account: { code: thrown.code, message: thrown.message },
  })
}

/** Whether an entry of the store is such a memory and no credential. */
export function isRefusal({ subject }: Pick<CachedCredential, 'subject'>): boolean {
  return subject['entry'] === 'refusal'
}

function keyOf({ store, subject }: RefusalOptions): string {
  return store.keyOf(subjectOf(subject))
}

function subjectOf(subject: LoginSubject): LoginSubject {
  return { ...subject, entry: 'refusal' }
}

async function hash(proofs: readonly Secret[], salt?: string): Promise<Secret> {
  const { randomBytes, scryptSync } = await import('node:crypto')
  const using = salt ?? randomBytes(16).toString('base64url')
  const text = JSON.stringify(proofs.map((proof) => proof.reveal()))
  return new Secret(`${using}.${scryptSync(text, using, 32).toString('base64url')}`)
}

async function matches(kept: Secret, proofs: readonly Secret[]): Promise<boolean> {
  const { timingSafeEqual } = await import('node:crypto')
  const [salt = ''] = kept.reveal().split('.')
  const expected = Buffer.from(kept.reveal())
  const found = Buffer.from((await hash(proofs, salt)).reveal())
  return expected.length === found.length && timingSafeEqual(expected, found)
}
