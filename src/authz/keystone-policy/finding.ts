/**
 * What the linter finds.
 *
 * @module
 */
import type { CompiledPolicy } from './compile.ts'
import type { Place } from './grant.ts'
import type { Policy, WarningCode } from './model.ts'

/**
 * `error`: it is not what anybody means, and it opens something. `warning`: look at it. `info`: good to know, or a
 * step towards something better.
 */
export type Severity = 'error' | 'warning' | 'info'

/** Closed and stable: programs may select by it. */
export type FindingCode =
  | WarningCode
  | 'case-never-matches'
  | 'escalation'
  | 'everything'
  | 'fail-open'
  | 'grants-nothing'
  | 'literal-wildcard'
  | 'malformed-key'
  | 'malformed-list'
  | 'match-ignored'
  | 'name-unknown'
  | 'open-to-everyone'
  | 'project-by-name'
  | 'shadowed'
  | 'subresource-guarded'
  | 'subresource-implied'
  | 'version-is-group'

export interface Finding {
  readonly severity: Severity
  readonly code: FindingCode
  /** Name of the text. */
  readonly where: string
  /** `[3].resource_permissions["default/pods"]`. */
  readonly path: string
  /** Line on which the policy begins, or nearer where that is known. */
  readonly line: number
  /** What is so, and what to write instead. */
  readonly message: string
}

/** What is known besides the policy. */
export interface LintOptions {
  /** Roles that exist in Keystone; names beside them are reported. */
  readonly roles?: readonly string[]
  /** Names and ids of projects that exist. */
  readonly projects?: readonly string[]
}

/** Makes findings about one place. */
export type Report = (severity: Severity, code: FindingCode, message: string, place?: string) => Finding

/** A reporter for a policy; `place` is a field of it. */
function reporter(where: string, policy: Policy): Report {
  return (severity, code, message, place = '') => ({
    severity,
    code,
    where,
    path: place === '' || place.startsWith('[') ? `${policy.path}${place}` : `${policy.path}.${place}`,
    line: policy.line,
    message,
  })
}

/** The policies of every document, each with its reporter. */
export function reported({
  documents,
}: CompiledPolicy): readonly { readonly policy: Policy; readonly report: Report }[] {
  return documents.flatMap(({ where, policies }) =>
    policies.map((policy) => ({ policy, report: reporter(where, policy) })),
  )
}

/** A reporter for each line of a policy, at its place. */
export function lineReporter(compiled: CompiledPolicy): (line: Place) => Report {
  const reports = new Map(reported(compiled).map(({ policy, report }) => [policy, report]))
  return (line) => (severity, code, message) => {
    const report = reports.get(line.policy)
    if (report === undefined) throw new TypeError('a line of another policy')
    return report(severity, code, message, line.place)
  }
}
