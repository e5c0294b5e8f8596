/**
 * What a request says of a Keystone user: the keys of `extra` that authentication hands out.
 *
 * @module
 */
import type { Attributes } from '../authorizer.ts'

export const PROJECT_ID = 'alpha.kubernetes.io/identity/project/id'
export const PROJECT_NAME = 'alpha.kubernetes.io/identity/project/name'
export const ROLES = 'alpha.kubernetes.io/identity/roles'
export const USER_DOMAIN_ID = 'alpha.kubernetes.io/identity/user/domain/id'
export const USER_DOMAIN_NAME = 'alpha.kubernetes.io/identity/user/domain/name'

const KEYS = [ROLES, PROJECT_ID, PROJECT_NAME, USER_DOMAIN_ID, USER_DOMAIN_NAME]

/**
 * Whether somebody came by way of Keystone. That there is an `extra` at all proves nothing: recent API servers put
 * credential ids and the names of pods and nodes into that of service accounts and client certificates.
 */
export function isKeystoneIdentity({ user: { extra } }: Attributes): boolean {
  for (const key of KEYS) if ((extra.get(key)?.length ?? 0) > 0) return true // an empty list is an absent key
  return false
}

/** Whether a project is named by its id; ids look like nothing that a person would choose. */
export function looksLikeId(project: string): boolean {
  return /^[0-9a-f]{32}$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(project)
}
