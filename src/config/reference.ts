/**
 * The reference of the configuration, made from the schema: a page for people and a JSON Schema for editors.
 *
 * @module
 */
import { z } from 'zod'
import { listKinds, listOptions, type Option } from './options.ts'
import { configSchema } from './schema.ts'

/** The JSON Schema (draft 2020-12) of the configuration file. */
export function configJsonSchema(): object {
  return {
    title: 'Archway configuration',
    ...z.toJSONSchema(configSchema, { io: 'input' }),
  }
}

/** The reference page, Markdown. */
export function configReference(): string {
  const sections = Map.groupBy(listOptions(), (option) => section(option.path))
  const kinds = listKinds()
  const below = (kind: string): string[] =>
    [...sections.keys()].filter((name) => name.startsWith(`${kind}.`) || name.startsWith(`${kind}[`))
  const names = [...sections.keys()].flatMap((name) => {
    const list = /^\w+\[\]/.exec(name)?.[0]
    if (list === undefined) return [name]
    // A kind without options has a section as well.
    return kinds.filter((kind) => kind.name.startsWith(`${list}.`)).flatMap(({ name: kind }) => [kind, ...below(kind)])
  })
  const parts = [...new Set(names)].flatMap((name) => [
    `## ${name}`,
    ...kinds.filter((kind) => kind.name === name).map(({ description }) => description),
    ...(sections.has(name) ? [table(sections.get(name) ?? [])] : []),
  ])
  return `${INTRODUCTION}\n\n${parts.join('\n\n')}\n`
}

const INTRODUCTION = `# Configuration reference

Made by \`archway config reference\` from the schema; \`archway config check --config FILE\` checks a file against it.

One YAML file, given with \`--config FILE\`. Options with a flag or an environment variable can be set there as well:
flags beat environment beat file. Durations are written \`30s\`, \`500ms\`, \`1m30s\`. Unknown keys are mistakes. A flag
that belongs to an item of a list (\`authenticators[]\`, \`authorizers[]\`) goes to the one item of its kind, or makes one
where there is none.`

/** `authenticators[].ldap.attributes.extra[]` of what stands right there. */
function section(path: readonly string[]): string {
  return path.length === 1 ? 'top level' : path.slice(0, -1).join('.').replaceAll('.[]', '[]')
}

function table(options: readonly Option[]): string {
  const rows = options.map((option) => `| ${cells(option).join(' | ')} |`)
  return ['| key | value | default | flag, variable | meaning |', '| --- | --- | --- | --- | --- |', ...rows].join('\n')
}

function cells(option: Option): readonly string[] {
  const flag = [
    option.flag === undefined ? '' : `\`--${option.flag}\``,
    option.env === undefined ? '' : `\`${option.env}\``,
  ]
  return [
    `\`${option.path.at(-1)}\``,
    option.type,
    option.defaultValue === undefined ? (option.required ? 'required' : '') : `\`${written(option.defaultValue)}\``,
    flag.filter((text) => text !== '').join(' '),
    option.description,
  ].map((cell) => cell.replaceAll('|', '\\|'))
}

function written(value: unknown): string {
  return typeof value === 'string' ? (value === '' ? '""' : value) : JSON.stringify(value)
}
