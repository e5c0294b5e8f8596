/**
 * Conditions: what every kind of rule comes down to. A rule allows when all of its conditions hold; the index, the
 * decision, the explanation and the linter all read these and nothing else.
 *
 * @module
 */
import type { Dimension, Request } from './request.ts'

/** One thing that must be so. Of what a request has many (roles, groups …) one among the names is enough. */
export interface Condition {
  readonly dimension: Dimension
  /** `not-in` is for what a request has one of. */
  readonly kind: 'in' | 'not-in'
  readonly names: ReadonlySet<string>
  /** The name where there is one: most conditions have one, and comparing is cheaper than looking up. */
  readonly single: string | undefined
  /** Where it is written: `users.roles`, `match[1]`, `resource.verbs`; in a version 2 map `key` or `verbs`. */
  readonly place: string
}

/** One of the names. Without any nothing satisfies it. */
export function among(dimension: Dimension, names: Iterable<string>, place: string): Condition {
  return condition(dimension, 'in', new Set(names), place)
}

/** None of the names. */
export function noneOf(dimension: Dimension, names: Iterable<string>, place: string): Condition {
  return condition(dimension, 'not-in', new Set(names), place)
}

/** One of the names; no condition where `*` is among them. */
export function amongOrAny(dimension: Dimension, names: readonly string[], place: string): readonly Condition[] {
  return names.includes('*') ? [] : [among(dimension, names, place)]
}

function condition(dimension: Dimension, kind: Condition['kind'], names: Set<string>, place: string): Condition {
  const [first] = names
  return { dimension, kind, names, single: names.size === 1 ? first : undefined, place }
}

/**
 * Makes one object of conditions that are equal, over many calls. A large policy says few different things, and what
 * is one object stays in the processor's cache.
 */
export function conditionPool(): (condition: Condition) => Condition {
  const pool = new Map<string, Condition>()
  return (condition) => {
    const { dimension, kind, names, place } = condition
    const text = JSON.stringify([dimension, kind, place, ...names])
    const known = pool.get(text)
    if (known === undefined) pool.set(text, condition)
    return known ?? condition
  }
}

/** Whether a condition holds for a request. */
export function holds(condition: Condition, request: Request): boolean {
  const { dimension, kind, names, single } = condition
  switch (dimension) {
    case 'role':
    case 'project':
    case 'userGroup':
    case 'user':
    case 'target':
      return single === undefined ? hasAny(names, request[dimension]) : request[dimension].includes(single)
    case 'prefix':
      return hasPrefix(names, request.path)
    default: {
      const value = request[dimension]
      return (single === undefined ? names.has(value) : value === single) === (kind === 'in')
    }
  }
}

/** Whether all of them hold. */
export function allHold(conditions: readonly Condition[], request: Request): boolean {
  for (const condition of conditions) if (!holds(condition, request)) return false
  return true
}

/** Whether nothing satisfies it, so that its rule need never be looked at. */
export function isUnsatisfiable({ kind, names }: Condition): boolean {
  return kind === 'in' && names.size === 0
}

/** Whether every request that satisfies `narrow` satisfies `wide`. */
export function implies(narrow: Condition, wide: Condition): boolean {
  if (wide.dimension === 'prefix') {
    const paths = narrow.dimension === 'prefix' || narrow.dimension === 'path' ? [...narrow.names] : undefined
    return paths?.every((path) => hasPrefix(wide.names, path)) ?? false
  }
  if (narrow.dimension !== wide.dimension) return false
  if (narrow.kind === 'in') return [...narrow.names].every((name) => wide.names.has(name) === (wide.kind === 'in'))
  return wide.kind === 'not-in' && [...wide.names].every((name) => narrow.names.has(name))
}

function hasAny(names: ReadonlySet<string>, values: readonly string[]): boolean {
  for (const value of values) if (names.has(value)) return true
  return false
}

function hasPrefix(prefixes: ReadonlySet<string>, path: string): boolean {
  for (const prefix of prefixes) if (path.startsWith(prefix)) return true
  return false
}
