/**
 * What the tests of RBAC stand on: objects and requests as the vectors have them, and the slow, direct reading of
 * roles and bindings that the index must agree with.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import type { Attributes } from '../../../src/authz/authorizer.ts'
import { aggregated } from '../../../src/authz/rbac/aggregation.ts'
import { parseBinding, parseRole, type RbacObjects } from '../../../src/authz/rbac/objects.ts'
import { type PolicyRule, policyRule, ruleAllows } from '../../../src/authz/rbac/policy-rule.ts'
import { applies } from '../../../src/authz/rbac/subjects.ts'
import type { CallContext } from '../../../src/context.ts'
import type { UserInfo } from '../../../src/user.ts'

export interface VectorUser {
  readonly name: string
  readonly groups?: readonly string[]
}

export interface VectorRequest {
  readonly user?: VectorUser | null
  readonly verb: string
  readonly isResourceRequest: boolean
  readonly apiGroup?: string
  readonly apiVersion?: string
  readonly resource?: string
  readonly subresource?: string
  readonly namespace?: string
  readonly resourceName?: string
  readonly path?: string
}

type VectorObject = { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown }

export interface VectorPolicy {
  readonly bootstrap?: string
  readonly roles?: readonly VectorObject[]
  readonly clusterRoles?: readonly VectorObject[]
  readonly roleBindings?: readonly VectorObject[]
  readonly clusterRoleBindings?: readonly VectorObject[]
}

export function vectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8'))
}

export function userInfo(user: VectorUser | null | undefined): UserInfo {
  return { username: user?.name ?? '', uid: '', groups: user?.groups ?? [], extra: new Map() }
}

export function attributes(request: VectorRequest): Attributes {
  const common = { user: userInfo(request.user), extraPresent: false, verb: request.verb }
  if (!request.isResourceRequest) return { ...common, kind: 'non-resource', path: request.path ?? '' }
  return {
    ...common,
    kind: 'resource',
    group: request.apiGroup ?? '',
    version: request.apiVersion ?? '',
    resource: request.resource ?? '',
    subresource: request.subresource ?? '',
    namespace: request.namespace ?? '',
    name: request.resourceName ?? '',
  }
}

/** The objects of a vector's policy. */
export function rbacObjects(policy: VectorPolicy): RbacObjects {
  const bootstrap = policy.bootstrap === undefined ? {} : vectors<VectorPolicy>(policy.bootstrap.replace('.json', ''))
  const both = (key: Exclude<keyof VectorPolicy, 'bootstrap'>) => [...(bootstrap[key] ?? []), ...(policy[key] ?? [])]
  const roles = [
    ...both('clusterRoles').map((object) => parsed(parseRole('ClusterRole', asManifest(object), 'refuse'))),
    ...both('roles').map((object) => parsed(parseRole('Role', asManifest(object), 'refuse'))),
  ]
  return {
    roles: aggregated(roles),
    bindings: [
      ...both('roleBindings').map((object) => parsed(parseBinding('RoleBinding', asManifest(object), 'refuse'))),
      ...both('clusterRoleBindings').map((object) =>
        parsed(parseBinding('ClusterRoleBinding', asManifest(object), 'refuse')),
      ),
    ],
  }
}

function asManifest({ name, namespace, labels, ...rest }: VectorObject): object {
  return { metadata: { name, namespace, labels }, ...rest }
}

function parsed<T>(result: { kind: 'parsed'; object: T } | { kind: 'problems'; problems: readonly unknown[] }): T {
  if (result.kind === 'parsed') return result.object
  throw new Error(JSON.stringify(result.problems))
}

/** Rules as the vectors write them: without the lists that are empty. */
export function compact(rules: readonly PolicyRule[]): object[] {
  return rules.map((rule) => Object.fromEntries(Object.entries(rule).filter(([, list]) => list.length > 0)))
}

export function rules(lists: readonly Partial<PolicyRule>[]): PolicyRule[] {
  return lists.map(policyRule)
}

/** Every binding, every subject, every rule, one after the other. */
export function allowedByLinearScan({ roles, bindings }: RbacObjects, request: Attributes): boolean {
  const namespace = request.kind === 'resource' ? request.namespace : ''
  return bindings.some((binding) => {
    const reaches = binding.kind === 'ClusterRoleBinding' || (namespace !== '' && binding.namespace === namespace)
    const bound = binding.subjects.some((subject) => applies(subject, binding.namespace, request.user))
    if (!reaches || !bound) return false
    const role = roles.find(
      ({ kind, name, namespace: home }) =>
        kind === binding.roleRef.kind &&
        name === binding.roleRef.name &&
        (kind === 'ClusterRole' || home === binding.namespace),
    )
    return role?.rules.some((rule) => ruleAllows(rule, request)) === true
  })
}

/** A context for calls that need none of it. */
export function idleContext(): CallContext {
  const nothing = () => {}
  const log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
  return { requestId: 'test', signal: new AbortController().signal, log, audiences: [] }
}
