/**
 * Runs the examples beside a policy: what its author expects, against what it decides. How they are written is in
 * `example-schema.ts`.
 *
 * @module
 */
import type { Attributes, Decision } from '../authorizer.ts'
import type { CompiledPolicy } from './compile.ts'
import { decide } from './decide.ts'
import type { Example } from './model.ts'

/** One request of an example, and what came of it. */
export interface ExampleResult {
  readonly example: Example
  /** The name of the example and, where it asks several things, which of them: `members look: list pods`. */
  readonly title: string
  readonly attributes: Attributes
  readonly passed: boolean
  readonly expected: Example['expect']
  readonly decision: Decision
}

/** Decides on every request of every example. A policy whose examples fail must not be put in force. */
export function runExamples(policy: CompiledPolicy, examples: readonly Example[]): readonly ExampleResult[] {
  return examples.flatMap((example) => {
    const requests = requestsOf(example)
    return requests.map((attributes): ExampleResult => {
      const decision = decide(policy, attributes)
      const name = example.name ?? `${example.path}: ${example.user.name || 'somebody'}`
      return {
        example,
        title: example.name === undefined || requests.length > 1 ? `${name}: ${inWords(attributes)}` : name,
        attributes,
        passed: decision.kind === example.expect,
        expected: example.expect,
        decision,
      }
    })
  })
}

/** Every combination of what an example lists. */
export function requestsOf({ user, verbs, target }: Example): readonly Attributes[] {
  const { name: username, uid, groups, extra } = user
  const who = { user: { username, uid, groups, extra: extra ?? new Map() }, extraPresent: extra !== undefined }
  if (target.kind === 'non-resource') {
    return verbs.flatMap((verb) =>
      target.paths.map((path): Attributes => ({ ...who, kind: 'non-resource', verb, path })),
    )
  }
  const { apiGroup: group, objectName: name } = target
  return verbs.flatMap((verb) =>
    target.namespaces.flatMap((namespace) =>
      target.resources.map((words): Attributes => {
        const [resource = '', subresource = ''] = words.split('/')
        return { ...who, kind: 'resource', verb, group, version: '', resource, subresource, namespace, name }
      }),
    ),
  )
}

/** `get default/pods/log`, `list nodes`, `get /healthz`. */
export function inWords(attributes: Attributes): string {
  if (attributes.kind === 'non-resource') return `${attributes.verb} ${attributes.path}`
  const { verb, namespace, resource, subresource, group } = attributes
  const where = [namespace, group === '' ? resource : `${resource}.${group}`, subresource].filter((part) => part !== '')
  return `${verb} ${where.join('/')}`
}
