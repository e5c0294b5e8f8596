/**
 * Known ways from "may do this one thing" to a shell, a credential or more rights.
 *
 * @module
 */

export interface Escalation {
  /** What is had by it. */
  readonly what: string
  /** Any of them will do. */
  readonly verbs: readonly string[]
  readonly group?: string
  readonly resource: string
  readonly subresource?: string
  /** Whether such objects stand outside of namespaces. */
  readonly clusterScoped?: boolean
}

const RBAC = 'rbac.authorization.k8s.io'
const CERTIFICATES = 'certificates.k8s.io'

/** `kubectl exec` is a GET over WebSocket and a POST over SPDY: either verb will do, and so for its siblings. */
const CONNECT = ['get', 'create']
const ANY_METHOD = [...CONNECT, 'update', 'patch', 'delete']

export const ESCALATIONS: readonly Escalation[] = [
  { what: 'a shell in pods', verbs: CONNECT, resource: 'pods', subresource: 'exec' },
  { what: 'the terminal of pods', verbs: CONNECT, resource: 'pods', subresource: 'attach' },
  { what: 'a tunnel to pods', verbs: CONNECT, resource: 'pods', subresource: 'portforward' },
  { what: 'HTTP to pods', verbs: ANY_METHOD, resource: 'pods', subresource: 'proxy' },
  {
    what: 'a container of any kind in running pods',
    verbs: ['update', 'patch'],
    resource: 'pods',
    subresource: 'ephemeralcontainers',
  },
  { what: 'HTTP to services', verbs: ANY_METHOD, resource: 'services', subresource: 'proxy' },
  {
    what: 'the kubelet, and with it every pod of the node',
    verbs: ANY_METHOD,
    resource: 'nodes',
    subresource: 'proxy',
    clusterScoped: true,
  },
  { what: 'tokens of service accounts', verbs: ['create'], resource: 'serviceaccounts', subresource: 'token' },
  { what: 'secrets, tokens among them', verbs: ['get', 'list', 'watch'], resource: 'secrets' },
  { what: 'roles with more rights than one has', verbs: ['escalate'], group: RBAC, resource: 'roles' },
  {
    what: 'cluster roles with more rights than one has',
    verbs: ['escalate'],
    group: RBAC,
    resource: 'clusterroles',
    clusterScoped: true,
  },
  { what: 'any role, by binding it', verbs: ['bind'], group: RBAC, resource: 'roles' },
  {
    what: 'any cluster role, by binding it',
    verbs: ['bind'],
    group: RBAC,
    resource: 'clusterroles',
    clusterScoped: true,
  },
  { what: 'the rights of other users', verbs: ['impersonate'], resource: 'users', clusterScoped: true },
  {
    what: 'the rights of any group, system:masters included',
    verbs: ['impersonate'],
    resource: 'groups',
    clusterScoped: true,
  },
  { what: 'the rights of service accounts', verbs: ['impersonate'], resource: 'serviceaccounts' },
  {
    what: 'the project and roles of others, by which this policy goes',
    verbs: ['impersonate'],
    group: 'authentication.k8s.io',
    resource: 'userextras',
    clusterScoped: true,
  },
  {
    what: 'certificates, by approving requests for them',
    verbs: ['update', 'patch'],
    group: CERTIFICATES,
    resource: 'certificatesigningrequests',
    subresource: 'approval',
    clusterScoped: true,
  },
  {
    what: 'certificates, in the name of a signer',
    verbs: ['approve', 'sign'],
    group: CERTIFICATES,
    resource: 'signers',
    clusterScoped: true,
  },
  {
    what: 'a say in every request, by a webhook that changes it',
    verbs: ['create', 'update', 'patch'],
    group: 'admissionregistration.k8s.io',
    resource: 'mutatingwebhookconfigurations',
    clusterScoped: true,
  },
]
