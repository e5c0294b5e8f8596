/**
 * What a Keystone policy lets somebody do in a namespace, read off its rules: those whose conditions on the user hold,
 * and what they say of the rest. For showing; decisions are made one by one.
 *
 * @module
 */
import type { Attributes } from '../../authz/authorizer.ts'
import { type Condition, holds, isUnsatisfiable } from '../../authz/keystone-policy/condition.ts'
import { isInScope } from '../../authz/keystone-policy/decide.ts'
import { type Grant, isGrant } from '../../authz/keystone-policy/grant.ts'
import type { CompiledPolicy } from '../../authz/keystone-policy/index.ts'
import { asksWho } from '../../authz/keystone-policy/probe.ts'
import { type Dimension, toRequest } from '../../authz/keystone-policy/request.ts'
import { type ListedRule, type PolicyRule, policyRule, type RuleListing } from '../../authz/rbac/policy-rule.ts'

/** Every subresource that gives no more than a look; `pods/<harmless>` in lists. */
export const HARMLESS = '<harmless>'

/** The rules that are for somebody, in the order of the policy. */
export function rulesOfPolicy(
  policy: CompiledPolicy,
  who: Pick<Attributes, 'user' | 'extraPresent'>,
  namespace: string,
): RuleListing {
  const about = { kind: 'resource', verb: '', group: '', version: '', resource: '', subresource: '', name: '' } as const
  const attributes: Attributes = { ...who, ...about, namespace }
  if (!isInScope(policy, attributes)) return { rules: [], incomplete: false, errors: [] }
  const request = toRequest(attributes)
  const concerns = (condition: Condition): boolean => asksWho(condition) || condition.dimension === 'namespace'
  const rules = policy.lines
    .filter(isGrant)
    .filter(({ conditions }) => !conditions.some(isUnsatisfiable))
    .filter(({ conditions }) => conditions.filter(concerns).every((condition) => holds(condition, request)))
    .map((grant): ListedRule => ({ rule: ruleOf(grant), source: grant.name }))
  return { rules, incomplete: false, errors: [] }
}

function ruleOf({ half, conditions }: Grant): PolicyRule {
  const find = (dimension: Dimension): Condition | undefined => conditions.find((each) => each.dimension === dimension)
  const verbs = namesOf(find('verb')) ?? ['*']
  if (half === 'path') {
    const prefixes = namesOf(find('prefix'))?.map((prefix) => `${prefix}*`)
    return policyRule({ verbs, nonResourceURLs: namesOf(find('path')) ?? prefixes ?? ['*'] })
  }
  const resources =
    namesOf(find('target')) ??
    resourcesOf(find('resource')).flatMap((resource) => withSubresources(resource, find('subresource')))
  return policyRule({ verbs, apiGroups: namesOf(find('group')) ?? ['*'], resources })
}

/** The names in a condition; one that stands for a list in the text of the policy has the text among them. */
function namesOf(condition: Condition | undefined): readonly string[] | undefined {
  return condition && [...condition.names].filter((name) => !/[\s[\]'"!]/.test(name))
}

interface Resources {
  readonly name: string
  /** ` except a, b`, after whatever is said of the name. */
  readonly except: string
}

function resourcesOf(condition: Condition | undefined): readonly Resources[] {
  const names = (namesOf(condition) ?? []).filter((name) => name !== '')
  if (condition?.kind === 'in') return names.map((name) => ({ name, except: '' }))
  return [{ name: '*', except: names.length === 0 ? '' : ` except ${names.join(', ')}` }]
}

/** As in RBAC a star is everything with all that is under it. */
function withSubresources({ name, except }: Resources, condition: Condition | undefined): readonly string[] {
  const below = (subresource: string): string => `${name}/${subresource}${except}`
  const itself = `${name}${except}`
  if (condition === undefined) return itself === '*' ? [itself] : [itself, below('*')]
  if (condition.kind === 'not-in') return condition.names.has('exec') ? [itself, below(HARMLESS)] : [below('*')]
  return [...condition.names].map((subresource) => {
    if (subresource !== '') return below(subresource)
    return name === '*' ? `${itself}, without subresources` : itself
  })
}
