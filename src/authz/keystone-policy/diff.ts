/**
 * Two policies side by side: which requests they decide differently.
 *
 * @module
 */
import type { Attributes, Decision } from '../authorizer.ts'
import type { CompiledPolicy } from './compile.ts'
import { decide } from './decide.ts'
import { type GenerateOptions, generateRequests } from './generate.ts'

/** A request whose decision differs. */
export interface Change {
  readonly attributes: Attributes
  readonly before: Decision
  readonly after: Decision
}

export interface PolicyDiff {
  /** Requests that were compared. No change among them is no proof for all others, if they were not all. */
  readonly requests: number
  /** Allowed by the new policy only: look at these first. */
  readonly opened: readonly Change[]
  /** Allowed by the old policy only. */
  readonly closed: readonly Change[]
}

/** Anything that decides: a compiled policy, or another authorizer as far as it can answer at once. */
export type Decide = (attributes: Attributes) => Decision

/** Compares two policies over the requests that matter to either. */
export function diffPolicies(before: CompiledPolicy, after: CompiledPolicy, options?: GenerateOptions): PolicyDiff {
  const requests = generateRequests([before, after], options)
  return compareDecisions(
    (attributes) => decide(before, attributes),
    (attributes) => decide(after, attributes),
    requests,
  )
}

/** Compares over given requests. `deny` and no opinion are alike here: not allowed. */
export function compareDecisions(before: Decide, after: Decide, requests: readonly Attributes[]): PolicyDiff {
  const opened: Change[] = []
  const closed: Change[] = []
  for (const attributes of requests) {
    const change = { attributes, before: before(attributes), after: after(attributes) }
    const [was, is] = [change.before.kind === 'allow', change.after.kind === 'allow']
    if (is && !was) opened.push(change)
    if (was && !is) closed.push(change)
  }
  return { requests: requests.length, opened, closed }
}
