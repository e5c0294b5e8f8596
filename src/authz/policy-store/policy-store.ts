/**
 * The policy in force: documents of several sources, compiled into one. Owns what a change has to hold before it is
 * taken; leaves files and ConfigMaps to the sources beside it, and what a policy means to `keystone-policy/`.
 *
 * A change is taken whole or not at all: it has to parse, to compile, and the examples of every source have to come
 * out as they say. Until then, and where it does not, the last good policy stays.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import { InvalidDocumentError } from '../../errors.ts'
import {
  type CompiledPolicy,
  type CompileOptions,
  compilePolicy,
  type PolicyDocument,
  runExamples,
} from '../keystone-policy/index.ts'

export interface PolicyStoreOptions {
  /** Names of the sources, in the order in which their rules are named. */
  readonly sources: readonly string[]
  readonly compile: CompileOptions
  readonly now?: () => Date
}

export interface PolicyStore {
  /** The meaning given to every source. */
  readonly compileOptions: CompileOptions
  /** What is decided by. Empty until a source has brought something. */
  current(): CompiledPolicy
  /** Sources that have not brought anything yet, a deletion included. */
  missing(): readonly string[]
  /** SHA-256 over the texts in force, in the order of the sources; equal on replicas that decide alike. */
  digest(): string
  /** When the policy in force was taken. */
  changedAt(): Date
  /** Rules in force: elements of the lists of all sources. */
  size(): number
  /**
   * Takes what a source brings, or throws {@link InvalidDocumentError} and changes nothing. `force`: the examples do
   * not count; for deletions, which are the operator's word.
   */
  admit(source: string, document: PolicyDocument, text: string, options?: { readonly force?: boolean }): void
}

interface Admitted {
  readonly document: PolicyDocument
  readonly text: string
}

export function policyStore({ sources, compile, now = () => new Date() }: PolicyStoreOptions): PolicyStore {
  let admitted: ReadonlyMap<string, Admitted> = new Map()
  let compiled = compilePolicy([], compile)
  let digest = digestOf([])
  let changedAt = now()

  const inOrder = (all: ReadonlyMap<string, Admitted>): readonly Admitted[] =>
    sources.flatMap((source) => all.get(source) ?? [])

  return {
    compileOptions: compile,
    current: () => compiled,
    missing: () => sources.filter((source) => !admitted.has(source)),
    digest: () => digest,
    changedAt: () => changedAt,
    size: () => compiled.documents.reduce((sum, { policies }) => sum + policies.length, 0),
    admit(source, document, text, { force = false } = {}) {
      if (!sources.includes(source)) throw new TypeError(`no such source: ${source}`)
      const next = new Map(admitted).set(source, { document, text })
      const documents = inOrder(next).map((each) => each.document)
      const candidate = compilePolicy(documents, compile)
      // A source that is still missing may be what the examples of another one count on.
      const complete = sources.every((each) => next.has(each))
      if (!force && complete) checkExamples(document.where, candidate, documents)
      admitted = next
      compiled = candidate
      digest = digestOf(inOrder(next).map((each) => each.text))
      changedAt = now()
    },
  }
}

function checkExamples(where: string, candidate: CompiledPolicy, documents: readonly PolicyDocument[]): void {
  const failed = documents.flatMap((document) =>
    runExamples(candidate, document.examples)
      .filter(({ passed }) => !passed)
      .map(({ example, title, expected, decision }) => ({
        path: document.where === where ? example.path : `${document.where} ${example.path}`,
        message: `the example "${title}" expects ${expected}, the policy says ${decision.kind}`,
        line: example.line,
      })),
  )
  if (failed.length > 0) throw new InvalidDocumentError('file_invalid', where, failed)
}

function digestOf(texts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(`${Buffer.byteLength(text)}\n${text}`)
  return hash.digest('hex')
}
