/**
 * Version 1 → version 2: for whom.
 *
 * @module
 */
import { MATCH_DIMENSIONS } from './conditions-of-users.ts'
import type { Meaning } from './grant.ts'
import type { MatchEntry, Policy } from './model.ts'
import { guardOf, type PolicyJson } from './policy-json.ts'

type Guard = Pick<PolicyJson, 'users' | 'match'>

/** More would be a longer list than anybody reads. */
const MOST = 16

/**
 * Guards under which version 2 maps are for the same people, one policy each. `users` where it can say it; else
 * `match` as it was, where that guards version 2; else `undefined`.
 */
export function usersOf(policy: Policy, { matchGuardsVersion2 }: Meaning): readonly Guard[] | undefined {
  const asked = policy.match.filter(({ type, values }) => !(MATCH_DIMENSIONS.has(type) && values.includes('*')))
  if (asked.length === 0) return [policy.users === undefined ? {} : { users: policy.users }]
  return asUsers(policy, asked) ?? (matchGuardsVersion2 ? [guardOf(policy)] : undefined)
}

/** `users` asks for every role and for one project, and cannot do without a project. */
function asUsers({ users }: Policy, match: readonly MatchEntry[]): readonly Guard[] | undefined {
  const roles = match.filter(({ type }) => type === 'role')
  const projects = [
    ...(users === undefined ? [] : [users.projects]),
    ...match.filter(({ type }) => type === 'project').map(({ values }) => named(values)),
  ]
  const [only] = projects
  if (only === undefined || projects.length > 1 || roles.length + match.filter(isProject).length < match.length) {
    return undefined
  }
  // One of these roles and one of those: each pair is a policy of its own.
  const choices = roles.reduce<readonly (readonly string[])[]>(
    (sets, { values }) => sets.flatMap((set) => named(values).map((role) => set.concat(role))),
    [users?.roles ?? []],
  )
  if (choices.length > MOST) return undefined
  return choices.map((set) => ({ users: { projects: only, ...(set.length > 0 && { roles: [...new Set(set)] }) } }))
}

function isProject({ type }: MatchEntry): boolean {
  return type === 'project'
}

function named(values: readonly string[]): readonly string[] {
  return [...new Set(values.filter((value) => value !== ''))]
}
