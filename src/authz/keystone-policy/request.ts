/**
 * A request as conditions look at it: each thing a rule can ask about, by name.
 *
 * @module
 */
import type { Attributes } from '../authorizer.ts'
import { PROJECT_ID, PROJECT_NAME, ROLES } from './identity.ts'

/** Of which a request has one. */
export type SingleDimension = 'namespace' | 'resource' | 'subresource' | 'group' | 'verb' | 'path'

/** Of which a request has any number. */
export type MultiDimension =
  | 'role'
  /** Names and ids are one pool. */
  | 'project'
  | 'userGroup'
  /** Name, and id where there is one. */
  | 'user'
  /** The spellings under which version 1 lists a resource: `pods`; or `pods/*` and `pods/log`. */
  | 'target'

/** What a rule can ask about. `prefix` is that of a path. */
export type Dimension = SingleDimension | MultiDimension | 'prefix'

export type Request = Readonly<Record<SingleDimension, string> & Record<MultiDimension, readonly string[]>>

const NONE: readonly string[] = []

/** Lays a request out. What it has not is the empty string, or nothing. */
export function toRequest(attributes: Attributes): Request {
  const { user, verb } = attributes
  const isResource = attributes.kind === 'resource'
  return {
    role: user.extra.get(ROLES) ?? NONE,
    project: pool(user.extra.get(PROJECT_ID), user.extra.get(PROJECT_NAME)),
    userGroup: user.groups,
    user: user.uid === '' ? [user.username] : [user.username, user.uid],
    verb,
    namespace: isResource ? attributes.namespace : '',
    resource: isResource ? attributes.resource : '',
    subresource: isResource ? attributes.subresource : '',
    group: isResource ? attributes.group : '',
    target: isResource ? targets(attributes.resource, attributes.subresource) : NONE,
    path: isResource ? '' : attributes.path,
  }
}

function pool(ids: readonly string[] = NONE, names: readonly string[] = NONE): readonly string[] {
  if (ids.length === 0) return names
  return names.length === 0 ? ids : [...ids, ...names]
}

function targets(resource: string, subresource: string): readonly string[] {
  return subresource === '' ? [resource] : [`${resource}/*`, `${resource}/${subresource}`]
}
