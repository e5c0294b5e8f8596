/**
 * Who a policy is about, as conditions: `users` and `match`.
 *
 * @module
 */
import { type Condition, NOBODY, oneOf } from './condition.ts'
import type { MatchEntry, Policy } from './model.ts'
import type { MultiDimension } from './request.ts'

/** The types of `match`, and what of a request each looks at. */
export const MATCH_DIMENSIONS: ReadonlyMap<string, MultiDimension> = new Map([
  ['user', 'user'],
  ['group', 'userGroup'],
  ['project', 'project'],
  ['role', 'role'],
])

/** All roles and one of the projects of `users`; all entries of `match`. */
export function userConditions({ users, match }: Policy, withMatch: boolean): readonly Condition[] {
  return [
    ...(users?.roles ?? []).map((role) => theOne('role', role)),
    ...(users === undefined ? [] : [projectCondition(users.projects)]),
    ...(withMatch ? match.flatMap(matchCondition) : []),
  ]
}

/** `*` is no wildcard in `users`. */
function theOne(dimension: 'role', name: string): Condition {
  return { dimension, kind: 'in', names: new Set([name]), place: 'users.roles' }
}

/** Without a project it is nobody. */
function projectCondition(projects: readonly string[]): Condition {
  return { dimension: 'project', kind: 'in', names: new Set(projects), place: 'users.projects' }
}

function matchCondition({ type, values }: MatchEntry, index: number): readonly Condition[] {
  const place = `match[${index}]`
  const dimension = MATCH_DIMENSIONS.get(type)
  if (dimension === undefined) return [{ dimension: 'user', kind: 'in', names: NOBODY, place }]
  // An empty name is one that somebody forgot to fill in, and never that of everybody who has none.
  return oneOf(
    dimension,
    values.filter((value) => value !== ''),
    place,
  )
}
