/**
 * What asking for one thing would do to the grants at hand: how well it tells them apart, and what it takes.
 *
 * @module
 */
import type { Condition } from './condition.ts'
import type { Grant } from './grant.ts'
import type { Dimension } from './request.ts'

/** What can be asked for. The later, the more grants share the answers. */
export const DIMENSIONS: readonly Dimension[] = [
  'path',
  'prefix',
  'project',
  'role',
  'userGroup',
  'user',
  'namespace',
  'resource',
  'target',
  'subresource',
  'group',
  'verb',
]

/** A split must leave less than this part of the grants to look at. */
export const WORTH = 0.7

/** A grant on its way into the tree. */
export interface Candidate {
  readonly grant: Grant
  /** The conditions that the way has not settled. */
  readonly open: readonly Condition[]
}

/** How many grants name a name. */
export type Rarity = ReadonlyMap<Dimension, ReadonlyMap<string, number>>

/** What a split by one dimension would come to. */
export interface Estimate {
  readonly dimension: Dimension
  readonly excluded: ReadonlySet<string>
  /** Grants a request will meet, on the average of the names that are asked for. */
  readonly cost: number
  /** Grants that a request meets which meets fewest: with a name of its own, or one that most exclude. */
  readonly fewest: number
  /** Grants in all branches beyond what there was. */
  readonly copies: number
}

/** Judges a split, in one pass over the grants. */
export function estimated(candidates: readonly Candidate[], dimension: Dimension, rarity: Rarity): Estimate {
  const asking = new Map<string, number>()
  const excluding = new Map<string, number>()
  let others = 0
  let any = 0
  for (const candidate of candidates) {
    const condition = rarest(candidate, dimension, rarity)
    if (condition === undefined) any += 1
    else if (condition.kind === 'not-in') others += 1
    for (const name of condition?.names ?? []) count(condition?.kind === 'in' ? asking : excluding, name, 1)
  }
  // A name that many exclude leads to the rest of them: so exclusions cost what they leave.
  const excluded = new Set<string>()
  let fewest = any + others
  for (const [name, by] of excluding) {
    if (by < others * (1 - WORTH)) continue
    excluded.add(name)
    count(asking, name, others - by)
    fewest = Math.min(fewest, any + (asking.get(name) ?? 0))
  }
  const copies = [...asking.values()].reduce((sum, met) => sum + met, others + any - candidates.length)
  const cost = any + average(dimension, asking, excluded, others)
  return { dimension, excluded, copies, cost, fewest }
}

function count(counts: Map<string, number>, name: string, more: number): void {
  counts.set(name, (counts.get(name) ?? 0) + more)
}

/** How many grants a name leads to, when names come as often as grants ask for them. */
function average(
  dimension: Dimension,
  counts: ReadonlyMap<string, number>,
  excluded: ReadonlySet<string>,
  others: number,
): number {
  let weights = others
  let met = others * others
  for (const [name, count] of counts) {
    if (name === '' && dimension === 'resource') continue // nobody asks for it; in compat everything covers it
    weights += count
    met += count * (count + (excluded.has(name) ? 0 : others))
  }
  return weights === 0 ? 0 : met / weights
}

/** Of several conditions on one dimension (roles, above all) the one that fewest grants share. */
export function rarest({ open }: Candidate, dimension: Dimension, rarity: Rarity): Condition | undefined {
  let found: Condition | undefined
  for (const condition of open) {
    if (condition.dimension !== dimension) continue
    if (found === undefined || sharedBy(condition, rarity) < sharedBy(found, rarity)) found = condition
  }
  return found
}

function sharedBy({ dimension, names }: Condition, rarity: Rarity): number {
  const shared = rarity.get(dimension)
  let sum = 0
  for (const name of names) sum += shared?.get(name) ?? 0
  return sum
}

/** Counts. */
export function rarityOf(grants: readonly Grant[]): Rarity {
  const rarity = new Map(DIMENSIONS.map((dimension) => [dimension, new Map<string, number>()]))
  for (const { conditions } of grants) {
    for (const { dimension, names } of conditions) {
      const shared = rarity.get(dimension)
      for (const name of names) shared?.set(name, (shared.get(name) ?? 0) + 1)
    }
  }
  return rarity
}
