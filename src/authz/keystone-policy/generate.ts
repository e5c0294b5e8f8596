/**
 * Requests that matter to policies: made of the names in them and of names that are in none, so that each condition is
 * met and missed. What conversion proves itself with, and how two policies are told apart.
 *
 * @module
 */
import type { Attributes } from '../authorizer.ts'
import type { CompiledPolicy } from './compile.ts'
import { type Grant, isGrant } from './grant.ts'
import { type Pools, poolsOf, resourcePools, waysToSatisfy } from './pools.ts'
import { type Asked, covered, leastFacts, OUTSIDER, probe } from './probe.ts'

export interface GenerateOptions {
  /** Most requests that are made. Default 20,000. */
  readonly limit?: number
  /** Of the choice where there are more than that; the same seed chooses the same. */
  readonly seed?: number
}

/**
 * Requests for the policies together. If all combinations are within the limit, it is all of them; else each grant is
 * visited with one thing changed at a time, and the rest is chosen at random.
 */
export function generateRequests(
  policies: CompiledPolicy | readonly CompiledPolicy[],
  { limit = 20_000, seed = 1 }: GenerateOptions = {},
): readonly Attributes[] {
  const all = 'lines' in policies ? [policies] : policies
  const grants = all.flatMap(({ lines }) => lines.filter(isGrant))
  const pools = poolsOf(grants)
  const { people, paths, verbs } = pools
  const inPaths = people.length * paths.length * verbs.length
  const inResources =
    people.length * verbs.length * resourcePools(pools).reduce((product, pool) => product * pool.length, 1)
  if (inPaths + inResources <= limit) return [...everything(pools)]
  const requests = new Map<string, Attributes>()
  const random = randomNumbers(seed)
  for (const request of chosen(grants, pools, random)) {
    requests.set(JSON.stringify([request, [...request.user.extra]]), request)
    if (requests.size >= limit) break
  }
  return [...requests.values()]
}

function* everything(pools: Pools): Generator<Attributes> {
  const { people, verbs, namespaces, resources, subresources, groups, paths } = pools
  for (const facts of people) {
    for (const verb of verbs) {
      for (const path of paths) yield probe(facts, { verb, path })
      for (const namespace of namespaces) {
        for (const resource of resources) {
          for (const subresource of subresources) {
            for (const group of groups) yield probe(facts, { verb, namespace, resource, subresource, group })
          }
        }
      }
    }
  }
}

/** Near each grant first, then anywhere, without end. */
function* chosen(grants: readonly Grant[], pools: Pools, random: (below: number) => number): Generator<Attributes> {
  for (const grant of grants) yield* around(grant, pools, random)
  const one = <T>(pool: readonly T[]): T | undefined => pool[random(pool.length)]
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const facts = one(pools.people) ?? {}
    const verb = one(pools.verbs) ?? OUTSIDER
    if (random(8) === 0) yield probe(facts, { verb, path: one(pools.paths) ?? '/' })
    const [namespace = '', resource = '', subresource = '', group = ''] = resourcePools(pools).map(
      (pool) => one(pool) ?? '',
    )
    yield probe(facts, { verb, namespace, resource, subresource, group })
  }
}

const ATTEMPTS = 100_000
const NEIGHBOURS = 6

/** What the grant allows, and the same with one thing changed. */
function* around(grant: Grant, pools: Pools, random: (below: number) => number): Generator<Attributes> {
  const facts = leastFacts(grant.conditions)
  if (facts === undefined) return
  const asked = covered(grant)
  yield probe(facts, asked)
  for (const other of waysToSatisfy(grant).slice(0, NEIGHBOURS)) yield probe(other, asked)
  const fields: readonly (readonly [keyof Asked, readonly string[]])[] =
    grant.half === 'path'
      ? [
          ['verb', pools.verbs],
          ['path', pools.paths],
        ]
      : [
          ['verb', pools.verbs],
          ['namespace', pools.namespaces],
          ['resource', pools.resources],
          ['subresource', pools.subresources],
          ['group', pools.groups],
        ]
  for (const [field, pool] of fields) {
    for (const value of sample(pool, NEIGHBOURS, random)) yield probe(facts, { ...asked, [field]: value })
  }
}

function sample(pool: readonly string[], size: number, random: (below: number) => number): readonly string[] {
  if (pool.length <= size) return pool
  return [...pool.slice(-2), ...Array.from({ length: size - 2 }, () => pool[random(pool.length)] ?? '')]
}

/** Small, fast and the same everywhere (mulberry32); nothing here is a secret. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % Math.max(below, 1)
  }
}
