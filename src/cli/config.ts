/**
 * `archway config`: checks a configuration, prints the reference.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import type { Door } from '../config/option.ts'
import { configJsonSchema, configReference } from '../config/reference.ts'
import { addConfigFlags, configOf } from './config-flags.ts'
import type { CommandIo } from './io.ts'

const CHECK_EXAMPLES = `
Examples:
  archway config check --config archway.yaml
  archway config check --config archway.yaml --keystone-url https://keystone.example:5000
  archway config check --for proxy --config archway.yaml

Prints every mistake with its place. Status 0: none; 1: there are some.
`

const REFERENCE_EXAMPLES = `
Examples:
  archway config reference
  archway config reference --format json-schema > archway.schema.json
`

const DOORS: ReadonlyMap<unknown, Door> = new Map([
  ['serve', 'webhook'],
  ['proxy', 'proxy'],
  ['any', 'none'],
])

export function addConfigCommands(program: Command, io: CommandIo, done: (status: number) => void): void {
  const config = program.command('config').description('check a configuration, print its reference')
  addConfigFlags(config.command('check').description('find every mistake in a configuration'), {
    doors: ['webhook', 'proxy'],
  })
    .addOption(
      new Option('--for <COMMAND>', 'the command it is for').choices(['serve', 'proxy', 'any']).default('serve'),
    )
    .addHelpText('after', CHECK_EXAMPLES)
    .action((given: Readonly<Record<string, unknown>>) => {
      const { authenticators, authorizers } = configOf(given, io, DOORS.get(given['for']))
      const decide = authorizers.length === 0 ? 'none' : namesOf(authorizers)
      io.out(`no mistakes; sources in order: ${namesOf(authenticators)}; authorizers in order: ${decide}\n`)
      done(0)
    })
  config
    .command('reference')
    .description('print every option: path, type, default, flag, variable, meaning')
    .addOption(
      new Option('--format <FORMAT>', 'markdown, or a JSON Schema for editors')
        .choices(['markdown', 'json-schema'])
        .default('markdown'),
    )
    .addHelpText('after', REFERENCE_EXAMPLES)
    .action(({ format }: { readonly format: string }) => {
      io.out(format === 'markdown' ? configReference() : `${JSON.stringify(configJsonSchema(), null, 2)}\n`)
      done(0)
    })
}

/** Names of items that are objects with the key of their kind; a source may have a mapping beside it. */
function namesOf(items: readonly object[]): string {
  const names = items.flatMap((item) =>
    Object.entries(item as Readonly<Record<string, { readonly name?: string } | undefined>>).flatMap(
      ([kind, settings]) => (settings === undefined || kind === 'mapping' ? [] : [settings.name ?? kind]),
    ),
  )
  return names.join(', ')
}
