/**
 * One rule of a role and what it says about one request. This is the direct reading; `rule-set.ts` is the indexed one
 * and must come to the same.
 *
 * @module
 */
import type { Attributes } from '../authorizer.ts'

/**
 * `PolicyRule` of `rbac.authorization.k8s.io/v1`. A list that is absent is empty here, which the API does not tell
 * apart either.
 */
export interface PolicyRule {
  readonly verbs: readonly string[]
  readonly apiGroups: readonly string[]
  /** `pods`, `pods/log`, a star for everything, or a star, a slash and a subresource. Other stars are plain text. */
  readonly resources: readonly string[]
  /** Empty: any object, and requests that name none. */
  readonly resourceNames: readonly string[]
  /** Paths; stars at the end stand for the rest, stars elsewhere for themselves. */
  readonly nonResourceURLs: readonly string[]
}

/** What may be done in a namespace, as `SelfSubjectRulesReviewStatus` has it: for showing, never for deciding. */
export interface RuleListing {
  readonly rules: readonly ListedRule[]
  /** Whether there may be more than is listed. */
  readonly incomplete: boolean
  /** Why it is incomplete. */
  readonly errors: readonly string[]
}

/** A rule and its origin. */
export interface ListedRule {
  readonly rule: PolicyRule
  /** Where it comes from: a binding, a line of a file. */
  readonly source: string
}

/** A rule from the lists it has. */
export function policyRule(lists: Partial<PolicyRule>): PolicyRule {
  const { verbs = [], apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = lists
  return { verbs, apiGroups, resources, resourceNames, nonResourceURLs }
}

/**
 * Whether a rule allows a request, as kube-apiserver has it.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources
 */
export function ruleAllows(rule: PolicyRule, request: Attributes): boolean {
  if (!has(rule.verbs, request.verb)) return false
  if (request.kind === 'non-resource') return rule.nonResourceURLs.some((url) => urlCovers(url, request.path))
  return (
    has(rule.apiGroups, request.group) &&
    rule.resources.some((resource) => resourceKeys(request.resource, request.subresource).includes(resource)) &&
    (rule.resourceNames.length === 0 || rule.resourceNames.includes(request.name))
  )
}

/** The texts by which rules may name a resource: itself, everything, and its subresource on everything. */
export function resourceKeys(resource: string, subresource: string): readonly string[] {
  return subresource === '' ? [resource, '*'] : [`${resource}/${subresource}`, '*', `*/${subresource}`]
}

/** Whether what a rule says of URLs takes in a path, or another rule's URL. */
export function urlCovers(pattern: string, path: string): boolean {
  return pattern.endsWith('*') ? path.startsWith(urlPrefix(pattern)) : pattern === path
}

/** What stands before the stars at the end. */
export function urlPrefix(pattern: string): string {
  let end = pattern.length
  while (end > 0 && pattern[end - 1] === '*') end--
  return pattern.slice(0, end)
}

function has(list: readonly string[], wanted: string): boolean {
  return list.includes('*') || list.includes(wanted)
}
