/**
 * Who a policy is about, as conditions: `users` and `match`.
 *
 * @module
 */
import { among, amongOrAny, type Condition } from './condition.ts'
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
    // `*` is no wildcard in `users`, and without a project it is nobody.
    ...(users?.roles ?? []).map((role) => among('role', [role], 'users.roles')),
    ...(users === undefined ? [] : [among('project', users.projects, 'users.projects')]),
    ...(withMatch ? match.flatMap(matchCondition) : []),
  ]
}

function matchCondition({ type, values }: MatchEntry, index: number): readonly Condition[] {
  const place = `match[${index}]`
  const dimension = MATCH_DIMENSIONS.get(type)
  if (dimension === undefined) return [among('user', [], place)]
  // An empty name is one that somebody forgot to fill in, and never that of everybody who has none.
  return amongOrAny(
    dimension,
    values.filter((value) => value !== ''),
    place,
  )
}
