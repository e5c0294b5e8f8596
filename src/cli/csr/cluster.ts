/**
 * The cluster a command works on: that of the kubeconfig, as kubectl takes it, a credential plugin included; in a pod
 * its own. Owns the flags, and how a command that talks to it ends.
 *
 * @module
 */
import { homedir } from 'node:os'
import { dirname, isAbsolute, resolve } from 'node:path'
import type { Command } from 'commander'
import type { CallLog } from '../../context.ts'
import { clusterOfContext, type KnownCluster } from '../../credential/kubeconfig/known-cluster.ts'
import { runPlugin } from '../../credential/kubeconfig/run-plugin.ts'
import { ArchwayError } from '../../errors.ts'
import { accessSource, type ClusterAccess } from '../../kube/api-client/access.ts'
import { type KubeClient, kubeClient } from '../../kube/api-client/client.ts'
import { KubeApiError } from '../../kube/api-client/error.ts'
import { inClusterAccess, isInCluster } from '../../kube/api-client/in-cluster.ts'
import { kubeconfigAccess } from '../../kube/api-client/kubeconfig.ts'
import { transport } from '../../kube/api-client/transport.ts'
import { asObject, type Fields, member, optionalString } from '../../kube/fields.ts'
import { loadKubeconfigs } from '../../kube/kubeconfig-file/change-files.ts'
import type { ExecApiVersion, ExecSettings } from '../../kube/kubeconfig-file/entries.ts'
import { currentContextOf, fileOf, kubeconfigFiles, type LoadedKubeconfigs } from '../../kube/kubeconfig-file/locate.ts'
import { type CommandIo, ExitError } from '../io.ts'
import { printableLines } from '../terminal.ts'
import { version } from '../version.ts'

export interface ClusterFlags {
  readonly kubeconfig?: string
  readonly context?: string
}

/** Adds `--kubeconfig` and `--context`. */
export function addClusterFlags(command: Command): Command {
  return command
    .optionsGroup('Cluster:')
    .option(
      '--kubeconfig <FILE>',
      'kubeconfig (default: as kubectl, $KUBECONFIG or ~/.kube/config; in a pod its account)',
    )
    .option('--context <NAME>', 'context of it (default: the current one)')
    .optionsGroup('Options:')
}

/** A plugin may ask somebody each time; whatever is too old is a 401, after which it is run again. */
const FRESH_MS = 600_000

/** Runs a command that talks to the cluster; the connection ends with it. */
export async function withCluster<T>(
  flags: ClusterFlags,
  io: CommandIo,
  work: (client: KubeClient) => Promise<T>,
): Promise<T> {
  const log = quietLog(io)
  const wire = transport({
    access: accessSource({ load: loaderOf(flags, io), log, freshMs: FRESH_MS }),
    userAgent: `archway/${version()}`,
  })
  try {
    return await work(kubeClient({ transport: wire }))
  } finally {
    await wire.close()
  }
}

/** How access is read: again and again, for as long as a command runs. Throws for what is wrong already. */
export function loaderOf(flags: ClusterFlags, io: CommandIo): () => Promise<ClusterAccess> {
  const { files, loaded, context } = contextOf(flags, io)
  if (loaded.size === 0 && flags.kubeconfig === undefined && isInCluster(io.env))
    return () => inClusterAccess({ env: io.env })
  if (context === '') {
    throw new ExitError(
      2,
      `archway: no cluster: ${files.join(', ')} has no current context. Name a --kubeconfig or a --context`,
    )
  }
  const path = fileOf('context', context, loaded)
  if (path === undefined)
    throw new ExitError(2, `archway: --context: none is called ${JSON.stringify(context)} in ${files.join(', ')}`)
  const exec = execOf(context, loaded)
  const cluster = clusterOfContext(context, loaded)
  if (exec !== undefined && cluster !== undefined) return () => accessByPlugin(exec, cluster, io)
  return () => kubeconfigAccess({ path, context })
}

/** Which files, and which context of them. */
export function contextOf(
  flags: ClusterFlags,
  { env }: Pick<CommandIo, 'env'>,
): { readonly files: readonly string[]; readonly loaded: LoadedKubeconfigs; readonly context: string } {
  const files = kubeconfigFiles({ file: flags.kubeconfig, env, home: env['HOME'] ?? homedir(), cwd: process.cwd() })
  const loaded = loadKubeconfigs(files)
  return { files, loaded, context: flags.context ?? currentContextOf(loaded) }
}

/** The program that gets credentials for a context, if it is one. */
function execOf(context: string, loaded: LoadedKubeconfigs): ExecSettings | undefined {
  for (const [path, document] of loaded) {
    const name = member(document.entry('context', context) ?? {}, 'user')
    if (typeof name !== 'string') continue
    const userPath = fileOf('user', name, loaded) ?? path
    const exec = member(loaded.get(userPath)?.entry('user', name) ?? {}, 'exec')
    return exec === undefined ? undefined : readExec(asObject(exec, 'exec'), dirname(userPath))
  }
  return undefined
}

/** A path counts from the folder of its kubeconfig, as kubectl has it. */
function readExec(exec: Fields, folder: string): ExecSettings {
  const command = optionalString(exec, 'command', 'exec.command')
  const isPath = /[/\\]/.test(command) && !isAbsolute(command)
  const args = member(exec, 'args')
  const variables = member(exec, 'env')
  return {
    apiVersion: optionalString(exec, 'apiVersion', 'exec.apiVersion') as ExecApiVersion,
    command: isPath ? resolve(folder, command) : command,
    args: Array.isArray(args) ? args.map(String) : null,
    env: Array.isArray(variables)
      ? variables.map((item: unknown, at) => {
          const one = asObject(item, `exec.env[${at}]`)
          return { name: optionalString(one, 'name', 'name'), value: optionalString(one, 'value', 'value') }
        })
      : null,
    interactiveMode: 'IfAvailable',
    provideClusterInfo: member(exec, 'provideClusterInfo') === true,
  }
}

/** Somebody may have to type, or to log in at a browser. */
const LOGIN_MS = 300_000

async function accessByPlugin(exec: ExecSettings, cluster: KnownCluster, io: CommandIo): Promise<ClusterAccess> {
  if (!cluster.usable) {
    throw new ArchwayError(
      'file_invalid',
      `cluster ${JSON.stringify(cluster.name)}: switches verification off, or goes through a proxy`,
    )
  }
  const { address, ca, serverName } = cluster
  const settings = {
    server: address.url,
    ...(ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
    ...(serverName === undefined ? {} : { 'tls-server-name': serverName }),
  }
  const interactive = (await io.inputIsTerminal?.()) ?? false
  const outcome = await runPlugin({ exec, cluster: settings, env: io.env, interactive, timeoutMs: LOGIN_MS })
  if (outcome.kind !== 'credential') {
    const cause = outcome.kind === 'failed' ? outcome.status : outcome.cause
    throw new ArchwayError('file_invalid', `${exec.command} gave no credential: ${cause}`)
  }
  const { token, certificate, key } = outcome.credential
  return {
    server: address.url,
    tls: { ca, cert: certificate, key: key?.reveal(), serverName },
    token,
    namespace: 'default',
  }
}

/** What goes wrong beside the way is said; the rest is nobody's business here. */
function quietLog(io: CommandIo): CallLog {
  const say = (_: object, message: string): void => io.err(`archway: ${message}\n`)
  return { debug: () => {}, info: () => {}, warn: say, error: say }
}

/** 1: decided, and it is no; 2: a wrong command line or file; 3: could not tell. */
export async function ending(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (thrown) {
    if (thrown instanceof KubeApiError)
      throw new ExitError(statusOf(thrown), `archway: ${printableLines(thrown.message)}`)
    if (thrown instanceof ArchwayError)
      throw new ExitError(thrown.code === 'file_invalid' ? 2 : 1, `archway: ${printableLines(thrown.message)}`)
    throw thrown
  }
}

function statusOf({ failure, status = 0 }: KubeApiError): number {
  return failure === 'status' && status >= 400 && status < 500 && status !== 429 ? 1 : 3
}
