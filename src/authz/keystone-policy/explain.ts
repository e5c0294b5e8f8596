/**
 * Why a request is decided as it is: every line that was considered, what it lacks, and which came nearest. Reads the
 * same conditions as the decision.
 *
 * @module
 */
import type { Attributes, Decision } from '../authorizer.ts'
import type { CompiledPolicy } from './compile.ts'
import { type Condition, holds, isUnsatisfiable } from './condition.ts'
import { decide, isInScope } from './decide.ts'
import { inWords } from './examples.ts'
import { whyNot } from './explain-words.ts'
import { isGrant, type Line } from './grant.ts'
import { asksWho } from './probe.ts'
import { type Request, toRequest } from './request.ts'

/** What became of one line. */
export interface ExplainedLine {
  readonly line: Line
  readonly verdict: 'allows' | 'lacks' | 'inert'
  /** The first reason why it does not allow. */
  readonly why?: string
  /** The conditions that do not hold. */
  readonly failed: readonly Condition[]
}

export interface Explanation {
  /** `get default/pods/exec`. */
  readonly request: string
  readonly decision: Decision
  /** Why the rules were not looked at at all; they are explained as if they had been. */
  readonly outOfScope?: string
  /** Lines about the kind of request, in the order of the policy. */
  readonly lines: readonly ExplainedLine[]
  /** Of a request that nothing allows: the line that lacks least. */
  readonly nearest?: ExplainedLine
}

/** Explains a decision. */
export function explain(policy: CompiledPolicy, attributes: Attributes): Explanation {
  const request = toRequest(attributes)
  const half = attributes.kind === 'resource' ? 'resource' : 'path'
  const lines = policy.lines.filter((line) => line.half === half).map((line) => explained(line, request, policy))
  const decision = decide(policy, attributes)
  const outOfScope = isInScope(policy, attributes) ? undefined : scopeInWords(attributes)
  const nearest = decision.kind === 'allow' ? undefined : nearestOf(lines)
  return {
    request: inWords(attributes),
    decision,
    ...(outOfScope !== undefined && { outOfScope }),
    lines,
    ...(nearest !== undefined && { nearest }),
  }
}

function explained(line: Line, request: Request, { meaning }: CompiledPolicy): ExplainedLine {
  if (!isGrant(line)) return { line, verdict: 'inert', why: line.why, failed: [] }
  const failed = line.conditions.filter((condition) => !holds(condition, request))
  const [first] = failed
  if (first === undefined) return { line, verdict: 'allows', failed }
  return { line, verdict: 'lacks', why: whyNot(first, request, line.policy, meaning.subresources), failed }
}

function scopeInWords({ extraPresent }: Attributes): string {
  return extraPresent
    ? 'the request has none of the keys of a Keystone identity in its extra, and only those are looked at'
    : 'the request has no extra, so that nobody knows of a Keystone identity'
}

/** Fewest conditions failed; of those, rather what is asked for than who asks. */
function nearestOf(lines: readonly ExplainedLine[]): ExplainedLine | undefined {
  const distance = ({ failed }: ExplainedLine): number => failed.length + failed.filter(asksWho).length / 100
  return lines
    .filter(({ verdict, failed }) => verdict === 'lacks' && !failed.some(isUnsatisfiable))
    .reduce<ExplainedLine | undefined>(
      (best, line) => (best === undefined || distance(line) < distance(best) ? line : best),
      undefined,
    )
}
