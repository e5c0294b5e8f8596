/**
 * Setting entries of a kubeconfig in its text. Owns the promise: only the text of what is set changes, every other byte
 * stays (comments, order, quotes, anchors, blank lines, line endings, JSON). Each change is read back and held against
 * what was meant; a text that cannot be changed so is refused and never written anew.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util'
import {
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  stringify,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import { ArchwayError, InvalidDocumentError } from '../../errors.ts'
import { type Fields, member } from '../fields.ts'
import { sameSettings } from './compare.ts'
import { type KubeconfigDocument, parseKubeconfig } from './document.ts'
import { type Entry, itemOf, LIST_OF, ordered, wholeKubeconfig } from './entries.ts'

/** What a kubeconfig is to have. */
export interface KubeconfigChange {
  /** Added, or put in the place of those with the same name. */
  readonly entries: readonly Entry[]
  /** Absent: left as it is. */
  readonly currentContext?: string | undefined
}

/**
 * The document with the change made; the very same one where nothing is to change.
 *
 * @throws ArchwayError `kubeconfig_uneditable` where more than what is set would change
 */
export function editKubeconfig(document: KubeconfigDocument, change: KubeconfigChange): KubeconfigDocument {
  const { entries, currentContext } = change
  if (document.root === undefined && entries.length > 0) return startKubeconfig(document, change)
  let edited = document
  for (const entry of entries) edited = setEntry(edited, entry)
  return currentContext === undefined ? edited : setCurrentContext(edited, currentContext)
}

/** A kubeconfig of its own, YAML. */
export function renderKubeconfig(entries: readonly Entry[], currentContext: string): string {
  return blockText(wholeKubeconfig(entries, currentContext))
}

/** What is there are comments at the most. */
function startKubeconfig(
  document: KubeconfigDocument,
  { entries, currentContext = '' }: KubeconfigChange,
): KubeconfigDocument {
  const { path, text } = document
  const eol = eolOf(text)
  const before = text === '' || text.endsWith('\n') ? text : `${text}${eol}`
  const after = before + renderKubeconfig(entries, currentContext).replaceAll('\n', eol)
  return checked(document, after, wholeKubeconfig(entries, currentContext), path)
}

function setEntry(document: KubeconfigDocument, entry: Entry): KubeconfigDocument {
  const { kind, name } = entry
  const key = LIST_OF[kind]
  const existing = document.entry(kind, name)
  if (existing !== undefined && sameSettings(existing, entry.settings)) return document
  const item = itemOf(entry)
  const old = member(document.value, key)
  const items: readonly Fields[] = Array.isArray(old) ? old : []
  const index = items.findIndex((one) => one['name'] === name)
  const wanted = {
    ...document.value,
    [key]: index === -1 ? [...items, item] : items.with(index, { ...items[index], [kind]: item[kind] }),
  }
  const pair = pairOf(document.root, key)
  const list = pair?.value
  const cut = cutOf(document)
  const where = `${key}, "${name}"`
  if (pair === undefined) return checked(document, cut.addKey(key, [item]), wanted, where)
  if (!isSeq(list) || list.items.length === 0) return checked(document, cut.setValue(pair, [item]), wanted, where)
  if (index === -1) return checked(document, cut.append(list, item), wanted, where)
  const node = list.items[index]
  const own = isMap(node) ? pairOf(node, kind) : undefined
  if (!isMap(node) || own === undefined) return refuse(document, where)
  return checked(document, cut.setValue(own, item[kind], node), wanted, where)
}

function setCurrentContext(document: KubeconfigDocument, name: string): KubeconfigDocument {
  if (document.currentContext === name) return document
  const key = 'current-context'
  const pair = pairOf(document.root, key)
  const cut = cutOf(document)
  const text = pair === undefined ? cut.addKey(key, name) : cut.setValue(pair, name)
  return checked(document, text, { ...document.value, [key]: name }, key)
}

/** Reads the new text and holds it against what was meant. */
function checked(document: KubeconfigDocument, text: string, wanted: unknown, where: string): KubeconfigDocument {
  let edited: KubeconfigDocument
  try {
    edited = parseKubeconfig(document.path, text)
  } catch (thrown) {
    if (thrown instanceof InvalidDocumentError) return refuse(document, where, thrown)
    throw thrown
  }
  const same = isDeepStrictEqual(ordered(edited.value), ordered(wanted))
  return same && (!isJson(document.text) || isJson(text)) ? edited : refuse(document, where)
}

function refuse({ path }: KubeconfigDocument, where: string, cause?: unknown): never {
  throw new ArchwayError(
    'kubeconfig_uneditable',
    `${path}: ${where}: cannot be set without touching something else (an anchor that is used elsewhere, a list ` +
      'that is an alias, an unusual way of writing). Print the entries with --print and put them in by hand',
    { cause },
  )
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function pairOf(map: YAMLMap | undefined, key: string): Pair | undefined {
  return map?.items.find((pair) => isScalar(pair.key) && pair.key.value === key)
}

// --- where and how new text goes in --------------------------------------------------------------------------------

/** The ways of putting new text into one document; each gives the whole text. */
interface Cut {
  /** A new key of the root. */
  addKey(key: string, value: unknown): string
  /** Another value for a key; `within` is the list item in which the key stands. */
  setValue(pair: Pair, value: unknown, within?: YAMLMap): string
  /** Another item at the end of a list that has some. */
  append(list: YAMLSeq, item: unknown): string
}

function cutOf({ text, root }: KubeconfigDocument): Cut {
  const eol = eolOf(text)
  const rootIsFlow = root?.flow === true
  const replace = (from: number, to: number, by: string): string => text.slice(0, from) + by + text.slice(to)

  /** Blank text before `offset` in its line; undefined where something else stands there. */
  const indentOf = (offset: number): string | undefined => {
    const line = text.slice(lineStart(text, offset), offset)
    return /^[ \t]*$/.test(line) ? line : undefined
  }

  /** JSON, over several lines where the text around it is. */
  const flowText = (value: unknown, indent: string | undefined): string => {
    if (indent === undefined) return JSON.stringify(value)
    const unit = root === undefined ? 2 : (indentOf(startOf(root.items[0])) ?? '').length || 2
    return JSON.stringify(value, null, unit).replaceAll('\n', `${eol}${indent}`)
  }

  /** After the last part of something in flow style. */
  const flowAppend = (last: unknown, written: (indent: string | undefined) => string): string => {
    const indent = indentOf(startOf(last))
    const end = endOf(last)
    return replace(end, end, indent === undefined ? `, ${written(indent)}` : `,${eol}${indent}${written(indent)}`)
  }

  /** Whole lines after the last part of something in block style, and after the comments that are indented below it. */
  const blockAppend = (last: unknown, column: number, block: string): string => {
    let at = endOf(last)
    if (text[at - 1] !== '\n') at = lineEnd(text, at)
    for (;;) {
      const comment = /^([ \t]*)#[^\n]*\n?/.exec(text.slice(at, lineEnd(text, at)))
      if (comment === null || (comment[1] ?? '').length <= column) break
      at = lineEnd(text, at)
    }
    const before = at === 0 || text[at - 1] === '\n' ? '' : eol
    return replace(at, at, `${before}${indented(block, column, eol)}`)
  }

  return {
    addKey(key, value) {
      if (root === undefined) return text
      const last = root.items.at(-1)
      if (!rootIsFlow) return blockAppend(last, columnOf(text, startOf(root.items[0])), blockText({ [key]: value }))
      if (last === undefined) return replace(startOf(root), endOf(root), JSON.stringify({ [key]: value }))
      return flowAppend(last, (indent) => `${JSON.stringify(key)}: ${flowText(value, indent)}`)
    },
    setValue(pair, value, within) {
      const { key } = pair
      const from = isScalar(key) ? (key.range?.[1] ?? 0) : 0
      const to = endOf(pair)
      if (rootIsFlow || within?.flow === true) return replace(from, to, `: ${flowText(value, indentOf(startOf(pair)))}`)
      if (typeof value === 'string') return replace(from, to, `: ${blockText(value).trimEnd()}`)
      const column = columnOf(text, startOf(pair)) + (Array.isArray(value) ? 0 : 2)
      const block = indented(blockText(value), column, eol)
      return replace(from, to, `:${eol}${text[to - 1] === '\n' ? block : block.slice(0, -eol.length)}`)
    },
    append(list, item) {
      const last = list.items.at(-1)
      if (list.flow === true) return flowAppend(last, (indent) => flowText(item, indent))
      const column = columnOf(text, list.range?.[0] ?? 0)
      return blockAppend(last, column, blockText([item]))
    },
  }
}

/**
 * Block style as kubectl writes it: two blanks, lists not indented. What readers of YAML 1.1, kubectl among them, or of
 * 1.2 would take for anything but a string is in quotes.
 */
function blockText(value: unknown): string {
  return stringify(value, {
    indent: 2,
    indentSeq: false,
    lineWidth: 0,
    compat: 'yaml-1.1',
    aliasDuplicateObjects: false,
  })
}

function indented(block: string, column: number, eol: string): string {
  return block
    .split('\n')
    .map((line) => (line === '' ? line : ' '.repeat(column) + line))
    .join(eol)
}

function eolOf(text: string): string {
  return /\r?\n/.exec(text)?.[0] ?? '\n'
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf('\n', offset - 1) + 1
}

/** Behind the newline of the line in which `offset` stands. */
function lineEnd(text: string, offset: number): number {
  const newline = text.indexOf('\n', offset)
  return newline === -1 ? text.length : newline + 1
}

function columnOf(text: string, offset: number): number {
  const start = lineStart(text, offset)
  return offset - start - (text.startsWith('\uFEFF', start) ? 1 : 0)
}

function startOf(part: unknown): number {
  if (isPairLike(part)) return startOf(part.key)
  return isNodeLike(part) ? (part.range?.[0] ?? 0) : 0
}

/** Where the content of a part ends; comments and blank lines after it do not belong to it. */
function endOf(part: unknown): number {
  if (isPairLike(part)) return part.value === null ? rangeEnd(part.key) : endOf(part.value)
  if (isCollection(part) && part.flow !== true && part.items.length > 0) return endOf(part.items.at(-1))
  return rangeEnd(part)
}

function rangeEnd(part: unknown): number {
  return isNodeLike(part) ? (part.range?.[1] ?? 0) : 0
}

function isNodeLike(part: unknown): part is Node {
  return isScalar(part) || isAlias(part) || isCollection(part)
}

function isPairLike(part: unknown): part is Pair {
  return typeof part === 'object' && part !== null && 'key' in part && 'value' in part && !isNodeLike(part)
}
