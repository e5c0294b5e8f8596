/**
 * The text of manifests: YAML with any number of documents, or JSON with one. Owns splitting and where a document
 * stands; leaves what is in it to `manifests.ts`.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer'
import { Composer, LineCounter, Parser } from 'yaml'
import { messageOf, type Problem } from '../../errors.ts'
import { structureProblem } from '../../json.ts'

/** A document and its place, for messages: `roles.yaml:12`. */
export interface Placed {
  readonly place: string
  readonly value: unknown
}

/** An object of a cluster nests about 15 deep (`managedFields`). */
const MAX_DEPTH = 64
const MAX_ALIASES = 100
/** Labels and annotations are the largest objects there are. */
const MAX_KEYS = 1000

/** One document after the other, each read when the one before is done with. */
export function* documentsOf(name: string, content: Buffer, problems: Problem[]): Generator<Placed> {
  try {
    if (!isUtf8(content)) throw new Error('is not UTF-8 text')
    if (name.endsWith('.json')) yield { place: name, value: parseJson(content.toString('utf8')) }
    else yield* yamlDocuments(name, content.toString('utf8'), problems)
  } catch (thrown) {
    problems.push({ path: name, message: messageOf(thrown) })
  }
}

function parseJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Error('is not valid JSON')
  }
  const problem = structureProblem(text, { maxDepth: MAX_DEPTH, maxKeys: MAX_KEYS })
  if (problem !== undefined) throw new Error(problem)
  return value
}

function* yamlDocuments(name: string, text: string, problems: Problem[]): Generator<Placed> {
  const lines = new LineCounter()
  // Merge keys (`<<`) are read as kubectl reads them.
  const composer = new Composer({ lineCounter: lines, prettyErrors: false, merge: true })
  for (const document of composer.compose(new Parser(lines.addNewLine).parse(text), true, text.length)) {
    const { errors, warnings, contents } = document
    for (const { message, pos } of [...errors, ...warnings]) {
      problems.push({ path: `${name}:${lines.linePos(pos[0]).line}`, message })
    }
    if (errors.length + warnings.length > 0 || contents === null) continue
    const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES })
    if (value !== null) yield { place: `${name}:${lines.linePos(contents.range[0]).line}`, value }
  }
}
