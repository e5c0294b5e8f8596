/**
 * Aggregated ClusterRoles: a role with selectors has the rules of the roles they select, in place of its own. In a
 * cluster kube-controller-manager writes these rules into the object; whoever reads manifests does it himself.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
 * @module
 */
import type { LabelSelector, Role } from './objects.ts'
import type { PolicyRule } from './policy-rule.ts'

/**
 * The same roles in the same order, aggregated ones with the rules they come to. What an aggregated role says under
 * `rules` counts for nothing, not even where two aggregate each other: everything comes from a role that has it.
 */
export function aggregated(roles: readonly Role[]): readonly Role[] {
  const clusterRoles = roles.filter((role) => role.kind === 'ClusterRole')
  const byName = clusterRoles.toSorted((one, other) => compare(one.name, other.name))
  const sources = new Map<Role, readonly Role[]>()
  for (const role of clusterRoles) {
    if (role.aggregation !== undefined) sources.set(role, selected(role, role.aggregation, byName))
  }
  const rules = new Map<Role, readonly PolicyRule[]>([...sources.keys()].map((role) => [role, []]))
  // A rule gets at least one role further each round, so after as many rounds as there are roles nothing is missing.
  for (let round = 0; round <= sources.size; round++) {
    let changed = false
    for (const [role, from] of sources) {
      const before = rules.get(role) ?? []
      const now = withoutRepeats(from.flatMap((source) => rules.get(source) ?? source.rules))
      changed ||= now.length !== before.length || now.some((rule, index) => rule !== before[index])
      rules.set(role, now)
    }
    if (!changed) break
  }
  return roles.map((role) => {
    const found = rules.get(role)
    return found === undefined ? role : { ...role, rules: found }
  })
}

/** Selected roles, selector by selector, each time in the order of their names; never the role itself. */
function selected(role: Role, selectors: readonly LabelSelector[], byName: readonly Role[]): readonly Role[] {
  return selectors.flatMap((selector) => byName.filter((other) => other !== role && selects(selector, other.labels)))
}

/**
 * Whether a selector takes in these labels. An empty one takes in everything; an operator nobody knows, nothing.
 *
 * @see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements
 */
function selects(selector: LabelSelector, labels: ReadonlyMap<string, string>): boolean {
  for (const [key, value] of selector.matchLabels) {
    if (labels.get(key) !== value) return false
  }
  return selector.matchExpressions.every(({ key, operator, values }) => {
    const value = labels.get(key)
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value)
      case 'NotIn':
        return value === undefined || !values.includes(value)
      case 'Exists':
        return value !== undefined
      case 'DoesNotExist':
        return value === undefined
      default:
        return false
    }
  })
}

/** Without rules that are exactly another one; an order of verbs that differs makes another rule. */
function withoutRepeats(rules: readonly PolicyRule[]): readonly PolicyRule[] {
  const seen = new Map<string, PolicyRule>()
  for (const rule of rules) {
    const key = JSON.stringify([rule.verbs, rule.apiGroups, rule.resources, rule.resourceNames, rule.nonResourceURLs])
    if (!seen.has(key)) seen.set(key, rule)
  }
  return [...seen.values()]
}

/** As Go compares strings: by bytes, which for UTF-8 is by code point. */
function compare(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other))
}
