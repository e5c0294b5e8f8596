/**
 * Who needs which certificate in a cluster: for each party its authority, its subject, its names and what it is for, as
 * kubeadm has them (1.29 and later, which no longer puts everybody into `system:masters`).
 *
 * @see https://kubernetes.io/docs/setup/best-practices/certificates/#all-certificates
 * @module
 */
import { ArchwayError } from '../errors.ts'
import type { AuthorityName } from './layout.ts'
import { addressBytes } from './name-constraints.ts'
import { type CertificateSubject, isHostName, type SubjectAltNames } from './names.ts'
import type { ExtendedKeyUsageName } from './usages.ts'

/** What a profile asks of its surroundings. */
export interface ProfileFacts {
  /** `user`, `webhook-server`: the common name. */
  readonly commonName: string | undefined
  /** Groups that were named; those of the profile where none was. */
  readonly groups: readonly string[]
  /** The machine it is for; `kubelet` needs it. */
  readonly node: string | undefined
  readonly clusterDomain: string
  /** Networks in CIDR notation; the first address of each is the API server's. */
  readonly serviceSubnets: readonly string[]
  readonly advertiseAddress: string | undefined
  /** DNS names and addresses beside those of the profile. */
  readonly names: readonly string[]
}

export interface Profile {
  readonly does: string
  readonly authority: AuthorityName
  /** Path of its files without the ending, where there is one certificate of it in a cluster's folder. */
  readonly fixedFile: string | undefined
  /** The same for one of many. */
  readonly file?: (facts: ProfileFacts) => string
  readonly usages: readonly ExtendedKeyUsageName[]
  readonly subject: (facts: ProfileFacts) => CertificateSubject
  /** Undefined: it is a client, and has none. */
  readonly names?: (facts: ProfileFacts) => readonly string[]
  /** Where it says nothing else, a certificate is good for so many days. */
  readonly days: number
}

const ADMINS = 'kubeadm:cluster-admins'

export const PROFILES = {
  apiserver: {
    does: 'serving certificate of kube-apiserver',
    authority: 'ca',
    fixedFile: 'apiserver',
    usages: ['server auth'],
    subject: () => called('kube-apiserver'),
    names: apiserverNames,
    days: 365,
  },
  'apiserver-kubelet-client': client('kube-apiserver, to kubelets', 'ca', 'apiserver-kubelet-client', {
    commonName: 'kube-apiserver-kubelet-client',
    organizations: [ADMINS],
  }),
  'apiserver-etcd-client': client('kube-apiserver, to etcd', 'etcd/ca', 'apiserver-etcd-client', {
    commonName: 'kube-apiserver-etcd-client',
    organizations: [],
  }),
  'etcd-server': etcd('serving certificate of etcd', 'etcd/server'),
  'etcd-peer': etcd('etcd, to its peers', 'etcd/peer'),
  'etcd-healthcheck-client': client('probes of etcd', 'etcd/ca', 'etcd/healthcheck-client', {
    commonName: 'kube-etcd-healthcheck-client',
    organizations: [],
  }),
  'front-proxy-client': client('a front proxy, to kube-apiserver', 'front-proxy-ca', 'front-proxy-client', {
    commonName: 'front-proxy-client',
    organizations: [],
  }),
  kubelet: {
    does: 'a kubelet, to kube-apiserver; needs --node',
    authority: 'ca',
    fixedFile: undefined,
    file: (facts) => `kubelet-${nodeOf(facts)}`,
    usages: ['client auth'],
    subject: (facts) => ({ commonName: `system:node:${nodeOf(facts)}`, organizations: ['system:nodes'] }),
    days: 365,
  },
  'controller-manager': client('kube-controller-manager', 'ca', 'controller-manager', {
    commonName: 'system:kube-controller-manager',
    organizations: [],
  }),
  scheduler: client('kube-scheduler', 'ca', 'scheduler', {
    commonName: 'system:kube-scheduler',
    organizations: [],
  }),
  admin: client('administrators, by RBAC: the group has to be bound', 'ca', 'admin', {
    commonName: 'kubernetes-admin',
    organizations: [ADMINS],
  }),
  'super-admin': client('administrators past all RBAC, for emergencies', 'ca', 'super-admin', {
    commonName: 'kubernetes-super-admin',
    organizations: ['system:masters'],
  }),
  user: {
    does: 'a person or program: --cn NAME --group GROUP',
    authority: 'ca',
    fixedFile: undefined,
    file: (facts) => `users/${fileName(needed(facts.commonName, 'a user', '--cn'))}`,
    usages: ['client auth'],
    subject: (facts) => ({
      commonName: needed(facts.commonName, 'a user', '--cn'),
      organizations: facts.groups,
    }),
    days: 30,
  },
  'webhook-server': {
    does: 'serving certificate of a webhook, such as archway serve; needs --san',
    authority: 'webhook-ca',
    fixedFile: 'webhook-server',
    usages: ['server auth'],
    subject: ({ commonName }) => called(commonName ?? 'webhook-server'),
    names: ({ names }) => names,
    days: 365,
  },
} satisfies Record<string, Profile>

export type ProfileName = keyof typeof PROFILES

/** Path of a profile's files, without the ending. Throws `certificate_not_issued` where a name makes none. */
export function profileFile({ fixedFile, file }: Profile, facts: ProfileFacts): string {
  return fixedFile ?? file?.(facts) ?? ''
}

export const PROFILE_NAMES = Object.keys(PROFILES) as readonly ProfileName[]

function called(commonName: string): CertificateSubject {
  return { commonName, organizations: [] }
}

function client(does: string, authority: AuthorityName, file: string, subject: CertificateSubject): Profile {
  return {
    does: `${does} (client)`,
    authority,
    fixedFile: file,
    usages: ['client auth'],
    subject: ({ groups }) => (groups.length === 0 ? subject : { ...subject, organizations: groups }),
    days: 365,
  }
}

/** A member of etcd is its own client too: its gateway calls itself, and peers call each other. */
function etcd(does: string, file: string): Profile {
  return {
    does,
    authority: 'etcd/ca',
    fixedFile: file,
    usages: ['server auth', 'client auth'],
    subject: (facts) => called(nodeOf(facts)),
    names: (facts) => [
      nodeOf(facts),
      'localhost',
      '127.0.0.1',
      '::1',
      ...(facts.advertiseAddress === undefined ? [] : [facts.advertiseAddress]),
      ...facts.names,
    ],
    days: 365,
  }
}

function apiserverNames(facts: ProfileFacts): readonly string[] {
  const { clusterDomain, serviceSubnets, advertiseAddress, names } = facts
  return [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    `kubernetes.default.svc.${clusterDomain}`,
    ...(facts.node === undefined ? [] : [facts.node]),
    ...serviceSubnets.map(firstAddress),
    ...(advertiseAddress === undefined ? [] : [advertiseAddress]),
    ...names,
  ]
}

function nodeOf({ node }: ProfileFacts): string {
  const name = needed(node, 'it', '--node')
  if (!isHostName(name) || name.startsWith('*')) throw refused(`--node ${JSON.stringify(name)}: is no host name`)
  return name.toLowerCase()
}

function needed(value: string | undefined, who: string, flag: string): string {
  if (value !== undefined && value !== '') return value
  throw refused(`${who} has no name; give it one with ${flag}`)
}

/** Names of users may hold anything; names of files may not. */
function fileName(name: string): string {
  if (/^[A-Za-z\d][A-Za-z\d._@+-]{0,200}$/.test(name)) return name
  throw refused(`${JSON.stringify(name)} makes no name for a file; name one with --out`)
}

/** `10.96.0.0/12` → `10.96.0.1`, which is where pods find the API server. */
export function firstAddress(subnet: string): string {
  const [, address = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(subnet) ?? []
  const bytes = addressBytes(address)
  if (bytes === undefined || Number(length) > bytes.length * 8 - 1) {
    throw refused(`service subnet ${JSON.stringify(subnet)}: expected a network, such as 10.96.0.0/12`)
  }
  const network = bytes.map((octet, at) => octet & (0xff << Math.max(0, Math.min(8, (at + 1) * 8 - Number(length)))))
  const first = network.with(-1, (network.at(-1) ?? 0) | 1)
  return first.length === 4 ? first.join('.') : ipv6Text(first)
}

function ipv6Text(bytes: readonly number[]): string {
  const groups = Array.from({ length: 8 }, (_, at) =>
    (((bytes[at * 2] ?? 0) << 8) | (bytes[at * 2 + 1] ?? 0)).toString(16),
  )
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1)
}

/** Sorts names into hosts and addresses, each once. Throws `certificate_not_issued` for what is neither. */
export function altNamesOf(names: readonly string[]): SubjectAltNames {
  const all = [...new Set(names)]
  const ip = all.filter((name) => addressBytes(name) !== undefined)
  const dns = all.filter((name) => !ip.includes(name))
  const wrong = dns.find((name) => !isHostName(name))
  if (wrong !== undefined) throw refused(`${JSON.stringify(wrong)} is neither a host name nor an address`)
  return { dns, ip, email: [], uri: [] }
}

function refused(message: string): ArchwayError {
  return new ArchwayError('certificate_not_issued', message)
}
