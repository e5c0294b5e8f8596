/**
 * `archway whoami`: what one's token is to everybody it is shown to, side by side.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import type { CachedCredential } from '../credential/cache/store.ts'
import { exitStatusOf } from '../credential/exit-status.ts'
import { abortable } from '../credential/login-now.ts'
import { describeAccount } from '../credential/obtain.ts'
import { plainText } from '../credential/plain-text.ts'
import { planWithoutProofs } from '../credential/revoke.ts'
import { lastText, type ParsedFlags } from '../credential/settings/flags.ts'
import type { FlagRow } from '../credential/settings/table.ts'
import { ArchwayError, messageOf } from '../errors.ts'
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

const WEBHOOK = 'Webhook'
const API_SERVER = 'API server'

const OWN_FLAGS: readonly FlagRow[] = [
  { flag: 'webhook', value: 'URL', help: 'ask this webhook, as kube-apiserver would', group: WEBHOOK },
  {
    flag: 'webhook-ca-file',
    value: 'FILE',
    help: "CA of its certificate, PEM (default: the system's)",
    group: WEBHOOK,
  },
  { flag: 'webhook-cert-file', value: 'FILE', help: 'client certificate, PEM, where it asks for one', group: WEBHOOK },
  { flag: 'webhook-key-file', value: 'FILE', help: 'its private key, PEM', group: WEBHOOK },
  { flag: 'kubeconfig', value: 'FILE', help: 'where the cluster stands (default: as kubectl)', group: API_SERVER },
  {
    flag: 'context',
    value: 'NAME',
    help: 'context whose cluster is asked (default: the current one)',
    group: API_SERVER,
  },
  { flag: 'no-api-server', help: 'ask no API server', group: API_SERVER },
  { flag: 'output', aliases: ['o'], value: 'FORMAT', help: 'text (default) or json', group: 'Program' },
]

const COMMAND: LoginCommandOptions = {
  name: 'archway whoami',
  description:
    'Says what the token of a login is to Keystone, to the webhook, and to the API server of the kubeconfig.',
  flags: [...LOGIN_FLAGS, ...OWN_FLAGS],
  examples: [
    '  archway whoami --os-cloud demo',
    '  archway whoami --os-cloud demo --context prod -o json',
    '  archway whoami --webhook https://127.0.0.1:8443/webhook --webhook-ca-file ca.crt',
  ].join('\n'),
  notes: 'Status 0 only where everybody who was asked knows the token, and webhook and API server by one name.\n',
}

export const whoamiCommand: PlainCommand = {
  description: 'what one is to Keystone, to the webhook and to the API server',
  help: () => loginHelp(COMMAND),
  run: whoami,
}

/** What came of asking one of them. */
type Answer =
  | {
      readonly kind: 'known'
      readonly user: string | undefined
      readonly about: readonly string[]
      readonly until?: string
    }
  | { readonly kind: 'refused'; readonly about: readonly string[] }
  | { readonly kind: 'could not tell'; readonly about: readonly string[]; readonly status: number }
  | { readonly kind: 'not asked'; readonly about: readonly string[] }

interface Part {
  readonly name: 'keystone' | 'issuer' | 'webhook' | 'API server'
  readonly answer: Answer
}

function whoami(argv: readonly string[], io: CommandIo): Promise<number> {
  return runLoginCommand(COMMAND, argv, io, (flags) => {
    const output = lastText(flags, 'output') ?? 'text'
    if (output !== 'text' && output !== 'json') throw invalid('--output: expected text or json')
    const webhook = webhookOf(flags)
    const options = { flags, io, exec: NOBODY_ASKS, verbose: isSet(flags, 'verbose') }
    return withSession(options, async (session) => {
      const credential = await session.obtain({ force: false })
      const parts = await Promise.all([
        asked(credential.subject['provider'] === 'oidc' ? 'issuer' : 'keystone', () =>
          askProvider(credential, session),
        ),
        asked('webhook', () => askWebhook(credential, webhook)),
        asked('API server', () => askApiServer(credential, flags, io)),
      ])
      const conflict = conflictOf(parts)
      io.out(output === 'json' ? asJson(parts, conflict) : asText(parts, conflict))
      return parts.map(statusOf).find((status) => status !== 0) ?? (conflict === undefined ? 0 : 1)
    })
  })
}

/** A part that cannot be asked says why; the others are asked all the same. */
async function asked(name: Part['name'], ask: () => Promise<Answer>): Promise<Part> {
  try {
    return { name, answer: await ask() }
  } catch (thrown) {
    if (!(thrown instanceof ArchwayError) || thrown.code === 'credential_interrupted') throw thrown
    return { name, answer: { kind: 'could not tell', about: [thrown.message], status: exitStatusOf(thrown) } }
  }
}

async function askProvider(credential: CachedCredential, { settings, context }: LoginSession): Promise<Answer> {
  const plan = await planWithoutProofs(settings)
  if (plan.provider === 'oidc') {
    const about = ['by the token itself; an issuer is not asked about its tokens']
    return { kind: 'known', user: credential.account['user'], about, until: credential.expiresAtText }
  }
  const keystone = await context.providers.keystone(plan.endpoint)
  try {
    const found = await abortable(keystone.describe(credential.token), context.signal)
    if (found === undefined) return { kind: 'refused', about: ['the token is no longer good: run "archway login"'] }
    const account = { user: found.user.name, domain: found.user.domain.name }
    const { project, domain, system, roles } = found
    const scope =
      project === undefined
        ? domain === undefined
          ? system
            ? 'the system'
            : 'nothing (unscoped)'
          : `domain ${domain.name}`
        : `project ${project.name} (domain ${project.domain.name})`
    return {
      kind: 'known',
      user: describeAccount({ account, subject: {} }),
      about: [`for ${scope}`, ...(roles.length === 0 ? [] : [`roles ${roles.join(', ')}`])],
      until: found.expiresAtText,
    }
  } finally {
    await keystone.close()
  }
}

// --- the webhook -------------------------------------------------------------------------------------------------

interface Webhook {
  readonly url: string
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer }
}

function webhookOf(flags: ParsedFlags): Webhook | undefined {
  const text = lastText(flags, 'webhook')
  if (text === undefined) return undefined
  const url = URL.parse(text)
  if (url?.protocol !== 'https:') throw invalid('--webhook: expected an address such as https://127.0.0.1:8443/webhook')
  if (url.pathname === '/') url.pathname = '/webhook'
  const pem = (flag: string): Buffer | undefined => {
    const path = lastText(flags, flag)
    return path === undefined ? undefined : readPem(path)
  }
  const [ca, cert, key] = [pem('webhook-ca-file'), pem('webhook-cert-file'), pem('webhook-key-file')]
  if ((cert === undefined) !== (key === undefined))
    throw invalid('--webhook-cert-file and --webhook-key-file go together')
  return {
    url: url.href,
    tls: { ...(ca === undefined ? {} : { ca }), ...(cert === undefined || key === undefined ? {} : { cert, key }) },
  }
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (thrown) {
    throw new ArchwayError('file_invalid', `${path}: cannot be read (${messageOf(thrown)})`)
  }
}

async function askWebhook({ token }: CachedCredential, webhook: Webhook | undefined): Promise<Answer> {
  if (webhook === undefined) return { kind: 'not asked', about: ['name it with --webhook'] }
  const { reviewToken } = await import('../kube/token-review-client.ts')
  const { verdict } = await reviewToken({
    ...webhook,
    apiVersion: 'authentication.k8s.io/v1',
    token,
    audiences: [],
    timeoutMs: 30_000,
  })
  switch (verdict.kind) {
    case 'authenticated': {
      const { username, groups } = verdict.user
      return { kind: 'known', user: username, about: groups.length === 0 ? [] : [`groups ${groups.join(', ')}`] }
    }
    case 'rejected':
      return { kind: 'refused', about: ['the webhook does not take the token'] }
    case 'undecided':
      return { kind: 'could not tell', about: [verdict.cause], status: 5 }
  }
}

// --- the API server ----------------------------------------------------------------------------------------------

async function askApiServer({ token }: CachedCredential, flags: ParsedFlags, io: CommandIo): Promise<Answer> {
  if (isSet(flags, 'no-api-server')) return { kind: 'not asked', about: ['as --no-api-server has it'] }
  const [{ loadKubeconfigs }, { currentContextOf, kubeconfigFiles }, { clusterOfContext }, { checkAccess }] =
    await Promise.all([
      import('../kube/kubeconfig-file/change-files.ts'),
      import('../kube/kubeconfig-file/locate.ts'),
      import('../credential/kubeconfig/known-cluster.ts'),
      import('../credential/kubeconfig/check-access.ts'),
    ])
  const home = io.env['HOME'] ?? homedir()
  const files = kubeconfigFiles({ file: lastText(flags, 'kubeconfig'), env: io.env, home, cwd: process.cwd() })
  const loaded = loadKubeconfigs(files)
  const context = lastText(flags, 'context') ?? currentContextOf(loaded)
  if (context === '') return { kind: 'not asked', about: ['no kubeconfig names a current context: give --context'] }
  const cluster = clusterOfContext(context, loaded)
  if (cluster === undefined) throw invalid(`the context ${JSON.stringify(context)} has no cluster that could be asked`)
  if (!cluster.usable) {
    throw invalid(
      `the cluster ${JSON.stringify(cluster.name)} is behind a proxy, or unverified: the token is not sent there`,
    )
  }
  const { address, ca, serverName } = cluster
  const { ok, refused, user, lines } = await checkAccess({
    server: { address, ca, serverName, timeoutMs: 30_000 },
    credential: { token },
  })
  const about = [address.url, ...lines]
  if (ok) return { kind: 'known', user, about: [address.url, ...lines] }
  return refused ? { kind: 'refused', about } : { kind: 'could not tell', about, status: 5 }
}

// --- the whole ---------------------------------------------------------------------------------------------------

/** The webhook is what the API server asks, so both have to know one by one name. */
function conflictOf(parts: readonly Part[]): string | undefined {
  const [webhook, server] = ['webhook', 'API server'].map((name) => {
    const answer = parts.find((part) => part.name === name)?.answer
    return answer?.kind === 'known' ? answer.user : undefined
  })
  if (webhook === undefined || server === undefined || webhook === server) return undefined
  return `the webhook knows ${plainText(webhook)}, the API server ${plainText(server)}: it asks another webhook, or another authenticator was first`
}

function statusOf({ answer }: Part): number {
  if (answer.kind === 'could not tell') return answer.status
  return answer.kind === 'refused' ? 3 : 0
}

function asText(parts: readonly Part[], conflict: string | undefined): string {
  const lines = parts.flatMap(({ name, answer }) => {
    const first = answer.kind === 'known' ? plainText(answer.user ?? 'known, not told by which name') : answer.kind
    const until = answer.kind === 'known' && answer.until !== undefined ? [`until ${answer.until}`] : []
    return [
      `${name.padEnd(11)} ${first}`,
      ...[...answer.about, ...until].map((line) => `${' '.repeat(12)}${plainText(line)}`),
    ]
  })
  return `${[...lines, ...(conflict === undefined ? [] : [conflict])].join('\n')}\n`
}

function asJson(parts: readonly Part[], conflict: string | undefined): string {
  const document = {
    parts: parts.map(({ name, answer }) => {
      const { kind, about } = answer
      return {
        name,
        answer: kind,
        user: answer.kind === 'known' ? (answer.user ?? null) : null,
        until: answer.kind === 'known' ? (answer.until ?? null) : null,
        about,
      }
    }),
    conflict: conflict ?? null,
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

function invalid(message: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', message)
}
