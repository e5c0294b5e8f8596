/**
 * A token for a login: the one that is kept, or a new one. Owns the order of things, one login for many who ask at
 * once, and what is done about a token that the API server has refused.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import { Secret } from '../secret.ts'
import type { Asker, CachedCredential, CredentialStore } from './cache/store.ts'
import { checkToken, marginMs } from './exec-credential.ts'
import type { ExecInfo } from './exec-info.ts'
import type { Issued, LoginContext } from './login-now.ts'
import { plainText } from './plain-text.ts'
import type { Question, Settings, Terminal } from './plan.ts'

/** What {@link obtain} needs; each member is a seam a test can replace. */
export interface ObtainOptions {
  readonly settings: Settings
  readonly store: CredentialStore
  readonly asker: Asker
  readonly exec: Pick<ExecInfo, 'asked' | 'refused'>
  /** Log in, whatever is kept. */
  readonly force: boolean
  /** Opens the way to the person; `undefined` where nobody may be asked. */
  readonly openTerminal: () => Promise<Terminal | undefined>
  readonly context: LoginContext
  /** Told before a login: warnings of the settings. */
  readonly warn: (line: string) => void
  /** Told at every step, for `-v`. Never anything secret. */
  readonly trace: (line: string) => void
  /** How long to wait while another process logs in, in milliseconds. Default a minute. */
  readonly lockWaitMs?: number
}

/** In the words of the settings' own question. */
const PASSCODE: Question = { prompt: 'Please enter passcode: ', hidden: true }

/** Gives a token that is good for longer than its margin. */
export async function obtain(options: ObtainOptions): Promise<CachedCredential> {
  const { settings, store, trace } = options
  const key = store.keyOf(settings.subject)
  const kept = await store.read(key)
  if (kept === undefined) trace(`cache (${store.kind}): nothing kept for this login`)
  if (kept !== undefined && !options.force && isGood(kept, options) && !(await wasRefused(key, kept, options))) {
    return serve(key, kept, options)
  }
  const lock = await store.lock(key, options.lockWaitMs ?? 60_000, options.context.signal)
  if (lock === undefined) {
    throw new ArchwayError(
      'credential_locked',
      'another process is logging in for the same account and has not finished; it may be waiting for somebody to type. Try again, or use --cache none',
    )
  }
  try {
    return serve(key, await renew(key, kept, options), options)
  } finally {
    await lock.release()
  }
}

/** With the lock held: whoever had it before may have done what is needed. */
async function renew(
  key: string,
  before: CachedCredential | undefined,
  options: ObtainOptions,
): Promise<CachedCredential> {
  const { settings, store, trace } = options
  const kept = await store.read(key)
  if (kept !== undefined && !options.force && isGood(kept, options) && !isSame(kept, before, store)) {
    trace(`cache (${store.kind}): another process has just logged in`)
    return kept
  }
  for (const warning of settings.warnings) options.warn(warning)
  const issued = await logIn(kept, options)
  checkIssued(issued, options.context.now())
  const credential = { ...issued, subject: settings.subject }
  await store.write(key, credential)
  trace(`logged in as ${describeAccount(credential)}, until ${issued.expiresAtText}`)
  return credential
}

/** The terminal, if one was opened, is as it was before when this ends, also when it was broken off. */
async function logIn(kept: CachedCredential | undefined, options: ObtainOptions): Promise<Issued> {
  let terminal: Terminal | undefined
  const person = async (): Promise<Terminal | undefined> => {
    terminal ??= await options.openTerminal()
    return terminal
  }
  try {
    return await logInWith(person, kept, options)
  } finally {
    terminal?.close()
  }
}

async function logInWith(
  person: () => Promise<Terminal | undefined>,
  kept: CachedCredential | undefined,
  { settings, store, context, force, trace }: ObtainOptions,
): Promise<Issued> {
  // Loaded only here, where a token is needed: the way of a kept one is short.
  const { abortable, fixedProofs, loginNow, needsPerson, refreshNow } = await import('./login-now.ts')
  const { recallRefusal, rememberRefusal } = await import('./refusals.ts')

  interruptedBy(context.signal)
  const asks = settings.questions.length > 0
  const plan = asks ? await abortable(settings.plan(await person()), context.signal) : await settings.plan(undefined)
  if (kept?.refreshToken !== undefined && !asks && !force) {
    const keep = (refreshToken: Secret): Promise<void> =>
      store.write(store.keyOf(settings.subject), { ...kept, refreshToken })
    const refreshed = await refreshNow(plan, kept.refreshToken, context, keep)
    trace(refreshed === undefined ? 'the refresh token is no longer good' : 'refreshed')
    if (refreshed !== undefined) return refreshed
  }
  if (needsPerson(plan) && (await person()) === undefined) {
    throw new ArchwayError(
      'credential_input_needed',
      'somebody has to log in with a browser, and nobody can be asked here: run "archway login" with the same settings in a terminal first',
    )
  }
  const askPasscode = async (): Promise<Secret | undefined> => {
    const answer = await (await person())?.ask(PASSCODE)
    return answer === undefined ? undefined : new Secret(answer)
  }
  const whole: LoginContext = { ...context, askPasscode }
  const proofs = fixedProofs(plan)
  if (proofs === undefined) return loginNow(plan, whole)
  const refusals = { store, subject: settings.subject, proofs, now: context.now }
  if (!force) await recallRefusal(refusals)
  try {
    return await loginNow(plan, whole)
  } catch (thrown) {
    await rememberRefusal(refusals, thrown)
    throw thrown
  }
}

function isGood(credential: CachedCredential, { context, store, trace }: ObtainOptions): boolean {
  const left = credential.expiresAt.getTime() - context.now().getTime()
  const good = left > marginMs(credential)
  trace(`cache (${store.kind}): ${good ? 'a token' : 'a token that is used up,'} until ${credential.expiresAtText}`)
  return good
}

/**
 * A client asks again within one process when its token has expired, which this one has not, or when the API server has
 * refused it. Whoever is no such client (a script) may ask as often as it likes.
 */
async function wasRefused(
  key: string,
  credential: CachedCredential,
  { store, asker, exec, trace }: ObtainOptions,
): Promise<boolean> {
  const refused = exec.refused || (exec.asked && (await store.wasServed(key, credential, asker)))
  if (refused) trace('the API server has refused this token: a new one is needed')
  return refused
}

async function serve(key: string, credential: CachedCredential, options: ObtainOptions): Promise<CachedCredential> {
  if (options.exec.asked) await options.store.served(key, credential, options.asker)
  return credential
}

function isSame(one: CachedCredential, other: CachedCredential | undefined, store: CredentialStore): boolean {
  return other !== undefined && store.digest(one.token) === store.digest(other.token)
}

function checkIssued({ token, expiresAt }: Issued, now: Date): void {
  checkToken(token)
  if (expiresAt.getTime() > now.getTime()) return
  throw new ArchwayError(
    'credential_unusable',
    `the token that came had expired at ${expiresAt.toISOString()}, and the clock of this machine says ${now.toISOString()}: set the wrong clock right`,
  )
}

function interruptedBy(signal: AbortSignal): void {
  if (signal.aborted) throw new ArchwayError('credential_interrupted', 'interrupted')
}

/** `alice (domain Default), project demo`, for people. */
export function describeAccount({ account, subject }: Pick<CachedCredential, 'account' | 'subject'>): string {
  const { user = subject['user'] ?? 'unknown', domain, ...rest } = account
  const more = Object.entries(rest).map(([name, value]) => `, ${name} ${value}`)
  return plainText(`${user}${domain === undefined ? '' : ` (domain ${domain})`}${more.join('')}`)
}
