/**
 * The resources a node is judged about object by object: its pods' and its own. Reasons are worded as kube-apiserver
 * words them, since people and their tools know those.
 *
 * @module
 */
import type { Attributes, Decision } from '../authorizer.ts'
import type { NodeGraph, Target } from './graph.ts'
import type { NodeFeatures } from './rules.ts'

/** A request about a resource. */
export type ResourceRequest = Extract<Attributes, { kind: 'resource' }>

/** Judges a request of a known node. */
export type Judge = (node: string, request: ResourceRequest) => Decision

/** What {@link judges} needs. */
export interface JudgeOptions {
  readonly graph: Pick<NodeGraph, 'needs'>
  readonly features: NodeFeatures
  /** Whether the graph holds the cluster yet. Until then "not needed" is "could not tell". */
  readonly ready: () => boolean
}

const LEASE_NAMESPACE = 'kube-node-lease'

/** Judges by `group/resource`; whatever is not here goes by the rules for all nodes. */
export function judges({ graph, features, ready }: JudgeOptions): ReadonlyMap<string, Judge> {
  const needed =
    (target: Target): Judge =>
    (node, request) => {
      if (request.name === '') return no('No Object name found')
      if (graph.needs(node, target, request.namespace, request.name)) return ALLOWED
      if (!ready()) return { kind: 'no-opinion', evaluationError: 'node: pods and volumes are not known yet' }
      return no(`no relationship found between node '${node}' and this object`)
    }

  const get =
    (target: Target): Judge =>
    (node, request) => {
      if (request.verb !== 'get') return no('can only get individual resources of this type')
      if (request.subresource !== '') return no('cannot get subresource')
      return needed(target)(node, request)
    }

  const readNamed =
    (target: Target): Judge =>
    (node, request) => {
      if (!['get', 'list', 'watch'].includes(request.verb)) return no('can only read resources of this type')
      if (request.subresource !== '') return no('cannot read subresource')
      if (request.namespace === '') return no('can only read namespaced object of this type')
      return needed(target)(node, request)
    }

  const claim: Judge = (node, request) => {
    if (request.subresource !== 'status') return get('claim')(node, request)
    if (!['update', 'patch'].includes(request.verb)) return no('can only get/update/patch this type')
    return needed('claim')(node, request)
  }

  const token: Judge = (node, request) => {
    if (request.verb !== 'create' || request.name === '') {
      return no('can only create tokens for individual service accounts')
    }
    if (request.subresource !== 'token') return no('can only create token subresource of serviceaccount')
    return needed('serviceaccount')(node, request)
  }

  const lease: Judge = (node, request) => {
    if (!OWN_VERBS.includes(request.verb)) return no('can only get, create, update, patch, or delete a node lease')
    if (request.namespace !== LEASE_NAMESPACE) {
      return no(`can only access leases in the "${LEASE_NAMESPACE}" system namespace`)
    }
    if (isOwn(node, request)) return ALLOWED
    return no('can only access node lease with the same name as the requesting node')
  }

  const csiNode: Judge = (node, request) => {
    if (!OWN_VERBS.includes(request.verb)) return no('can only get, create, update, patch, or delete a CSINode')
    if (request.subresource !== '') return no('cannot authorize CSINode subresources')
    return isOwn(node, request) ? ALLOWED : no('can only access CSINode with the same name as the requesting node')
  }

  const ownNode: Judge = (node, request) => {
    const { verb, subresource } = request
    if (subresource === 'status') return verb === 'update' || verb === 'patch' ? ALLOWED : NO_OPINION
    if (subresource !== '') return NO_OPINION
    if (['create', 'update', 'patch'].includes(verb)) return ALLOWED
    if (!['get', 'list', 'watch'].includes(verb)) return NO_OPINION
    if (request.name === node) return ALLOWED
    const what = request.name === '' ? 'all nodes' : `'${request.name}'`
    return no(`node '${node}' cannot read ${what}, only its own Node object`)
  }

  const ownPod: Judge = (node, request) => {
    const { verb, subresource } = request
    if (subresource === 'status') return verb === 'update' || verb === 'patch' ? ALLOWED : NO_OPINION
    if (subresource === 'eviction') return verb === 'create' ? ALLOWED : NO_OPINION
    if (subresource !== '') return NO_OPINION
    switch (verb) {
      case 'get':
        return needed('pod')(node, request)
      case 'list':
      case 'watch':
        if (selects(request.fieldSelector, 'spec.nodeName', node)) return ALLOWED
        if (request.name !== '') return needed('pod')(node, request)
        return no('can only list/watch pods with spec.nodeName field selector')
      case 'create':
      case 'delete':
        return ALLOWED
      default:
        return NO_OPINION
    }
  }

  const slice: Judge = (node, request) => {
    if (request.subresource !== '') return no('cannot authorize ResourceSlice subresources')
    switch (request.verb) {
      case 'create':
        return ALLOWED
      case 'get':
      case 'update':
      case 'patch':
      case 'delete':
        return needed('resourceslice')(node, request)
      case 'list':
      case 'watch':
      case 'deletecollection':
        if (!features.selectors || selects(request.fieldSelector, 'spec.nodeName', node)) return ALLOWED
        return no('can only list/watch/deletecollection resourceslices with spec.nodeName field selector')
      default:
        return no('can only read and write a ResourceSlice')
    }
  }

  return new Map([
    ['/secrets', readNamed('secret')],
    ['/configmaps', readNamed('configmap')],
    ['/persistentvolumeclaims', claim],
    ['/persistentvolumes', get('volume')],
    ['storage.k8s.io/volumeattachments', get('volumeattachment')],
    ['/serviceaccounts', token],
    ['coordination.k8s.io/leases', lease],
    ['storage.k8s.io/csinodes', csiNode],
    ...(features.selectors
      ? ([
          ['/nodes', ownNode],
          ['/pods', ownPod],
        ] as const)
      : []),
    ...(features.resourceClaims
      ? ([
          ['resource.k8s.io/resourceclaims', get('resourceclaim')],
          ['resource.k8s.io/resourceslices', slice],
        ] as const)
      : []),
  ])
}

const OWN_VERBS: readonly string[] = ['get', 'create', 'update', 'patch', 'delete']
/** The reason is the same for everything: the audit log has who, what and where already. */
export const ALLOWED: Decision = { kind: 'allow', reason: 'node: its pods or its own objects need it' }
export const NO_OPINION: Decision = { kind: 'no-opinion' }

/** No opinion, and why. */
export function no(reason: string): Decision {
  return { kind: 'no-opinion', reason }
}

/** On create the name is not known here; admission looks at it. */
function isOwn(node: string, { verb, name }: ResourceRequest): boolean {
  return verb === 'create' || name === node
}

/** Whether a field selector asks for exactly this value. Requirements are all met at once, so one is enough. */
function selects(fieldSelector: unknown, key: string, value: string): boolean {
  const requirements = fieldOf(fieldSelector, 'requirements')
  if (!Array.isArray(requirements)) return false
  return requirements.some((requirement: unknown) => {
    const values = fieldOf(requirement, 'values')
    const one = Array.isArray(values) && values.length === 1 && values[0] === value
    return one && fieldOf(requirement, 'key') === key && fieldOf(requirement, 'operator') === 'In'
  })
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
}
