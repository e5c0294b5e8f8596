/**
 * The identity gate: the one function through which every identity leaves, whatever its source. It adds the
 * configured prefixes, then keeps out names that belong to Kubernetes (`system:…`, also when only folding makes
 * them so) and names with characters no name should have.
 *
 * @module
 */
import type { CallContext } from '../context.ts'
import { hasForbiddenCharacters, isReservedName, type UserInfo } from '../user.ts'
import type { Authenticator, AuthnResult, RejectionCode } from './authenticator.ts'

export interface IdentityRules {
  /** Put before every user name. */
  readonly usernamePrefix: string
  /** Put before every group name. */
  readonly groupPrefix: string
  /** What a reserved group does: it is left out, or the whole identity is refused. */
  readonly reservedGroups: 'drop' | 'refuse'
  /** Reserved names that may pass, exactly as written. */
  readonly allowReserved: readonly string[]
}

export type GateEvent = 'group_reserved' | 'group_invalid' | 'username_reserved' | 'identity_invalid' | 'extra_dropped'

/** Names that may pass when they come from one source, since Kubernetes itself stands behind it. */
export interface SourceTrust {
  /** User and group names, as they are after the prefixes. */
  readonly name?: (name: string) => boolean
  readonly extraKey?: (key: string) => boolean
}

export interface IdentityGateOptions extends IdentityRules {
  /** By name of the source. */
  readonly trusted?: ReadonlyMap<string, SourceTrust>
  /** Called once for each name kept out. A remembered identity is judged once, not at each request. */
  readonly observe?: (event: GateEvent) => void
}

const MAX_NAME = 1024

/** Keys that Kubernetes and its components give a meaning to; only those of the Keystone contract may pass. */
const RESERVED_EXTRA = /(^|\.)(kubernetes|k8s)\.io(\/|$)/
const KEYSTONE_EXTRA = 'alpha.kubernetes.io/identity/'

/** Wraps an authenticator so that nothing leaves it unchecked. */
export function identityGate<Credential>(
  inner: Authenticator<Credential>,
  options: IdentityGateOptions,
): Authenticator<Credential> {
  // Results are shared and never changed, so each is judged once however often a cache hands it out.
  const judged = new WeakMap<AuthnResult, AuthnResult>()
  function check(result: AuthnResult, ctx: CallContext): AuthnResult {
    if (result.kind !== 'authenticated') return result
    let verdict = judged.get(result)
    if (verdict === undefined) {
      verdict = judge(result, options, ctx)
      judged.set(result, verdict)
    }
    return verdict
  }

  return {
    name: inner.name,
    authenticate: async (credential, ctx) => check(await inner.authenticate(credential, ctx), ctx),
    recall(credential, ctx) {
      const known = inner.recall?.(credential, ctx)
      return known === undefined ? undefined : check(known, ctx)
    },
  }
}

type Authenticated = Extract<AuthnResult, { kind: 'authenticated' }>

function judge(result: Authenticated, options: IdentityGateOptions, ctx: CallContext): AuthnResult {
  const { source, user } = result
  const { observe = () => {} } = options
  const trust = options.trusted?.get(source) ?? {}
  const isKept = (name: string): boolean =>
    isReservedName(name) && !options.allowReserved.includes(name) && trust.name?.(name) !== true
  const fields = { source, uid: printable(user.uid) }

  function refuse(code: RejectionCode & GateEvent, message: string, name: string): AuthnResult {
    observe(code)
    ctx.log.warn({ ...fields, name: printable(name) }, message)
    return { kind: 'rejected', code, source }
  }

  const username = options.usernamePrefix + user.username
  if (user.username === '') return refuse('identity_invalid', 'identity refused: the user name is empty', username)
  if (!isSound(username) || !isSound(user.uid)) {
    return refuse('identity_invalid', 'identity refused: forbidden characters in the user name or uid', username)
  }
  if (isKept(username)) {
    return refuse('username_reserved', 'identity refused: the user name is reserved for Kubernetes', username)
  }

  const groups: string[] = []
  for (const group of user.groups) {
    const name = options.groupPrefix + group
    if (group === '' || !isSound(name)) {
      observe('group_invalid')
      ctx.log.warn({ ...fields, name: printable(name) }, 'group left out: empty, too long or forbidden characters')
    } else if (isKept(name)) {
      if (options.reservedGroups === 'refuse') {
        return refuse('group_reserved', 'identity refused: a group name is reserved for Kubernetes', name)
      }
      observe('group_reserved')
      ctx.log.warn({ ...fields, name: printable(name) }, 'group left out: its name is reserved for Kubernetes')
    } else {
      groups.push(name)
    }
  }

  const extra = new Map<string, readonly string[]>()
  for (const [key, values] of user.extra) {
    if (isSafeExtraKey(key, trust)) {
      extra.set(key, values)
    } else {
      observe('extra_dropped')
      ctx.log.warn({ ...fields, name: printable(key) }, 'extra left out: the key is reserved or malformed')
    }
  }

  const gated: UserInfo = { username, uid: user.uid, groups, extra }
  return { ...result, user: gated }
}

function isSound(name: string): boolean {
  return name.length <= MAX_NAME && !hasForbiddenCharacters(name)
}

function isSafeExtraKey(key: string, { extraKey }: SourceTrust): boolean {
  if (key === '' || key.length > MAX_NAME || key !== key.toLowerCase() || hasForbiddenCharacters(key)) return false
  return key.startsWith(KEYSTONE_EXTRA) || !RESERVED_EXTRA.test(key) || extraKey?.(key) === true
}

/** For the log: visible ASCII as it is, the rest as escapes, bounded. */
function printable(name: string): string {
  return name.slice(0, 128).replace(/[^\x20-\x7e]/gu, (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`)
}
