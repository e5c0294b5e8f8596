/**
 * Policy text → tree, whichever language it is written in: JSON as the predecessor reads it, or YAML for files that
 * people keep. Owns limits and positions; leaves what the tree means to `parse.ts`.
 *
 * YAML goes without aliases (a short text could grow without bound) and without tags: an unquoted `!kube-system/pods`
 * is a tag to YAML, and the key would be lost.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer'
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Node as YamlNode } from 'yaml'
import { InvalidDocumentError, type Problem } from '../../errors.ts'
import { type Member, readJson, TextFault, type Tree } from './json-text.ts'

/** Longest policy. A ConfigMap holds one megabyte; 10,000 rules are about three. */
export const MAX_POLICY_BYTES: number = 16 * 1024 * 1024
const MAX_YAML_BYTES = 4 * 1024 * 1024
const MAX_DEPTH = 16

export interface PolicyText {
  readonly tree: Tree
  /** Where something follows the first JSON value. */
  readonly trailing: number | undefined
  /** Line and column of an index into the text. */
  readonly locate: (at: number) => { readonly line: number; readonly column: number }
}

/** Reads the text. Throws {@link InvalidDocumentError}. */
export function readPolicyText(content: string | Buffer, where: string): PolicyText {
  const text = decoded(content, where)
  const locate = locator(text)
  try {
    return { ...readTree(text), locate }
  } catch (thrown) {
    if (!(thrown instanceof TextFault)) throw thrown
    throw invalid(where, { message: thrown.message, ...locate(thrown.at) })
  }
}

function decoded(content: string | Buffer, where: string): string {
  if (Buffer.byteLength(content) > MAX_POLICY_BYTES) {
    throw invalid(where, { message: `is longer than ${MAX_POLICY_BYTES} bytes. Check that it is the right text` })
  }
  if (typeof content === 'string' ? !content.isWellFormed() : !isUtf8(content)) {
    throw invalid(where, { message: 'is not UTF-8. Save it as UTF-8' })
  }
  const text = content.toString()
  if (text.startsWith('\uFEFF')) throw invalid(where, { message: 'begins with a byte order mark. Save it without' })
  if (text.trim() === '') throw invalid(where, { message: 'is empty. Write [] for a policy that allows nothing' })
  return text
}

function readTree(text: string): Pick<PolicyText, 'tree' | 'trailing'> {
  // Nothing but JSON begins like this, so that a mistake in JSON is told as one.
  if (!/^\s*(?:[[{"]|null\s*$)/.test(text)) return { tree: readYaml(text), trailing: undefined }
  const { tree, end } = readJson(text, MAX_DEPTH)
  return { tree, trailing: end < text.length ? end : undefined }
}

function readYaml(text: string): Tree {
  if (text.length > MAX_YAML_BYTES) {
    throw new TextFault(0, `is YAML longer than ${MAX_YAML_BYTES} bytes. Write it as JSON`)
  }
  const document = parsedYaml(text)
  const [mistake] = [...document.errors, ...document.warnings]
  if (mistake !== undefined) throw new TextFault(mistake.pos[0], yamlMessage(mistake.code))
  return fromYaml(document.contents, 0)
}

function parsedYaml(text: string): ReturnType<typeof parseDocument> {
  try {
    return parseDocument(text, { schema: 'core', uniqueKeys: false, stringKeys: true, logLevel: 'error' })
  } catch {
    throw new TextFault(0, 'is neither JSON nor YAML') // nested beyond what the reader's stack takes
  }
}

/** The messages of the YAML reader quote the text; these do not. */
function yamlMessage(code: string): string {
  if (code === 'TAG_RESOLVE_FAILED') return UNQUOTED
  return `is not YAML (${code.toLowerCase().replaceAll('_', ' ')}). Put keys that begin with *, ! or [ in quotes`
}

const UNQUOTED = 'has a YAML tag, which policies do not use. Put keys that begin with ! in quotes'

function fromYaml(node: YamlNode | null, depth: number): Tree {
  const at = node?.range?.[0] ?? 0
  if (node === null) return { kind: 'scalar', at, value: null }
  if (isAlias(node) || ('anchor' in node && node.anchor !== undefined)) {
    throw new TextFault(
      at,
      'has a YAML anchor or alias, which policies do not use. Put keys that begin with * in quotes',
    )
  }
  if (node.tag !== undefined) throw new TextFault(at, UNQUOTED)
  if (depth > MAX_DEPTH) throw new TextFault(at, `nested deeper than ${MAX_DEPTH} levels; a policy needs five`)
  if (isSeq<YamlNode>(node)) return { kind: 'list', at, items: node.items.map((item) => fromYaml(item, depth + 1)) }
  if (isMap<YamlNode, YamlNode | null>(node)) {
    const members = node.items.map(({ key, value }): Member => {
      return { key: keyOf(key), at: key.range?.[0] ?? at, value: fromYaml(value, depth + 1) }
    })
    return { kind: 'object', at, members }
  }
  return { kind: 'scalar', at, value: isScalar(node) ? scalarOf(node.value) : null }
}

function keyOf(key: YamlNode): string {
  if (!isScalar(key) || key.tag !== undefined) throw new TextFault(key.range?.[0] ?? 0, UNQUOTED)
  return String(key.value)
}

function scalarOf(value: unknown): string | number | boolean | null {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  return null
}

function locator(text: string): PolicyText['locate'] {
  let counter: LineCounter | undefined
  return (at) => {
    counter ??= linesOf(text)
    const { line, col } = counter.linePos(at)
    return { line, column: col }
  }
}

function linesOf(text: string): LineCounter {
  const counter = new LineCounter()
  counter.addNewLine(0)
  for (let feed = text.indexOf('\n'); feed >= 0; feed = text.indexOf('\n', feed + 1)) counter.addNewLine(feed + 1)
  return counter
}

function invalid(where: string, problem: Omit<Problem, 'path'>): InvalidDocumentError {
  return new InvalidDocumentError('file_invalid', where, [{ path: '', ...problem }])
}
