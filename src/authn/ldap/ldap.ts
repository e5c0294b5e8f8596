/**
 * LDAP and Active Directory: accepts a user name with a password by binding as the entry they belong to. Owns what of
 * the directory becomes the identity; leaves the wire to `ldap/`, and whether a name may leave Archway to the gate.
 *
 * The user name of the identity is the one in the directory, never the one that was typed: a directory takes `ALICE` and
 * `alice` for one person, and so there is one identity.
 *
 * @module
 */
import type { CallContext } from '../../context.ts'
import { ArchwayError, messageOf } from '../../errors.ts'
import { decodeText } from '../../ldap/ber.ts'
import type { Scope } from '../../ldap/connection.ts'
import {
  type Directory,
  type DirectoryCall,
  type DirectoryOptions,
  directory,
  type Searcher,
} from '../../ldap/directory.ts'
import { dnTemplate, parseDn } from '../../ldap/dn.ts'
import { type Entry, identifierText } from '../../ldap/entry.ts'
import { anything, filterTemplate } from '../../ldap/filter.ts'
import { Secret } from '../../secret.ts'
import { hasForbiddenCharacters, type UserInfo } from '../../user.ts'
import type { AuthnResult, PasswordAuthenticator, RejectionCode } from '../authenticator.ts'
import { type GroupFinder, type GroupLookup, groupFinder } from './groups.ts'

/** How a user name leads to an entry: by a search, or straight to a DN. */
export type UserLookup =
  | {
      /** People are looked for here and below. */
      readonly base: string
      readonly scope?: Exclude<Scope, 'base'>
      /** `(&(objectClass=person)(uid={username}))`. Exactly one entry must match. */
      readonly filter: string
    }
  | {
      /** `uid={username},ou=people,dc=example,dc=org` */
      readonly dnTemplate: string
    }

/** What of an entry becomes the identity. */
export interface UserAttributes {
  /** The user name; one value, text. */
  readonly username: string
  /** The uid; one value. `objectGUID` and `objectSid` become text. Absent: no uid. */
  readonly uid?: string
  /** Keys of `extra`, and the attributes whose values they get. */
  readonly extra?: readonly { readonly key: string; readonly attribute: string }[]
}

export interface LdapAuthenticatorOptions {
  /** `ldap` when absent; several directories need names of their own. */
  readonly name?: string
  /** The servers, and as whom they are searched. */
  readonly directory: DirectoryOptions
  readonly user: UserLookup
  readonly attributes: UserAttributes
  /** Absent: no groups. */
  readonly groups?: GroupLookup
  /** With more groups the login is refused; 1000 when absent. */
  readonly maxGroups?: number
}

export interface LdapAuthenticator extends PasswordAuthenticator, Pick<Directory, 'insecure' | 'reload' | 'close'> {
  /** Throws an ArchwayError where no server answers. */
  ping(ctx: Pick<CallContext, 'signal'>): Promise<void>
}

/** Longest user name and password that are looked at, in UTF-16 units. */
const MAX_USERNAME = 256
const MAX_PASSWORD = 1024

/**
 * Checks passwords against a directory. What can be wrong with a login before it is proven, an unknown name, a wrong
 * password, a locked account, comes to one code (`login_failed`) and the same requests; the log has the cause.
 *
 * @throws ArchwayError `config_invalid`, `file_invalid`
 *
 * @example
 * const ldap = ldapAuthenticator({
 *   directory: { urls: ['ldaps://ldap.example'], searchAs: { kind: 'account', dn, password } },
 *   user: { base: 'ou=people,dc=example', filter: '(uid={username})' },
 *   attributes: { username: 'uid', uid: 'entryUUID' },
 * })
 */
export function ldapAuthenticator(options: LdapAuthenticatorOptions): LdapAuthenticator {
  const { name = 'ldap', attributes, maxGroups = 1000 } = options
  checkAttributes(attributes)
  const groups = options.groups === undefined ? undefined : groupFinder(options.groups, maxGroups)
  const find = userFinder(options, wantedAttributes(attributes, groups))
  const servers = directory(options.directory)

  async function login(
    call: DirectoryCall,
    username: string,
    password: Secret,
    ctx: CallContext,
  ): Promise<AuthnResult> {
    const proof = await find(call, username, password, (searcher, entry) => identify(searcher, entry, ctx))
    if (proof.kind === 'refused') return refuse('login_failed', proof.cause, proof.dn, ctx, proof.fault)
    const identity = proof.value
    if (identity.kind === 'refused') return refuse(identity.code, identity.cause, proof.dn, ctx)
    return { kind: 'authenticated', source: name, user: identity.user }
  }

  /** What an entry whose password was right is to Kubernetes. */
  async function identify(searcher: Searcher, entry: Entry, ctx: CallContext): Promise<Identity> {
    const username = singleText(entry, attributes.username)
    if (username === undefined || username === '') return unfit(attributes.username)
    const uid = attributes.uid === undefined ? '' : singleIdentifier(entry, attributes.uid)
    if (uid === undefined) return unfit(attributes.uid ?? '')
    const names = groups === undefined ? [] : await groups.find(searcher, { entry, username }, ctx.log)
    if (names === undefined) {
      return { kind: 'refused', code: 'group_limit_exceeded', cause: 'more groups than `maxGroups`' }
    }
    const extra = new Map<string, readonly string[]>()
    for (const { key, attribute } of attributes.extra ?? []) {
      const values = entry.values(attribute).map((value) => identifierText(attribute, value))
      if (values.length > 0) extra.set(key, values.sort())
    }
    return { kind: 'known', user: { username, uid, groups: names, extra } }
  }

  function refuse(
    code: RejectionCode,
    cause: string,
    dn: string | undefined,
    ctx: CallContext,
    fault = false,
  ): AuthnResult {
    ctx.log[fault ? 'error' : 'info'](
      { source: name, code, cause, ...(dn === undefined ? {} : { dn }) },
      'login refused',
    )
    return { kind: 'rejected', code, source: name }
  }

  return {
    name,
    insecure: servers.insecure,
    async authenticate({ username, password }, ctx) {
      const unfitCode = unfitInput(username, password)
      if (unfitCode !== undefined) return { kind: 'rejected', code: unfitCode, source: name }
      return servers.call(ctx.signal, (call) => login(call, username, new Secret(password), ctx))
    },
    ping: (ctx) => servers.ping(ctx.signal),
    reload: servers.reload,
    close: servers.close,
  }
}

/** What is refused by its looks; nothing is sent. */
function unfitInput(username: string, password: string): RejectionCode | undefined {
  // An empty password would make the bind an anonymous one, which succeeds (RFC 4513 section 5.1.2).
  if (username === '' || password === '') return 'credential_empty'
  if (username.length > MAX_USERNAME || password.length > MAX_PASSWORD) return 'credential_too_large'
  // A server in C may read no further than NUL, and all of it where it looks for the name.
  if (!password.isWellFormed() || password.includes('\0')) return 'login_failed'
  return hasForbiddenCharacters(username) || username.trim() !== username ? 'login_failed' : undefined
}

type Identity =
  | { readonly kind: 'known'; readonly user: UserInfo }
  | { readonly kind: 'refused'; readonly code: RejectionCode; readonly cause: string }

function unfit(attribute: string): Identity {
  return { kind: 'refused', code: 'identity_invalid', cause: `the entry has not exactly one fit value of ${attribute}` }
}

/** What finding an entry and checking its password came to. */
type Proof<T> =
  | { readonly kind: 'proven'; readonly dn: string; readonly value: T }
  /** `fault`: it is the configuration or the directory that has to be put right. */
  | { readonly kind: 'refused'; readonly cause: string; readonly dn?: string; readonly fault?: boolean }

type UserFinder = <T>(
  call: DirectoryCall,
  username: string,
  password: Secret,
  use: (searcher: Searcher, entry: Entry) => Promise<T>,
) => Promise<Proof<T>>

function userFinder({ user, directory }: LdapAuthenticatorOptions, attributes: readonly string[]): UserFinder {
  if ('dnTemplate' in user) {
    return byTemplate(
      compiled('user.dnTemplate', () => dnTemplate(user.dnTemplate)),
      attributes,
      directory.searchAs.kind,
    )
  }
  if (directory.searchAs.kind === 'person') {
    throw invalid('user', 'to search as the person `dnTemplate` is needed: before the bind nobody can search')
  }
  return bySearch(user, attributes)
}

function byTemplate(
  template: (username: string) => string,
  attributes: readonly string[],
  searchAs: DirectoryOptions['searchAs']['kind'],
): UserFinder {
  async function read(searcher: Searcher, dn: string): Promise<Entry> {
    const { entries } = await searcher.find({ base: dn, scope: 'base', filter: anything(), attributes, limit: 1 })
    const [entry] = entries
    if (entry !== undefined) return entry
    const message = 'the entry of somebody who has just bound cannot be read; may the account for searches see it?'
    throw new ArchwayError('ldap_answer_invalid', message, { retryAfter: 1 })
  }

  return async (call, username, password, use) => {
    const dn = template(username)
    const readAndUse = async (searcher: Searcher) => use(searcher, await read(searcher, dn))
    if (searchAs === 'person') {
      const proof = await call.verifyAndSearch(dn, password, readAndUse)
      return proof.kind === 'wrong'
        ? { kind: 'refused', cause: proof.cause }
        : { kind: 'proven', dn, value: proof.value }
    }
    const verdict = await call.verify(dn, password)
    if (verdict.kind === 'wrong') return { kind: 'refused', cause: verdict.cause }
    return { kind: 'proven', dn, value: await call.search(readAndUse) }
  }
}

function bySearch(user: Extract<UserLookup, { base: string }>, attributes: readonly string[]): UserFinder {
  const { base, scope = 'sub' } = user
  if (parseDn(base) === undefined) throw invalid('user.base', 'expected a DN, such as ou=people,dc=example,dc=org')
  const filter = compiled('user.filter', () =>
    filterTemplate(user.filter, { allowed: ['username'], required: 'username' }),
  )
  // No entry can have this name: it is made now. Binding as it costs what binding as anybody costs.
  const nobody = `cn=${crypto.randomUUID()},${base}`

  return async (call, username, password, use) => {
    const request = { base, scope, filter: filter({ username }), attributes, limit: 1 }
    const { entries, more } = await call.search((searcher) => searcher.find(request))
    const [entry] = entries
    if (entry === undefined || more) {
      await call.verifyNobody(nobody)
      return more
        ? { kind: 'refused', fault: true, cause: 'several entries match; narrow `filter` or `base`' }
        : { kind: 'refused', cause: 'no such user' }
    }
    const { dn } = entry
    if (!dn.includes('=')) throw new ArchwayError('ldap_answer_invalid', 'the entry of a user has no name')
    const verdict = await call.verify(dn, password)
    if (verdict.kind === 'wrong') return { kind: 'refused', cause: verdict.cause, dn }
    return { kind: 'proven', dn, value: await call.search((searcher) => use(searcher, entry)) }
  }
}

function singleText(entry: Entry, attribute: string): string | undefined {
  const [value, ...others] = entry.values(attribute)
  return value === undefined || others.length > 0 ? undefined : decodeText(value)
}

function singleIdentifier(entry: Entry, attribute: string): string | undefined {
  const [value, ...others] = entry.values(attribute)
  return value === undefined || value.length === 0 || others.length > 0 ? undefined : identifierText(attribute, value)
}

function wantedAttributes(
  { username, uid, extra = [] }: UserAttributes,
  groups: GroupFinder | undefined,
): readonly string[] {
  const own = [username, ...(uid === undefined ? [] : [uid]), ...extra.map(({ attribute }) => attribute)]
  return [...new Set([...own, ...(groups?.attributes ?? [])])]
}

function checkAttributes({ username, uid, extra = [] }: UserAttributes): void {
  for (const attribute of [username, ...(uid === undefined ? [] : [uid]), ...extra.map((one) => one.attribute)]) {
    if (!/^[A-Za-z][A-Za-z0-9-]*(;[A-Za-z0-9-]+)*$/.test(attribute)) {
      throw invalid('attributes', `${JSON.stringify(attribute)} is not the name of an attribute`)
    }
  }
  const keys = new Set<string>()
  for (const { key } of extra) {
    if (key === '' || key !== key.toLowerCase()) throw invalid('attributes.extra', `${key}: keys are in lower case`)
    if (keys.has(key)) throw invalid('attributes.extra', `${key} stands twice`)
    keys.add(key)
  }
}

function compiled<T>(field: string, compile: () => T): T {
  try {
    return compile()
  } catch (error) {
    throw invalid(field, messageOf(error))
  }
}

function invalid(field: string, fault: string): ArchwayError {
  return new ArchwayError('config_invalid', `${field}: ${fault}`)
}
