/**
 * Keystone policy → RBAC: for what.
 *
 * @module
 */
import type { Condition } from './condition.ts'
import type { Lose } from './convert.ts'
import type { Grant } from './grant.ts'
import type { Dimension } from './request.ts'

export interface RuleOptions {
  /** Resources there are: rules for "all but …" become one for these. */
  readonly resources?: readonly string[]
  /** Subresources there are, by resource; default those of Kubernetes itself. */
  readonly subresources?: ReadonlyMap<string, readonly string[]>
}

export interface RbacRule {
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly nonResourceURLs?: readonly string[]
  readonly verbs: readonly string[]
}

/** What workloads have in common. */
const SCALED = ['scale', 'status']

/** Subresources that Kubernetes serves; RBAC asks for each by name, or for one on every resource. */
export const KNOWN_SUBRESOURCES: ReadonlyMap<string, readonly string[]> = new Map([
  [
    'pods',
    ['attach', 'binding', 'ephemeralcontainers', 'eviction', 'exec', 'log', 'portforward', 'proxy', 'resize', 'status'],
  ],
  ['services', ['proxy', 'status']],
  ['nodes', ['proxy', 'status']],
  ['namespaces', ['finalize', 'status']],
  ['serviceaccounts', ['token']],
  ['persistentvolumes', ['status']],
  ['persistentvolumeclaims', ['status']],
  ['resourcequotas', ['status']],
  ['replicationcontrollers', SCALED],
  ['deployments', SCALED],
  ['replicasets', SCALED],
  ['statefulsets', SCALED],
  ['daemonsets', ['status']],
  ['jobs', ['status']],
  ['cronjobs', ['status']],
  ['horizontalpodautoscalers', ['status']],
  ['ingresses', ['status']],
  ['poddisruptionbudgets', ['status']],
  ['certificatesigningrequests', ['approval', 'status']],
  ['customresourcedefinitions', ['status']],
  ['apiservices', ['status']],
  ['volumeattachments', ['status']],
])

/** The rule that says what the grant is for; none where RBAC cannot say. */
export function rulesOf(grant: Grant, options: RuleOptions, lose: Lose): readonly RbacRule[] {
  const verbs = namesOf(grant, 'verb') ?? ['*']
  if (grant.half === 'path') {
    const nonResourceURLs = urlsOf(grant, lose)
    return nonResourceURLs.length === 0 ? [] : [{ nonResourceURLs, verbs }]
  }
  const resources = resourcesOf(grant, options, lose)
  return resources.length === 0 ? [] : [{ apiGroups: namesOf(grant, 'group') ?? ['*'], resources, verbs }]
}

function conditionOf({ conditions }: Grant, dimension: Dimension): Condition | undefined {
  return conditions.find((condition) => condition.dimension === dimension)
}

function namesOf(grant: Grant, dimension: Dimension): readonly string[] | undefined {
  const condition = conditionOf(grant, dimension)
  return condition && [...condition.names]
}

function urlsOf(grant: Grant, lose: Lose): readonly string[] {
  const prefixes = namesOf(grant, 'prefix')?.map((prefix) => `${prefix}*`)
  const paths = namesOf(grant, 'path')
  if (paths?.some((path) => path.endsWith('*'))) {
    lose('skipped', 'the path ends in a *, which here is a letter and in RBAC a pattern')
    return []
  }
  return (prefixes ?? paths ?? ['*']).filter((url) => url !== '')
}

function resourcesOf(grant: Grant, options: RuleOptions, lose: Lose): readonly string[] {
  const targets = namesOf(grant, 'target')
  if (targets !== undefined) return targets.flatMap((target) => ruleTarget(target, options, lose))
  const resource = conditionOf(grant, 'resource')
  const isEvery =
    resource === undefined || (resource.kind === 'not-in' && [...resource.names].every((name) => name === ''))
  if (isEvery) return everyResource(grant, lose)
  if (resource.kind === 'in') {
    return [...resource.names]
      .filter((name) => NAME.test(name))
      .flatMap((name) => withSubresources(name, grant, options, lose))
  }
  if (options.resources === undefined) {
    lose('skipped', 'RBAC has no "all resources but these". Say which there are')
    return []
  }
  lose('narrower', 'carried over for the resources there are, and not for those to come')
  const rest = options.resources.filter((name) => !resource.names.has(name))
  return rest.flatMap((name) => withSubresources(name, grant, options, lose))
}

const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/

/** In RBAC a star is every resource with every subresource. */
function everyResource(grant: Grant, lose: Lose): readonly string[] {
  const subresource = conditionOf(grant, 'subresource')
  if (subresource === undefined) return ['*']
  if (subresource.kind === 'in' && !subresource.names.has('')) return [...subresource.names].map((name) => `*/${name}`)
  lose('skipped', 'RBAC has no "every resource" without its subresources, nor "every subresource" without its resource')
  return []
}

/** Of version 1, which says nearly what RBAC says. */
function ruleTarget(target: string, options: RuleOptions, lose: Lose): readonly string[] {
  const [resource = '', subresource] = target.split('/')
  if (!NAME.test(resource)) return []
  return subresource === '*' ? known(resource, options, lose).map((name) => `${resource}/${name}`) : [target]
}

function withSubresources(resource: string, grant: Grant, options: RuleOptions, lose: Lose): readonly string[] {
  const condition = conditionOf(grant, 'subresource')
  const covered = (name: string): boolean =>
    condition === undefined || condition.names.has(name) === (condition.kind === 'in')
  const names = condition?.kind === 'in' ? [...condition.names] : ['', ...known(resource, options, lose)]
  return names.filter(covered).map((name) => (name === '' ? resource : `${resource}/${name}`))
}

function known(resource: string, { subresources = KNOWN_SUBRESOURCES }: RuleOptions, lose: Lose): readonly string[] {
  const names = subresources.get(resource) ?? []
  lose('narrower', `of the subresources of ${resource} only ${names.join(', ') || 'none'} are carried over`)
  return names
}
