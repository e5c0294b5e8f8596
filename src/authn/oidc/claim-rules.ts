/**
 * The rules of `claimMappings`, `claimValidationRules` and `userValidationRules` as they are written: checked as
 * kube-apiserver checks them, all mistakes at once, and compiled.
 *
 * @module
 */
import { messageOf, type Problem } from '../../errors.ts'
import { compileExpression, type Expression, type Returns, type Variables } from '../mapping/expression.ts'
import type { ClaimRule, ClaimRules, ExtraSource, UserRule, ValueSource } from './claim-mapping.ts'

interface WrittenClaim {
  readonly claim?: string | undefined
  readonly expression?: string | undefined
}

export interface WrittenPrefixedClaim extends WrittenClaim {
  readonly prefix?: string | undefined
}

/** The three sections, as in the AuthenticationConfiguration. */
export interface WrittenRules {
  readonly claimMappings?:
    | {
        readonly username?: WrittenPrefixedClaim | undefined
        readonly groups?: WrittenPrefixedClaim | undefined
        readonly uid?: WrittenClaim | undefined
        readonly extra?:
          | readonly { readonly key?: string | undefined; readonly valueExpression?: string | undefined }[]
          | undefined
      }
    | undefined
  readonly claimValidationRules?:
    | readonly (WrittenClaim & { readonly requiredValue?: string | undefined; readonly message?: string | undefined })[]
    | undefined
  readonly userValidationRules?:
    | readonly { readonly expression?: string | undefined; readonly message?: string | undefined }[]
    | undefined
}

export type ReadRules =
  | { readonly kind: 'rules'; readonly rules: ClaimRules }
  | { readonly kind: 'faulty'; readonly problems: readonly Problem[] }

/** Rules of one kind. */
const MAX_RULES = 64

/** Checks and compiles. Paths of problems begin at the section: `claimMappings.username.expression`. */
export function readClaimRules(written: WrittenRules): ReadRules {
  const problems: Problem[] = []
  const { claimMappings: mappings = {} } = written
  const username = readValue(mappings.username ?? {}, { path: 'claimMappings.username', returns: 'string', problems })
  if (username === undefined && problems.length === 0) {
    problems.push({ path: 'claimMappings.username', message: 'missing: name a claim or an expression' })
  }
  const groups = readValue(mappings.groups ?? {}, { path: 'claimMappings.groups', returns: 'strings', problems })
  const uid = readUid(mappings.uid ?? {}, problems)
  const extra = readExtra(mappings.extra ?? [], problems)
  const claimRules = readRules(written.claimValidationRules ?? [], problems)
  const userRules = readUserRules(written.userValidationRules ?? [], problems)
  problems.push(...emailProblems({ username, extra, claimRules }))
  if (username === undefined || problems.length > 0) return { kind: 'faulty', problems }
  return { kind: 'rules', rules: { username, groups, uid, extra, claimRules, userRules } }
}

interface Place {
  readonly path: string
  readonly returns: Returns
  readonly problems: Problem[]
}

function readValue(
  { claim = '', expression = '', prefix }: WrittenPrefixedClaim,
  place: Place,
): ValueSource | undefined {
  const { path, problems } = place
  if (claim !== '' && expression !== '') {
    problems.push({ path, message: 'claim and expression cannot both be set' })
  } else if (expression !== '') {
    if (prefix !== undefined) {
      const message = 'cannot be set with an expression: put it into the expression'
      problems.push({ path: `${path}.prefix`, message })
    }
    const compiled = compile(expression, { ...place, path: `${path}.expression` }, 'claims')
    return compiled && { kind: 'expression', expression: compiled }
  } else if (claim !== '') {
    if (prefix !== undefined) return { kind: 'claim', claim, prefix }
    problems.push({ path: `${path}.prefix`, message: 'missing: set it, to "" for no prefix' })
  } else if (prefix !== undefined && prefix !== '') {
    problems.push({ path, message: 'has a prefix and nothing to put it before: name a claim' })
  }
  return undefined
}

/** As the others, without a prefix. */
function readUid({ claim, expression }: WrittenClaim, problems: Problem[]): ValueSource | undefined {
  const prefix = expression === undefined || expression === '' ? '' : undefined
  return readValue({ claim, expression, prefix }, { path: 'claimMappings.uid', returns: 'string', problems })
}

type WrittenExtra = NonNullable<NonNullable<WrittenRules['claimMappings']>['extra']>

function readExtra(written: WrittenExtra, problems: Problem[]): readonly ExtraSource[] {
  const keys = new Set<string>()
  return written.flatMap(({ key = '', valueExpression = '' }, index) => {
    const path = `claimMappings.extra[${index}]`
    const fault = keys.has(key) ? 'stands twice' : extraKeyFault(key)
    keys.add(key)
    if (fault !== undefined) problems.push({ path: `${path}.key`, message: fault })
    const place: Place = { path: `${path}.valueExpression`, returns: 'strings', problems }
    const expression = compile(valueExpression, place, 'claims')
    return expression === undefined ? [] : [{ key, expression }]
  })
}

function readRules(
  written: NonNullable<WrittenRules['claimValidationRules']>,
  problems: Problem[],
): readonly ClaimRule[] {
  problems.push(...countProblems(written, 'claimValidationRules'))
  const seen = new Set<string>()
  return written.flatMap((rule, index): ClaimRule[] => {
    const { claim = '', expression: text = '', requiredValue = '', message = '' } = rule
    const path = `claimValidationRules[${index}]`
    if ((claim === '') === (text === '')) {
      const both = claim === '' ? 'missing: name a claim or an expression' : 'has both a claim and an expression'
      problems.push({ path, message: both })
      return []
    }
    const id = JSON.stringify([claim, text])
    if (seen.has(id)) problems.push({ path, message: 'stands twice' })
    seen.add(id)
    if (claim !== '') {
      if (message !== '')
        problems.push({ path: `${path}.message`, message: 'goes with an expression, not with a claim' })
      return [{ kind: 'claim', claim, requiredValue }]
    }
    if (requiredValue !== '') {
      problems.push({ path: `${path}.requiredValue`, message: 'goes with a claim, not with an expression' })
    }
    const expression = compile(text, { path: `${path}.expression`, returns: 'bool', problems }, 'claims')
    return expression === undefined ? [] : [{ kind: 'expression', expression, message }]
  })
}

function readUserRules(
  written: NonNullable<WrittenRules['userValidationRules']>,
  problems: Problem[],
): readonly UserRule[] {
  problems.push(...countProblems(written, 'userValidationRules'))
  const seen = new Set<string>()
  return written.flatMap(({ expression: text = '', message = '' }, index) => {
    const path = `userValidationRules[${index}]`
    if (seen.has(text)) problems.push({ path, message: 'stands twice' })
    seen.add(text)
    const expression = compile(text, { path: `${path}.expression`, returns: 'bool', problems }, 'user')
    return expression === undefined ? [] : [{ expression, message }]
  })
}

function compile(text: string, { path, returns, problems }: Place, variables: Variables): Expression | undefined {
  try {
    return compileExpression(text, { variables, returns })
  } catch (thrown) {
    problems.push({ path, message: messageOf(thrown) })
    return undefined
  }
}

function* countProblems(rules: readonly unknown[], path: string): Generator<Problem> {
  if (rules.length > MAX_RULES) yield { path, message: `has more than ${MAX_RULES} rules` }
}

/**
 * What kube-apiserver does with `username.claim: email` by itself has to be asked for where the name comes from an
 * expression: an address that nobody verified may be anybody's.
 */
function* emailProblems({
  username,
  extra,
  claimRules,
}: {
  readonly username: ValueSource | undefined
  readonly extra: readonly ExtraSource[]
  readonly claimRules: readonly ClaimRule[]
}): Generator<Problem> {
  if (username?.kind !== 'expression' || !username.expression.selects('claims', 'email')) return
  const others = [...extra, ...claimRules].flatMap((rule) => ('expression' in rule ? [rule.expression] : []))
  if ([username.expression, ...others].some((one) => one.selects('claims', 'email_verified'))) return
  yield {
    path: 'claimMappings.username.expression',
    message:
      'uses claims.email and nothing looks at claims.email_verified: add to claimValidationRules ' +
      'the expression claims.?email_verified.orValue(true) == true',
  }
}

const DOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const PATH = /^[a-z0-9._~!$&'()*+,;=:@/-]+$/

/** What is wrong with a key of `extra`: a lower-case path below a domain of one's own. */
function extraKeyFault(key: string): string | undefined {
  const slash = key.indexOf('/')
  const domain = key.slice(0, Math.max(slash, 0))
  if (key !== key.toLowerCase()) return 'has to be lower case'
  if (slash < 0 || domain.length > 253 || !DOMAIN.test(domain) || !PATH.test(key.slice(slash + 1))) {
    return 'has to be a path below a domain of yours, such as example.com/tenant'
  }
  if (/(^|\.)(kubernetes|k8s)\.io$/.test(domain)) return 'k8s.io, kubernetes.io and what is below them are reserved'
  return undefined
}
