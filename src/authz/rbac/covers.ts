/**
 * Whether somebody's rules take in other rules: what kube-apiserver asks before it lets him write a role or a binding,
 * so that nobody gives away what he has not got.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
 * @module
 */
import { type PolicyRule, policyRule, urlCovers } from './policy-rule.ts'

/** The pieces of `wanted` (one verb, one group, one resource, one name each) that no single rule of `held` covers. */
export function uncovered(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): readonly PolicyRule[] {
  return wanted.flatMap(pieces).filter((piece) => !held.some((rule) => covers(rule, piece)))
}

function pieces({ verbs, apiGroups, resources, resourceNames, nonResourceURLs }: PolicyRule): readonly PolicyRule[] {
  const names = resourceNames.length === 0 ? [[]] : resourceNames.map((name) => [name])
  const ofResources = apiGroups.flatMap((group) =>
    resources.flatMap((resource) =>
      verbs.flatMap((verb) =>
        names.map((name) =>
          policyRule({ verbs: [verb], apiGroups: [group], resources: [resource], resourceNames: name }),
        ),
      ),
    ),
  )
  const ofUrls = nonResourceURLs.flatMap((url) =>
    verbs.map((verb) => policyRule({ verbs: [verb], nonResourceURLs: [url] })),
  )
  return [...ofResources, ...ofUrls]
}

/** Lists a piece does not have are covered by whatever the rule has there, except names: none is every name. */
function covers(rule: PolicyRule, piece: PolicyRule): boolean {
  return (
    piece.verbs.every((verb) => includes(rule.verbs, verb)) &&
    piece.apiGroups.every((group) => includes(rule.apiGroups, group)) &&
    piece.resources.every((resource) => resourceCovered(rule.resources, resource)) &&
    piece.nonResourceURLs.every((url) => rule.nonResourceURLs.some((pattern) => urlCovers(pattern, url))) &&
    (rule.resourceNames.length === 0 ||
      (piece.resourceNames.length > 0 && piece.resourceNames.every((name) => rule.resourceNames.includes(name))))
  )
}

function resourceCovered(resources: readonly string[], resource: string): boolean {
  const slash = resource.indexOf('/')
  return includes(resources, resource) || (slash !== -1 && resources.includes(`*${resource.slice(slash)}`))
}

function includes(list: readonly string[], wanted: string): boolean {
  return list.includes('*') || list.includes(wanted)
}
