/**
 * Policy files on the command line: read, compiled, and every mistake in them told with its place.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import {
  type CompiledPolicy,
  compilePolicy,
  type PolicyDocument,
  parsePolicy,
  type SubresourceMode,
} from '../../authz/keystone-policy/index.ts'
import { ArchwayError, InvalidDocumentError, messageOf, type Problem } from '../../errors.ts'
import { ExitError } from '../io.ts'

export const SUBRESOURCE_MODES: readonly SubresourceMode[] = ['compat', 'guarded', 'strict']

/** Adds the flag that says how far a key of a Keystone policy reaches. */
export function addPolicyFlag(command: Command): Command {
  return command.addOption(
    new Option(
      '--policy-subresources <MODE>',
      'how far a key such as default/pods reaches: to every subresource, to the harmless ones, to none',
    )
      .choices(SUBRESOURCE_MODES)
      .default('guarded'),
  )
}

/** For options that may be given more than once. */
export function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value]
}

/** Reads and compiles policy files as one policy. Throws {@link InvalidDocumentError} or `file_invalid`. */
export function compiledPolicy(paths: readonly string[], mode: SubresourceMode): CompiledPolicy {
  return compilePolicy(readPolicies(paths), { subresources: mode })
}

/** Reads policy files. A file of the predecessor may go on after its end, which is a warning and no mistake. */
export function readPolicies(paths: readonly string[]): readonly PolicyDocument[] {
  const documents: PolicyDocument[] = []
  const mistakes: unknown[] = []
  for (const path of paths) {
    try {
      documents.push(parsePolicy(readBytes(path), { where: path, trailing: 'ignore' }))
    } catch (thrown) {
      mistakes.push(thrown)
    }
  }
  throwAll(mistakes)
  return documents
}

function readBytes(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new ArchwayError('file_invalid', `${path}: cannot be read (${messageOf(cause)})`, { cause })
  }
}

// --- mistakes -------------------------------------------------------------------------------------------------

/** Throws what was found: nothing, one thing, or all of it together. */
export function throwAll(mistakes: readonly unknown[]): void {
  const [first] = mistakes
  if (mistakes.length === 1) throw first
  if (mistakes.length > 1) throw new AggregateError(mistakes)
}

/** Turns mistakes in files into an exit with status 2 and a line for each. */
export function orExit2<T>(load: () => T): T {
  try {
    return load()
  } catch (thrown) {
    const lines = mistakesIn(thrown)
    if (lines === undefined) throw thrown
    throw new ExitError(2, [...lines, `archway: ${counted(lines.length, 'mistake')}`].join('\n'))
  }
}

/** `policy.json:3:5: [0].users: expected …`, a line for each mistake; `undefined` for what is no mistake in a file. */
export function mistakesIn(thrown: unknown): readonly string[] | undefined {
  if (thrown instanceof AggregateError) {
    const all = thrown.errors.map(mistakesIn)
    return all.every((lines) => lines !== undefined) ? all.flat() : undefined
  }
  if (thrown instanceof InvalidDocumentError) return thrown.problems.map((problem) => placed(thrown.where, problem))
  return thrown instanceof ArchwayError && thrown.code === 'file_invalid' ? [thrown.message] : undefined
}

function placed(where: string, { path, message, line, column }: Problem): string {
  // A problem in one of the files of a folder begins with the file.
  if (line === undefined && IN_A_FOLDER.test(path)) return `${join(where, path)}: ${message}`
  const place = [where, line, column].filter((part) => part !== undefined).join(':')
  return `${place}: ${path === '' ? '' : `${path}: `}${message}`
}

const IN_A_FOLDER = /^[^/]+\.(ya?ml|json)(:\d+)?( |$)/

/** `1 mistake`, `2 mistakes`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
