/**
 * Somebody, in words: what diff and matrix call the user of a made-up request.
 *
 * @module
 */
import type { Attributes } from '../authorizer.ts'
import { PROJECT_ID, PROJECT_NAME, ROLES } from './identity.ts'
import { OUTSIDER } from './probe.ts'

/** `project demo, roles member and ops`; `anybody` for whom nothing is known. */
export function userInWords({ user }: Pick<Attributes, 'user'>): string {
  const some = (names: readonly string[] = []): readonly string[] => names.filter((name) => name !== OUTSIDER)
  const ids = user.extra.get(PROJECT_ID) ?? []
  const parts = [
    named('user', some([user.username])),
    named('id', some(user.uid === '' ? [] : [user.uid])),
    named(
      'group',
      some(user.groups).filter((group) => !ids.includes(group)),
    ),
    named('project', some([...(user.extra.get(PROJECT_NAME) ?? []), ...ids])),
    named('role', some(user.extra.get(ROLES))),
  ]
  return parts.filter((part) => part !== '').join(', ') || 'anybody'
}

function named(what: string, names: readonly string[]): string {
  if (names.length === 0) return ''
  return `${what}${names.length > 1 ? 's' : ''} ${names.join(' and ')}`
}
