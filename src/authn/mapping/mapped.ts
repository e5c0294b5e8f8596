/**
 * Mapping: what a source calls people and groups becomes what the cluster calls them, by prefixes and by expressions.
 * Wraps any source. Examples stand beside the rules and have to hold before the rules are used; the identity gate
 * comes after it and judges what comes out.
 *
 * @module
 */
import type { CallContext } from '../../context.ts'
import { InvalidDocumentError, messageOf, type Problem } from '../../errors.ts'
import type { UserInfo } from '../../user.ts'
import type { Authenticator, AuthnResult, RejectionCode } from '../authenticator.ts'
import { compileExpression, type Expression, isNarrow, type Returns, userVariable } from './expression.ts'
import { holds, stringFrom, stringsFrom } from './outcomes.ts'

/** Expressions over `user` (`username`, `uid`, `groups`, `extra`) as the source has it, and `source`, its name. */
export interface MappingExpressions {
  /** Gives the user name. */
  readonly username?: string | undefined
  /** Gives the groups. */
  readonly groups?: string | undefined
  /** Each gives the values of one key; none takes the key away. Keys that are not named stay. */
  readonly extra?: readonly { readonly key: string; readonly valueExpression: string }[] | undefined
  /** Each has to be true, or the identity is refused. */
  readonly rules?: readonly { readonly expression: string; readonly message?: string | undefined }[] | undefined
}

interface WrittenUser {
  readonly username: string
  readonly uid?: string | undefined
  readonly groups?: readonly string[] | undefined
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined
}

/** An identity of the source, and what has to become of it. */
export interface MappingExample {
  readonly user: WrittenUser
  /** Name of the source; that of the wrapped one when absent. */
  readonly source?: string | undefined
  readonly expect: WrittenUser | 'refused'
}

export interface MappedOptions {
  /** Put before every user name, after the expressions. */
  readonly usernamePrefix?: string | undefined
  /** Put before every group name, after the expressions. */
  readonly groupPrefix?: string | undefined
  readonly expressions?: MappingExpressions | undefined
  readonly examples?: readonly MappingExample[] | undefined
}

type Verdict =
  | { readonly kind: 'mapped'; readonly user: UserInfo }
  | { readonly kind: 'refused'; readonly code: RejectionCode; readonly detail: string }

type Mapping = (user: UserInfo, source: string) => Verdict

/**
 * Wraps a source.
 *
 * @throws InvalidDocumentError `config_invalid`, with every expression that is wrong, or every example that fails.
 */
export function mapped<Credential>(
  inner: Authenticator<Credential>,
  options: MappedOptions,
): Authenticator<Credential> {
  const map = readMapping(options, inner.name)
  // Results are shared and never changed, so each is mapped once however often a cache hands it out.
  const known = new WeakMap<AuthnResult, AuthnResult>()

  function judge(result: AuthnResult, ctx: CallContext): AuthnResult {
    if (result.kind !== 'authenticated') return result
    let judged = known.get(result)
    if (judged === undefined) {
      judged = apply(result, ctx)
      known.set(result, judged)
    }
    return judged
  }

  function apply(result: Extract<AuthnResult, { kind: 'authenticated' }>, ctx: CallContext): AuthnResult {
    const { source } = result
    const verdict = map(result.user, source)
    if (verdict.kind === 'mapped') return { ...result, user: verdict.user }
    const { code, detail } = verdict
    ctx.log.info({ source, code, detail }, 'identity refused by the mapping of its source')
    return { kind: 'rejected', code, source }
  }

  return {
    name: inner.name,
    authenticate: async (credential, ctx) => judge(await inner.authenticate(credential, ctx), ctx),
    recall(credential, ctx) {
      const recalled = inner.recall?.(credential, ctx)
      return recalled === undefined ? undefined : judge(recalled, ctx)
    },
  }
}

/** Reads the rules and tries the examples. `source` is what `source` is in examples that name none. */
function readMapping(options: MappedOptions, source: string): Mapping {
  const { expressions: written = {}, examples = [] } = options
  const problems: Problem[] = []
  const compiled = compileAll(written, problems)
  if (problems.length > 0) throw faulty(source, problems)
  const map = mappingOf(compiled, options)
  for (const [index, example] of examples.entries()) {
    const fault = failureOf(example, map, source)
    if (fault !== undefined) problems.push({ path: `examples[${index}]`, message: fault })
  }
  if (problems.length > 0) throw faulty(source, problems)
  return map
}

interface Compiled {
  readonly username: Expression | undefined
  readonly groups: Expression | undefined
  readonly extra: readonly { readonly key: string; readonly expression: Expression }[]
  readonly rules: readonly { readonly message: string; readonly expression: Expression }[]
}

function compileAll({ username, groups, extra = [], rules = [] }: MappingExpressions, problems: Problem[]): Compiled {
  function compile(text: string | undefined, returns: Returns, path: string): Expression | undefined {
    if (text === undefined) return undefined
    try {
      return compileExpression(text, { variables: 'user-and-source', returns })
    } catch (thrown) {
      problems.push({ path: `expressions.${path}`, message: messageOf(thrown) })
      return undefined
    }
  }
  return {
    username: compile(username, 'string', 'username'),
    groups: compile(groups, 'strings', 'groups'),
    extra: extra.flatMap(({ key, valueExpression }, index) => {
      const expression = compile(valueExpression, 'strings', `extra[${index}].valueExpression`)
      return expression === undefined ? [] : [{ key, expression }]
    }),
    rules: rules.flatMap(({ expression: text, message = '' }, index) => {
      const expression = compile(text, 'bool', `rules[${index}].expression`)
      return expression === undefined ? [] : [{ expression, message: message === '' ? text : message }]
    }),
  }
}

function mappingOf(compiled: Compiled, { usernamePrefix = '', groupPrefix = '' }: MappedOptions): Mapping {
  const { username, groups, extra, rules } = compiled
  const evaluates = [username, groups].some((one) => one !== undefined) || extra.length > 0 || rules.length > 0
  return (user, source) => {
    const variables = { user: userVariable(user), source }
    if (evaluates && !isNarrow(variables.user)) return failed('it has more groups than expressions may work on')
    for (const { expression, message } of rules) {
      const verdict = holds(expression, variables)
      if (!verdict.ok) return failed(`${message} (${verdict.reason})`)
      if (!verdict.value) return { kind: 'refused', code: 'mapping_refused', detail: message }
    }
    const name = username === undefined ? { ok: true as const, value: user.username } : stringFrom(username, variables)
    if (!name.ok) return failed(`username: ${name.reason}`)
    if (name.value === '') return failed('username: it is empty')
    const names = groups === undefined ? { ok: true as const, value: user.groups } : stringsFrom(groups, variables)
    if (!names.ok) return failed(`groups: ${names.reason}`)
    const entries = new Map(user.extra)
    for (const { key, expression } of extra) {
      const values = stringsFrom(expression, variables)
      if (!values.ok) return failed(`extra ${key}: ${values.reason}`)
      if (values.value.length === 0) entries.delete(key)
      else entries.set(key, values.value)
    }
    const groupNames = names.value.map((group) => (group === '' ? '' : groupPrefix + group))
    return {
      kind: 'mapped',
      user: { username: usernamePrefix + name.value, uid: user.uid, groups: groupNames, extra: entries },
    }
  }
}

function failed(detail: string): Verdict {
  return { kind: 'refused', code: 'mapping_failed', detail }
}

/** How an example fails, in words; `undefined` where it holds. The examples are the operator's: they may be told. */
function failureOf({ user, source: named, expect }: MappingExample, map: Mapping, source: string): string | undefined {
  const verdict = map(toUserInfo(user), named ?? source)
  if (verdict.kind === 'refused') {
    return expect === 'refused' ? undefined : `${quoted(user.username)} is refused: ${verdict.detail}`
  }
  const wanted = expect === 'refused' ? undefined : describe(toUserInfo(expect))
  const given = describe(verdict.user)
  if (given === wanted) return undefined
  return `${quoted(user.username)} becomes ${given}, and has to be ${wanted ?? 'refused'}`
}

function toUserInfo({ username, uid = '', groups = [], extra = {} }: WrittenUser): UserInfo {
  return { username, uid, groups, extra: new Map(Object.entries(extra)) }
}

/** Keys of `extra` have no order; groups have. */
function describe({ username, uid, groups, extra }: UserInfo): string {
  const sorted = [...extra].sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify({ username, uid, groups, extra: Object.fromEntries(sorted) })
}

function quoted(text: string): string {
  return JSON.stringify(text)
}

function faulty(source: string, problems: readonly Problem[]): InvalidDocumentError {
  return new InvalidDocumentError('config_invalid', `mapping of ${source}`, problems)
}
