/**
 * Flags of the configuration on a command: made from the schema, so that flags, file and reference never drift.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { type Command, Option as Flag } from 'commander'
import { loadConfig } from '../config/load.ts'
import type { Door } from '../config/option.ts'
import { flagsOf } from '../config/options.ts'
import type { Config } from '../config/schema.ts'
import { InvalidDocumentError, messageOf } from '../errors.ts'
import { type CommandIo, ExitError } from './io.ts'

export interface ConfigFlagOptions {
  /** What the command is for; the webhook when absent. Of several, a flag of the first counts. */
  readonly doors?: readonly Door[]
  /** Sections of the configuration whose flags it has; all when absent. */
  readonly sections?: readonly string[]
}

/** Adds `--config FILE` and a flag for every option that has one. */
export function addConfigFlags(command: Command, { doors = ['webhook'], sections }: ConfigFlagOptions = {}): Command {
  command.optionsGroup('Configuration:')
  command.addOption(new Flag('--config <FILE>', 'configuration file, YAML (see `archway config reference`)'))
  const groups = Map.groupBy(
    flagsOfAll(doors).filter(({ path }) => sections?.includes(path[0] ?? '') ?? true),
    (option) => (option.path[0] === 'authenticators' ? 'Sources of identities:' : 'Options of the file:'),
  )
  for (const [group, options] of groups) {
    command.optionsGroup(group)
    for (const { flag, value, description, env, defaultValue, list } of options) {
      const notes = [
        ...(defaultValue === undefined ? [] : [`default ${String(defaultValue)}`]),
        ...(env === undefined ? [] : [`env ${env}`]),
      ]
      const added = new Flag(
        `--${flag} <${value}>`,
        `${description}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`,
      )
      command.addOption(list ? added.argParser(collected) : added)
    }
  }
  return command.optionsGroup('Options:')
}

function flagsOfAll(doors: readonly Door[]): ReturnType<typeof flagsOf> {
  const byName = new Map(doors.toReversed().flatMap((door) => flagsOf(door).map((option) => [option.flag, option])))
  return [...byName.values()]
}

/** A flag that may be given several times. */
function collected(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}

/** The configuration from what was given to a command. Mistakes end it with status 1 and one line each. */
export function configOf(given: Readonly<Record<string, unknown>>, io: CommandIo, door: Door = 'webhook'): Config {
  const flags = new Map<string, string | readonly string[]>()
  for (const { flag } of flagsOf(door)) {
    const value = given[camelCase(flag)]
    if (typeof value === 'string' || Array.isArray(value)) flags.set(flag, value)
  }
  const path = typeof given['config'] === 'string' ? given['config'] : undefined
  const file = path === undefined ? undefined : readConfigFile(path)
  return orExit(() => loadConfig({ file, env: io.env, flags, door }))
}

function readConfigFile(path: string): { path: string; text: string } {
  try {
    return { path, text: readFileSync(path, 'utf8') }
  } catch (thrown) {
    throw new ExitError(1, `archway: cannot read the configuration: ${messageOf(thrown)}`)
  }
}

/** Turns mistakes in a document into an exit with a line for each. */
export function orExit<T>(load: () => T): T {
  try {
    return load()
  } catch (thrown) {
    if (!(thrown instanceof InvalidDocumentError)) throw thrown
    throw new ExitError(1, describeProblems(thrown))
  }
}

function describeProblems({ where, problems }: InvalidDocumentError): string {
  const lines = problems.map(({ path, message, line, column }) => {
    const place = line === undefined ? where : `${where}:${line}:${column}`
    return `${place}: ${path === '' ? '' : `${path}: `}${message}`
  })
  const count = problems.length === 1 ? '1 mistake' : `${problems.length} mistakes`
  return `${lines.join('\n')}\narchway: ${count} in the configuration`
}

function camelCase(flag: string): string {
  return flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}
