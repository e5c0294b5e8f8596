/**
 * A small model of what client-go does with a credential plugin, in the two lines that differ. The vectors, made by
 * running client-go itself, hold it to the truth; then it judges what our plugin prints.
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { parse as parseYaml } from 'yaml'

/** `1.20`: client-go 1.20 and 1.21; `1.24`: 1.24 and newer. */
export type ClientLine = '1.20' | '1.24'

/** The `exec` entry of a kubeconfig's user. */
export interface Stanza {
  readonly apiVersion: string
  readonly interactiveMode?: string
  readonly provideClusterInfo?: boolean
}

/** The kubeconfig's cluster. */
export interface Cluster {
  readonly server: string
  readonly tlsServerName?: string
  readonly insecureSkipTlsVerify?: boolean
  readonly caData?: string
  readonly proxyUrl?: string
  readonly config?: unknown
}

/** What one run of the plugin came to; `undefined`: there is no such program. */
export type Run = { readonly stdout: string; readonly exit: number } | undefined

export interface Accepted {
  readonly ok: true
  readonly token: string | undefined
  readonly clientCertificate: boolean
  /** RFC 3339, UTC, whole seconds. */
  readonly expires: string | undefined
}

export type Judgement = Accepted | { readonly ok: false; readonly error: string }

const GROUP = 'client.authentication.k8s.io'
const VERSIONS: Readonly<Record<ClientLine, readonly string[]>> = {
  '1.20': [`${GROUP}/v1alpha1`, `${GROUP}/v1beta1`],
  '1.24': [`${GROUP}/v1beta1`, `${GROUP}/v1`],
}

/** Why the plugin would not be run at all. */
function configurationError(line: ClientLine, stanza: Stanza): string | undefined {
  if (!VERSIONS[line].includes(stanza.apiVersion)) return 'unsupported-api-version'
  if (line === '1.20') return undefined
  const mode = stanza.interactiveMode ?? ''
  if (mode === 'Always') return 'stdin-not-available'
  const known = ['Never', 'IfAvailable', ...(stanza.apiVersion.endsWith('/v1') ? [] : [''])]
  return known.includes(mode) ? undefined : 'bad-interactive-mode'
}

/** The content of KUBERNETES_EXEC_INFO; standard input is no terminal. */
export function execInfo(line: ClientLine, stanza: Stanza, cluster?: Cluster): object {
  const shown = stanza.provideClusterInfo === true && cluster !== undefined && !stanza.apiVersion.endsWith('v1alpha1')
  return {
    kind: 'ExecCredential',
    apiVersion: stanza.apiVersion,
    spec: {
      ...(shown ? { cluster: clusterInfo(cluster) } : {}),
      ...(line === '1.20' ? {} : { interactive: false }),
    },
  }
}

function clusterInfo({ server, tlsServerName, insecureSkipTlsVerify, caData, proxyUrl, config }: Cluster): object {
  return {
    server,
    ...(tlsServerName === undefined ? {} : { 'tls-server-name': tlsServerName }),
    ...(insecureSkipTlsVerify === true ? { 'insecure-skip-tls-verify': true } : {}),
    ...(caData === undefined ? {} : { 'certificate-authority-data': Buffer.from(caData).toString('base64') }),
    ...(proxyUrl === undefined ? {} : { 'proxy-url': proxyUrl }),
    config: config ?? null,
  }
}

/** What the client makes of one run. */
export function judge(line: ClientLine, stanza: Stanza, run: Run): Judgement {
  const configuration = configurationError(line, stanza)
  if (configuration !== undefined) return { ok: false, error: configuration }
  if (run === undefined) return { ok: false, error: 'command-not-found' }
  if (run.exit !== 0) return { ok: false, error: 'exit-code' }
  try {
    return { ok: true, ...accept(stanza, run.stdout) }
  } catch (thrown) {
    if (thrown instanceof Refused) return { ok: false, error: thrown.message }
    throw thrown
  }
}

class Refused extends Error {}

function accept(stanza: Stanza, stdout: string): Omit<Accepted, 'ok'> {
  // An empty document decodes to an object of no version.
  if (stdout.trim() === '') throw new Refused('version-mismatch')
  const document = record(decode(stdout))
  const { apiVersion, kind, status } = document
  if (apiVersion === undefined && kind === undefined) throw new Refused('cannot-decode')
  if (kind !== undefined && kind !== 'ExecCredential') throw new Refused('cannot-decode')
  if (status !== undefined && status !== null) checkTypes(record(status))
  if (apiVersion !== stanza.apiVersion) throw new Refused('version-mismatch')
  if (status === undefined || status === null) throw new Refused('no-status')
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = record(status)
  const certificate = text(clientCertificateData)
  const key = text(clientKeyData)
  if (!text(token) && !certificate && !key) throw new Refused('nothing-returned')
  if (Boolean(certificate) !== Boolean(key)) throw new Refused('half-pair')
  if (certificate && key && !belongTogether(certificate, key)) throw new Refused('bad-key-pair')
  return {
    token: text(token) || undefined,
    clientCertificate: Boolean(certificate),
    expires: typeof expirationTimestamp === 'string' ? utc(expirationTimestamp) : undefined,
  }
}

function decode(stdout: string): unknown {
  try {
    return JSON.parse(stdout)
  } catch {
    // JSON with something before or after it is no YAML either.
    try {
      return parseYaml(stdout, { uniqueKeys: true })
    } catch {
      throw new Refused('cannot-decode')
    }
  }
}

/** Go's decoder refuses a wrong type wherever it stands. */
function checkTypes(status: Readonly<Record<string, unknown>>): void {
  for (const name of ['token', 'clientCertificateData', 'clientKeyData']) {
    const value = status[name]
    if (value !== undefined && value !== null && typeof value !== 'string') throw new Refused('cannot-decode')
  }
  const expiry = status['expirationTimestamp']
  if (expiry === undefined || expiry === null) return
  if (typeof expiry !== 'string') throw new Refused('cannot-decode')
  utc(expiry)
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

function utc(timestamp: string): string {
  const time = new Date(timestamp)
  if (!RFC3339.test(timestamp) || Number.isNaN(time.getTime())) throw new Refused('cannot-decode')
  return time.toISOString().replace(/\.\d+Z$/, 'Z')
}

function belongTogether(certificate: string, key: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
  } catch {
    return false
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Refused('cannot-decode')
  return value as Readonly<Record<string, unknown>>
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** What a program came to that made one request after another. */
export interface Sequence {
  readonly pluginRuns: number
  readonly authorizationSeen: readonly string[]
  readonly clientSees: readonly (number | 'error')[]
}

/** One process makes requests; the server answers with `replies`. */
export async function playSequence(
  line: ClientLine,
  stanza: Stanza,
  plugin: () => Run | Promise<Run>,
  replies: readonly number[],
  now: () => Date = () => new Date(),
): Promise<Sequence> {
  const seen = { pluginRuns: 0, authorizationSeen: [] as string[], clientSees: [] as (number | 'error')[] }
  let held: Accepted | undefined
  const refresh = async (): Promise<boolean> => {
    seen.pluginRuns++
    const judged = judge(line, stanza, await plugin())
    if (judged.ok) held = judged
    return judged.ok
  }
  for (const reply of replies) {
    const expired = held?.expires !== undefined && new Date(held.expires) < now()
    if ((held === undefined || expired) && !(await refresh())) {
      seen.clientSees.push('error')
      continue
    }
    seen.authorizationSeen.push(`Bearer ${held?.token}`)
    seen.clientSees.push(reply)
    if (reply === 401) await refresh()
  }
  return seen
}
