/**
 * The policy in force: documents of several sources, compiled into one. Owns what a change has to hold before it is
 * taken; leaves files and ConfigMaps to the sources beside it, and what a policy means to `keystone-policy/`.
 *
 * A change is taken whole or not at all: it has to parse, to compile, to leave a rule where there was one, and the
 * examples of every source have to come out as they say. Until then, and where it does not, the last good policy stays.
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
   * Takes what a source brings, or throws {@link InvalidDocumentError} and changes nothing. `force`: neither examples
   * nor emptiness count; for deletions, which are the operator's word.
   */
  admit(source: string, document: PolicyDocument, text: string, options?: { readonly force?: boolean }): void
  /** The listener hears of every source whose document was taken. What was refused for its sake may be good now. */
  onTaken(listener: (source: string) => void): void
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
  const listeners: ((source: string) => void)[] = []

  const inOrder = (all: ReadonlyMap<string, Admitted>): readonly Admitted[] =>
    sources.flatMap((source) => all.get(source) ?? [])

  return {
    compileOptions: compile,
    current: () => compiled,
    missing: () => sources.filter((source) => !admitted.has(source)),
    digest: () => digest,
    changedAt: () => changedAt,
    size: () => sizeOf(compiled),
    onTaken: (listener) => void listeners.push(listener),
    admit(source, document, text, { force = false } = {}) {
      if (!sources.includes(source)) throw new TypeError(`no such source: ${source}`)
      const next = new Map(admitted).set(source, { document, text })
      const documents = inOrder(next).map((each) => each.document)
      const candidate = compilePolicy(documents, compile)
      // A source that is still missing may be what the examples of another one count on.
      const complete = sources.every((each) => next.has(each))
      if (!force) checkEmptied(document.where, candidate, compiled)
      if (!force && complete) checkExamples(document.where, candidate, documents)
      admitted = next
      compiled = candidate
      digest = digestOf(inOrder(next).map((each) => each.text))
      changedAt = now()
      for (const listener of listeners) listener(source)
    },
  }
}

function sizeOf({ documents }: CompiledPolicy): number {
  return documents.reduce((sum, { policies }) => sum + policies.length, 0)
}

/** A policy that is emptied is a slip more often than it is meant, and locks everybody out. */
function checkEmptied(where: string, candidate: CompiledPolicy, inForce: CompiledPolicy): void {
  if (sizeOf(candidate) > 0 || sizeOf(inForce) === 0) return
  const message = 'takes every rule away. To allow nothing, delete the ConfigMap, or start anew with the empty file'
  throw new InvalidDocumentError('file_invalid', where, [{ path: '', message }])
}

/** Tells which examples fail, and nothing of what they say: log and Events are read by more people than the policy. */
function checkExamples(where: string, candidate: CompiledPolicy, documents: readonly PolicyDocument[]): void {
  const failed = documents.flatMap((document) =>
    document.examples.flatMap((example) => {
      const results = runExamples(candidate, [example])
      const otherwise = results.filter(({ passed }) => !passed).length
      if (otherwise === 0) return []
      return {
        path: document.where === where ? example.path : `${document.where} ${example.path}`,
        message: `expects ${example.expect}; of its requests ${otherwise} of ${results.length} come out otherwise`,
        ...(document.where === where ? { line: example.line } : {}),
      }
    }),
  )
  if (failed.length > 0) throw new InvalidDocumentError('file_invalid', where, failed)
}

function digestOf(texts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(`${Buffer.byteLength(text)}\n${text}`)
  return hash.digest('hex')
}
