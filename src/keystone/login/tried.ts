/**
 * What was tried, for messages: who, on what, and what may be wrong with it. Never a secret.
 *
 * @module
 */
import type { DomainRef, LoginMethod, LoginScope, UserRef } from './login-request.ts'

/** A login in words. */
export interface Tried {
  /** `user "alice" (domain "Default")` */
  readonly who: string
  /** ` on project "demo" (domain "Default")`, with its blank; or nothing. */
  readonly where: string
  /** What Keystone's no can be about; it does not say which. */
  readonly doubts: string
}

/** Says a login with these methods and this scope. */
export function triedLogin(methods: readonly LoginMethod[], scope: LoginScope): Tried {
  const ownScope = methods.some(({ method }) => method === 'application_credential')
  const doubts = methods.flatMap(doubtsOf)
  return {
    who: [...new Set(methods.map(whoIs))].join(' and '),
    where: ownScope ? '' : placeOf(scope),
    doubts: [...new Set(ownScope ? doubts : [...doubts, ...doubtsOfScope(scope)])].join(', or '),
  }
}

/** Says an exchange of an access token. */
export function triedFederation(provider: string, protocol: string): Tried {
  return {
    who: `the access token for identity provider ${quoted(provider)}, protocol ${quoted(protocol)}`,
    where: '',
    doubts:
      'the token may have expired or be meant for others, the provider or the protocol may be unknown or disabled, ' +
      'or its mapping lets nobody like this in',
  }
}

/** A text of somebody's, in quotes, unable to move the cursor or turn the line around. */
function quoted(text: string): string {
  return JSON.stringify(text.replace(/\p{C}/gu, '?'))
}

function whoIs(method: LoginMethod): string {
  switch (method.method) {
    case 'password':
    case 'totp':
      return userIn(method.user)
    case 'token':
      return 'the token'
    case 'application_credential':
      return 'id' in method
        ? `the application credential with id ${quoted(method.id)}`
        : `the application credential ${quoted(method.name)} of ${userIn(method.user)}`
  }
}

function doubtsOf({ method }: LoginMethod): string[] {
  switch (method) {
    case 'password':
      return ['the user or the password may be wrong', 'the user may be disabled or locked, or the password expired']
    case 'totp':
      return ['the user or the passcode may be wrong, or the passcode too old']
    case 'token':
      return ['the token may have expired or been revoked']
    case 'application_credential':
      return ['the application credential or its secret may be wrong', 'it may have expired or been deleted']
  }
}

function placeOf(scope: LoginScope): string {
  switch (scope.scope) {
    case 'default':
    case 'unscoped':
      return ''
    case 'system':
      return ' on the system'
    case 'project': {
      const { project } = scope
      return ` on project ${'id' in project ? `id ${quoted(project.id)}` : `${quoted(project.name)} (${domainIn(project.domain)})`}`
    }
    case 'domain':
      return ` on ${domainIn(scope.domain)}`
    case 'trust':
      return ` with trust ${quoted(scope.id)}`
  }
}

function doubtsOfScope({ scope }: LoginScope): string[] {
  switch (scope) {
    case 'default':
    case 'unscoped':
      return []
    case 'system':
      return ['there is no role on the system']
    case 'project':
      return ['there is no such project, or no role on it']
    case 'domain':
      return ['there is no such domain, or no role on it']
    case 'trust':
      return ['there is no such trust, or it is for somebody else']
  }
}

function userIn(user: UserRef): string {
  return 'id' in user ? `user id ${quoted(user.id)}` : `user ${quoted(user.name)} (${domainIn(user.domain)})`
}

function domainIn(domain: DomainRef): string {
  return 'id' in domain ? `domain id ${quoted(domain.id)}` : `domain ${quoted(domain.name)}`
}
