/**
 * `k8s-keystone-auth`: the predecessor's command line in front of `archway serve`. Takes its flags and environment
 * variables as its manifests give them, an image's `./bin/k8s-keystone-auth` as first argument included.
 *
 * @module
 */
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import type { LogLevel } from '../telemetry/logger.ts'
import { orExit } from './config-flags.ts'
import { type CommandIo, ExitError } from './io.ts'
import { serve } from './serve.ts'
import { version } from './version.ts'

/** The flags, with the variable that gives each its default. */
const FLAGS = {
  listen: { env: undefined, value: 'ADDR', help: 'address and port of the HTTPS listener (default 0.0.0.0:8443)' },
  'tls-cert-file': { env: 'TLS_CERT_FILE', value: 'FILE', help: 'serving certificate, PEM; may hold the chain' },
  'tls-private-key-file': { env: 'TLS_PRIVATE_KEY_FILE', value: 'FILE', help: 'private key of the certificate' },
  'keystone-url': { env: 'OS_AUTH_URL', value: 'URL', help: 'Identity v3 URL' },
  'keystone-ca-file': {
    env: 'KEYSTONE_CA_FILE',
    value: 'FILE',
    help: 'CA bundle for Keystone; replaces the system roots',
  },
  'keystone-policy-file': { env: 'KEYSTONE_POLICY_FILE', value: 'FILE', help: 'authorization policy, JSON' },
  'policy-configmap-name': {
    env: 'KEYSTONE_POLICY_CONFIGMAP_NAME',
    value: 'NAME',
    help: 'ConfigMap in kube-system with the policy under the key `policies`',
  },
  'policy-subresources': {
    env: undefined,
    value: 'MODE',
    help: 'compat, guarded or strict: what a policy key without a subresource covers (default guarded)',
  },
  'sync-config-file': { env: 'KEYSTONE_SYNC_CONFIG_FILE', value: 'FILE', help: 'synchronisation, YAML' },
  'sync-configmap-name': {
    env: 'KEYSTONE_SYNC_CONFIGMAP_NAME',
    value: 'NAME',
    help: 'ConfigMap in kube-system with it under the key `syncConfig`',
  },
  kubeconfig: {
    env: 'KEYSTONE_KUBECONFIG_FILE',
    value: 'FILE',
    help: 'access to the Kubernetes API; empty: in-cluster',
  },
  v: { env: undefined, value: 'LEVEL', help: 'log verbosity; from 4 on, debug lines. No level shows a token' },
  vmodule: { env: undefined, value: 'SETTINGS', help: 'accepted for its manifests, without effect' },
  'log-flush-frequency': { env: undefined, value: 'DURATION', help: 'accepted for its manifests, without effect' },
  'admin-listen': {
    env: undefined,
    value: 'ADDR',
    help: 'address of /livez, /readyz, /metrics (default 127.0.0.1:9443)',
  },
} as const

type FlagName = keyof typeof FLAGS

/** Runs the drop-in server. Resolves to the exit status. */
export async function keystoneAuth(argv: readonly string[], io: CommandIo): Promise<number> {
  const given = parse(argv, io)
  if (given.help) {
    io.out(usage())
    return 0
  }
  if (given.version) {
    io.out(`k8s-keystone-auth (Archway) ${version()}\n`)
    return 0
  }
  const { values } = given
  const missing = [
    ['keystone-url', 'Keystone URL is missing: pass --keystone-url or set OS_AUTH_URL'],
    ['tls-cert-file', 'the serving certificate is missing: pass --tls-cert-file or set TLS_CERT_FILE'],
    ['tls-private-key-file', 'the private key is missing: pass --tls-private-key-file or set TLS_PRIVATE_KEY_FILE'],
  ] as const
  const lines = missing.filter(([flag]) => values.get(flag) === undefined).map(([, line]) => `Error: ${line}`)
  if (lines.length > 0) throw new ExitError(1, lines.join('\n'))

  const config = orExit(() => loadConfig({ file: { path: 'k8s-keystone-auth', text: toDocument(given) } }))
  return serve(config, io, { adminRequired: false, warnings: warningsOf(values) })
}

interface Given {
  readonly values: ReadonlyMap<FlagName, string>
  readonly userAgents: readonly string[]
  readonly help: boolean
  readonly version: boolean
}

function parse(argv: readonly string[], io: CommandIo): Given {
  const strings = Object.fromEntries(Object.keys(FLAGS).map((name) => [name, { type: 'string' }])) as {
    readonly [name in FlagName]: { readonly type: 'string' }
  }
  try {
    const { values } = parseArgs({
      args: normalize(argv),
      allowPositionals: true,
      strict: true,
      options: {
        ...strings,
        'user-agent': { type: 'string', multiple: true },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    })
    const found = new Map<FlagName, string>()
    for (const [name, { env }] of Object.entries(FLAGS) as [FlagName, (typeof FLAGS)[FlagName]][]) {
      const value = values[name] ?? (env === undefined ? undefined : io.env[env])
      if (value !== undefined && value !== '') found.set(name, value)
    }
    return {
      values: found,
      userAgents: values['user-agent'] ?? [],
      help: values.help === true,
      version: values.version === true,
    }
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message.replace(/\. To specify a positional.*$/s, '') : ''
    throw new ExitError(1, `${usage()}Error: ${message}`)
  }
}

/** What pflag takes and Node's parser does not: underscores in names, `-v=4`, `-v4`, `--version=true`. */
function normalize(argv: readonly string[]): string[] {
  const end = argv.indexOf('--')
  const flags = end < 0 ? argv : argv.slice(0, end)
  return flags.flatMap((argument) => {
    const short = /^-v=?(\d+)$/.exec(argument)
    if (short !== null) return [`--v=${short[1]}`]
    if (argument === '-v') return ['--v']
    const boolean = /^--(help|version)=(true|false|1|0|t|f)$/i.exec(argument)
    if (boolean !== null) return /^(true|1|t)$/i.test(boolean[2] ?? '') ? [`--${boolean[1]}`] : []
    if (!argument.startsWith('--')) return [argument]
    const [name = '', ...value] = argument.split('=')
    return [[name.replaceAll('_', '-'), ...value].join('=')]
  })
}

/** The configuration these flags stand for; JSON, which YAML takes. */
function toDocument({ values, userAgents }: Given): string {
  const caFile = values.get('keystone-ca-file')
  return JSON.stringify({
    server: {
      listen: values.get('listen'),
      tls: { certFile: values.get('tls-cert-file'), keyFile: values.get('tls-private-key-file') },
    },
    admin: { listen: values.get('admin-listen') },
    authenticators: [
      {
        keystone: {
          url: values.get('keystone-url'),
          ...(caFile === undefined ? {} : { caFile, caMode: 'replace' }),
          // The last one given comes first, as the predecessor sends them.
          userAgent: userAgents.toReversed(),
        },
      },
    ],
    authorizers: toAuthorizers(values),
    kubernetes: { kubeconfig: values.get('kubeconfig') },
    logging: { level: logLevel(values.get('v')) },
  })
}

/** A file wins for good: the ConfigMap is then not followed, as the predecessor's help text promises. */
function toAuthorizers(values: Given['values']): readonly object[] {
  const file = values.get('keystone-policy-file')
  const configMap = values.get('policy-configmap-name')
  if (file === undefined && configMap === undefined) return []
  const subresources = values.get('policy-subresources')
  const source = file === undefined ? { configMaps: [configMap] } : { files: [file] }
  return [{ keystonePolicy: { ...source, ...(subresources === undefined ? {} : { subresources }) } }]
}

function logLevel(verbosity: string | undefined): LogLevel {
  if (verbosity === undefined) return 'decision'
  if (!/^\d+$/.test(verbosity)) throw new ExitError(1, `Error: invalid argument "${verbosity}" for "-v, --v" flag`)
  return Number(verbosity) >= 4 ? 'debug' : 'decision'
}

function warningsOf(values: Given['values']): readonly string[] {
  const has = (flag: FlagName): boolean => values.has(flag)
  const policy = has('keystone-policy-file') || has('policy-configmap-name')
  return [
    ...(policy ? [] : ['no policy: every SubjectAccessReview is answered with no opinion']),
    ...(has('keystone-policy-file') && has('policy-configmap-name')
      ? ['--policy-configmap-name is not followed: --keystone-policy-file wins']
      : []),
    ...(has('sync-config-file') || has('sync-configmap-name')
      ? ['synchronisation of projects and roles is not part of this version: nothing is synchronised']
      : []),
  ]
}

function usage(): string {
  const lines = Object.entries(FLAGS).map(([name, { value, help, env }]) => {
    const flag = name === 'v' ? `-v, --v ${value}` : `    --${name} ${value}`
    return `  ${flag.padEnd(36)} ${help}${env === undefined ? '' : ` [$${env}]`}`
  })
  return [
    'k8s-keystone-auth: Keystone webhook for Kubernetes, by Archway. The same server with a configuration file:',
    'archway serve --config FILE (archway serve --help)',
    '',
    'Usage:',
    '  k8s-keystone-auth --tls-cert-file FILE --tls-private-key-file FILE --keystone-url URL [flags]',
    '',
    'Flags:',
    ...lines,
    `  ${'    --user-agent TEXT'.padEnd(36)} put before the User-Agent sent to Keystone; repeatable`,
    `  ${'    --version'.padEnd(36)} print the version`,
    `  ${'-h, --help'.padEnd(36)} print this help`,
    '',
  ].join('\n')
}
