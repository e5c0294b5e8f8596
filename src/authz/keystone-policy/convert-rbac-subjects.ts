/**
 * Keystone policy → RBAC: for whom.
 *
 * @module
 */
import type { Condition } from './condition.ts'
import type { Lose } from './convert.ts'
import type { Grant } from './grant.ts'
import { looksLikeId } from './identity.ts'
import { asksWho } from './probe.ts'

export interface SubjectOptions {
  /**
   * The group that everybody has who has this, and nobody else; `undefined` where there is none. By default the id of
   * a project is one, as authentication hands it out, and a role is none.
   */
  readonly groupFor?: (who: KeystoneGroup) => string | undefined
}

/** A project, a role, or a role on a project. */
export interface KeystoneGroup {
  /** Name or id. */
  readonly project?: string
  readonly role?: string
}

export interface RbacSubject {
  readonly kind: 'Group' | 'User'
  readonly apiGroup: 'rbac.authorization.k8s.io'
  readonly name: string
}

/** Subjects that are the people of the grant, as far as there are such; none where RBAC cannot say. */
export function subjectsOf(
  grant: Grant,
  { groupFor = defaultGroup }: SubjectOptions,
  lose: Lose,
): readonly RbacSubject[] {
  const conditions = grant.conditions.filter(asksWho)
  const [first, second] = conditions
  if (first === undefined) return none(lose, 'it is for everybody; RBAC knows no Keystone users, but by their groups')
  if (second !== undefined && !isProjectAndRole(conditions)) {
    return none(lose, 'it asks for several things at once, and a binding asks for one')
  }
  if (first.dimension === 'user') {
    lose('narrower', 'users are bound by name; an id among them matches nobody')
    return [...first.names].map((name) => subject('User', name))
  }
  if (first.dimension === 'userGroup') return [...first.names].map((name) => subject('Group', name))
  const wanted = combinations(conditions)
  const groups = wanted.flatMap((who) => groupFor(who) ?? [])
  if (groups.length === 0) return none(lose, `no group stands for ${inWords(wanted[0])}`)
  const without = wanted.filter((who) => groupFor(who) === undefined)
  if (without.length > 0) lose('narrower', `no group stands for ${without.map(inWords).join(', ')}`)
  return groups.map((name) => subject('Group', name))
}

function none(lose: Lose, why: string): readonly RbacSubject[] {
  lose('skipped', why)
  return []
}

function defaultGroup({ project, role }: KeystoneGroup): string | undefined {
  return project !== undefined && role === undefined && looksLikeId(project) ? project : undefined
}

function isProjectAndRole(conditions: readonly Condition[]): boolean {
  const of = (dimension: Condition['dimension']): number =>
    conditions.filter((condition) => condition.dimension === dimension).length
  return conditions.length === 2 && of('project') === 1 && of('role') === 1
}

function combinations(conditions: readonly Condition[]): readonly KeystoneGroup[] {
  const names = (dimension: Condition['dimension']): readonly (string | undefined)[] => {
    const found = conditions.find((condition) => condition.dimension === dimension)
    return found === undefined ? [undefined] : [...found.names]
  }
  return names('project').flatMap((project) =>
    names('role').map((role) => ({ ...(project !== undefined && { project }), ...(role !== undefined && { role }) })),
  )
}

function inWords({ project, role }: KeystoneGroup = {}): string {
  const parts = [role === undefined ? '' : `role ${role}`, project === undefined ? '' : `project ${project}`]
  return parts.filter((part) => part !== '').join(' on ')
}

function subject(kind: RbacSubject['kind'], name: string): RbacSubject {
  return { kind, apiGroup: 'rbac.authorization.k8s.io', name }
}
