/**
 * Keystone policy → RBAC manifests. Each line that RBAC can say becomes a role and its binding; no rule is made wider
 * to fit, and what is left out or lessened is listed. Two things RBAC cannot ask: whether somebody came by way of
 * Keystone, since a group is a group; and for roles of Keystone, unless there are groups for them.
 *
 * @module
 */
import { stringify } from 'yaml'
import type { CompiledPolicy } from './compile.ts'
import { isUnsatisfiable } from './condition.ts'
import type { Lose, Loss } from './convert.ts'
import { type RbacRule, type RuleOptions, rulesOf } from './convert-rbac-rules.ts'
import { type RbacSubject, type SubjectOptions, subjectsOf } from './convert-rbac-subjects.ts'
import { type Grant, isGrant } from './grant.ts'

export interface RbacOptions extends SubjectOptions, RuleOptions {
  /** Namespaces there are: rules for "all but …" become one for each of them. */
  readonly namespaces?: readonly string[]
}

/** A manifest of `rbac.authorization.k8s.io/v1`. */
export interface RbacManifest {
  readonly apiVersion: 'rbac.authorization.k8s.io/v1'
  readonly kind: 'Role' | 'ClusterRole' | 'RoleBinding' | 'ClusterRoleBinding'
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly annotations: Readonly<Record<string, string>>
  }
  readonly rules?: readonly RbacRule[]
  readonly roleRef?: { readonly apiGroup: string; readonly kind: string; readonly name: string }
  readonly subjects?: readonly RbacSubject[]
}

export interface RbacConversion {
  readonly manifests: readonly RbacManifest[]
  readonly losses: readonly Loss[]
}

/** Converts a compiled policy, as its mode has it. */
export function toRbac(policy: CompiledPolicy, options: RbacOptions = {}): RbacConversion {
  const losses: Loss[] = [{ kind: 'wider', path: '', message: 'a group or name counts wherever it comes from' }]
  const grants = policy.lines.filter(isGrant).filter(({ conditions }) => !conditions.some(isUnsatisfiable))
  const manifests = grants.flatMap((grant, index) => {
    const lose = (kind: Loss['kind'], message: string): void => void losses.push({ kind, path: grant.name, message })
    const subjects = subjectsOf(grant, options, lose)
    const rules = subjects.length === 0 ? [] : rulesOf(grant, options, lose)
    const scopes = rules.length === 0 ? [] : scopesOf(grant, options, lose)
    return scopes.flatMap((namespace) => pair(`keystone-policy-${index}`, namespace, grant, rules, subjects))
  })
  return { manifests, losses }
}

/** The manifests as text for `kubectl apply -f -`. */
export function rbacYaml(manifests: readonly RbacManifest[]): string {
  return manifests.map((manifest) => stringify(manifest)).join('---\n')
}

/** Namespaces the rule is for; `undefined` for the cluster as a whole. */
function scopesOf(
  { half, conditions }: Grant,
  { namespaces }: RbacOptions,
  lose: Lose,
): readonly (string | undefined)[] {
  const condition = conditions.find(({ dimension }) => dimension === 'namespace')
  if (half === 'path' || condition === undefined) return [undefined]
  if (condition.kind === 'in') {
    if (condition.names.has('')) lose('narrower', 'RBAC has no rule for requests without namespace only')
    return [...condition.names].filter((name) => NAME.test(name))
  }
  if (namespaces === undefined) {
    lose('skipped', 'RBAC has no "all namespaces but these". Say which there are')
    return []
  }
  lose('narrower', 'carried over for the namespaces there are, and not for those to come')
  return namespaces.filter((name) => !condition.names.has(name))
}

const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/

function pair(
  name: string,
  namespace: string | undefined,
  grant: Grant,
  rules: readonly RbacRule[],
  subjects: readonly RbacSubject[],
): readonly RbacManifest[] {
  const kind = namespace === undefined ? 'ClusterRole' : 'Role'
  const metadata = { name, ...(namespace !== undefined && { namespace }), annotations: { 'archway/from': grant.name } }
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind, name }
  return [
    { apiVersion, kind, metadata, rules },
    { apiVersion, kind: `${kind}Binding`, metadata, roleRef, subjects },
  ]
}
