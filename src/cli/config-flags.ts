/**
 * Flags of the configuration on a command: made from the schema, so that flags, file and reference never drift.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { type Command, Option as Flag } from 'commander'
import { loadConfig } from '../config/load.ts'
import { listOptions } from '../config/options.ts'
import type { Config } from '../config/schema.ts'
import { InvalidDocumentError, messageOf } from '../errors.ts'
import { type CommandIo, ExitError } from './io.ts'

/** Adds `--config FILE` and a flag for every option that has one; where `sections` are named, of these only. */
export function addConfigFlags(command: Command, sections?: readonly string[]): Command {
  command.optionsGroup('Configuration:')
  command.addOption(new Flag('--config <FILE>', 'configuration file, YAML (see `archway config reference`)'))
  const groups = Map.groupBy(
    listOptions().filter(({ flag, path }) => flag !== undefined && (sections?.includes(path[0] ?? '') ?? true)),
    (option) => (option.path[0] === 'authenticators' ? 'Sources of identities:' : 'Options of the file:'),
  )
  for (const [group, options] of groups) {
    command.optionsGroup(group)
    for (const { flag, value, description, env, defaultValue } of options) {
      const notes = [
        ...(defaultValue === undefined ? [] : [`default ${String(defaultValue)}`]),
        ...(env === undefined ? [] : [`env ${env}`]),
      ]
      command.addOption(new Flag(`--${flag} <${value}>`, `${description} (${notes.join('; ')})`))
    }
  }
  return command.optionsGroup('Options:')
}

/** The configuration from what was given to a command. Mistakes end it with status 1 and one line each. */
export function configOf(
  given: Readonly<Record<string, unknown>>,
  io: CommandIo,
  { serves = true }: { readonly serves?: boolean } = {},
): Config {
  const flags = new Map<string, string>()
  for (const { flag } of listOptions()) {
    const value = flag === undefined ? undefined : given[camelCase(flag)]
    if (flag !== undefined && typeof value === 'string') flags.set(flag, value)
  }
  const path = typeof given['config'] === 'string' ? given['config'] : undefined
  const file = path === undefined ? undefined : readConfigFile(path)
  return orExit(() => loadConfig({ file, env: io.env, flags, serves }))
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
