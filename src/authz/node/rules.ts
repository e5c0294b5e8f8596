/**
 * What every node may do, whoever it is, and what of it changed from release to release.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/node/
 * @module
 */
import { type PolicyRule, policyRule } from '../rbac/policy-rule.ts'

const READ = ['get', 'list', 'watch']
const WRITE_OWN = ['get', 'create', 'update', 'patch', 'delete']

function rule(verbs: readonly string[], group: string, ...resources: readonly string[]): PolicyRule {
  return policyRule({ verbs, apiGroups: [group], resources })
}

/** Rules of kube-apiserver's `nodeRules`; resources that are judged one by one in `node.ts` are never looked up here. */
export const NODE_RULES: readonly PolicyRule[] = [
  rule(['create'], 'authentication.k8s.io', 'tokenreviews'),
  rule(['create'], 'authorization.k8s.io', 'subjectaccessreviews', 'localsubjectaccessreviews'),
  rule(READ, '', 'services'),
  rule(['create', ...READ], '', 'nodes'),
  rule(['update', 'patch'], '', 'nodes', 'nodes/status'),
  rule(['create', 'update', 'patch'], '', 'events'),
  rule(READ, '', 'pods'),
  rule(['create', 'delete'], '', 'pods'),
  rule(['update', 'patch'], '', 'pods/status'),
  rule(['create'], '', 'pods/eviction'),
  rule(['get'], '', 'endpoints'),
  rule(['create', ...READ], 'certificates.k8s.io', 'certificatesigningrequests'),
  rule(READ, 'storage.k8s.io', 'csidrivers'),
  rule(READ, 'node.k8s.io', 'runtimeclasses'),
  // Judged one by one; here for whoever lists what a node may do at most.
  rule(READ, '', 'secrets', 'configmaps'),
  rule(['get'], '', 'persistentvolumeclaims', 'persistentvolumes'),
  rule(['get', 'update', 'patch'], '', 'persistentvolumeclaims/status'),
  rule(['create'], '', 'serviceaccounts/token'),
  rule(['get'], 'storage.k8s.io', 'volumeattachments'),
  rule(WRITE_OWN, 'coordination.k8s.io', 'leases'),
  rule(WRITE_OWN, 'storage.k8s.io', 'csinodes'),
]

/** What depends on the release of kube-apiserver that asks. */
export interface NodeFeatures {
  /**
   * A node reads its own pods and its own node only, and lists pods by `spec.nodeName`. Only for an API server that
   * puts selectors into its reviews (1.32 and later): one that does not would lock its nodes out.
   *
   * @see https://github.com/kubernetes/enhancements/tree/master/keps/sig-auth/4601-authorize-with-selectors
   */
  readonly selectors: boolean
  /** Claims made for generic ephemeral volumes of a pod count as used by it. */
  readonly ephemeralVolumes: boolean
  /** A node may read the config map its own object names as the kubelet's configuration. */
  readonly dynamicConfig: boolean
  /** Claims and slices of `resource.k8s.io/v1`. */
  readonly resourceClaims: boolean
}

/** The features of Kubernetes 1.`minor`, where its own switches are left alone. */
export function nodeFeatures(minor: number): NodeFeatures {
  return {
    selectors: minor >= 32,
    ephemeralVolumes: minor >= 21,
    dynamicConfig: minor < 22,
    resourceClaims: minor >= 34,
  }
}
