/**
 * Who a Keystone token makes somebody: what of Keystone's words becomes the identity, and which tokens are not let in.
 * Shared by the proofs that end in such a token; knows nothing of how it was come by.
 *
 * @module
 */
import type { CallContext } from '../context.ts'
import type { IdentityClient } from '../keystone/identity-client.ts'
import type { KeystoneToken } from '../keystone/token.ts'
import type { UserInfo } from '../user.ts'
import type { AuthnResult, RejectionCode } from './authenticator.ts'
import type { UsernameFormat } from './username-format.ts'

/** What a token may be scoped to. Everything else is refused. */
export const TOKEN_SCOPES = ['project', 'domain', 'system', 'unscoped'] as const
export type TokenScope = (typeof TOKEN_SCOPES)[number]

/** Which tokens are let in, and how their users are called. */
export interface KeystoneIdentityOptions {
  /** Name of the source. */
  readonly name: string
  readonly identity: Pick<IdentityClient, 'listGroups'>
  readonly usernameFormat: UsernameFormat
  /** Scopes that are let in. */
  readonly scopes: readonly TokenScope[]
  /** Ways of logging in (`methods` of the token) that are let in; empty: every way. */
  readonly methods: readonly string[]
  readonly now: () => Date
}

/** Keys of `extra`, as k8s-keystone-auth has them; policies and CEL conditions depend on the exact names. */
const KEY = 'alpha.kubernetes.io/identity'

/** What a token that Keystone knows comes to. Asks for the groups with the token itself. */
export function keystoneIdentity(
  options: KeystoneIdentityOptions,
): (token: string, found: KeystoneToken, ctx: CallContext) => Promise<AuthnResult> {
  const { name, identity } = options
  return async (token, found, ctx) => {
    const unfit = unfitToken(found, options)
    if (unfit !== undefined) return refuse(unfit, found, ctx)
    const username = options.usernameFormat(found.user)
    if (username === undefined) return refuse('identity_invalid', found, ctx)
    const groups = await identity.listGroups(token, found.user.id, ctx)
    if (groups.kind === 'refused') return { kind: 'rejected', code: 'token_unknown', source: name }
    if (groups.kind === 'forbidden') return refuse('groups_forbidden', found, ctx)
    if (groups.kind === 'limit_exceeded') return refuse('group_limit_exceeded', found, ctx)
    const names = groups.groups.map((group) => group.name)
    return {
      kind: 'authenticated',
      source: name,
      user: toUserInfo(found, username, names),
      expiresAt: found.expiresAt,
    }
  }

  /** A refusal that has to do with how the service is set up: the operator gets to know of it. */
  function refuse(code: RejectionCode, token: KeystoneToken, ctx: CallContext): AuthnResult {
    const { id, domain } = token.user
    ctx.log.info(
      { source: name, code, userId: id, domainId: domain.id, scope: token.scope.kind, methods: token.methods },
      REFUSALS.get(code) ?? 'token refused',
    )
    return { kind: 'rejected', code, source: name }
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

function unfitToken(token: KeystoneToken, options: KeystoneIdentityOptions): RejectionCode | undefined {
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
