/**
 * Replay: recorded reviews decided once more, by somebody else. Owns the comparison and its counting; leaves the file
 * to `reader.ts` and the wording to whoever shows the report.
 *
 * @module
 */
import type { CallContext } from '../../context.ts'
import type { Attributes, Authorizer, Decision } from '../authorizer.ts'
import type { RecordedLine, Recording } from './reader.ts'

export interface ReplayOptions {
  /** Changed requests that are kept for showing. */
  readonly examples: number
  /** Unreadable lines that are kept. Default 10. */
  readonly unreadable?: number
}

/** A request that would be decided otherwise. */
export interface ReplayedChange {
  readonly attributes: Attributes
  readonly before: Decision['kind']
  readonly after: Decision['kind']
  /** As recorded, and as given now. */
  readonly reasons: { readonly before: string; readonly after: string }
  /** Reviews of it in the recording. */
  reviews: number
}

export interface ReplayReport {
  /** In the recording; one request makes as many reviews as it was asked. */
  readonly reviews: number
  /** How many of the reviews would be decided otherwise, by how: `allow → no-opinion`. */
  readonly changes: ReadonlyMap<string, number>
  readonly changedReviews: number
  /** Distinct requests; more may be in `changedReviews` than are kept here. */
  readonly examples: readonly ReplayedChange[]
  readonly unreadable: { readonly count: number; readonly first: readonly (RecordedLine & { kind: 'unreadable' })[] }
  readonly from: string | undefined
  readonly to: string | undefined
}

/** Has every review decided by the candidate. A candidate that throws ends the replay: there would be no answer. */
export async function replay(
  { reviews }: Recording,
  candidate: Authorizer,
  ctx: CallContext,
  { examples: mostExamples, unreadable: mostUnreadable = 10 }: ReplayOptions,
): Promise<ReplayReport> {
  const changes = new Map<string, number>()
  const examples = new Map<string, ReplayedChange>()
  const unreadable: (RecordedLine & { kind: 'unreadable' })[] = []
  let unreadableCount = 0
  let total = 0
  let changed = 0
  let from: string | undefined
  let to: string | undefined

  for await (const line of reviews) {
    if (line.kind === 'unreadable') {
      unreadableCount += 1
      if (unreadable.length < mostUnreadable) unreadable.push(line)
      continue
    }
    const { attributes, decision: before, count, reason, at } = line.review
    total += count
    from ??= at
    to = at
    const now = await candidate.authorize(attributes, ctx)
    if (now.kind === before) continue
    changed += count
    const how = `${before} → ${now.kind}`
    changes.set(how, (changes.get(how) ?? 0) + count)
    note(attributes, before, now, reason, count)
  }
  return {
    reviews: total,
    changes,
    changedReviews: changed,
    examples: [...examples.values()],
    unreadable: { count: unreadableCount, first: unreadable },
    from,
    to,
  }

  function note(attributes: Attributes, before: Decision['kind'], now: Decision, reason: string, count: number): void {
    const key = JSON.stringify([before, attributes, [...attributes.user.extra]])
    const example = examples.get(key)
    if (example !== undefined) example.reviews += count
    else if (examples.size < mostExamples) {
      const reasons = { before: reason, after: now.reason ?? '' }
      examples.set(key, { attributes, before, after: now.kind, reasons, reviews: count })
    }
  }
}
