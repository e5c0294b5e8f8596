/**
 * Reading the configuration: file, environment and flags become one document, which the schema checks. Flags beat
 * environment beat file. All mistakes are reported at once, each with its place.
 *
 * @module
 */
import { isAlias, isMap, isScalar, LineCounter, parseDocument, visit } from 'yaml'
import type { z } from 'zod'
import { InvalidDocumentError, messageOf, type Problem } from '../errors.ts'
import { crossCheck } from './cross-checks.ts'
import type { Door } from './option.ts'
import { knownKeys, listOptions, type Option } from './options.ts'
import { type Config, configSchema } from './schema.ts'

export interface ConfigSources {
  readonly file?: { readonly path: string; readonly text: string } | undefined
  /** The environment; only the variables of the schema are read. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Flags by name, without dashes. Several values only where the option is a list. */
  readonly flags?: ReadonlyMap<string, string | readonly string[]>
  /** What it is for: whatever that needs must be there. The webhook when absent. */
  readonly door?: Door
}

/** Reads and checks the configuration. Throws {@link InvalidDocumentError} with every problem there is. */
export function loadConfig(sources: ConfigSources): Config {
  const { file, door = 'webhook' } = sources
  const document = readYaml(file?.text ?? '')
  const problems: Problem[] = [...document.problems]
  let config: Config | undefined
  if (problems.length === 0) {
    const merged = merge(document.value, sources, problems)
    const parsed = configSchema.safeParse(merged)
    const fromSchema = parsed.success
      ? []
      : ofTypeFirst(parsed.error.issues).flatMap((each) => toProblems(each, merged))
    const crossing = isTree(merged) ? crossCheck(merged, door) : []
    problems.push(...withoutEchoes(fromSchema, crossing, merged))
    config = parsed.data
  }
  if (problems.length > 0 || config === undefined) {
    throw new InvalidDocumentError('config_invalid', file?.path ?? 'configuration', problems.map(document.locate))
  }
  return config
}

/** A value of a wrong type or size needs no further complaint about what it means. */
function ofTypeFirst(issues: readonly z.core.$ZodIssue[]): readonly z.core.$ZodIssue[] {
  const wrong = new Set(issues.filter(({ code }) => code !== 'custom').map(({ path }) => formatPath(path)))
  return issues.filter(({ code, path }) => code !== 'custom' || !wrong.has(formatPath(path)))
}

/**
 * Both look at some of the same places. Of what is missing the cross-checks know more, such as the flag that sets it;
 * of what is wrong, the schema.
 */
function withoutEchoes(fromSchema: readonly Problem[], crossing: readonly Problem[], root: unknown): Problem[] {
  const known = new Set(fromSchema.map(({ path }) => path))
  const isMissing = ({ path }: Problem): boolean => (valueAt(root, pathParts(path)) ?? undefined) === undefined
  const missing = new Set(crossing.filter(isMissing).map(({ path }) => path))
  return [
    ...fromSchema.filter(({ path }) => !missing.has(path)),
    ...crossing.filter(({ path }) => missing.has(path) || !known.has(path)),
  ]
}

interface YamlDocument {
  readonly value: unknown
  readonly problems: readonly Problem[]
  readonly locate: (problem: Problem) => Problem
}

function readYaml(text: string): YamlDocument {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const problemAt = (message: string, offset: number): Problem => {
    const { line, col } = lines.linePos(offset)
    return { path: '', message, line, column: col }
  }
  const problems = [...document.errors, ...document.warnings].map(({ code, message, pos }) =>
    problemAt(code === 'MULTIPLE_DOCS' ? 'a second document begins here; the configuration is one' : message, pos[0]),
  )
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return
      problems.push(problemAt(`no anchor &${alias.source} stands before this alias`, alias.range?.[0] ?? 0))
    },
  })
  let value: unknown
  try {
    if (problems.length === 0) value = document.toJS({ maxAliasCount: 100 }) ?? {}
  } catch (thrown) {
    problems.push({ path: '', message: messageOf(thrown) }) // aliases of aliases of aliases
  }
  return {
    value,
    problems,
    locate: (problem) => {
      const offset = offsetOf(document.contents, pathParts(problem.path))
      if (problem.line !== undefined || offset === undefined) return problem
      const { line, col } = lines.linePos(offset)
      return { ...problem, line, column: col }
    },
  }
}

/** Where the key or item at a path stands in the text; the nearest one above it where it does not. */
function offsetOf(root: unknown, path: readonly (string | number)[]): number | undefined {
  let node = root
  let offset: number | undefined
  for (const part of path) {
    if (isAlias(node)) return offset
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part))
      if (pair === undefined || !isScalar(pair.key)) return offset
      offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else if (typeof node === 'object' && node !== null && 'items' in node && Array.isArray(node.items)) {
      node = node.items[Number(part)]
      const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined
      if (Array.isArray(range) && typeof range[0] === 'number') offset = range[0]
    } else return offset
  }
  return offset
}

function pathParts(path: string): readonly (string | number)[] {
  return [...path.matchAll(/[^.[\]]+/g)].map(([part]) => (/^\d+$/.test(part) ? Number(part) : part))
}

type Tree = { [key: string]: unknown }

/** Lays environment and flags over the file. */
function merge(value: unknown, sources: ConfigSources, problems: Problem[]): unknown {
  if (!isTree(value)) return value
  const merged = structuredClone(value)
  const given = listOptions().flatMap((option) => givenValue(option, sources) ?? [])
  // What makes an item of a list comes before what only adds to one: `--keystone-ca-file` needs `--keystone-url`.
  given.sort((a, b) => Number(b.option.makes) - Number(a.option.makes))
  for (const value of given) {
    if (value.option.path[1] === '[]') setOnItem(merged, value, problems)
    else setAt(merged, value.option.path, written(value))
  }
  return merged
}

interface GivenValue {
  readonly option: Option
  readonly text: string | readonly string[]
  /** How it was given, for messages: `--listen`, `ARCHWAY_LISTEN`. */
  readonly by: string
}

function givenValue(
  option: Option,
  { env = {}, flags = new Map(), door = 'webhook' }: ConfigSources,
): GivenValue | undefined {
  const isOurs = option.door === undefined || option.door === door
  const flag = option.flag === undefined || !isOurs ? undefined : flags.get(option.flag)
  if (flag !== undefined) return { option, text: flag, by: `--${option.flag}` }
  const text = option.env === undefined ? undefined : env[option.env]
  return text === undefined || text === '' ? undefined : { option, text, by: `${option.env}` }
}

function setAt(tree: Tree, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path
  if (rest.length === 0) {
    tree[key] = value
    return
  }
  if (rest[0] === '[]') {
    tree[key] ??= [{}]
    for (const item of itemsOf(tree[key])) setAt(item, rest.slice(1), value)
    return
  }
  const next = tree[key]
  if (next === undefined || next === null) tree[key] = {}
  else if (!isTree(next)) return // a wrong type, which the schema reports
  setAt(tree[key] as Tree, rest, value)
}

/** A flag for an item of a list goes to the one item of its kind; where there is none, it makes one. */
function setOnItem(tree: Tree, given: GivenValue, problems: Problem[]): void {
  const { option, by } = given
  const [list = '', , kind = '', ...keys] = option.path
  tree[list] ??= []
  const items = tree[list]
  if (!Array.isArray(items)) return
  const ofKind = items.filter((item) => isTree(item) && isTree(item[kind]))
  const within = ofKind.length === 1 ? itemsOf(valueAt(ofKind[0], [kind, ...keys.slice(0, keys.indexOf('[]'))])) : []
  if (ofKind.length > 1 || (keys.includes('[]') && within.length > 1)) {
    problems.push({ path: list, message: `${by}: there are several of the kind ${kind}; edit the file` })
  } else if (ofKind.length === 1) {
    setAt(ofKind[0], [kind, ...keys], written(given))
  } else if (option.makes) {
    const item: Tree = {}
    setAt(item, [kind, ...keys], written(given))
    items.push(item)
  } else {
    problems.push({ path: list, message: `${by}: there is no ${kind} it could belong to` })
  }
}

function itemsOf(list: unknown): readonly Tree[] {
  return Array.isArray(list) ? list.filter(isTree) : []
}

function written({ option, text }: GivenValue): string | readonly string[] {
  if (typeof text !== 'string') return option.list ? text : (text.at(-1) ?? '')
  return option.list ? [text] : text
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function toProblems(issue: z.core.$ZodIssue, root: unknown): readonly Problem[] {
  const path = formatPath(issue.path)
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(issue.path.map(String))
    return issue.keys.map((key) => ({
      path: path === '' ? key : `${path}.${key}`,
      message: `unknown key; ${suggestion(key, known)}`,
    }))
  }
  const missing = issue.code === 'invalid_type' && valueAt(root, issue.path) === undefined
  return [{ path, message: missing ? `missing; expected ${issue.expected}` : issue.message }]
}

function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text === '' ? String(part) : `${text}.${String(part)}`
  }, '')
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, part) => (typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined),
    root,
  )
}

function suggestion(key: string, known: readonly string[]): string {
  const near = known
    .map((name) => ({ name, distance: editDistance(key.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.max(2, name.length / 3))
    .sort((a, b) => a.distance - b.distance)
  return near[0] === undefined ? `known here: ${known.join(', ')}` : `did you mean ${near[0].name}?`
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
