/**
 * The body of a login: methods and scope as Keystone wants them. Identity API v3, "Password authentication with scoped
 * authorization" and its neighbours.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import type { DomainRef, LoginMethod, LoginScope, ProjectRef, UserRef } from './login-request.ts'

/**
 * The JSON of `POST /v3/auth/tokens`, with the secrets in it: it goes to Keystone and nowhere else.
 *
 * @throws ArchwayError `credential_settings_invalid` for no method, or one method twice.
 */
export function authRequest(methods: readonly LoginMethod[], scope: LoginScope): string {
  const names = methods.map(({ method }) => method)
  if (names.length === 0) throw invalid('there is no method to log in with')
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw invalid(`the method ${twice} is given twice; Keystone takes each once`)
  const proofs = Object.fromEntries(methods.map((method) => [method.method, proofOf(method)]))
  // Keystone refuses an application credential that comes with a scope, even with its own.
  const scoped = names.includes('application_credential') ? {} : scopeOf(scope)
  return JSON.stringify({ auth: { identity: { methods: names, ...proofs }, ...scoped } })
}

function proofOf(method: LoginMethod): object {
  switch (method.method) {
    case 'password':
      return { user: { ...userOf(method.user), password: method.password.reveal() } }
    case 'totp':
      return { user: { ...userOf(method.user), passcode: method.passcode.reveal() } }
    case 'token':
      return { id: method.token.reveal() }
    case 'application_credential': {
      const secret = method.secret.reveal()
      return 'id' in method ? { id: method.id, secret } : { name: method.name, user: userOf(method.user), secret }
    }
  }
}

function scopeOf(scope: LoginScope): object {
  switch (scope.scope) {
    case 'default':
      return {}
    case 'unscoped':
      return { scope: 'unscoped' }
    case 'system':
      return { scope: { system: { all: true } } }
    case 'project':
      return { scope: { project: projectOf(scope.project) } }
    case 'domain':
      return { scope: { domain: domainOf(scope.domain) } }
    case 'trust':
      return { scope: { 'OS-TRUST:trust': { id: scope.id } } }
  }
}

// Built anew: what else an object brings along does not reach Keystone.

function userOf(user: UserRef): object {
  return 'id' in user ? { id: user.id } : { name: user.name, domain: domainOf(user.domain) }
}

function projectOf(project: ProjectRef): object {
  return 'id' in project ? { id: project.id } : { name: project.name, domain: domainOf(project.domain) }
}

function domainOf(domain: DomainRef): object {
  return 'id' in domain ? { id: domain.id } : { name: domain.name }
}

function invalid(message: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', message)
}
