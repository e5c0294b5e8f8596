/**
 * ABAC → RBAC manifests. Each line that RBAC can say becomes a role and its binding; none is made wider to fit, and
 * what is left out or lessened is listed.
 *
 * @module
 */
import type { AbacPolicy } from '../../authz/abac/policy-file.ts'
import type { RbacManifest } from '../../authz/keystone-policy/convert-rbac.ts'
import { KNOWN_SUBRESOURCES, type RbacRule } from '../../authz/keystone-policy/convert-rbac-rules.ts'
import type { Loss } from '../../authz/keystone-policy/index.ts'

export interface AbacConversion {
  readonly manifests: readonly RbacManifest[]
  readonly losses: readonly Loss[]
}

type Lose = (kind: Loss['kind'], message: string) => void

const READ_ONLY: readonly string[] = ['get', 'list', 'watch']
const API_GROUP = 'rbac.authorization.k8s.io'

/** Converts every line; `where` names the file. */
export function abacToRbac(policies: readonly AbacPolicy[], where: string): AbacConversion {
  const losses: Loss[] = []
  const manifests = policies.flatMap((policy) => {
    const path = `${where}:${policy.line}`
    const lose: Lose = (kind, message) => void losses.push({ kind, path, message })
    const subject = subjectOf(policy, lose)
    if (subject === undefined) return []
    const rules = resourceRules(policy, lose)
    const paths = pathRules(policy)
    const name = `abac-${policy.line}`
    const annotations = { 'archway/from': path }
    // Paths are of no namespace, whatever the line says of one.
    const isCluster = policy.namespace === '*'
    return [
      ...(isCluster ? pair(name, undefined, [...rules, ...paths], subject, annotations) : []),
      ...(isCluster ? [] : pair(name, policy.namespace, rules, subject, annotations)),
      ...(isCluster ? [] : pair(name, undefined, paths, subject, annotations)),
    ]
  })
  return { manifests, losses }
}

type Subject = NonNullable<RbacManifest['subjects']>[number]

function subjectOf({ user, group }: AbacPolicy, lose: Lose): Subject | undefined {
  if (user === '' && group === '') lose('dropped', 'it is for nobody')
  else if (user !== '' && group !== '') lose('skipped', 'RBAC cannot ask for a user and a group at once')
  else return { kind: user === '' ? 'Group' : 'User', apiGroup: API_GROUP, name: user === '' ? group : user }
  return undefined
}

function resourceRules(policy: AbacPolicy, lose: Lose): readonly RbacRule[] {
  const { namespace, resource, apiGroup } = policy
  if (resource === '') return []
  if (namespace === '') {
    lose('skipped', 'RBAC has no rule for requests without namespace only')
    return []
  }
  if (resource !== '*' && resource.includes('*')) {
    lose('dropped', `no resource is called ${resource}`)
    return []
  }
  return [{ apiGroups: [apiGroup], resources: withSubresources(resource, lose), verbs: verbsOf(policy) }]
}

/** In ABAC a resource is one with whatever is under it; RBAC asks for each by name. */
function withSubresources(resource: string, lose: Lose): readonly string[] {
  if (resource === '*' || resource.includes('/')) return [resource]
  const known = KNOWN_SUBRESOURCES.get(resource) ?? []
  lose('narrower', `of the subresources of ${resource} only ${known.join(', ') || 'none'} are carried over`)
  return [resource, ...known.map((name) => `${resource}/${name}`)]
}

function pathRules(policy: AbacPolicy): readonly RbacRule[] {
  const { nonResourcePath } = policy
  return nonResourcePath === '' ? [] : [{ nonResourceURLs: [nonResourcePath], verbs: verbsOf(policy) }]
}

function verbsOf({ readonly }: AbacPolicy): readonly string[] {
  return readonly ? READ_ONLY : ['*']
}

function pair(
  name: string,
  namespace: string | undefined,
  rules: readonly RbacRule[],
  subject: Subject,
  annotations: Readonly<Record<string, string>>,
): readonly RbacManifest[] {
  if (rules.length === 0) return []
  const kind = namespace === undefined ? 'ClusterRole' : 'Role'
  const metadata = { name, ...(namespace !== undefined && { namespace }), annotations }
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  return [
    { apiVersion, kind, metadata, rules },
    { apiVersion, kind: `${kind}Binding`, metadata, roleRef: { apiGroup: API_GROUP, kind, name }, subjects: [subject] },
  ]
}
