/**
 * Roles and bindings compiled: from a user, over the bindings that name him or one of his groups, to the rules of
 * their roles. Built once for a state of the objects, then only read. A decision costs as much as the user has groups
 * and bindings; bindings of others and other rules of his roles cost nothing.
 *
 * @module
 */
import type { UserInfo } from '../../user.ts'
import type { Attributes } from '../authorizer.ts'
import type { Binding, RbacObjects, Role, Subject } from './objects.ts'
import type { RuleListing } from './policy-rule.ts'
import { type RuleSet, ruleSet, soughtBy } from './rule-set.ts'
import { describeBinding, subjectKey } from './subjects.ts'

/** One state of the objects, ready to be asked. */
export interface RbacIndex {
  decide(request: Attributes): RbacVerdict
  /** Everything bound to a user in a namespace, cluster-wide first; with `''` only what holds in the whole cluster. */
  rulesFor(user: UserInfo, namespace: string): RuleListing
  /** Who may do it, whoever the request names. Subjects as they stand in the bindings, once for each binding. */
  whoCan(request: Attributes): readonly Grantee[]
}

/** What bindings say of a request: a binding that allows it, or nothing. */
export type RbacVerdict =
  | { readonly allowed: true; readonly source: string }
  /** `errors`: roles that bindings of the user refer to and that are not there, in words. */
  | { readonly allowed: false; readonly errors: readonly string[] }

/** Somebody who may, and by what. */
export interface Grantee {
  readonly subject: Subject
  /** The binding; for `system:masters`, which needs none, why. */
  readonly source: string
}

/** A binding as it is found under one of its subjects. */
interface Grant {
  /** Place among all grants: lower ones are looked at first, as kube-apiserver goes through the bindings. */
  readonly order: number
  readonly binding: Binding
  readonly subject: Subject
  readonly role: RuleSet | string
}

/** Grants of the cluster or of one namespace, each list in order. */
interface Scope {
  readonly users: Map<string, Grant[]>
  readonly groups: Map<string, Grant[]>
  /** Every binding with its role or why it has none, for questions that begin at the bindings. */
  readonly bindings: { readonly binding: Binding; readonly role: RuleSet | string }[]
}

/**
 * Builds the index.
 *
 * @param known what has been made of roles before; those that are still the same are not made anew
 */
export function rbacIndex(objects: RbacObjects, known: WeakMap<Role, RuleSet> = new WeakMap()): RbacIndex {
  const roles = roleResolver(objects.roles, known)
  const cluster = emptyScope()
  const namespaces = new Map<string, Scope>()
  let order = 0
  const ofCluster = objects.bindings.filter(({ kind }) => kind === 'ClusterRoleBinding')
  const ofNamespaces = objects.bindings.filter(({ kind }) => kind === 'RoleBinding')
  for (const binding of [...ofCluster, ...ofNamespaces]) {
    const scope = binding.kind === 'ClusterRoleBinding' ? cluster : scopeOf(namespaces, binding.namespace)
    const role = roles(binding)
    scope.bindings.push({ binding, role })
    for (const subject of binding.subjects) addGrant(scope, { order: order++, binding, subject, role })
  }

  /** Lists of grants that apply, cluster-wide ones first. */
  function grantsOf(user: UserInfo, namespace: string): readonly (readonly Grant[])[] {
    const lists: Grant[][] = []
    collect(lists, cluster, user)
    const scope = namespace === '' ? undefined : namespaces.get(namespace)
    if (scope !== undefined) collect(lists, scope, user)
    return lists
  }

  return {
    decide(request) {
      const lists = grantsOf(request.user, namespaceOf(request))
      const grant = lists.length === 0 ? undefined : firstAllowing(lists, request)
      return grant === undefined
        ? { allowed: false, errors: lists.length === 0 ? [] : unresolved(lists) }
        : { allowed: true, source: describeBinding(grant.binding, grant.subject) }
    },
    rulesFor(user, namespace) {
      const lists = grantsOf(user, namespace)
      const rules = inOrder(lists).flatMap((grant) =>
        typeof grant.role === 'string'
          ? []
          : grant.role.rules.map((rule) => ({ rule, source: describeBinding(grant.binding, grant.subject) })),
      )
      const errors = unresolved(lists)
      return { rules, errors, incomplete: errors.length > 0 }
    },
    whoCan(request) {
      const sought = soughtBy(request)
      const namespace = namespaces.get(namespaceOf(request))
      const bindings = [...cluster.bindings, ...(namespace?.bindings ?? [])]
      const bound = bindings
        .filter(({ role }) => typeof role !== 'string' && role.allows(sought))
        .flatMap(({ binding }) =>
          binding.subjects.map((subject) => ({ subject, source: describeBinding(binding, subject) })),
        )
      return [MASTERS, ...bound]
    },
  }
}

const MASTERS: Grantee = {
  subject: { kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', namespace: '', name: 'system:masters' },
  source: 'kube-apiserver asks no authorizer about this group',
}

// --- building --------------------------------------------------------------------------------------------------

function roleResolver(roles: readonly Role[], known: WeakMap<Role, RuleSet>): (binding: Binding) => RuleSet | string {
  const sets = new Map<string, RuleSet>()
  for (const role of roles) {
    const set = known.get(role) ?? ruleSet(role.rules)
    known.set(role, set)
    sets.set(roleKey(role.kind, role.namespace, role.name), set)
  }
  return ({ roleRef: { kind, name }, namespace }) => {
    if (kind !== 'Role' && kind !== 'ClusterRole') return `unsupported role reference kind: ${JSON.stringify(kind)}`
    const found = sets.get(roleKey(kind, kind === 'Role' ? namespace : '', name))
    return found ?? `${kind.toLowerCase()}.rbac.authorization.k8s.io ${JSON.stringify(name)} not found`
  }
}

/** No name holds a slash: the API takes names that can be a segment of a path. */
function roleKey(kind: string, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`
}

function emptyScope(): Scope {
  return { users: new Map(), groups: new Map(), bindings: [] }
}

function scopeOf(namespaces: Map<string, Scope>, namespace: string): Scope {
  let scope = namespaces.get(namespace)
  if (scope === undefined) {
    scope = emptyScope()
    namespaces.set(namespace, scope)
  }
  return scope
}

function addGrant({ users, groups }: Scope, grant: Grant): void {
  const key = subjectKey(grant.subject, grant.binding.namespace)
  if (key === undefined) return
  const index = key.kind === 'user' ? users : groups
  const grants = index.get(key.name)
  if (grants === undefined) index.set(key.name, [grant])
  else if (grants.at(-1)?.binding !== grant.binding) grants.push(grant)
}

// --- reading ---------------------------------------------------------------------------------------------------

function namespaceOf(request: Attributes): string {
  return request.kind === 'resource' ? request.namespace : ''
}

function collect(lists: Grant[][], { users, groups }: Scope, user: UserInfo): void {
  const own = users.get(user.username)
  if (own !== undefined) lists.push(own)
  for (const group of user.groups) {
    const grants = groups.get(group)
    if (grants !== undefined) lists.push(grants)
  }
}

function firstAllowing(lists: readonly (readonly Grant[])[], request: Attributes): Grant | undefined {
  const sought = soughtBy(request)
  let first: Grant | undefined
  for (const grants of lists) {
    for (const grant of grants) {
      if (first !== undefined && grant.order > first.order) break
      if (typeof grant.role !== 'string' && grant.role.allows(sought)) {
        first = grant
        break
      }
    }
  }
  return first
}

/** One grant for each binding, of its first subject that applies. */
function inOrder(lists: readonly (readonly Grant[])[]): readonly Grant[] {
  const seen = new Set<Binding>()
  return lists
    .flat()
    .toSorted((one, other) => one.order - other.order)
    .filter(({ binding }) => !seen.has(binding) && seen.add(binding))
}

function unresolved(lists: readonly (readonly Grant[])[]): readonly string[] {
  const missing = lists.some((grants) => grants.some(({ role }) => typeof role === 'string'))
  if (!missing) return []
  return [...new Set(inOrder(lists).flatMap(({ role }) => (typeof role === 'string' ? [role] : [])))]
}
