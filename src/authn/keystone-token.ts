/**
 * Keystone tokens: accepts a token by asking Keystone about it, with the token as its own authority, so that no
 * service account is needed. Owns what of Keystone's answer becomes the identity; knows nothing of HTTP, caching or
 * metrics.
 *
 * @module
 */
import type { CallContext } from '../context.ts'
import type { IdentityClient } from '../keystone/identity-client.ts'
import type { KeystoneToken } from '../keystone/token.ts'
import { looksLikeKeystoneToken } from '../keystone/token-shape.ts'
import type { UserInfo } from '../user.ts'
import type { AuthnResult, RejectionCode, TokenAuthenticator } from './authenticator.ts'
import { SKIPPED } from './authenticator.ts'
import type { UsernameFormat } from './username-format.ts'

/** What a token may be scoped to. Everything else is refused. */
export const TOKEN_SCOPES = ['project', 'domain', 'system', 'unscoped'] as const
export type TokenScope = (typeof TOKEN_SCOPES)[number]

/** What {@link keystoneToken} needs; each member is a seam a test can replace. */
export interface KeystoneTokenOptions {
  /** `keystone` when absent; several Keystones need names of their own. */
  readonly name?: string
  readonly identity: Pick<IdentityClient, 'validateToken' | 'listGroups'>
  readonly usernameFormat: UsernameFormat
  /** Scopes that are let in. */
  readonly scopes: readonly TokenScope[]
  /** Ways of logging in (`methods` of the token) that are let in; empty: every way. */
  readonly methods: readonly string[]
  readonly now: () => Date
}

/** Keys of `extra`, as k8s-keystone-auth has them; policies and CEL conditions depend on the exact names. */
const KEY = 'alpha.kubernetes.io/identity'

export function keystoneToken(options: KeystoneTokenOptions): TokenAuthenticator {
  const { name = 'keystone', identity } = options
  return {
    name,
    async authenticate(token, ctx) {
      if (!looksLikeKeystoneToken(token)) return SKIPPED
      const found = await identity.validateToken(token, ctx)
      if (found === undefined) return rejected('token_unknown')
      const unfit = unfitToken(found, options)
      if (unfit !== undefined) return refuse(unfit, found, ctx)
      const username = options.usernameFormat(found.user)
      if (username === undefined) return refuse('identity_invalid', found, ctx)
      const groups = await identity.listGroups(token, found.user.id, ctx)
      if (groups.kind === 'refused') return rejected('token_unknown')
      if (groups.kind === 'forbidden') return refuse('groups_forbidden', found, ctx)
      if (groups.kind === 'limit_exceeded') return refuse('group_limit_exceeded', found, ctx)
      const names = groups.groups.map((group) => group.name)
      return {
        kind: 'authenticated',
        source: name,
        user: toUserInfo(found, username, names),
        expiresAt: found.expiresAt,
      }
    },
  }

  function rejected(code: RejectionCode): AuthnResult {
    return { kind: 'rejected', code, source: name }
  }

  /** A refusal that has to do with how the service is set up: the operator gets to know of it. */
  function refuse(code: RejectionCode, token: KeystoneToken, ctx: CallContext): AuthnResult {
    const { id, domain } = token.user
    ctx.log.info(
      { source: name, code, userId: id, domainId: domain.id, scope: token.scope.kind, methods: token.methods },
      REFUSALS.get(code) ?? 'token refused',
    )
    return rejected(code)
  }
}

const REFUSALS: ReadonlyMap<RejectionCode, string> = new Map([
  ['scope_not_allowed', 'token refused: its scope is not among `scopes`'],
  ['method_not_allowed', 'token refused: the way of logging in is not among `methods`'],
  ['token_expired', 'token refused: Keystone knows it, and it has expired'],
  ['identity_invalid', 'token refused: the user or domain name is empty or holds the separator of `usernameFormat`'],
  ['groups_forbidden', "token refused: Keystone's policy does not let users list their own groups"],
  ['group_limit_exceeded', 'token refused: the user is in more groups than `maxGroups`'],
])

function unfitToken(token: KeystoneToken, options: KeystoneTokenOptions): RejectionCode | undefined {
  if (token.expiresAt <= options.now()) return 'token_expired'
  const { scope } = token
  if (scope.kind === 'unknown' || !options.scopes.includes(scope.kind)) return 'scope_not_allowed'
  if (options.methods.length > 0 && !isAllowed(token.methods, options.methods)) return 'method_not_allowed'
  return undefined
}

/** Every way that was used must be allowed; a token that names none tells nothing. */
function isAllowed(used: readonly string[], allowed: readonly string[]): boolean {
  return used.length > 0 && used.every((method) => allowed.includes(method))
}

/**
 * Group names, then the project id. The five `extra` keys of the contract belong to project scope; roles on a domain
 * or on the system stand under keys of their own, so that no policy takes them for roles on a project.
 */
function toUserInfo(token: KeystoneToken, username: string, groupNames: readonly string[]): UserInfo {
  const { user, scope, roles } = token
  const extra = new Map<string, readonly string[]>()
  const groups = [...groupNames]
  switch (scope.kind) {
    case 'project':
      groups.push(scope.id)
      extra.set(`${KEY}/project/id`, [scope.id])
      extra.set(`${KEY}/project/name`, [scope.name])
      extra.set(`${KEY}/roles`, roles)
      break
    case 'domain':
      extra.set(`${KEY}/domain/id`, [scope.id])
      extra.set(`${KEY}/domain/name`, [scope.name])
      extra.set(`${KEY}/domain/roles`, roles)
      break
    case 'system':
      extra.set(`${KEY}/system/roles`, roles)
      break
  }
  extra.set(`${KEY}/user/domain/id`, [user.domain.id])
  extra.set(`${KEY}/user/domain/name`, [user.domain.name])
  return { username, uid: user.id, groups, extra }
}
