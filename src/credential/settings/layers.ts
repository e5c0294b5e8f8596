/**
 * Where values come from, one layer above the other: flags, environment, the cluster's entry of the kubeconfig, the
 * selected cloud. Owns reading each and looking through all; leaves what the values come to to `resolve.ts`.
 *
 * @module
 */
import { isAbsolute, join } from 'node:path'
import { ArchwayError } from '../../errors.ts'
import { Secret } from '../../secret.ts'
import type { ParsedFlags } from './flags.ts'
import { isSecretName, SETTINGS, type SecretName, type SettingName, type SettingRow, type TextName } from './table.ts'

/** A value and what it is called where it stands: `--user-name`, `OS_USERNAME`. */
interface Given<Value> {
  readonly value: Value
  readonly source: string
}

/** The values of one source. Empty ones do not count as given. */
export interface Layer {
  readonly texts: ReadonlyMap<TextName, Given<string>>
  readonly secrets: ReadonlyMap<SecretName, Given<Secret>>
}

/** Which of several settings was given, in the highest layer that has any of them. */
export interface Choice<Name extends SettingName> {
  readonly name: Name
  readonly text: string
  /** 0 is the highest. */
  readonly layer: number
  readonly source: string
}

/** All layers, looked through from the top. What is looked up counts as used. */
export interface Values {
  readonly layers: readonly Layer[]
  text(name: TextName): string | undefined
  secret(name: SecretName): Secret | undefined
  /**
   * The highest layer that has any of `names`, and the first of them there. The others in that layer count as used:
   * they say the same otherwise (a project's name beside its id).
   */
  choose<Name extends TextName>(names: readonly Name[]): Choice<Name> | undefined
  /** Looks without using. */
  has(name: SettingName): boolean
  /** What a setting is called where it is given. */
  source(name: SettingName): string
  /** Settings of the top layer that nobody has looked up. */
  unused(): readonly Given<SettingName>[]
}

/** The folders that paths are relative to. */
export interface Folders {
  readonly home: string
  /** Of the file the value stands in, or the working directory. */
  readonly base: string
}

export function lookThrough(layers: readonly Layer[]): Values {
  const used = new Set<SettingName>()
  const first = <Value>(of: (layer: Layer) => Given<Value> | undefined): Given<Value> | undefined => {
    for (const layer of layers) {
      const given = of(layer)
      if (given !== undefined) return given
    }
    return undefined
  }
  const find = (name: SettingName): Given<unknown> | undefined => first((layer) => given(layer, name))
  return {
    layers,
    text(name) {
      used.add(name)
      return first(({ texts }) => texts.get(name))?.value
    },
    secret(name) {
      used.add(name)
      return first(({ secrets }) => secrets.get(name))?.value
    },
    choose(names) {
      for (const [index, { texts }] of layers.entries()) {
        const there = names.filter((name) => texts.has(name))
        for (const name of there) used.add(name)
        const [name] = there
        const found = name === undefined ? undefined : texts.get(name)
        if (name !== undefined && found !== undefined) {
          return { name, text: found.value, layer: index, source: found.source }
        }
      }
      return undefined
    },
    has: (name) => find(name) !== undefined,
    source: (name) => find(name)?.source ?? name,
    unused() {
      const [top] = layers
      if (top === undefined) return []
      const entries = [...top.texts, ...top.secrets]
      return entries.filter(([name]) => !used.has(name)).map(([name, { source }]) => ({ value: name, source }))
    },
  }
}

/** A setting of one layer, whatever its kind. */
export function given(layer: Layer, name: SettingName): Given<string | Secret> | undefined {
  return isSecretName(name) ? layer.secrets.get(name) : layer.texts.get(name)
}

/** The values `read` finds, one setting at a time. */
export function readLayer(
  read: (row: SettingRow<SettingName>) => Given<string | Secret> | undefined,
  foldersOf: (row: SettingRow<SettingName>) => Folders,
): Layer {
  const texts = new Map<TextName, Given<string>>()
  const secrets = new Map<SecretName, Given<Secret>>()
  for (const row of SETTINGS) {
    const found = read(row)
    if (found === undefined || found.value === '') continue
    const { value, source } = found
    const { name } = row
    if (isSecretName(name)) {
      secrets.set(name, { value: typeof value === 'string' ? new Secret(value) : value, source })
    } else if (typeof value === 'string') {
      texts.set(name, { value: row.path === true ? absolutePath(value, foldersOf(row)) : value, source })
    }
  }
  return { texts, secrets }
}

/** `~` is the home folder, as the shell would have made it. */
export function absolutePath(path: string, { home, base }: Folders): string {
  if (path === '~' || path.startsWith('~/')) return join(home, path.slice(1))
  return isAbsolute(path) ? path : join(base, path)
}

export function flagLayer(flags: ParsedFlags, folders: Folders): Layer {
  return readLayer(
    ({ flag, repeatable }) => {
      if (flag === undefined) return undefined
      const texts = flags.texts.get(flag) ?? []
      const value = flags.secrets.get(flag) ?? (repeatable === true ? texts.join(' ') : texts.at(-1))
      return value === undefined ? undefined : { value, source: `--${flag}` }
    },
    () => folders,
  )
}

export function environmentLayer(env: Readonly<Record<string, string | undefined>>, folders: Folders): Layer {
  return readLayer(
    ({ env: names = [] }) => {
      const name = names.find((candidate) => (env[candidate] ?? '') !== '')
      return name === undefined ? undefined : { value: env[name] ?? '', source: name }
    },
    () => folders,
  )
}

/**
 * What the kubeconfig says beside the cluster (`spec.cluster.config` of the exec protocol): settings by the names of
 * their flags, and `audience`. Keys that are none are somebody else's. A kubeconfig is passed around, so a secret in it
 * is not taken, nor is what would weaken the connection it goes over; `warn` is told.
 *
 * @throws ArchwayError `credential_settings_invalid` where a value is not text.
 */
export function clusterLayer(config: unknown, folders: Folders, warn: (line: string) => void): Layer {
  const entries = typeof config === 'object' && config !== null && !Array.isArray(config) ? Object.entries(config) : []
  const byFlag = new Map(entries.map(([key, value]) => [key.replaceAll('_', '-'), value] as const))
  return readLayer(
    ({ name, flag, secret }) => {
      if (flag === undefined) return undefined
      const value = byFlag.get(flag) ?? (name === 'oidcAudience' ? byFlag.get('audience') : undefined)
      if (value === undefined || value === null) return undefined
      const source = `${flag} of the cluster in the kubeconfig`
      if (secret === true) {
        warn(`${source} is not taken: a kubeconfig is no place for a secret`)
        return undefined
      }
      if (name === 'insecure') {
        warn(`${source} is not taken: whether certificates count is for whoever logs in to say`)
        return undefined
      }
      return { value: asText(value, source), source }
    },
    () => folders,
  )
}

function asText(value: unknown, source: string): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(' ')
  throw new ArchwayError('credential_settings_invalid', `${source}: expected text`)
}
