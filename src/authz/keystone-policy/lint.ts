/**
 * What is wrong or dangerous with a policy that is well formed. Every finding says where, why and what to write
 * instead. Owns the list of checks; each group of them has a file.
 *
 * @module
 */
import type { CompiledPolicy } from './compile.ts'
import type { Finding, LintOptions } from './finding.ts'
import { lintDocuments } from './lint-document.ts'
import { lintEscalations } from './lint-escalation.ts'
import { lintReach } from './lint-reach.ts'
import { lintSpelling } from './lint-spelling.ts'

/** Every finding, in the order of the policy. */
export function lint(policy: CompiledPolicy, options: LintOptions = {}): readonly Finding[] {
  const findings = [
    ...lintDocuments(policy, options),
    ...lintSpelling(policy),
    ...lintReach(policy),
    ...lintEscalations(policy),
  ]
  const order = new Map(policy.documents.map(({ where }, index) => [where, index]))
  return findings.sort((a, b) => (order.get(a.where) ?? 0) - (order.get(b.where) ?? 0) || a.line - b.line)
}
