/**
 * What the commands of a login share: the command line, the settings it comes to, the cache, the person, signals, and
 * how it all ends. Loaded by every kubectl, so it imports nothing that takes its time.
 *
 * @module
 */
import { homedir } from 'node:os'
import { currentAsker } from '../credential/cache/asker.ts'
import { openNoStore } from '../credential/cache/no-store.ts'
import { openStore } from '../credential/cache/open-store.ts'
import type { Asker, CachedCredential, CredentialStore } from '../credential/cache/store.ts'
import type { ExecInfo } from '../credential/exec-info.ts'
import { exitStatusHelp, exitStatusOf } from '../credential/exit-status.ts'
import type { LoginContext, Providers } from '../credential/login-now.ts'
import { obtain } from '../credential/obtain.ts'
import type { LoginSubject, Settings, Terminal } from '../credential/plan.ts'
import { flagsHelp, lastText, type ParsedFlags, parseFlags } from '../credential/settings/flags.ts'
import { resolveSettings } from '../credential/settings/resolve.ts'
import { canBeKept } from '../credential/settings/subject.ts'
import { type FlagRow, SETTINGS } from '../credential/settings/table.ts'
import { ArchwayError, messageOf } from '../errors.ts'
import { type CommandIo, ExitError } from './io.ts'

const PROGRAM = 'Program'

/** Where tokens are kept between invocations. */
export const CACHE_FLAG: FlagRow = {
  flag: 'cache',
  value: 'KIND',
  env: ['ARCHWAY_CACHE'],
  help: 'where the token is kept: file (default), keyring, or none',
  group: PROGRAM,
}

export const FORCE_FLAG: FlagRow = { flag: 'force', help: 'log in, whatever is kept', group: PROGRAM }

const VERBOSE_FLAG: FlagRow = {
  flag: 'verbose',
  aliases: ['v'],
  help: 'tell on stderr what is done; nothing secret',
  group: PROGRAM,
}

const HELP_FLAG: FlagRow = { flag: 'help', aliases: ['h'], help: 'print this help', group: PROGRAM }

/** Flags of every `archway` command of a login. */
export const LOGIN_FLAGS: readonly FlagRow[] = [...SETTINGS, CACHE_FLAG, VERBOSE_FLAG, HELP_FLAG]

/** A command of a login, up to what it does. */
export interface LoginCommandOptions {
  /** `archway credential`. */
  readonly name: string
  readonly description: string
  readonly flags: readonly FlagRow[]
  readonly examples: string
  /** What is to be known of it beside its flags. */
  readonly notes?: string
}

/** The whole of a command's `--help`. */
export function loginHelp({ name, description, flags, examples, notes = '' }: LoginCommandOptions): string {
  return [
    `Usage: ${name} [flags]\n\n${description}\n\n`,
    flagsHelp(flags),
    `\nExamples:\n${examples}\n`,
    notes === '' ? '' : `${notes}\n`,
    `Status:\n${exitStatusHelp()}`,
  ].join('')
}

/** Runs a command of `archway`: its command line read, its errors told in a line. Resolves to the exit status. */
export async function runLoginCommand(
  command: LoginCommandOptions,
  argv: readonly string[],
  io: CommandIo,
  act: (flags: ParsedFlags) => Promise<number>,
): Promise<number> {
  try {
    const flags = parseFlags(argv, command.flags)
    if (isSet(flags, 'help')) {
      io.out(loginHelp(command))
      return 0
    }
    const [extra] = flags.positionals
    if (extra !== undefined) {
      throw new ArchwayError('credential_settings_invalid', `${command.name} takes flags only; --help lists them`)
    }
    return await act(flags)
  } catch (thrown) {
    if (thrown instanceof ExitError) throw thrown
    throw new ExitError(exitStatusOf(thrown), `archway: ${describeFailure(thrown)}`)
  }
}

/** One line for stderr. A fault that nobody foresaw may quote what it stumbled over, so its message stays out. */
export function describeFailure(thrown: unknown): string {
  if (thrown instanceof ArchwayError) return thrown.message
  if (isSystemError(thrown)) return messageOf(thrown)
  const frames = thrown instanceof Error ? (thrown.stack ?? '').split('\n').filter((line) => /^ {4}at /.test(line)) : []
  const kind = thrown instanceof Error ? thrown.name : typeof thrown
  return [`a fault of Archway itself (${kind}); please report it`, ...frames].join('\n')
}

/** Errors of `node:fs` and sockets: they name a path or an address, never a content. */
function isSystemError(thrown: unknown): boolean {
  return thrown instanceof Error && 'syscall' in thrown && 'errno' in thrown
}

export function isSet(flags: ParsedFlags, flag: string): boolean {
  return lastText(flags, flag) === 'true'
}

/** For commands that people give: no Kubernetes client is waiting for an answer. */
export const NOBODY_ASKS: ExecInfo = {
  apiVersion: 'client.authentication.k8s.io/v1beta1',
  asked: false,
  interactive: undefined,
  cluster: undefined,
  refused: false,
}

// --- the session -------------------------------------------------------------------------------------------------

export interface SessionOptions {
  readonly flags: ParsedFlags
  readonly io: CommandIo
  readonly exec: ExecInfo
  /** Tells every step on stderr. */
  readonly verbose: boolean
  /** Whether a browser may be opened. Default: yes. */
  readonly browser?: boolean
  /** Put before each line on stderr. Default `archway`. */
  readonly label?: string
}

/** What a command has of a login. */
export interface LoginSession {
  readonly settings: Settings
  readonly store: CredentialStore
  readonly context: LoginContext
  /** Whether a token that is got is kept: not where the address itself has to be asked for. */
  readonly keeps: boolean
  openTerminal(): Promise<Terminal | undefined>
  /** Gives a token, kept or new. `force`: a new one. */
  obtain(options: { readonly force: boolean }): Promise<CachedCredential>
  /** The settings that lead to whoever gave a kept credential: of this command line, but for address and way. */
  settingsOf(subject: LoginSubject): Promise<Settings>
  /** Whether a terminal was opened so far. */
  readonly asked: boolean
}

/**
 * Resolves the settings, opens the cache, and runs `use`. A signal meanwhile breaks off what is running, so that the
 * lock is given back and the terminal is as it was.
 */
export async function withSession<T>(options: SessionOptions, use: (session: LoginSession) => Promise<T>): Promise<T> {
  const { io } = options
  const broken = new AbortController()
  let signalled: NodeJS.Signals | undefined
  const stop = io.onSignal(['SIGINT', 'SIGTERM', 'SIGHUP'], (signal) => {
    signalled = signal
    broken.abort(new ArchwayError('credential_interrupted', 'interrupted'))
  })
  try {
    return await use(await openSession(options, broken.signal))
  } catch (thrown) {
    // Whoever is still being waited for must not keep the process: everything is given back by now.
    if (signalled !== undefined && io.leave !== undefined) {
      io.err(`${options.label ?? 'archway'}: interrupted\n`)
      io.leave(STATUS_OF_SIGNAL[signalled] ?? 1)
    }
    throw thrown
  } finally {
    stop()
  }
}

/** 128 + number. */
const STATUS_OF_SIGNAL: Readonly<Partial<Record<NodeJS.Signals, number>>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 }

async function openSession(options: SessionOptions, signal: AbortSignal): Promise<LoginSession> {
  const { flags, io, exec, verbose, browser = true, label = 'archway' } = options
  const home = io.env['HOME'] ?? homedir()
  const store = openStore(kindOfStore(flags, io), { env: withoutSecrets(io.env), home })
  const resolve = (given: ParsedFlags): Promise<Settings> =>
    resolveSettings({
      flags: given,
      env: io.env,
      home,
      cwd: workingFolder(home),
      clusterConfig: exec.cluster?.config,
      digest: store.digest,
    })
  const settings = await resolve(flags)
  const keeps = canBeKept(settings.subject)
  const keeping = keeps ? store : openNoStore(store.kind, NO_ADDRESS)
  const say = (text: string): void => io.err(`${text}\n`)
  const context: LoginContext = { providers: providersFor(io.env, label), say, browser, signal, now: () => new Date() }
  let asked = false
  let told = false

  async function openTerminal(): Promise<Terminal | undefined> {
    if (exec.interactive === false || (await io.inputIsTerminal?.()) !== true) return undefined
    const { openTerminal: open } = await import('../credential/terminal.ts')
    asked = true
    return open({ interactive: exec.interactive, write: io.err, interrupted: io.interruptGroup })
  }

  /** Where somebody sees it, and once: a read-only home is no news to a pipeline. */
  async function tellProblem(): Promise<void> {
    const problem = keeping.problem()
    if (problem === undefined || told || !(verbose || (await io.inputIsTerminal?.()) === true)) return
    told = true
    say(`${label}: the token is not kept: ${problem}`)
  }

  return {
    settings,
    store,
    context,
    keeps,
    openTerminal,
    settingsOf: (subject) => resolve(flagsOf(subject, flags)),
    get asked() {
      return asked
    },
    async obtain({ force }) {
      try {
        return await obtain({
          settings,
          store: keeping,
          asker: askerFor(exec, io),
          exec,
          force,
          openTerminal,
          context,
          warn: (line) => say(`${label}: warning: ${line}`),
          trace: verbose ? (line) => say(`${label}: ${line}`) : () => {},
        })
      } finally {
        await tellProblem()
      }
    },
  }
}

const NO_ADDRESS = 'its address was typed; name it with --keystone-url, OS_AUTH_URL or a cloud'

function kindOfStore(flags: ParsedFlags, io: CommandIo): CredentialStore['kind'] {
  const text = lastText(flags, 'cache') ?? (io.env['ARCHWAY_CACHE'] || 'file')
  if (text === 'file' || text === 'keyring' || text === 'none') return text
  throw new ArchwayError('credential_settings_invalid', '--cache (ARCHWAY_CACHE): expected file, keyring or none')
}

/** What leads to whoever gave a credential, out of what it is filed under. Keystone's tokens speak for themselves. */
function flagsOf(subject: LoginSubject, flags: ParsedFlags): ParsedFlags {
  const { provider, url = '', issuer = '', present = '', protocol = '' } = subject
  const { client_id: client = '', identity_provider: identityProvider = '' } = subject
  const atIssuer = { 'oidc-issuer': issuer, 'oidc-client-id': client }
  const federated = { 'auth-type': 'v3oidcdeviceauthz', 'identity-provider': identityProvider, protocol }
  const own: Readonly<Record<string, string>> =
    provider === 'oidc'
      ? { 'auth-type': 'oidc', ...atIssuer, 'oidc-token': present }
      : { 'keystone-url': url, ...(issuer === '' ? { 'auth-type': 'v3token' } : { ...federated, ...atIssuer }) }
  return {
    ...flags,
    texts: new Map([...flags.texts, ...Object.entries(own).map(([flag, text]) => [flag, [text]] as const)]),
  }
}

/** One process may hold credentials for several clusters; each that is known counts for itself. */
function askerFor({ cluster }: ExecInfo, io: CommandIo): Asker {
  const asker = currentAsker(io.env)
  return cluster === undefined ? asker : { ...asker, started: `${asker.started} ${cluster.server}` }
}

/** The folder we are in may be gone. */
function workingFolder(home: string): string {
  try {
    return process.cwd()
  } catch {
    return home
  }
}

/** Loaded when they are asked: a kept token needs none of them. `program` is what they call themselves. */
function providersFor(env: CommandIo['env'], program: string): Providers {
  const userAgent = async (): Promise<string> => `${program}/${(await import('./version.ts')).version()}`
  return {
    async keystone(endpoint) {
      const { createKeystoneLogin } = await import('../keystone/login/login.ts')
      return createKeystoneLogin({ userAgent: await userAgent(), ...endpoint })
    },
    async oidc(options) {
      const { createOidcClient } = await import('../oidc/create-client.ts')
      return createOidcClient({ userAgent: await userAgent(), ...options })
    },
    async openBrowser(url) {
      const { openBrowser } = await import('../oidc/browser.ts')
      return openBrowser(url, { env: withoutSecrets(env) })
    },
  }
}

/** The environment for programs we start: what only we are to know is left out. */
export function withoutSecrets(env: CommandIo['env']): NodeJS.ProcessEnv {
  const secret = new Set(SETTINGS.flatMap((row) => (row.secret === true ? (row.env ?? []) : [])))
  return Object.fromEntries(Object.entries(env).filter(([name]) => !secret.has(name)))
}
