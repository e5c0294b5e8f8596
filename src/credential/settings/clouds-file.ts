/**
 * The selected cloud: finds clouds.yaml and what goes with it as openstackclient does. Owns the search and what covers
 * what (secure.yaml, the entry, its profile in clouds-public.yaml); leaves YAML to `clouds-text.ts`.
 *
 * @see https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html
 * @module
 */
import { dirname, join } from 'node:path'
import { ArchwayError, messageOf } from '../../errors.ts'
import { type CloudEntries, type CloudEntry, readClouds } from './clouds-text.ts'
import { absolutePath, type Layer, readLayer } from './layers.ts'
import type { ReadSettingsFile, SettingsFile } from './read-file.ts'

export interface CloudOptions {
  /** Of the entry. */
  readonly name: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly cwd: string
  readonly platform: NodeJS.Platform
  readonly readText: ReadSettingsFile
  readonly warn: (line: string) => void
}

/** One of the three files, where it was found. */
interface FoundFile {
  readonly path: string
  readonly file: SettingsFile
}

/** A file's entry, or that of a profile. */
interface Part {
  readonly path: string
  readonly entry: CloudEntry
  readonly label: string
}

/** In this order: all folders for the first ending, then for the next. */
const ENDINGS = ['yaml', 'yml', 'json'] as const

/**
 * The values of a cloud.
 *
 * @throws ArchwayError `credential_settings_invalid`: no such file or entry (the known ones are named), a text that
 * cannot be used (file and line), or a clouds.yaml in the working directory that somebody else has put there.
 */
export async function cloudLayer(options: CloudOptions): Promise<Layer> {
  const { name, env, home, warn } = options
  const clouds = findFile('clouds', env['OS_CLIENT_CONFIG_FILE'], options)
  const secure = findFile('secure', env['OS_CLIENT_SECURE_FILE'], options)
  const open = clouds === undefined ? new Map() : await readClouds(clouds.path, clouds.file.text, 'clouds')
  const covered = secure === undefined ? new Map() : await readClouds(secure.path, secure.file.text, 'clouds')
  if (!open.has(name) && !covered.has(name)) throw unknownCloud(name, clouds, [...open.keys(), ...covered.keys()])

  const parts = [...partOf(name, secure, covered), ...partOf(name, clouds, open)]
  parts.push(...(await profileOf(name, parts, options)))
  if (secure !== undefined && covered.has(name)) warnOfSecrets(clouds, secure, options, warn)
  let base = ''
  return readLayer(
    ({ cloud: keys = [] }) => {
      for (const { path, entry, label } of parts) {
        for (const key of keys) {
          const value = entry.value(key)
          if (value === undefined || value === '') continue
          base = dirname(path)
          return { value, source: `${key} of ${label}` }
        }
      }
      return undefined
    },
    () => ({ home, base }),
  )
}

function partOf(name: string, found: FoundFile | undefined, entries: CloudEntries): readonly Part[] {
  const entry = entries.get(name)
  return found === undefined || entry === undefined
    ? []
    : [{ path: found.path, entry, label: `cloud ${name} in ${found.path}` }]
}

/** What a vendor says of his cloud: below everything the entry says itself. */
async function profileOf(name: string, parts: readonly Part[], options: CloudOptions): Promise<readonly Part[]> {
  const profile = firstOf(parts, 'profile') ?? firstOf(parts, 'cloud')
  if (profile === undefined) return []
  const found = findFile('clouds-public', undefined, options)
  const known = found === undefined ? new Map() : await readClouds(found.path, found.file.text, 'public-clouds')
  const entry = known.get(profile)
  if (found !== undefined && entry !== undefined) {
    return [{ path: found.path, entry, label: `profile ${profile} in ${found.path}` }]
  }
  if (firstOf(parts, 'auth_url') === undefined) {
    throw invalid(
      `cloud ${name} has the profile ${profile}, and no clouds-public.yaml knows it: give its auth_url in clouds.yaml`,
    )
  }
  return []
}

function firstOf(parts: readonly Part[], key: string): string | undefined {
  for (const { entry } of parts) {
    const value = entry.value(key)
    if (value !== undefined && value !== '') return value
  }
  return undefined
}

function warnOfSecrets(
  clouds: FoundFile | undefined,
  secure: FoundFile,
  { cwd, env }: CloudOptions,
  warn: (line: string) => void,
): void {
  if (secure.file.readableByOthers) warn(`${secure.path} can be read by other users: chmod 600 ${secure.path}`)
  const named = (env['OS_CLIENT_CONFIG_FILE'] ?? '') !== ''
  if (clouds !== undefined && !named && dirname(clouds.path) === cwd && dirname(secure.path) !== cwd) {
    warn(`the secret of ${secure.path} goes to the address in ${clouds.path}, found in the working directory`)
  }
}

// --- finding -----------------------------------------------------------------------------------------------------

function findFile(stem: string, named: string | undefined, options: CloudOptions): FoundFile | undefined {
  const { home, cwd, readText, warn } = options
  if (named !== undefined && named !== '') {
    const path = absolutePath(named, { home, base: cwd })
    const file = readNamed(path, readText)
    return { path, file }
  }
  for (const path of ENDINGS.flatMap((ending) => folders(options).map((folder) => join(folder, `${stem}.${ending}`)))) {
    let file: SettingsFile | undefined
    try {
      file = readText(path)
    } catch (thrown) {
      warn(`${path} is passed over: ${messageOf(thrown)}`)
      continue
    }
    if (file === undefined) continue
    if (file.foreign && dirname(path) === cwd) {
      throw invalid(
        `${path} belongs to another user, and its address would get your password: ` +
          'go to another folder, or name the file in OS_CLIENT_CONFIG_FILE',
      )
    }
    return { path, file }
  }
  return undefined
}

function readNamed(path: string, readText: ReadSettingsFile): SettingsFile {
  let file: SettingsFile | undefined
  try {
    file = readText(path)
  } catch (thrown) {
    throw invalid(`${path} cannot be read: ${messageOf(thrown)}`)
  }
  if (file === undefined) throw invalid(`${path} does not exist: correct OS_CLIENT_CONFIG_FILE, OS_CLIENT_SECURE_FILE`)
  return file
}

function folders({ cwd, home, env, platform }: CloudOptions): readonly string[] {
  const own = env['XDG_CONFIG_HOME'] ?? ''
  const all = [
    cwd,
    ...(own.startsWith('/') ? [join(own, 'openstack')] : []),
    ...(platform === 'darwin' ? [join(home, 'Library', 'Application Support', 'openstack')] : []),
    join(home, '.config', 'openstack'),
    ...(platform === 'win32' ? [] : ['/etc/openstack']),
  ]
  return [...new Set(all)]
}

function unknownCloud(name: string, clouds: FoundFile | undefined, known: readonly string[]): ArchwayError {
  if (clouds === undefined && known.length === 0) {
    return invalid(`no clouds.yaml was found for the cloud ${name}: put it into ~/.config/openstack/`)
  }
  const list = [...new Set(known)].sort().join(', ')
  return invalid(
    `there is no cloud ${name} in ${clouds?.path ?? 'secure.yaml'}; ${list === '' ? 'it has none' : `it knows: ${list}`}`,
  )
}

function invalid(message: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', message)
}
