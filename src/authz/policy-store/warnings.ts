/**
 * What is accepted and most likely not meant, said once for each load. `archway policy check` says all of it.
 *
 * @module
 */
import type { CallLog } from '../../context.ts'
import { type CompileOptions, compilePolicy, lint, type PolicyDocument } from '../keystone-policy/index.ts'

/** How many findings of one load are logged in full. */
const LOGGED = 20
/** Beyond this many policies the linter is left to the command line. */
const MOST_LINTED = 1000

export function reportWarnings(document: PolicyDocument, options: CompileOptions, log: CallLog): void {
  const linted = document.policies.length <= MOST_LINTED
  const findings = linted
    ? lint(compilePolicy(document, options)).filter(({ severity }) => severity === 'error')
    : document.warnings
  if (findings.length === 0) return
  const shown = findings.slice(0, LOGGED).map(({ path, message, line }) => ({ path, message, line }))
  log.warn(
    { policy: document.where, count: findings.length, findings: shown },
    'policy opens more than its author is likely to mean; see `archway policy check`',
  )
}
