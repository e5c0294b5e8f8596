/**
 * What requests about a policy are made of: the names in it, and names that are in none.
 *
 * @module
 */
import { among } from './condition.ts'
import type { Grant } from './grant.ts'
import { asksWho, type Facts, leastFacts, OUTSIDER } from './probe.ts'
import type { Dimension } from './request.ts'

/** Everything a request can be made of. */
export interface Pools {
  readonly people: readonly Facts[]
  readonly verbs: readonly string[]
  readonly namespaces: readonly string[]
  readonly resources: readonly string[]
  readonly subresources: readonly string[]
  readonly groups: readonly string[]
  readonly paths: readonly string[]
}

/** The names in the grants, and some that are in none. */
export function poolsOf(grants: readonly Grant[]): Pools {
  const names = (dimension: Dimension): string[] => [...new Set(grants.flatMap((grant) => namesIn(grant, dimension)))]
  const targets = names('target').map((target) => target.split('/'))
  const prefixes = names('prefix')
  return {
    people: peopleOf(grants),
    verbs: distinct(names('verb'), [OUTSIDER]),
    namespaces: distinct(names('namespace'), ['', OUTSIDER]),
    resources: distinct([...names('resource'), ...targets.map(([resource = '']) => resource)], [OUTSIDER]),
    subresources: distinct(
      [...names('subresource'), ...targets.map(([, subresource = '']) => subresource)],
      ['', 'exec', 'log', OUTSIDER],
    ),
    groups: distinct(names('group'), ['', OUTSIDER]),
    paths: distinct(
      [...names('path'), ...prefixes, ...prefixes.map((prefix) => `${prefix}${OUTSIDER}`)],
      [`/${OUTSIDER}`],
    ),
  }
}

function namesIn({ conditions }: Grant, dimension: Dimension): readonly string[] {
  return conditions.filter((condition) => condition.dimension === dimension).flatMap(({ names }) => [...names])
}

/** Without the text of lists and negations, which conditions carry as one more name. */
function distinct(names: readonly string[], more: readonly string[]): readonly string[] {
  return [...new Set([...names.filter((name) => name !== '*' && !/[\s[\]'"!]/.test(name)), ...more])]
}

/** Those who satisfy each grant, in each way; those who lack one thing of it; and somebody with nothing. */
function peopleOf(grants: readonly Grant[]): readonly Facts[] {
  const people = new Map<string, Facts>([NOBODY, ELSEWHERE].map((facts) => [JSON.stringify(facts), facts]))
  for (const grant of grants) for (const facts of waysToSatisfy(grant)) people.set(JSON.stringify(facts), facts)
  return [...people.values()]
}

const NOBODY: Facts = {}
const ELSEWHERE: Facts = { elsewhere: true }

const WAYS = 12

/** The least that satisfies the conditions on users, in each way; and what lacks one of them. */
export function waysToSatisfy(grant: Grant): readonly Facts[] {
  const conditions = grant.conditions.filter(asksWho)
  const short = conditions.map((_, i) => leastFacts(conditions.toSpliced(i, 1)) ?? [])
  return [...eachWay(grant, WAYS), ...short.flat()]
}

/** The least that satisfies the conditions on users: by the first names of each, and by every other name there is. */
export function eachWay(grant: Grant, most: number): readonly Facts[] {
  const conditions = grant.conditions.filter(asksWho)
  const ways = conditions.flatMap((condition, i) =>
    [...condition.names]
      .slice(0, most)
      .map((name) => conditions.with(i, among(condition.dimension, [name], condition.place))),
  )
  return [conditions, ...ways].flatMap((some) => leastFacts(some) ?? [])
}

/** The pools that a request for a resource draws from, besides who and verb. */
export function resourcePools(pools: Pools): readonly (readonly string[])[] {
  return [pools.namespaces, pools.resources, pools.subresources, pools.groups]
}
