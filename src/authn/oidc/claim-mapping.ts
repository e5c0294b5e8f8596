/**
 * Claims become an identity, by the rules of kube-apiserver's AuthenticationConfiguration (`claimMappings`,
 * `claimValidationRules`, `userValidationRules`). Owns applying them; leaves the reading of them to
 * `claim-rules.ts`.
 *
 * @module
 */
import type { UserInfo } from '../../user.ts'
import type { RejectionCode } from '../authenticator.ts'
import { type Expression, isNarrow, userVariable } from '../mapping/expression.ts'
import { holds, type Outcome, stringFrom, stringsFrom } from '../mapping/outcomes.ts'
import { type Claims, type ClaimValue, stringOrList } from './claims.ts'

/** Where a value comes from: a claim of that name, or an expression over all of them. */
export type ValueSource =
  | { readonly kind: 'claim'; readonly claim: string; readonly prefix: string }
  | { readonly kind: 'expression'; readonly expression: Expression }

export interface ExtraSource {
  readonly key: string
  readonly expression: Expression
}

export type ClaimRule =
  | { readonly kind: 'claim'; readonly claim: string; readonly requiredValue: string }
  | { readonly kind: 'expression'; readonly expression: Expression; readonly message: string }

export interface UserRule {
  readonly expression: Expression
  readonly message: string
}

/** The rules, checked and compiled. */
export interface ClaimRules {
  readonly username: ValueSource
  readonly groups: ValueSource | undefined
  readonly uid: ValueSource | undefined
  readonly extra: readonly ExtraSource[]
  readonly claimRules: readonly ClaimRule[]
  readonly userRules: readonly UserRule[]
}

/** An identity, or why there is none. `detail` is for the operator's log and has nothing of the token. */
export type Mapped =
  | { readonly kind: 'mapped'; readonly user: UserInfo }
  | { readonly kind: 'refused'; readonly code: RejectionCode; readonly detail: string }

/** Applies rules to the claims of a token that has been verified. Never throws. */
export type ClaimMapping = (claims: Claims) => Mapped

/** One step on the way: what it found, or why it ends here. */
type Step<T> = { readonly ok: true; readonly value: T } | Refused
interface Refused {
  readonly ok: false
  readonly code: RejectionCode
  readonly detail: string
}

export function claimMapping(rules: ClaimRules): ClaimMapping {
  const evaluates = usesExpressions(rules)
  return (claims) => {
    if (evaluates && !isNarrow(claims)) {
      return toMapped(refused('claim_invalid', 'a claim has more entries than expressions may work on'))
    }
    const user = toUser(claims, rules)
    if (!user.ok) return toMapped(user)
    return toMapped(claimRuleFault(rules.claimRules, claims) ?? userRuleFault(rules.userRules, user.value) ?? user)
  }
}

function toMapped(step: Step<UserInfo>): Mapped {
  if (step.ok) return { kind: 'mapped', user: step.value }
  return { kind: 'refused', code: step.code, detail: step.detail }
}

function refused(code: RejectionCode, detail: string): Refused {
  return { ok: false, code, detail }
}

function found<T>(value: T): Step<T> {
  return { ok: true, value }
}

function usesExpressions({ username, groups, uid, extra, claimRules }: ClaimRules): boolean {
  const kinds = [username, groups, uid, ...claimRules].map((source) => source?.kind)
  return extra.length > 0 || kinds.includes('expression')
}

function toUser(claims: Claims, rules: ClaimRules): Step<UserInfo> {
  const username = usernameOf(rules.username, claims)
  if (!username.ok) return username
  const uid = rules.uid === undefined ? found('') : stringOf(rules.uid, claims, 'uid')
  if (!uid.ok) return uid
  const groups = rules.groups === undefined ? found([]) : groupsOf(rules.groups, claims)
  if (!groups.ok) return groups
  const extra = extraOf(rules.extra, claims)
  if (!extra.ok) return extra
  return found({ username: username.value, uid: uid.value, groups: groups.value, extra: extra.value })
}

function usernameOf(source: ValueSource, claims: Claims): Step<string> {
  const name = stringOf(source, claims, 'username')
  if (!name.ok) return name
  if (name.value === '') return refused('identity_invalid', 'username: it is empty')
  if (source.kind === 'expression') return name
  if (source.claim === 'email' && !isVerified(claims)) {
    return refused('email_not_verified', 'username: the claim email_verified is there, and is not true')
  }
  return found(source.prefix + name.value)
}

/** A claim that is there has to be true; one that is not there says nothing. */
function isVerified(claims: Claims): boolean {
  const verified = claims.get('email_verified')
  return verified === undefined || verified === true
}

function stringOf(source: ValueSource, claims: Claims, what: string): Step<string> {
  if (source.kind === 'expression') return usable(stringFrom(source.expression, { claims }), what)
  const value = claims.get(source.claim)
  if (typeof value === 'string') return found(value)
  return refused('claim_invalid', `${what}: the claim ${source.claim} ${fault(value)}`)
}

/** No claim, no groups; but groups that are elsewhere are not none. */
function groupsOf(source: ValueSource, claims: Claims): Step<readonly string[]> {
  if (source.kind === 'expression') return usable(stringsFrom(source.expression, { claims }), 'groups')
  const value = claims.get(source.claim)
  if (value === undefined || value === null) {
    if (!isElsewhere(source.claim, claims)) return found([])
    return refused('claim_invalid', `groups: the claim ${source.claim} is distributed, which is not supported`)
  }
  const groups = stringOrList(value)
  if (groups === undefined) return refused('claim_invalid', `groups: the claim ${source.claim} ${fault(value)}`)
  return found(groups.map((group) => (group === '' ? '' : source.prefix + group))) // empty: the gate leaves it out
}

/** OpenID Connect Core 1.0, section 5.6.2. */
function isElsewhere(claim: string, claims: Claims): boolean {
  const names = claims.get('_claim_names')
  return names instanceof Map && names.has(claim)
}

function extraOf(sources: readonly ExtraSource[], claims: Claims): Step<ReadonlyMap<string, readonly string[]>> {
  const extra = new Map<string, readonly string[]>()
  for (const { key, expression } of sources) {
    const values = usable(stringsFrom(expression, { claims }), `extra ${key}`)
    if (!values.ok) return values
    if (values.value.length > 0) extra.set(key, values.value)
  }
  return found(extra)
}

function claimRuleFault(rules: readonly ClaimRule[], claims: Claims): Refused | undefined {
  for (const rule of rules) {
    if (rule.kind === 'claim') {
      if (claims.get(rule.claim) === rule.requiredValue) continue
      return refused('claim_rule_failed', `the claim ${rule.claim} has not the required value`)
    }
    const verdict = holds(rule.expression, { claims })
    if (!verdict.ok || !verdict.value) return refused('claim_rule_failed', ruleText(rule, verdict))
  }
  return undefined
}

function userRuleFault(rules: readonly UserRule[], user: UserInfo): Refused | undefined {
  if (rules.length === 0) return undefined
  const variables = { user: userVariable(user) }
  if (!isNarrow(variables.user)) {
    return refused('user_rule_failed', 'the identity has more groups than expressions may work on')
  }
  for (const rule of rules) {
    const verdict = holds(rule.expression, variables)
    if (!verdict.ok || !verdict.value) return refused('user_rule_failed', ruleText(rule, verdict))
  }
  return undefined
}

function ruleText({ message, expression }: UserRule, verdict: Outcome<boolean>): string {
  const text = message === '' ? expression.text : message
  return verdict.ok ? text : `${text} (${verdict.reason})`
}

function usable<T>(outcome: Outcome<T>, what: string): Step<T> {
  return outcome.ok ? outcome : refused('claim_invalid', `${what}: ${outcome.reason}`)
}

function fault(value: ClaimValue | undefined): string {
  return value === undefined ? 'is not there' : 'is of the wrong type'
}
