/**
 * Flags, environment and clouds.yaml come to one login. Read this first; each step is one file beside it:
 *
 * `table.ts` names the settings → `flags.ts` and `clouds-file.ts` read two of the sources → `layers.ts` looks through all
 * of them → `way.ts` chooses how to log in → `keystone.ts` and `oidc.ts` draft the login → `asking.ts` asks the rest.
 *
 * It is the same resolution whether or not somebody sits at a terminal (C-05): flags, environment, the cluster's entry
 * of the kubeconfig, the selected cloud, and then questions for what is still lacking. A flag is never dropped without a
 * word (C-03).
 *
 * @module
 */
import type { Secret } from '../../secret.ts'
import type { Settings } from '../plan.ts'
import { ask, questionsOf } from './asking.ts'
import { cloudLayer } from './clouds-file.ts'
import { keystoneConnection } from './connection.ts'
import type { ParsedFlags } from './flags.ts'
import { type Draft, keystoneDraft } from './keystone.ts'
import { clusterLayer, environmentLayer, flagLayer, type Layer, lookThrough, type Values } from './layers.ts'
import { federationDraft, oidcDraft } from './oidc.ts'
import { type ReadSettingsFile, readSettingsFile } from './read-file.ts'
import { chooseWay, type Way } from './way.ts'

export interface SettingsOptions {
  readonly flags: ParsedFlags
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly cwd: string
  /** `spec.cluster.config` of the exec protocol, as it came. */
  readonly clusterConfig?: unknown
  readonly platform?: NodeJS.Platform
  readonly readText?: ReadSettingsFile
  /** Keyed and one way: names a token that is itself who somebody is. */
  readonly digest: (secret: Secret) => string
}

/**
 * Resolves the settings of a login. Reads files only where they are named: clouds.yaml with a cloud, a client secret
 * with its file.
 *
 * @throws ArchwayError `credential_settings_invalid`, naming the setting where it was given. What is merely missing
 * becomes a question.
 */
export async function resolveSettings(options: SettingsOptions): Promise<Settings> {
  const { flags, env, home, cwd, clusterConfig, platform = process.platform } = options
  const { readText = readSettingsFile, digest } = options
  const warnings: string[] = []
  const warn = (line: string): void => void warnings.push(line)

  const folders = { home, base: cwd }
  const own: readonly Layer[] = [
    flagLayer(flags, folders),
    environmentLayer(env, folders),
    clusterLayer(clusterConfig, folders, warn),
  ]
  const name = lookThrough(own).text('cloud')
  const cloud = name === undefined ? [] : [await cloudLayer({ name, env, home, cwd, platform, readText, warn })]
  const values = lookThrough([...own, ...cloud])
  values.text('cloud')

  const draft = draftOf(chooseWay(values, warn), { values, env, digest, readText, warn })
  warnOfFlags(values, warn)
  return {
    subject: draft.subject,
    warnings,
    questions: questionsOf(draft.lacking).map(({ prompt, hidden }) => ({ prompt, hidden })),
    plan: async (terminal) => draft.complete(await ask(draft.lacking, terminal)),
  }
}

interface DraftInput extends Pick<SettingsOptions, 'env' | 'digest'> {
  readonly values: Values
  readonly readText: ReadSettingsFile
  readonly warn: (line: string) => void
}

function draftOf(way: Way, { values, env, digest, readText, warn }: DraftInput): Draft {
  if (way.provider === 'oidc') return oidcDraft({ values, readText, warn })
  const connection = keystoneConnection({ values, env, warn })
  return way.provider === 'keystone'
    ? keystoneDraft({ values, connection, digest }, way.methods)
    : federationDraft({ values, connection, digest, readText, warn }, way)
}

/** Flags that show secrets to the machine, and those that had nothing to say. */
function warnOfFlags(values: Values, warn: (line: string) => void): void {
  const [top] = values.layers
  for (const { source } of top?.secrets.values() ?? []) {
    warn(`${source} shows its value to everybody on this machine: use the environment, or let it be asked for`)
  }
  const unused = values.unused().filter(({ value }) => !SHARED.has(value))
  if (unused.length > 0) warn(`not used in this login: ${unused.map(({ source }) => source).join(', ')}`)
}

/** A domain fills in where one is needed; it is no complaint that none was. */
const SHARED: ReadonlySet<string> = new Set(['domainName', 'domainId'])
