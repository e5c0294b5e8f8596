/**
 * `archway logout`: revokes what is kept, and removes it.
 *
 * @module
 */
import type { CachedCredential } from '../credential/cache/store.ts'
import { exitStatusOf } from '../credential/exit-status.ts'
import { describeAccount } from '../credential/obtain.ts'
import type { LoginPlan } from '../credential/plan.ts'
import { isRefusal } from '../credential/refusals.ts'
import { planWithoutProofs, type Revocation, revoke } from '../credential/revoke.ts'
import { ArchwayError } from '../errors.ts'
import type { CommandIo } from './io.ts'
import {
  isSet,
  LOGIN_FLAGS,
  type LoginCommandOptions,
  type LoginSession,
  loginHelp,
  NOBODY_ASKS,
  runLoginCommand,
  withSession,
} from './login-session.ts'
import type { PlainCommand } from './plain-command.ts'

const COMMAND: LoginCommandOptions = {
  name: 'archway logout',
  description: [
    'Revokes the kept token of a login, and its refresh token, where they came from, and removes them here. What could',
    'not be revoked is told, and removed all the same.',
  ].join('\n'),
  flags: [...LOGIN_FLAGS, { flag: 'all', help: 'every login that is kept', group: 'Program' }],
  examples: ['  archway logout --os-cloud demo', '  archway logout --all'].join('\n'),
}

export const logoutCommand: PlainCommand = {
  description: 'revoke the kept token, and remove it',
  help: () => loginHelp(COMMAND),
  run: logout,
}

interface Kept {
  readonly key: string
  readonly credential: CachedCredential
  /** Where it came from. */
  plan(): Promise<LoginPlan>
}

function logout(argv: readonly string[], io: CommandIo): Promise<number> {
  return runLoginCommand(COMMAND, argv, io, (flags) => {
    const options = { flags, io, exec: NOBODY_ASKS, verbose: isSet(flags, 'verbose') }
    return withSession(options, async (session) => {
      const kept = isSet(flags, 'all') ? await allOf(session) : await ownOf(session)
      if (kept.length === 0) io.out('nothing is kept for this login\n')
      const statuses: number[] = []
      for (const one of kept) statuses.push(await end(one, session, io))
      const problem = session.store.problem()
      if (problem !== undefined) {
        io.err(`archway: ${problem}\n`)
        statuses.push(1)
      }
      return statuses.find((status) => status !== 0) ?? 0
    })
  })
}

async function ownOf({ store, settings }: LoginSession): Promise<readonly Kept[]> {
  const key = store.keyOf(settings.subject)
  const credential = await store.read(key)
  return credential === undefined ? [] : [{ key, credential, plan: () => planWithoutProofs(settings) }]
}

/** What is remembered of refusals goes without a word. */
async function allOf({ store, settingsOf }: LoginSession): Promise<readonly Kept[]> {
  const entries = await store.list()
  for (const { key } of entries.filter(({ credential }) => isRefusal(credential))) await store.remove(key)
  return entries
    .filter(({ credential }) => !isRefusal(credential))
    .map((entry) => ({
      ...entry,
      plan: async () => planWithoutProofs(await settingsOf(entry.credential.subject)),
    }))
}

/** Removed last: a signal on the way leaves what is not yet revoked where it can be found again. */
async function end({ key, credential, plan }: Kept, { store, context }: LoginSession, io: CommandIo): Promise<number> {
  const whose = describeAccount(credential)
  let status = 0
  for (const done of await attempt(() => plan().then((found) => revoke(credential, found, context)))) {
    if (done.kind === 'revoked') io.out(`${whose}: ${done.what} revoked\n`)
    else if (done.kind === 'lasting') {
      const until = done.until === undefined ? '' : `; it is good until ${done.until}`
      io.out(`${whose}: the ${done.what} cannot be revoked${until}\n`)
    } else {
      io.err(`archway: ${whose}: the ${done.what} is not revoked: ${done.error.message}\n`)
      if (status === 0) status = exitStatusOf(done.error)
    }
  }
  await store.remove(key)
  io.out(`${whose}: removed from this machine\n`)
  return status
}

/** Settings that no longer lead to whoever gave it are a revocation that failed. */
async function attempt(run: () => Promise<readonly Revocation[]>): Promise<readonly Revocation[]> {
  try {
    return await run()
  } catch (thrown) {
    if (!(thrown instanceof ArchwayError) || thrown.code === 'credential_interrupted') throw thrown
    return [{ kind: 'failed', what: 'token', error: thrown }]
  }
}
