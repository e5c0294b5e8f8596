/**
 * Grants → a tree that leads a request to the few grants it can satisfy. Each split asks for one thing (the project,
 * the resource …), the one that tells the grants at hand apart best; a leaf holds what is left, to be looked at one by
 * one, and of each grant the conditions that the way there has not settled.
 *
 * @module
 */
import type { Condition } from './condition.ts'
import type { Grant } from './grant.ts'
import type { Dimension } from './request.ts'

export type Index = Leaf | Split

/** Grants one after the other, in one list: a decision over many rules is mostly waiting for memory. */
export interface Leaf {
  readonly kind: 'leaf'
  readonly grants: readonly Grant[]
  /** What a request that came this far has still to satisfy: for each grant its conditions, then `undefined`. */
  readonly steps: readonly (Condition | undefined)[]
}

export interface Split {
  readonly kind: 'split'
  readonly dimension: Dimension
  /** By name: grants that ask for it; under an excluded name also those that exclude names, but not this one. */
  readonly children: ReadonlyMap<string, Index>
  /** Names that many grants exclude. */
  readonly excluded: ReadonlySet<string>
  /** Grants that exclude names, for every name but those. */
  readonly others: Index | undefined
  /** Grants that don't ask. */
  readonly any: Index | undefined
  /** Of a split by prefix: how long the prefixes are. */
  readonly lengths: readonly number[]
}

/** Few enough to look at one by one; a split costs about as much. */
const LEAF = 8
/** A split must leave less than this part of the grants to look at. */
const WORTH = 0.7
/** More than this that nothing tells apart are at least kept from requests that none of them is for. */
const MANY = 16
/** Grants stand in several branches (one for each of their verbs, say); this bounds how many times on the average. */
const COPIES = 24
/** And how many times in all, so that the longest text there may be is still compiled in seconds. */
const MOST_COPIES = 1_000_000

const DIMENSIONS: readonly Dimension[] = [
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
  'path',
  'prefix',
]

/** Builds the tree. Grants with a condition that nothing satisfies must be left out before. */
export function buildIndex(grants: readonly Grant[]): Index {
  const candidates = grants.map((grant): Candidate => ({ grant, open: grant.conditions }))
  return build(candidates, DIMENSIONS, {
    rarity: rarityOf(grants),
    room: Math.min(grants.length * COPIES, MOST_COPIES),
  })
}

/** A grant on its way into the tree. */
interface Candidate {
  readonly grant: Grant
  /** The conditions that the way has not settled. */
  readonly open: readonly Condition[]
}

/** How many grants name a name. */
type Rarity = ReadonlyMap<Dimension, ReadonlyMap<string, number>>

interface Building {
  readonly rarity: Rarity
  /** Copies of grants that may still be made. */
  room: number
}

function build(candidates: readonly Candidate[], dimensions: readonly Dimension[], building: Building): Index {
  if (candidates.length <= LEAF) return leaf(candidates)
  const possible = dimensions
    .map((dimension) => estimated(candidates, dimension, building.rarity))
    .filter(({ copies }) => copies <= building.room)
  const worth = candidates.length * WORTH
  const best =
    least(possible, worth, ({ cost }) => cost) ??
    (candidates.length > MANY ? least(possible, worth, ({ outsiders }) => outsiders) : undefined)
  if (best === undefined) return leaf(candidates)
  building.room -= best.copies
  return split(candidates, best, dimensions, building)
}

function leaf(candidates: readonly Candidate[]): Leaf {
  const steps = candidates.flatMap(({ open }) => [...open, undefined])
  return { kind: 'leaf', grants: candidates.map(({ grant }) => grant), steps }
}

function least(
  estimates: readonly Estimate[],
  below: number,
  by: (estimate: Estimate) => number,
): Estimate | undefined {
  let found: Estimate | undefined
  for (const estimate of estimates) if (by(estimate) < (found === undefined ? below : by(found))) found = estimate
  return found
}

/** What a split by one dimension would come to. */
interface Estimate {
  readonly dimension: Dimension
  readonly excluded: ReadonlySet<string>
  /** Grants a request will meet, on the average of the names that are asked for. */
  readonly cost: number
  /** Grants that a request with a name of its own will meet. */
  readonly outsiders: number
  /** Grants in all branches beyond what there was. */
  readonly copies: number
}

function estimated(candidates: readonly Candidate[], dimension: Dimension, rarity: Rarity): Estimate {
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
  for (const [name, by] of excluding) {
    if (by < others * (1 - WORTH)) continue
    excluded.add(name)
    count(asking, name, others - by)
  }
  const copies = [...asking.values()].reduce((sum, met) => sum + met, others + any - candidates.length)
  const cost = any + average(dimension, asking, excluded, others)
  return { dimension, excluded, copies, cost, outsiders: any + others }
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

function split(
  candidates: readonly Candidate[],
  { dimension, excluded }: Estimate,
  dimensions: readonly Dimension[],
  building: Building,
): Split {
  const named = new Map<string, Candidate[]>([...excluded].map((name) => [name, []]))
  const others: Candidate[] = []
  const any: Candidate[] = []
  for (const candidate of candidates) {
    const condition = rarest(candidate, dimension, building.rarity)
    if (condition === undefined) {
      any.push(candidate)
      continue
    }
    const settled = { ...candidate, open: candidate.open.filter((other) => other !== condition) }
    const isIn = condition.kind === 'in'
    // Of the names it excludes some may not be told apart here; then it is still to be asked.
    if (!isIn) others.push([...condition.names].every((name) => excluded.has(name)) ? settled : candidate)
    for (const name of isIn ? condition.names : excluded) {
      if (isIn || !condition.names.has(name)) add(named, name, settled)
    }
  }
  const rest = dimensions.filter((other) => other !== dimension)
  return {
    kind: 'split',
    dimension,
    children: new Map([...named].map(([name, members]) => [name, build(members, rest, building)])),
    excluded,
    others: others.length === 0 ? undefined : build(others, rest, building),
    any: any.length === 0 ? undefined : build(any, rest, building),
    lengths: dimension === 'prefix' ? [...new Set([...named.keys()].map((name) => name.length))] : [],
  }
}

function add(named: Map<string, Candidate[]>, name: string, candidate: Candidate): void {
  const members = named.get(name)
  if (members === undefined) named.set(name, [candidate])
  else members.push(candidate)
}

/** Of several conditions on one dimension (roles, above all) the one that fewest grants share. */
function rarest({ open }: Candidate, dimension: Dimension, rarity: Rarity): Condition | undefined {
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

function rarityOf(grants: readonly Grant[]): Rarity {
  const rarity = new Map(DIMENSIONS.map((dimension) => [dimension, new Map<string, number>()]))
  for (const { conditions } of grants) {
    for (const { dimension, names } of conditions) {
      const shared = rarity.get(dimension)
      for (const name of names) shared?.set(name, (shared.get(name) ?? 0) + 1)
    }
  }
  return rarity
}
