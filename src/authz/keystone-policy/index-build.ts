/**
 * Grants → a tree that leads a request to the few grants it can satisfy. Each split asks for one thing (the project,
 * the resource …), the one that tells the grants at hand apart best; a leaf holds what is left, to be looked at one by
 * one, and of each grant the conditions that the way there has not settled.
 *
 * @module
 */
import type { Condition } from './condition.ts'
import type { Grant } from './grant.ts'
import {
  type Candidate,
  DIMENSIONS,
  type Estimate,
  estimated,
  type Rarity,
  rarest,
  rarityOf,
  WORTH,
} from './index-estimate.ts'
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

/** Few enough to look at one by one: a split costs about as much. */
const LEAF = 8
/** More than this that nothing tells apart are at least kept from requests that none of them is for. */
const MANY = 16
/** A rule may ask for thousands of roles; the tree does not. */
const DEEPEST = 24
/** Grants stand in several branches (one for each of their verbs, say); this bounds how many times on the average. */
const COPIES = 24
/** And how many times in all, so that the longest text there may be is still compiled in seconds. */
const MOST_COPIES = 1_000_000

/** Builds the tree. Grants with a condition that nothing satisfies must be left out before. */
export function buildIndex(grants: readonly Grant[]): Index {
  // What many grants share (verbs, above all) is asked first: it is in the processor's cache, and often enough.
  const shared = (condition: Condition): number => DIMENSIONS.indexOf(condition.dimension)
  const candidates = grants.map((grant): Candidate => {
    return { grant, open: grant.conditions.toSorted((one, other) => shared(other) - shared(one)) }
  })
  return build(
    candidates,
    { dimensions: DIMENSIONS, depth: 0 },
    {
      rarity: rarityOf(grants),
      room: Math.min(grants.length * COPIES, MOST_COPIES),
    },
  )
}

interface Building {
  readonly rarity: Rarity
  /** Copies of grants that may still be made. */
  room: number
}

/** Where in the tree. */
interface Way {
  /** What may still be asked. */
  readonly dimensions: readonly Dimension[]
  readonly depth: number
}

function build(candidates: readonly Candidate[], way: Way, building: Building): Index {
  if (candidates.length <= LEAF || way.depth === DEEPEST) return leaf(candidates)
  const possible = way.dimensions
    .map((dimension) => estimated(candidates, dimension, building.rarity))
    .filter(({ copies }) => copies <= building.room)
  const worth = candidates.length * WORTH
  const best =
    least(possible, worth, ({ cost }) => cost) ??
    (candidates.length > MANY ? least(possible, worth, ({ fewest }) => fewest) : undefined)
  if (best === undefined) return leaf(candidates)
  building.room -= best.copies
  return split(candidates, best, way, building)
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

function split(
  candidates: readonly Candidate[],
  { dimension, excluded }: Estimate,
  { dimensions, depth }: Way,
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
  // Where names may be left unsettled, the same question is not asked again: it would be without end.
  const rest = { dimensions: dimensions.filter((other) => other !== dimension), depth: depth + 1 }
  const below = { dimensions, depth: depth + 1 }
  return {
    kind: 'split',
    dimension,
    children: new Map([...named].map(([name, members]) => [name, build(members, below, building)])),
    excluded,
    others: others.length === 0 ? undefined : build(others, rest, building),
    any: any.length === 0 ? undefined : build(any, below, building),
    lengths: dimension === 'prefix' ? [...new Set([...named.keys()].map((name) => name.length))] : [],
  }
}

function add(named: Map<string, Candidate[]>, name: string, candidate: Candidate): void {
  const members = named.get(name)
  if (members === undefined) named.set(name, [candidate])
  else members.push(candidate)
}
