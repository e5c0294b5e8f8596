/**
 * The `exec` block of a kubeconfig's user: which program, told what. Owns what goes in of the settings of a login, from
 * flags and environment; nothing secret does. What is not in the block is what the program finds or asks for itself.
 *
 * @module
 */
import { basename, resolve } from 'node:path'
import { ArchwayError } from '../../errors.ts'
import type { ExecApiVersion, ExecSettings } from '../../kube/kubeconfig-file/entries.ts'
import { SETTINGS, type SettingName, type SettingRow } from '../settings/table.ts'

/** What {@link execEntry} needs. */
export interface ExecEntryOptions {
  /** A name to be found in PATH, or a path. */
  readonly command: string
  readonly apiVersion: ExecApiVersion
  /** Settings that were given as flags; a switch is `true`. */
  readonly given: ReadonlyMap<SettingName, readonly string[]>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Relative paths are meant from here; the kubeconfig gets absolute ones. */
  readonly cwd: string
  readonly installHint: string | undefined
  readonly provideClusterInfo: boolean
}

export interface ExecEntry {
  readonly settings: ExecSettings
  /** What people are to be told of it, a line each. */
  readonly notes: readonly string[]
}

const DROP_IN = 'client-keystone-auth'

/**
 * Makes the block. Settings are arguments, which count more than what kubectl's environment will have. The drop-in gets
 * them as variables: where one of its flags is missing, the program it stands in for passes over all of them.
 *
 * @throws ArchwayError `credential_settings_invalid`
 */
export function execEntry(options: ExecEntryOptions): ExecEntry {
  const { command, env, given, installHint = defaultHint(command) } = options
  const settings = SETTINGS.flatMap((row): readonly Setting[] => {
    const values = given.get(row.name) ?? fromEnvironment(row, env)
    return values === undefined ? [] : [{ row, values: values.map((value) => checkedValue(row, value, options.cwd)) }]
  }).filter(({ row }) => row.name !== 'regionName' || given.has('cloud') || Boolean(env['OS_CLOUD']))
  const dropIn = isDropIn(command)
  const args = [...(dropIn ? [] : ['credential']), ...(dropIn ? [] : settings.flatMap(asArguments))]
  const variables = settings.filter(({ row }) => dropIn || row.flag === undefined).flatMap(asVariable)
  return {
    settings: {
      apiVersion: options.apiVersion,
      command: /[/\\]/.test(command) ? resolve(options.cwd, command) : command,
      args: args.length === 0 ? null : args,
      env: variables.length === 0 ? null : variables,
      installHint,
      interactiveMode: 'IfAvailable',
      provideClusterInfo: options.provideClusterInfo,
    },
    notes: notesOn(options),
  }
}

/** Whether it is the program of cloud-provider-openstack, or ours in its place. */
export function isDropIn(command: string): boolean {
  return basename(command).replace(/\.exe$/i, '') === DROP_IN
}

/** Whether the values of one of the program's flags may be shown. */
export function isHarmlessFlag(name: string): boolean {
  const flag = name.replaceAll('_', '-')
  return SETTINGS.some((row) => row.secret !== true && (row.flag === flag || row.aliases?.includes(flag) === true))
}

interface Setting {
  readonly row: SettingRow<SettingName>
  readonly values: readonly string[]
}

/** What would weaken every login to come is taken from a flag only. */
function fromEnvironment(row: SettingRow<SettingName>, env: ExecEntryOptions['env']): readonly string[] | undefined {
  if (row.secret === true || row.name === 'insecure') return undefined
  const value = row.env?.map((name) => env[name]).find(Boolean)
  return value === undefined ? undefined : [value]
}

function checkedValue({ path, name }: SettingRow<SettingName>, value: string, cwd: string): string {
  const where = SETTINGS.find((row) => row.name === name)
  const called = where?.flag === undefined ? (where?.env?.[0] ?? name) : `--${where.flag}`
  if (/[\u0000-\u001f\u007f]/.test(value) || !value.isWellFormed()) {
    throw invalid(`${called}: has control characters in it`)
  }
  if (/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*@/i.test(value)) {
    throw invalid(
      `${called}: has a user name in the address; write the address alone, a kubeconfig is no place for secrets`,
    )
  }
  return path === true ? resolve(cwd, value) : value
}

function asArguments({ row, values }: Setting): readonly string[] {
  if (row.flag === undefined) return []
  return values.map((value) => (row.value === undefined ? `--${row.flag}` : `--${row.flag}=${value}`))
}

function asVariable({ row, values }: Setting): readonly { readonly name: string; readonly value: string }[] {
  const [name] = row.env ?? []
  return name === undefined ? [] : [{ name, value: values.join(',') }]
}

function notesOn({ env, given }: ExecEntryOptions): readonly string[] {
  const isSet = (row: SettingRow<SettingName>): readonly string[] =>
    (row.env ?? []).filter((name) => Boolean(env[name]))
  const secrets = SETTINGS.filter(({ secret }) => secret === true).flatMap(isSet)
  const insecure = SETTINGS.filter(({ name }) => name === 'insecure').flatMap(isSet)
  return [
    ...(secrets.length === 0
      ? []
      : [
          `not written, being secret: ${secrets.join(', ')}. Where kubectl runs, keep it in the environment or in ` +
            'clouds.yaml, or be asked for it',
        ]),
    ...(insecure.length === 0 || given.has('insecure')
      ? []
      : [`not written: ${insecure.join(', ')}, which lets anybody read the password. --insecure writes it`]),
  ]
}

/** No command to install anything: what a name gets one from a registry is for the reader to judge. */
function defaultHint(command: string): string {
  return (
    `This cluster takes credentials from the program ${basename(command)}, which was not found in PATH.\n` +
    'Install Archway, or ask whoever gave you this kubeconfig where to get it.'
  )
}

function invalid(message: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', message)
}
