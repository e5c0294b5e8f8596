/**
 * Policy text → {@link PolicyDocument}: every mistake at once, each with its place, or a policy that means one thing.
 *
 * Two forms are read. The predecessor's: a list of policies, `null` included. And, for what it has not, an object
 * `{ "policies": [...], "examples": [...] }`. Both may be YAML as well.
 *
 * @module
 */
import type { z } from 'zod'
import { InvalidDocumentError, type Problem } from '../../errors.ts'
import { toExample } from './example-schema.ts'
import { keyPath, type Notes, toValue } from './fields.ts'
import type { Tree } from './json-text.ts'
import type { Policy, PolicyDocument, PolicyWarning } from './model.ts'
import { DOCUMENT, DOCUMENT_SHAPE, POLICIES_SHAPE, type RawPolicy } from './schema.ts'
import { type PolicyText, readPolicyText } from './text.ts'

export interface ParseOptions {
  /** Names the text in messages and in the reasons of decisions. */
  readonly where?: string
  /**
   * What follows the first JSON value: the predecessor ignores it in a file and refuses it in a ConfigMap. Default
   * `refuse`; `ignore` warns.
   */
  readonly trailing?: 'refuse' | 'ignore'
}

/** More would make a message that nobody reads. */
const MAX_PROBLEMS = 100

/** Reads a policy. Throws {@link InvalidDocumentError} with every mistake; nothing of a text with mistakes is used. */
export function parsePolicy(content: string | Buffer, options: ParseOptions = {}): PolicyDocument {
  const { where = 'policy', trailing = 'refuse' } = options
  const text = readPolicyText(content, where)
  const notes = notebook(text)
  if (text.trailing !== undefined) noteTrailing(text.trailing, trailing, notes)
  const bare = text.tree.kind !== 'object'
  const value = formOf(text.tree, notes)
  const result = DOCUMENT.safeParse(value)
  if (!result.success || notes.mistakes.length > 0) {
    const problems = [...notes.mistakes, ...(result.error?.issues ?? []).map((issue) => problemOf(issue, bare, notes))]
    throw new InvalidDocumentError('file_invalid', where, capped(problems))
  }
  return {
    where,
    policies: result.data.policies.flatMap((raw, index) => {
      const path = `${bare ? '' : 'policies'}[${index}]`
      return raw === null ? [] : [toPolicy(raw, { index, path, line: notes.lineOf(path) })]
    }),
    examples: result.data.examples.map((raw, index) => {
      const path = `examples[${index}]`
      return toExample(raw, { path, line: notes.lineOf(path) })
    }),
    warnings: notes.warnings,
  }
}

interface Notebook extends Notes {
  readonly warnings: PolicyWarning[]
  readonly mistakes: Problem[]
  readonly lineOf: (path: string) => number
  readonly locate: PolicyText['locate']
}

function notebook({ locate }: PolicyText): Notebook {
  const positions = new Map<string, number>()
  const warnings: PolicyWarning[] = []
  const mistakes: Problem[] = []
  return {
    positions,
    warnings,
    mistakes,
    locate,
    warn: (code, path, at, message) => warnings.push({ code, path, message, ...locate(at) }),
    mistake: (path, at, message) => mistakes.push({ path, message, ...locate(at) }),
    lineOf: (path) => locate(positions.get(path) ?? 0).line,
  }
}

function noteTrailing(at: number, trailing: 'refuse' | 'ignore', notes: Notebook): void {
  if (trailing === 'refuse') notes.mistake('', at, 'goes on after its end. Keep one JSON value')
  else notes.warn('trailing-text', '', at, 'goes on after its end, which is ignored. Keep one JSON value')
}

/** The value of either form, in that of the object. */
function formOf(tree: Tree, notes: Notebook): unknown {
  if (tree.kind === 'scalar' && tree.value === null) return {}
  if (tree.kind !== 'object') return { policies: toValue(tree, POLICIES_SHAPE, '', notes) }
  const value = toValue(tree, DOCUMENT_SHAPE, '', notes)
  if (!tree.members.some(({ key }) => key.toLowerCase() === 'policies')) {
    notes.mistake(
      '',
      tree.at,
      'expected a list of policies: put [ and ] around them. With examples: {"policies": [...]}',
    )
  }
  return value
}

function problemOf(issue: z.core.$ZodIssue, bare: boolean, notes: Notebook): Problem {
  const path = pathOf(bare ? issue.path.slice(1) : issue.path)
  const at = notes.positions.get(path)
  return { path, message: issue.message, ...(at === undefined ? {} : notes.locate(at)) }
}

function pathOf(keys: readonly PropertyKey[]): string {
  return keys.reduce<string>(
    (path, key) => (typeof key === 'number' ? `${path}[${key}]` : keyPath(path, String(key))),
    '',
  )
}

function capped(problems: readonly Problem[]): readonly Problem[] {
  if (problems.length <= MAX_PROBLEMS) return problems
  return [...problems.slice(0, MAX_PROBLEMS), { path: '', message: `and ${problems.length - MAX_PROBLEMS} more` }]
}

function toPolicy(raw: RawPolicy, place: Pick<Policy, 'index' | 'path' | 'line'>): Policy {
  const { users, resource, nonresource } = raw
  return {
    ...place,
    ...(users && { users: { roles: users.get('roles') ?? [], projects: users.get('projects') ?? [] } }),
    ...(raw.resource_permissions && { resourcePermissions: raw.resource_permissions }),
    ...(raw.nonresource_permissions && { nonresourcePermissions: raw.nonresource_permissions }),
    ...(resource && {
      resource: {
        verbs: resource.verbs ?? [],
        resources: resource.resources ?? [],
        ...(resource.version !== undefined && { version: resource.version }),
        ...(resource.namespace !== undefined && { namespace: resource.namespace }),
      },
    }),
    ...(nonresource && {
      nonresource: {
        verbs: nonresource.verbs ?? [],
        ...(nonresource.path !== undefined && { path: nonresource.path }),
      },
    }),
    match: (raw.match ?? []).map(({ type = '', values = [] }) => ({ type, values })),
  }
}
