/**
 * Requests made up from a grant: somebody who satisfies it, asking for something it covers. Linter, generator and
 * matrix start from these.
 *
 * @module
 */
import type { Attributes } from '../authorizer.ts'
import { allHold, type Condition, isUnsatisfiable } from './condition.ts'
import type { Grant } from './grant.ts'
import { looksLikeId, PROJECT_ID, PROJECT_NAME, ROLES, USER_DOMAIN_ID } from './identity.ts'
import { type Dimension, type Request, toRequest } from './request.ts'

/** A name that no policy uses. */
export const OUTSIDER = 'archway-outsider'

const CREDENTIAL_ID = 'authentication.kubernetes.io/credential-id'

/** Somebody, as a request has them. */
export type Identity = Pick<Attributes, 'user' | 'extraPresent'>

/** What there is to say about somebody here. */
export interface Facts {
  /** Not by way of Keystone: a service account, or a client certificate. */
  readonly elsewhere?: boolean
  readonly username?: string
  readonly uid?: string
  readonly groups?: readonly string[]
  readonly projects?: readonly string[]
  readonly roles?: readonly string[]
}

/**
 * Somebody with these facts and no other; a Keystone user, unless it is said that they are not. The id of a project is
 * one of the groups as well, as authentication has it.
 */
export function somebody(facts: Facts): Identity {
  const { elsewhere = false, username = OUTSIDER, uid = '', groups = [], projects = [], roles = [] } = facts
  const extra = new Map<string, readonly string[]>([[elsewhere ? CREDENTIAL_ID : USER_DOMAIN_ID, ['default']]])
  const ids = projects.filter(looksLikeId)
  const names = projects.filter((project) => !looksLikeId(project))
  if (ids.length > 0) extra.set(PROJECT_ID, ids)
  if (names.length > 0) extra.set(PROJECT_NAME, names)
  if (roles.length > 0) extra.set(ROLES, roles)
  return { extraPresent: true, user: { username, uid, groups: [...new Set([...groups, ...ids])], extra } }
}

/** The part of a grant that asks who, rather than what. */
export function asksWho({ dimension }: Condition): boolean {
  return dimension === 'role' || dimension === 'project' || dimension === 'userGroup' || dimension === 'user'
}

/** The least that satisfies all conditions on users; `undefined` where nobody can. */
export function leastFacts(conditions: readonly Condition[]): Facts | undefined {
  if (conditions.some(isUnsatisfiable)) return undefined
  const [username, uid] = firstNames(conditions, 'user')
  const facts: Facts = {
    ...(username !== undefined && { username }),
    ...(uid !== undefined && { uid }),
    groups: firstNames(conditions, 'userGroup'),
    projects: firstNames(conditions, 'project'),
    roles: firstNames(conditions, 'role'),
  }
  return allHold(conditions.filter(asksWho), toRequest(probe(facts, {}))) ? facts : undefined
}

/** Names that satisfy every condition of a dimension, one for each but where one serves for several. */
function firstNames(conditions: readonly Condition[], dimension: Dimension): readonly string[] {
  const found: string[] = []
  for (const condition of conditions) {
    if (condition.dimension !== dimension) continue
    const [first] = condition.names
    if (first !== undefined && !found.some((name) => condition.names.has(name))) found.push(first)
  }
  return found
}

/** What is asked for; what is left out is the outsider, or nothing. */
export interface Asked {
  readonly verb?: string
  readonly group?: string
  readonly resource?: string
  readonly subresource?: string
  readonly namespace?: string
  readonly path?: string
}

/** A request. With a path it is one for that path. */
export function probe(facts: Facts, asked: Asked): Attributes {
  const { verb = OUTSIDER, path, group = '', resource = OUTSIDER, subresource = '', namespace = OUTSIDER } = asked
  const who = somebody(facts)
  return path === undefined
    ? { ...who, kind: 'resource', verb, group, version: '', resource, subresource, namespace, name: '' }
    : { ...who, kind: 'non-resource', verb, path }
}

/** Something the grant covers, whoever asks. */
export function covered({ half, conditions }: Grant): Asked {
  const inside = (dimension: Dimension, otherwise: string): string => {
    const condition = conditions.find((candidate) => candidate.dimension === dimension)
    const [first = otherwise] = condition?.kind === 'in' ? condition.names : []
    return first
  }
  const verb = inside('verb', OUTSIDER)
  if (half === 'path') return { verb, path: inside('path', inside('prefix', `/${OUTSIDER}`)) }
  const [resource = '', subresource = ''] = inside('target', inside('resource', OUTSIDER)).split('/')
  const needed = conditions.some(
    ({ dimension, kind, names }) => dimension === 'subresource' && kind === 'not-in' && names.has(''),
  )
  return {
    verb,
    resource,
    group: inside('group', ''),
    subresource: inside('subresource', subresource === '*' || needed ? OUTSIDER : subresource),
    namespace: inside('namespace', OUTSIDER),
  }
}

/** Whether a grant covers what is asked, whoever asks. */
export function covers({ conditions }: Grant, request: Request): boolean {
  return conditions.every((condition) => asksWho(condition) || allHold([condition], request))
}
