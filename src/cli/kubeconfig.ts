/**
 * `archway kubeconfig`: a kubeconfig that works, put into the one that is there or printed. Finds out what it can, tries
 * what it has made as kubectl would, and writes only what works.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { executableVersion } from '../build.ts'
import { exitStatusOf } from '../credential/exit-status.ts'
import type { ServerToAsk } from '../credential/kubeconfig/ask-server.ts'
import { certificatesOf, parsePin, pemOf } from '../credential/kubeconfig/certificates.ts'
import { checkAccess, type Finding, serverVersion } from '../credential/kubeconfig/check-access.ts'
import { execApiVersion, versionForKubectl } from '../credential/kubeconfig/client-version.ts'
import { clusterAuthority } from '../credential/kubeconfig/cluster-authority.ts'
import { execEntry, isDropIn, isHarmlessFlag } from '../credential/kubeconfig/exec-entry.ts'
import { clusterAt, clusterOfContext, type KnownCluster } from '../credential/kubeconfig/known-cluster.ts'
import { type PluginOutcome, runPlugin } from '../credential/kubeconfig/run-plugin.ts'
import { parseServerAddress, type ServerAddress } from '../credential/kubeconfig/server-address.ts'
import { SETTINGS, type SettingName } from '../credential/settings/table.ts'
import { ArchwayError, messageOf } from '../errors.ts'
import {
  applyChange,
  type ChangePlan,
  type ChangeRequest,
  changesAnything,
  loadKubeconfigs,
  planChange,
} from '../kube/kubeconfig-file/change-files.ts'
import { renderKubeconfig } from '../kube/kubeconfig-file/edit.ts'
import type { ClusterSettings, Entry, ExecApiVersion, ExecSettings } from '../kube/kubeconfig-file/entries.ts'
import { currentContextOf, kubeconfigFiles, type LoadedKubeconfigs } from '../kube/kubeconfig-file/locate.ts'
import { type CommandIo, ExitError } from './io.ts'

const EXAMPLES = `
Examples:
  archway kubeconfig --server https://10.0.0.1:6443 --ca-file ca.crt --keystone-url https://keystone.example:5000/v3
  archway kubeconfig --name prod --set-current                 # the server of the current context, OS_* as they are
  archway kubeconfig --server https://10.0.0.1:6443 --ca-from-server --ca-pin sha256:… --os-cloud prod
  archway kubeconfig --server https://10.0.0.1:6443 --ca-file ca.crt --print --no-check > for-the-team.yaml
  archway kubeconfig --command client-keystone-auth --api-version v1beta1 --dry-run

Settings of the login are written where they are given as flags or set in the environment; secrets never are: those stay
in the environment or clouds.yaml, or are asked for. Comments and everything else in the file stay as they are.
The kubeconfig is tried before it is written: server, certificate, program, credentials.
Status 0: done, or nothing to do; 1: something does not work, or an entry is in the way, and nothing was written; 2: a
wrong command line, or a file that cannot be used; the program's own problems stand on stderr.
`

interface KubeconfigFlags {
  readonly server?: string
  readonly caFile?: string
  readonly caFromServer?: boolean
  readonly caPin?: string
  readonly tlsServerName?: string
  readonly name?: string
  readonly cluster?: string
  readonly user?: string
  readonly context?: string
  readonly namespace?: string
  readonly apiVersion: 'v1' | 'v1beta1' | 'auto'
  readonly command: string
  readonly installHint?: string
  readonly provideClusterInfo?: boolean
  readonly kubeconfig?: string
  readonly setCurrent?: boolean
  readonly overwrite?: boolean
  readonly backup?: boolean
  readonly print?: boolean
  readonly dryRun?: boolean
  readonly check: boolean
}

const ANSWER_MS = 15_000
/** Somebody may have to type, or to log in at a browser. */
const LOGIN_MS = 300_000
const LOCK_MS = 5_000

export function addKubeconfigCommand(program: Command, io: CommandIo, done: (status: number) => void): void {
  const command = program
    .command('kubeconfig')
    .description('write a kubeconfig that gets its credentials from Archway, and see that it works')
    .optionsGroup('Cluster:')
    .option('--server <URL>', 'address of the API server (default: that of the current context)')
    .option('--ca-file <FILE>', "CA of the API server's certificate, PEM")
    .option('--ca-from-server', 'take the CA from the server, where it fits --ca-pin')
    .option('--ca-pin <PIN>', "sha256:…, digest of the CA's public key as kubeadm has it, or of the CA itself")
    .option('--tls-server-name <NAME>', "name in the server's certificate, where it is not the host of the address")
    .optionsGroup('Entries:')
    .option('--name <NAME>', 'name of cluster, user and context (default: the host of the server)')
    .option('--cluster <NAME>', 'name of the cluster alone')
    .option('--user <NAME>', 'name of the user alone')
    .option('--context <NAME>', 'name of the context alone')
    .option('-n, --namespace <NAME>', 'namespace of the context')
    .optionsGroup('Program:')
    .option('--command <COMMAND>', 'archway, client-keystone-auth, or the path of one of them', 'archway')
    .addOption(
      new Option('--api-version <VERSION>', 'of the plugin protocol; auto: v1 where kubectl is 1.22 or newer')
        .choices(['v1', 'v1beta1', 'auto'])
        .default('auto'),
    )
    .option('--install-hint <TEXT>', 'what kubectl says where the program is not in PATH')
    .option('--provide-cluster-info', 'tell the program about the cluster')
    .optionsGroup('File:')
    .option('--kubeconfig <FILE>', 'file to change (default: as kubectl, $KUBECONFIG or ~/.kube/config)')
    .option('--set-current', 'make it the current context (default: only where there is none)')
    .option('--overwrite', 'replace entries of the same names that differ')
    .option('--backup', 'keep the old file beside the new one')
    .addOption(
      new Option('--print', 'print a kubeconfig of its own and change no file').conflicts([
        'kubeconfig',
        'setCurrent',
        'overwrite',
        'backup',
        'dryRun',
      ]),
    )
    .option('--dry-run', 'say what would be written, and write nothing')
    .option('--no-check', 'neither contact the server, but for --ca-from-server, nor run the program')
  addLoginFlags(command)
    .addHelpText('after', EXAMPLES)
    .action(async (flags: KubeconfigFlags & Readonly<Record<string, unknown>>) => {
      try {
        done(await kubeconfig(flags, loginSettings(flags), io))
      } catch (thrown) {
        if (thrown instanceof ArchwayError) throw new ExitError(exitStatusOf(thrown), `archway: ${thrown.message}`)
        throw thrown
      }
    })
}

// --- flags of the login ----------------------------------------------------------------------------------------

/** A flag for every setting that may stand in a kubeconfig. The others are known so that they can be refused. */
function addLoginFlags(command: Command): Command {
  for (const { flag, aliases = [], value, help, group, secret, repeatable } of SETTINGS) {
    if (flag === undefined) continue
    command.optionsGroup(`Login, ${group}:`)
    for (const name of [flag, ...aliases]) {
      const option = new Option(value === undefined ? `--${name}` : `--${name} <${value}>`, help)
      if (repeatable === true) option.argParser((text: string, before?: readonly string[]) => [...(before ?? []), text])
      if (secret === true || name !== flag) option.hideHelp()
      command.addOption(option)
    }
  }
  return command.optionsGroup('Options:')
}

function loginSettings(flags: Readonly<Record<string, unknown>>): ReadonlyMap<SettingName, readonly string[]> {
  const given = new Map<SettingName, readonly string[]>()
  for (const { name, flag, aliases = [], env = [], secret } of SETTINGS) {
    const value = (flag === undefined ? [] : [flag, ...aliases]).map((one) => flags[camelCase(one)]).find(Boolean)
    if (value === undefined) continue
    if (secret === true) {
      throw new ExitError(
        2,
        `archway: --${flag} is a secret and goes into no kubeconfig; set ${env[0]} where kubectl runs`,
      )
    }
    given.set(name, Array.isArray(value) ? value.map(String) : [String(value)])
  }
  return given
}

function camelCase(flag: string): string {
  return flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

// --- the way through -------------------------------------------------------------------------------------------

type Say = (lines: readonly string[]) => void

async function kubeconfig(
  flags: KubeconfigFlags,
  given: ReadonlyMap<SettingName, readonly string[]>,
  io: CommandIo,
): Promise<number> {
  const say: Say = (lines) => {
    for (const line of lines) (flags.print === true ? io.err : io.out)(`${line}\n`)
  }
  const home = io.env['HOME'] || homedir()
  const files = kubeconfigFiles({ file: flags.kubeconfig, env: io.env, home, cwd: process.cwd() })
  const loaded = loadKubeconfigs(files)
  const target = targetOf(flags, loaded)
  const names = namesFor(flags, target)

  const trust = await trustIn(target, flags)
  say(asPart('certificate', trust.lines))
  if (!trust.ok) return 1
  const cluster = clusterSettings(target, trust.ca)
  const { settings: exec, notes } = execEntry({
    command: flags.command,
    apiVersion: await protocolVersion(flags, io),
    given,
    env: io.env,
    cwd: process.cwd(),
    installHint: flags.installHint,
    provideClusterInfo: flags.provideClusterInfo === true,
  })
  const entries = entriesFor({ names, cluster, exec, namespace: flags.namespace })
  const request: ChangeRequest = {
    files,
    entries: target.reused ? entries.filter(({ kind }) => kind !== 'cluster') : entries,
    current: { name: names.context, when: flags.setCurrent === true ? 'always' : 'none-yet' },
    isHarmlessFlag,
  }
  const plan = planChange(request, loaded)
  for (const note of notes) say(asPart('note', [note]))
  if (flags.print !== true && flags.overwrite !== true && inTheWay(plan, say)) return 1
  if (flags.check && !(await tryOut({ target, ca: trust.ca, cluster, exec, say, io }))) {
    say(['nothing was written; --no-check writes it without looking'])
    return 1
  }
  if (flags.print === true) io.out(renderKubeconfig(entries, names.context))
  else if (!changesAnything(plan)) say(['nothing to change'])
  else if (flags.dryRun === true) say(['would write:', ...describePlan(plan)])
  else await write({ request, plan, flags, io, say })
  return 0
}

/** Which server, and what is known of it. */
interface Target {
  readonly address: ServerAddress
  readonly serverName: string | undefined
  readonly known: KnownCluster | undefined
  /** The entry of `known` is used as it stands. */
  readonly reused: boolean
}

function targetOf(flags: KubeconfigFlags, loaded: LoadedKubeconfigs): Target {
  const context = currentContextOf(loaded)
  const known =
    flags.server === undefined ? clusterOfContext(context, loaded) : clusterAt(parseServerAddress(flags.server), loaded)
  const address = flags.server === undefined ? known?.address : parseServerAddress(flags.server)
  if (address === undefined) {
    throw new ExitError(2, 'archway: --server is missing, and there is no current context to take the server from')
  }
  const name = flags.cluster ?? flags.name
  const asItIs = flags.caFile === undefined && !pinWanted(flags) && flags.tlsServerName === undefined
  return {
    address,
    serverName: flags.tlsServerName ?? known?.serverName,
    known,
    reused: known?.usable === true && asItIs && (name === undefined || name === known.name),
  }
}

interface Names {
  readonly cluster: string
  readonly user: string
  readonly context: string
}

function namesFor(flags: KubeconfigFlags, { address, known, reused }: Target): Names {
  const cluster = flags.cluster ?? flags.name ?? (reused && known !== undefined ? known.name : address.label)
  // Beside somebody else's entries for the same cluster, such as its administrator's; ours are called by the label.
  const login = flags.name ?? (reused && cluster !== address.label ? `archway@${cluster}` : cluster)
  const names = { cluster, user: flags.user ?? login, context: flags.context ?? login }
  for (const name of [...Object.values(names), flags.namespace ?? 'default']) {
    if (name === '' || /[\u0000-\u001f\u007f-\u009f]/.test(name) || !name.isWellFormed()) {
      throw new ExitError(2, 'archway: a name is empty or has control characters in it')
    }
  }
  return names
}

// --- trust -----------------------------------------------------------------------------------------------------

interface Trust {
  readonly ok: boolean
  /** PEM; undefined: the authorities of the system. */
  readonly ca: string | undefined
  readonly lines: readonly string[]
}

function pinWanted(flags: KubeconfigFlags): boolean {
  return flags.caFromServer === true || flags.caPin !== undefined
}

async function trustIn({ address, serverName, known }: Target, flags: KubeconfigFlags): Promise<Trust> {
  if (flags.caFile !== undefined && pinWanted(flags)) {
    throw new ExitError(2, 'archway: either --ca-file, or --ca-from-server with --ca-pin')
  }
  const pin = flags.caPin === undefined ? undefined : parsePin(flags.caPin)
  const fromServer = pinWanted(flags)
  const given = fromServer ? undefined : givenAuthority(flags.caFile, known)
  if (!flags.check && !fromServer) {
    return {
      ok: true,
      ca: given?.pem,
      lines: [`not looked at; trusted: ${given?.from ?? 'the authorities of the system'}`],
    }
  }
  const found = await clusterAuthority({ address, serverName, given, fromServer, pin, timeoutMs: ANSWER_MS })
  return found.kind === 'trusted' ? { ok: true, ...found } : { ok: false, ca: undefined, lines: found.lines }
}

function givenAuthority(
  file: string | undefined,
  known: KnownCluster | undefined,
): { pem: string; from: string } | undefined {
  if (file !== undefined) return { pem: pemOf(certificatesOf(readText(file), file)), from: file }
  if (known?.ca === undefined) return undefined
  const from = `the CA of cluster ${JSON.stringify(known.name)}`
  return { pem: pemOf(certificatesOf(known.ca, from)), from }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    throw new ExitError(2, `archway: --ca-file: ${messageOf(thrown)}`)
  }
}

// --- entries ---------------------------------------------------------------------------------------------------

function clusterSettings({ address, serverName }: Target, ca: string | undefined): ClusterSettings {
  return {
    server: address.url,
    ...(ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
    ...(serverName === undefined ? {} : { 'tls-server-name': serverName }),
  }
}

/** What is printed is for clients nobody knows, and the drop-in's original speaks v1beta1 only. */
async function protocolVersion(
  { apiVersion, print, command }: KubeconfigFlags,
  io: CommandIo,
): Promise<ExecApiVersion> {
  if (apiVersion !== 'auto') return execApiVersion(apiVersion)
  return print === true || isDropIn(command) ? execApiVersion('v1beta1') : versionForKubectl(io.env)
}

function entriesFor(parts: {
  readonly names: Names
  readonly cluster: ClusterSettings
  readonly exec: ExecSettings
  readonly namespace: string | undefined
}): readonly Entry[] {
  const { names, cluster, exec, namespace } = parts
  const context = { cluster: names.cluster, user: names.user, ...(namespace === undefined ? {} : { namespace }) }
  return [
    { kind: 'cluster', name: names.cluster, settings: cluster },
    { kind: 'user', name: names.user, settings: { exec } },
    { kind: 'context', name: names.context, settings: context },
  ]
}

// --- trying it out ---------------------------------------------------------------------------------------------

interface TryOut {
  readonly target: Target
  readonly ca: string | undefined
  readonly cluster: ClusterSettings
  readonly exec: ExecSettings
  readonly say: Say
  readonly io: CommandIo
}

/** Does what kubectl will do. Stops where going on would say nothing more. */
async function tryOut({ target, ca, cluster, exec, say, io }: TryOut): Promise<boolean> {
  const { address, serverName } = target
  const server: ServerToAsk = { address, serverName, ca, timeoutMs: ANSWER_MS }
  const version = await serverVersion(server)
  say(asPart('server', [`${address.url} was reached${version === undefined ? '' : `: Kubernetes ${version}`}`]))
  const interactive = process.stdin.isTTY === true
  const outcome = await runPlugin({ exec, cluster, env: io.env, interactive, timeoutMs: LOGIN_MS })
  const ran = findingOf(outcome, exec)
  say(asPart('program', ran.lines))
  if (outcome.kind !== 'credential') return false
  const access = await checkAccess({ server, credential: outcome.credential })
  say(asPart('credentials', access.lines))
  return access.ok
}

/** The path of one of our programs. The single executable is itself the one it knows of. */
function ownProgram(name: string): string {
  return executableVersion === undefined ? join(import.meta.dirname, '../../bin', name) : process.execPath
}

function findingOf(outcome: PluginOutcome, { command }: ExecSettings): Finding {
  switch (outcome.kind) {
    case 'credential': {
      const { token, expirationTimestamp: until } = outcome.credential
      const what = token === undefined ? 'a client certificate' : 'a token'
      return { ok: true, lines: [`${command} gave ${what}${until === undefined ? '' : `, good until ${until}`}`] }
    }
    case 'missing': {
      const path = ownProgram(isDropIn(command) ? 'client-keystone-auth' : 'archway')
      return {
        ok: false,
        lines: [`${outcome.cause}, so kubectl cannot run it.`, `Put it there, or name it: --command ${path}`],
      }
    }
    case 'failed':
      return { ok: false, lines: [`${command} failed (${outcome.status}); it says why above.`] }
    case 'invalid':
      return { ok: false, lines: [`${command} gave no usable credential: ${outcome.cause}.`] }
    default:
      return outcome satisfies never
  }
}

// --- writing ---------------------------------------------------------------------------------------------------

async function write(job: {
  readonly request: ChangeRequest
  readonly plan: ChangePlan
  readonly flags: KubeconfigFlags
  readonly io: CommandIo
  readonly say: Say
}): Promise<void> {
  const { request, plan, flags, io, say } = job
  const applied = await withoutInterruption(io, (signal) =>
    applyChange({
      request,
      overwrite: flags.overwrite === true,
      backup: flags.backup === true,
      now: new Date(),
      lockWaitMs: LOCK_MS,
      signal,
    }),
  )
  say(['written:', ...describePlan(plan)])
  for (const { backup } of applied) if (backup !== undefined) say([`  the old file is ${backup}`])
  const { name } = request.current
  say([`try it: kubectl --context ${quoted(name)} get pods`])
}

/** A signal ends the waiting for locks; while files are written it waits itself, until all is as it is to be. */
async function withoutInterruption<T>(io: CommandIo, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interruption = new AbortController()
  const stop = io.onSignal(['SIGINT', 'SIGTERM', 'SIGHUP'], () => interruption.abort())
  try {
    const result = await work(interruption.signal)
    // What came during the work is told to us in the next turn.
    await new Promise(setImmediate)
    if (interruption.signal.aborted)
      throw new ExitError(130, 'archway: interrupted when the kubeconfig was written already')
    return result
  } finally {
    stop()
  }
}

/** Says what is in the way, if anything is. */
function inTheWay({ entries }: ChangePlan, say: Say): boolean {
  const different = entries.filter(({ state }) => state === 'different')
  for (const { entry, path, differences } of different) {
    say([
      `${entry.kind} ${quoted(entry.name)} is in ${path} already, and differs:`,
      ...differences.map(({ sign, text }) => `  ${sign} ${text}`),
    ])
  }
  if (different.length > 0) say(['nothing was written; --overwrite replaces it, --name gives another name'])
  return different.length > 0
}

function describePlan({ entries, currentContext }: ChangePlan): readonly string[] {
  const words = { new: 'new', different: 'replaced', same: 'as it was' }
  return [
    ...entries.flatMap(({ entry, path, state, differences }) => [
      `  ${path}: ${entry.kind} ${quoted(entry.name)}, ${words[state]}`,
      ...differences.map(({ sign, text }) => `    ${sign} ${text}`),
    ]),
    ...(currentContext === undefined
      ? []
      : [
          `  ${currentContext.path}: current context ${quoted(currentContext.to)}${currentContext.from === '' ? '' : `, was ${quoted(currentContext.from)}`}`,
        ]),
  ]
}

/** `certificate  verified by …`, further lines below the first. */
function asPart(title: string, lines: readonly string[]): readonly string[] {
  return lines.map((line, index) => `${(index === 0 ? title : '').padEnd(13)}${line}`)
}

function quoted(name: string): string {
  return /^[\w.@:/-]+$/.test(name) ? name : JSON.stringify(name)
}
