/**
 * A kubeconfig as text and as data, read for editing. Owns what is refused: whatever clients would read otherwise, or
 * not at all. Messages name places and never quote: the file may hold keys and tokens.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer'
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit, type YAMLMap } from 'yaml'
import { InvalidDocumentError, type Problem } from '../../errors.ts'
import { asObject, type Fields, member } from '../fields.ts'
import { ENTRY_KINDS, type EntryKind, LIST_OF } from './entries.ts'

/** A kubeconfig that was read. */
export interface KubeconfigDocument {
  /** Where it came from, for messages. */
  readonly path: string
  readonly text: string
  /** Where its parts stand in the text; undefined for a file without content. */
  readonly root: YAMLMap | undefined
  /** Its data, aliases resolved; merge keys (`<<`) are keys as any other. */
  readonly value: Fields
  /** `current-context`; '' where there is none. */
  readonly currentContext: string
  /** What stands under `cluster`, `user` or `context` of the item of that name. */
  entry(kind: EntryKind, name: string): Fields | undefined
  names(kind: EntryKind): readonly string[]
}

const MAX_BYTES = 4 * 1024 * 1024
const MAX_ALIASES = 100

/**
 * Reads a kubeconfig, YAML or JSON.
 *
 * @throws InvalidDocumentError `file_invalid`, with the line of each mistake
 */
export function parseKubeconfig(path: string, content: Buffer | string): KubeconfigDocument {
  const lines = new LineCounter()
  const refuse: (message: string, offset?: number) => never = (message, offset) => {
    throw new InvalidDocumentError('file_invalid', path, [{ path: '', message, ...placeOf(lines, offset) }])
  }
  if (content.length > MAX_BYTES) refuse('is longer than 4 MiB, which no kubeconfig is')
  if (typeof content !== 'string' && !isUtf8(content)) refuse('is not UTF-8 text')
  const text = content.toString()
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
      logLevel: 'error',
    })
    const [broken] = [...document.errors, ...document.warnings]
    if (broken?.code === 'MULTIPLE_DOCS')
      refuse('a second document begins here; clients read the first one', broken.pos[0])
    if (broken !== undefined) refuse(`is not YAML (${inWords(broken.code)})`, broken.pos[0])
    const problems = [...problemsOfNodes(document.contents, lines), ...problemsOfAliases(document, lines)]
    if (problems.length > 0) throw new InvalidDocumentError('file_invalid', path, problems)
    const root: unknown = document.contents
    if (root !== null && !isMap(root) && !(isScalar(root) && root.value === null)) refuse('is not a kubeconfig', 0)
    const value = asObject(document.toJS({ maxAliasCount: MAX_ALIASES }) ?? {}, path)
    const wrong = problemsOfContent(value, isMap(root) ? root : undefined, lines)
    if (wrong.length > 0) throw new InvalidDocumentError('file_invalid', path, wrong)
    return asDocument(path, text, isMap(root) ? root : undefined, value)
  } catch (thrown) {
    if (thrown instanceof InvalidDocumentError) throw thrown
    // The reader itself gave up: aliases of aliases of aliases, or nesting deeper than the stack.
    return refuse('cannot be read: too many aliases, or nested too deep')
  }
}

function asDocument(path: string, text: string, root: YAMLMap | undefined, value: Fields): KubeconfigDocument {
  const itemsOf = (kind: EntryKind): readonly Fields[] => {
    const list = member(value, LIST_OF[kind])
    return Array.isArray(list) ? list : []
  }
  return {
    path,
    text,
    root,
    value,
    currentContext: String(member(value, 'current-context') ?? ''),
    entry(kind, name) {
      const item = itemsOf(kind).find((one) => one['name'] === name)
      return item === undefined ? undefined : asObject(member(item, kind) ?? {}, kind)
    },
    names: (kind) => itemsOf(kind).map((item) => String(item['name'])),
  }
}

/** `UNEXPECTED_TOKEN` → `unexpected token`: the reader's own messages quote the text. */
function inWords(code: string): string {
  return code.toLowerCase().replaceAll('_', ' ')
}

function placeOf(lines: LineCounter, offset: number | undefined): Pick<Problem, 'line' | 'column'> {
  if (offset === undefined) return {}
  const { line, col } = lines.linePos(offset)
  return { line, column: col }
}

/** A key that stands twice is two documents to two readers. */
function problemsOfNodes(root: Node | null, lines: LineCounter): readonly Problem[] {
  const problems: Problem[] = []
  visit(root, {
    Map(_, map) {
      const seen = new Set<string>()
      for (const { key } of map.items) {
        if (!isScalar(key)) continue
        const name = String(key.value)
        if (seen.has(name))
          problems.push({ path: '', message: 'a key stands twice', ...placeOf(lines, key.range?.[0]) })
        seen.add(name)
      }
    },
  })
  return problems
}

function problemsOfAliases(document: ReturnType<typeof parseDocument>, lines: LineCounter): readonly Problem[] {
  const problems: Problem[] = []
  const anchors = new Set<string>()
  visit(document, {
    Node(_, node) {
      if (!isAlias(node)) {
        if (node.anchor !== undefined) anchors.add(node.anchor)
      } else if (!anchors.has(node.source)) {
        problems.push({
          path: '',
          message: 'no anchor for this alias stands before it',
          ...placeOf(lines, node.range?.[0]),
        })
      }
    },
  })
  return problems
}

function problemsOfContent(value: Fields, root: YAMLMap | undefined, lines: LineCounter): readonly Problem[] {
  const at = (key: string): Pick<Problem, 'line' | 'column'> => {
    const pair = root?.items.find((item) => isScalar(item.key) && item.key.value === key)
    return placeOf(lines, isScalar(pair?.key) ? pair.key.range?.[0] : undefined)
  }
  const problems: Problem[] = []
  const expected = { apiVersion: 'v1', kind: 'Config' }
  for (const [key, wanted] of Object.entries(expected)) {
    const found = member(value, key) ?? ''
    if (found !== '' && found !== wanted) problems.push({ path: key, message: `is not ${wanted}`, ...at(key) })
  }
  const current = member(value, 'current-context') ?? ''
  if (typeof current !== 'string') {
    problems.push({ path: 'current-context', message: 'is not a string; put it in quotes', ...at('current-context') })
  }
  for (const kind of ENTRY_KINDS) {
    const key = LIST_OF[kind]
    const list = member(value, key) ?? []
    if (Array.isArray(list)) problems.push(...problemsOfList(kind, list, itemLines(root, key, lines)))
    else problems.push({ path: key, message: 'is not a list', ...at(key) })
  }
  return problems
}

function problemsOfList(
  kind: EntryKind,
  list: readonly unknown[],
  lineOf: (index: number) => Pick<Problem, 'line' | 'column'>,
): readonly Problem[] {
  const problems: Problem[] = []
  const firstAt = new Map<string, number>()
  for (const [index, item] of list.entries()) {
    const problem = (message: string, where = ''): void => {
      problems.push({ path: `${LIST_OF[kind]}[${index}]${where}`, message, ...lineOf(index) })
    }
    if (!isFields(item)) {
      problem('is not a mapping')
      continue
    }
    const settings = member(item, kind) ?? {}
    if (!isFields(settings)) problem('is not a mapping', `.${kind}`)
    const name = member(item, 'name')
    if (typeof name !== 'string') {
      problem('is missing or not a string; put it in quotes', '.name')
      continue
    }
    const before = firstAt.get(name)
    if (before !== undefined) {
      const { line } = lineOf(before)
      problem(
        `has the same name as the one${line === undefined ? ' before it' : ` of line ${line}`}; remove one of them`,
      )
    } else firstAt.set(name, index)
  }
  return problems
}

function itemLines(
  root: YAMLMap | undefined,
  key: string,
  lines: LineCounter,
): (index: number) => Pick<Problem, 'line' | 'column'> {
  const list = root?.get(key, true)
  return (index) => {
    const item: unknown = isSeq(list) ? list.items[index] : undefined
    const range = isMap(item) || isScalar(item) || isSeq(item) || isAlias(item) ? item.range : undefined
    return placeOf(lines, range?.[0])
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
