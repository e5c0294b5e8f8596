/**
 * The resources every cluster has: their short names, their API groups, whether they stand in namespaces. kubectl asks
 * the API server for these; a policy is looked at without one.
 *
 * @module
 */

/** What is known of a resource by its name. */
export interface KnownResource {
  readonly resource: string
  readonly group: string
  readonly namespaced: boolean
}

/** `name` or `name,short` of each group, in namespaces and outside of them. */
const RESOURCES: readonly (readonly [group: string, namespaced: string, cluster: string])[] = [
  [
    '',
    'bindings configmaps,cm endpoints,ep events,ev limitranges,limits persistentvolumeclaims,pvc pods,po podtemplates ' +
      'replicationcontrollers,rc resourcequotas,quota secrets serviceaccounts,sa services,svc',
    'componentstatuses,cs groups namespaces,ns nodes,no persistentvolumes,pv users',
  ],
  [
    'admissionregistration.k8s.io',
    '',
    'mutatingwebhookconfigurations validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations',
  ],
  ['apiextensions.k8s.io', '', 'customresourcedefinitions,crd'],
  ['apiregistration.k8s.io', '', 'apiservices'],
  ['apps', 'controllerrevisions daemonsets,ds deployments,deploy replicasets,rs statefulsets,sts', ''],
  ['authentication.k8s.io', '', 'selfsubjectreviews tokenreviews uids userextras'],
  [
    'authorization.k8s.io',
    'localsubjectaccessreviews',
    'selfsubjectaccessreviews selfsubjectrulesreviews subjectaccessreviews',
  ],
  ['autoscaling', 'horizontalpodautoscalers,hpa', ''],
  ['batch', 'cronjobs,cj jobs', ''],
  ['certificates.k8s.io', '', 'certificatesigningrequests,csr signers'],
  ['coordination.k8s.io', 'leases', ''],
  ['discovery.k8s.io', 'endpointslices', ''],
  ['flowcontrol.apiserver.k8s.io', '', 'flowschemas prioritylevelconfigurations'],
  ['networking.k8s.io', 'ingresses,ing networkpolicies,netpol', 'ingressclasses'],
  ['node.k8s.io', '', 'runtimeclasses'],
  ['policy', 'poddisruptionbudgets,pdb', ''],
  ['rbac.authorization.k8s.io', 'rolebindings roles', 'clusterrolebindings clusterroles'],
  ['scheduling.k8s.io', '', 'priorityclasses,pc'],
  ['storage.k8s.io', 'csistoragecapacities', 'csidrivers csinodes storageclasses,sc volumeattachments'],
]

const BY_WORD: ReadonlyMap<string, KnownResource> = new Map(
  RESOURCES.flatMap(([group, namespaced, cluster]) => [
    ...words(namespaced, { group, namespaced: true }),
    ...words(cluster, { group, namespaced: false }),
  ]),
)

/**
 * What a word stands for, as kubectl takes it: the plural, the singular or the short name. With a group it is one of
 * that group, or unknown.
 */
export function knownResource(word: string, group?: string): KnownResource | undefined {
  const known = BY_WORD.get(word.toLowerCase())
  return known !== undefined && (group === undefined || group === known.group) ? known : undefined
}

/**
 * What stands after the slash in `pods/log`, where it could be the name of an object as well. Whoever means an object
 * called so gives the name apart.
 */
export const SUBRESOURCES: ReadonlySet<string> = new Set([
  '*',
  'approval',
  'attach',
  'binding',
  'ephemeralcontainers',
  'eviction',
  'exec',
  'finalize',
  'log',
  'portforward',
  'proxy',
  'resize',
  'rollback',
  'scale',
  'status',
  'token',
])

function words(list: string, about: Omit<KnownResource, 'resource'>): readonly (readonly [string, KnownResource])[] {
  return list
    .split(' ')
    .filter((entry) => entry !== '')
    .flatMap((entry) => {
      const [resource = '', ...short] = entry.split(',')
      const known = { resource, ...about }
      return [resource, singular(resource), ...short].map((word) => [word, known] as const)
    })
}

function singular(plural: string): string {
  if (plural.endsWith('ies')) return `${plural.slice(0, -3)}y`
  return plural.replace(/(?<=ss|us)es$|s$/, '')
}
