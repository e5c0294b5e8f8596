/**
 * Running a credential plugin the way kubectl does. Owns finding it, the environment it gets, and what of its output
 * counts; its prompts and messages go past us, to the person.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
 * @module
 */
import { spawn } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { messageOf } from '../../errors.ts'
import type { ClusterSettings, ExecSettings } from '../../kube/kubeconfig-file/entries.ts'
import { Secret } from '../../secret.ts'

/** What {@link runPlugin} needs. */
export interface RunPluginOptions {
  readonly exec: ExecSettings
  readonly cluster: ClusterSettings
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether somebody is there to be asked. */
  readonly interactive: boolean
  readonly timeoutMs: number
}

/** What to show the API server. */
export interface PluginCredential {
  readonly token: Secret | undefined
  /** PEM. */
  readonly certificate: string | undefined
  readonly key: Secret | undefined
  /** As it was written; undefined where the plugin does not say. */
  readonly expirationTimestamp: string | undefined
}

export type PluginOutcome =
  | { readonly kind: 'credential'; readonly credential: PluginCredential }
  /** Not found, or cannot be run. */
  | { readonly kind: 'missing'; readonly cause: string }
  /** It ended with a status other than 0; why stands on stderr. */
  | { readonly kind: 'failed'; readonly status: string }
  /** It said something no client understands. */
  | { readonly kind: 'invalid'; readonly cause: string }

const MAX_OUTPUT = 1024 * 1024

/** Runs it once. Its standard error is ours. */
export async function runPlugin(options: RunPluginOptions): Promise<PluginOutcome> {
  const { exec, env, interactive, timeoutMs } = options
  const path = findProgram(exec.command, env)
  if (path === undefined) return { kind: 'missing', cause: `${exec.command} is not in PATH` }
  const variables = Object.fromEntries((exec.env ?? []).map(({ name, value }) => [name, value]))
  const child = spawn(path, exec.args ?? [], {
    env: { ...env, ...variables, KUBERNETES_EXEC_INFO: execInfo(options) },
    stdio: [interactive ? 'inherit' : 'ignore', 'pipe', 'inherit'],
  })
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    let fault: PluginOutcome | undefined
    const give = (outcome: PluginOutcome): void => {
      fault ??= outcome
      child.kill('SIGKILL')
      child.stdout?.destroy() // whatever it has started may hold the other end
    }
    const timer = setTimeout(
      () => give({ kind: 'failed', status: `no answer within ${timeoutMs / 1000} s` }),
      timeoutMs,
    )
    child.stdout?.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_OUTPUT) give({ kind: 'invalid', cause: 'it printed more than 1 MiB' })
      else chunks.push(chunk)
    })
    child.once('error', (thrown) => {
      clearTimeout(timer)
      resolve({ kind: 'missing', cause: messageOf(thrown) })
    })
    child.once('close', (status, signal) => {
      clearTimeout(timer)
      const ended = status === 0 ? undefined : ({ kind: 'failed', status: signal ?? `status ${status}` } as const)
      resolve(fault ?? ended ?? readCredential(Buffer.concat(chunks).toString('utf8'), exec.apiVersion))
    })
  })
}

/** The file a command stands for: a path as it is, a name by PATH; undefined where there is none. */
function findProgram(command: string, env: RunPluginOptions['env']): string | undefined {
  if (/[/\\]/.test(command)) return command
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, command)).find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

function execInfo({ exec, cluster, interactive }: RunPluginOptions): string {
  return JSON.stringify({
    kind: 'ExecCredential',
    apiVersion: exec.apiVersion,
    spec: { ...(exec.provideClusterInfo ? { cluster: { ...cluster, config: null } } : {}), interactive },
  })
}

/** RFC 3339, or nothing. */
const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?$/

/** What client-go checks. Messages never quote: the text may hold the token. */
function readCredential(text: string, apiVersion: string): PluginOutcome {
  const invalid = (cause: string): PluginOutcome => ({ kind: 'invalid', cause })
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return invalid(text.trim() === '' ? 'it printed nothing' : 'it printed something that is not one JSON object')
  }
  if (at(document, 'kind') !== 'ExecCredential') return invalid('it printed an object that is no ExecCredential')
  if (at(document, 'apiVersion') !== apiVersion)
    return invalid(`it did not answer in ${apiVersion}; try another --api-version`)
  const status = at(document, 'status')
  const [token, certificate, key, expires] = [
    'token',
    'clientCertificateData',
    'clientKeyData',
    'expirationTimestamp',
  ].map((name) => at(status, name) ?? '')
  if (typeof token !== 'string' || typeof certificate !== 'string' || typeof key !== 'string') {
    return invalid('its token, certificate or key is not text')
  }
  if (typeof expires !== 'string' || !TIME.test(expires))
    return invalid('its expirationTimestamp is no time with a zone')
  if ((certificate === '') !== (key === '')) return invalid('it gave a certificate without a key, or a key without one')
  if (token === '' && certificate === '') return invalid('it gave neither a token nor a certificate')
  if (!/^[\x21-\x7e]*$/.test(token)) return invalid('its token has characters that no HTTP header takes')
  return {
    kind: 'credential',
    credential: {
      token: token === '' ? undefined : new Secret(token),
      certificate: certificate === '' ? undefined : certificate,
      key: key === '' ? undefined : new Secret(key),
      expirationTimestamp: expires === '' ? undefined : expires,
    },
  }
}

function at(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return (Reflect.get(value, key) as unknown) ?? undefined
}
