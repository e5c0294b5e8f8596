/**
 * How a login is filed: parts of a {@link LoginSubject}. Every part has keys of its own, so that no name can be taken
 * for an id, or for the `?` of what will be asked.
 *
 * @module
 */
import type { DomainRef, LoginScope } from '../../keystone/login/login-request.ts'
import type { LoginSubject } from '../plan.ts'
import type { FoundUser } from './scope.ts'

/** For what is not known before somebody is asked. */
export const ASKED = '?'

/**
 * Whether a token may be kept under a subject. One whose address will be typed could lead anywhere, and the token of
 * one Keystone would be given out for another.
 */
export function canBeKept(subject: LoginSubject): boolean {
  return subject['url'] !== ASKED
}

export function describeUser(user: FoundUser, domainAsked: boolean): LoginSubject {
  if ('id' in user) return { user_id: user.id }
  return {
    ...(user.name === undefined ? { user: ASKED } : { user_name: user.name }),
    ...(domainAsked && !user.domain.named ? { user_domain: ASKED } : describeDomain('user_domain', user.domain.domain)),
  }
}

export function describeScope(
  scope: LoginScope,
  asked: { readonly project: boolean; readonly domain: boolean },
): LoginSubject {
  if (asked.project) return { ...describeScope(scope, { ...asked, project: false }), project: ASKED }
  switch (scope.scope) {
    case 'trust':
      return { scope: 'trust', trust_id: scope.id }
    case 'domain':
      return { scope: 'domain', ...describeDomain('domain', scope.domain) }
    case 'project': {
      const { project } = scope
      if ('id' in project) return { scope: 'project', project_id: project.id }
      return {
        scope: 'project',
        project_name: project.name,
        ...(asked.domain ? { project_domain: ASKED } : describeDomain('project_domain', project.domain)),
      }
    }
    default:
      return { scope: scope.scope }
  }
}

function describeDomain(prefix: string, domain: DomainRef): LoginSubject {
  return 'id' in domain ? { [`${prefix}_id`]: domain.id } : { [`${prefix}_name`]: domain.name }
}
