/**
 * A login to Keystone itself: password, passcode, token, application credential.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import type { DomainRef, LoginMethod, LoginScope, UserRef } from '../../keystone/login/login-request.ts'
import type { Secret } from '../../secret.ts'
import type { LoginPlan, LoginSubject } from '../plan.ts'
import type { Answers, Askable, Lacking } from './asking.ts'
import type { Connection } from './connection.ts'
import type { Values } from './layers.ts'
import { domainOf, type FoundUser, scopeOf, userOf } from './scope.ts'
import { ASKED, describeScope, describeUser } from './subject.ts'
import type { KeystoneMethod } from './way.ts'

/** A login as far as the settings make it. */
export interface Draft {
  readonly subject: LoginSubject
  readonly lacking: Lacking
  /** The whole of it, once all that is lacking was answered. */
  complete(answers: Answers): LoginPlan
}

export interface DraftOptions {
  readonly values: Values
  readonly connection: Connection
  /** Names a secret that is itself who somebody is. */
  readonly digest: (secret: Secret) => string
}

export function keystoneDraft({ values, connection, digest }: DraftOptions, methods: readonly KeystoneMethod[]): Draft {
  const found = findProofs(values, methods)
  const { credential, user, scope, token } = found
  const required = requiredFor(found, methods, connection)
  const optional = required.size === 0 || values.has('cloud') ? new Set<Askable>() : worthAsking(found, methods, values)
  const asked = { domain: optional.has('domain'), project: optional.has('project') }
  return {
    lacking: { required, optional },
    subject: {
      provider: 'keystone',
      url: connection.address?.canonical ?? ASKED,
      methods: [...methods].sort().join(','),
      ...(credential === undefined ? {} : { [CREDENTIAL_KEYS[credential.name]]: credential.text }),
      ...(user === undefined ? {} : describeUser(user, asked.domain)),
      ...(methods.includes('token') ? { token: token === undefined ? ASKED : digest(token) } : {}),
      ...describeScope(scope, { project: asked.project, domain: asked.domain && !domainOf('project', values).named }),
      ...(connection.certFile === undefined ? {} : { cert: connection.certFile }),
    },
    complete(answers) {
      const entered = answers.text('domain')
      const domain = (kind: 'user' | 'project'): DomainRef => {
        const { domain, named } = domainOf(kind, values)
        return named || entered === undefined ? domain : { name: entered }
      }
      return {
        provider: 'keystone',
        endpoint: connection.endpoint(answers.text('url')),
        methods: methods.map((method) => toMethod(method, found, answers, domain('user'))),
        scope: scopeAnswered(scope, answers.text('project'), domain('project')),
      }
    },
  }
}

const CREDENTIAL_KEYS = {
  applicationCredentialId: 'application_credential_id',
  applicationCredentialName: 'application_credential_name',
} as const

/** What the settings have of the proofs, and of who gives them. */
interface FoundProofs {
  readonly credential: Credential | undefined
  /** `undefined`: the proofs say who it is. */
  readonly user: FoundUser | undefined
  readonly scope: LoginScope
  readonly password: Secret | undefined
  readonly passcode: Secret | undefined
  readonly token: Secret | undefined
  readonly secret: Secret | undefined
}

/** An application credential has its own project: Keystone refuses one that is asked for besides (C-04). */
function findProofs(values: Values, methods: readonly KeystoneMethod[]): FoundProofs {
  const credential = methods.includes('application_credential') ? credentialOf(values) : undefined
  const byUser =
    credential === undefined
      ? methods.some((method) => method !== 'token')
      : credential.name === 'applicationCredentialName'
  const user = byUser ? userOf(values) : undefined
  return {
    credential,
    user,
    scope: credential === undefined ? scopeOf(values, user) : { scope: 'default' },
    password: methods.includes('password') ? values.secret('password') : undefined,
    passcode: methods.includes('totp') ? values.secret('passcode') : undefined,
    token: methods.includes('token') ? values.secret('token') : undefined,
    secret: credential === undefined ? undefined : values.secret('applicationCredentialSecret'),
  }
}

type Credential = { readonly name: 'applicationCredentialId' | 'applicationCredentialName'; readonly text: string }

function credentialOf(values: Values): Credential {
  const chosen = values.choose(['applicationCredentialId', 'applicationCredentialName'])
  if (chosen === undefined) {
    throw new ArchwayError(
      'credential_settings_invalid',
      'the application credential is not named: give --application-credential-id or OS_APPLICATION_CREDENTIAL_ID',
    )
  }
  return chosen
}

function requiredFor(found: FoundProofs, methods: readonly KeystoneMethod[], { address }: Connection): Set<Askable> {
  const { credential, user, password, passcode, token, secret } = found
  const required = new Set<Askable>()
  if (address === undefined) required.add('url')
  if (user !== undefined && !('id' in user) && user.name === undefined) required.add('user')
  if (methods.includes('password') && password === undefined) required.add('password')
  if (methods.includes('totp') && passcode === undefined) required.add('passcode')
  if (methods.includes('token') && token === undefined) required.add('token')
  if (credential !== undefined && secret === undefined) required.add('applicationCredentialSecret')
  return required
}

/** What a person is asked along with what is required, as the predecessor does; there are defaults for it. */
function worthAsking({ user, scope }: FoundProofs, methods: readonly KeystoneMethod[], values: Values): Set<Askable> {
  const worth = new Set<Askable>()
  if (user === undefined) return worth
  const nothingSaid = scope.scope === 'default' || (scope.scope === 'domain' && !('id' in user) && user.domain.shared)
  if (nothingSaid && methods.includes('password')) worth.add('project')
  const ofUser = !('id' in user) && !user.domain.named
  const byName = worth.has('project') || (scope.scope === 'project' && !('id' in scope.project))
  if (ofUser || (byName && !domainOf('project', values).named)) worth.add('domain')
  return worth
}

function userRef(user: FoundUser, answers: Answers, domain: DomainRef): UserRef {
  return 'id' in user ? user : { name: user.name ?? answers.text('user') ?? '', domain }
}

function scopeAnswered(scope: LoginScope, name: string | undefined, domain: DomainRef): LoginScope {
  if (name !== undefined) return { scope: 'project', project: { name, domain } }
  if (scope.scope === 'project' && !('id' in scope.project))
    return { scope: 'project', project: { ...scope.project, domain } }
  return scope
}

function toMethod(method: KeystoneMethod, found: FoundProofs, answers: Answers, domain: DomainRef): LoginMethod {
  const { credential } = found
  const user = found.user === undefined ? undefined : userRef(found.user, answers, domain)
  const password = found.password ?? answers.secret('password')
  const passcode = found.passcode ?? answers.secret('passcode')
  const token = found.token ?? answers.secret('token')
  const secret = found.secret ?? answers.secret('applicationCredentialSecret')
  if (method === 'password' && user !== undefined && password !== undefined) return { method, user, password }
  if (method === 'totp' && user !== undefined && passcode !== undefined) return { method, user, passcode }
  if (method === 'token' && token !== undefined) return { method, token }
  if (method === 'application_credential' && credential !== undefined && secret !== undefined) {
    if (credential.name === 'applicationCredentialId') return { method, id: credential.text, secret }
    if (user !== undefined) return { method, name: credential.text, user, secret }
  }
  throw new ArchwayError('internal', `a login by ${method} was completed without its proof`)
}
