/** Requests that no signer of ours may sign and no approver approve unseen: threat S10, one row for each way. */
import 'reflect-metadata'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import {
  BasicConstraintsExtension,
  type Extension,
  type JsonGeneralNames,
  Name,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from '@peculiar/x509'
import type { BreachCode, FindingCode } from '../../src/signer/finding.ts'
import { sharedKey, type TestCsr } from './support.ts'

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** A PEM request with any name and any extensions. */
export async function requestWith(
  name: ConstructorParameters<typeof Name>[0],
  extensions: Extension[] = [],
  hash = 'SHA-256',
): Promise<string> {
  const algorithm = { ...P256, hash }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: new Name(name),
    keys,
    signingAlgorithm: algorithm,
    extensions,
  })
  return `${request.toString('pem')}\n`
}

function withNames(names: JsonGeneralNames): () => Promise<string> {
  return () => requestWith('CN=jane', [new SubjectAlternativeNameExtension(names)])
}

/** Made once: 1024 bits take their time too. */
let weak: KeyObject | undefined
function weakKey(): KeyObject {
  weak ??= generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  return weak
}

export interface Hostile {
  readonly title: string
  readonly csr: () => Promise<TestCsr>
  /** What a policy that lets jane ask for herself has against it; undefined: the policy has its own rule for it. */
  readonly breach: BreachCode
  /** What an approver is told; undefined where the difference is only the policy's. */
  readonly finding: FindingCode | undefined
}

const plain = (csr: TestCsr) => async (): Promise<TestCsr> => csr
const crafted = (request: () => Promise<string>) => async (): Promise<TestCsr> => ({ request: await request() })

/** All of them are asked for by jane, of group people. */
export const HOSTILE: readonly Hostile[] = [
  {
    title: 'group system:masters',
    csr: plain({ organizations: ['system:masters'] }),
    breach: 'reserved-group',
    finding: 'cluster-admin',
  },
  {
    title: 'group system:masters of somebody who is in it',
    csr: plain({ organizations: ['system:masters'], groups: ['people', 'system:masters'] }),
    breach: 'reserved-group',
    finding: 'cluster-admin',
  },
  {
    title: 'group kubeadm:cluster-admins',
    csr: plain({ organizations: ['kubeadm:cluster-admins'] }),
    breach: 'reserved-group',
    finding: 'cluster-admin',
  },
  {
    title: 'group System:Masters, which a careless program takes for the other',
    csr: plain({ organizations: ['System:Masters'] }),
    breach: 'reserved-group',
    finding: 'cluster-admin',
  },
  {
    title: 'group system:nodes',
    csr: plain({ organizations: ['system:nodes'] }),
    breach: 'reserved-group',
    finding: 'reserved-group',
  },
  {
    title: 'a second group beside a good one',
    csr: plain({ organizations: ['people', 'admins'] }),
    breach: 'organization',
    finding: 'foreign-group',
  },
  { title: 'another user', csr: plain({ commonName: 'john' }), breach: 'common-name', finding: 'foreign-user' },
  {
    title: 'user system:kube-controller-manager',
    csr: plain({ commonName: 'system:kube-controller-manager' }),
    breach: 'reserved-user',
    finding: 'reserved-user',
  },
  {
    title: 'user system:node:n1',
    csr: plain({ commonName: 'system:node:n1' }),
    breach: 'reserved-user',
    finding: 'reserved-user',
  },
  {
    title: 'a user that only looks like jane',
    csr: crafted(() => requestWith([{ CN: [{ utf8String: 'jane\u200b' }] }])),
    breach: 'forbidden-characters',
    finding: 'forbidden-characters',
  },
  {
    title: 'no common name',
    csr: crafted(() => requestWith('O=people')),
    breach: 'no-common-name',
    finding: 'no-common-name',
  },
  {
    title: 'two common names, of which Kubernetes takes the last',
    csr: crafted(() => requestWith('CN=jane,CN=john')),
    breach: 'several-common-names',
    finding: 'several-common-names',
  },
  {
    title: 'the attribute that Kubernetes takes for the uid',
    csr: crafted(() => requestWith([{ CN: ['jane'] }, { '1.3.6.1.4.1.57683.2': [{ utf8String: '0' }] }])),
    breach: 'subject-attributes',
    finding: 'subject-attributes',
  },
  {
    title: 'a host name on a client certificate',
    csr: plain({ names: { dns: ['kubernetes.default.svc'] } }),
    breach: 'alternative-name',
    finding: 'names-on-client',
  },
  {
    title: 'an address on a client certificate',
    csr: plain({ names: { ip: ['10.96.0.1'] } }),
    breach: 'alternative-name',
    finding: 'names-on-client',
  },
  {
    title: 'a mail address and a URI on a client certificate',
    csr: plain({ names: { email: ['root@example.com'], uri: ['spiffe://cluster/ns/kube-system'] } }),
    breach: 'alternative-name',
    finding: 'names-on-client',
  },
  {
    title: 'a name of another kind',
    csr: crafted(withNames([{ type: 'dn', value: 'CN=john' }])),
    breach: 'bad-name',
    finding: 'bad-name',
  },
  {
    title: 'the certificate of an authority',
    csr: crafted(() => requestWith('CN=jane', [new BasicConstraintsExtension(true, 0, true)])),
    breach: 'authority-requested',
    finding: 'authority-requested',
  },
  { title: 'an RSA key of 1024 bits', csr: async () => ({ key: weakKey() }), breach: 'weak-key', finding: 'weak-key' },
  {
    title: 'a signature with SHA-1',
    csr: crafted(() => requestWith('CN=jane', [], 'SHA-1')),
    breach: 'weak-signature',
    finding: 'weak-signature',
  },
  {
    title: 'server auth',
    csr: plain({ usages: ['client auth', 'server auth'] }),
    breach: 'usage',
    finding: undefined,
  },
  {
    title: 'signing of certificates',
    csr: plain({ usages: ['client auth', 'cert sign'] }),
    breach: 'usage',
    finding: 'usage-beyond-client',
  },
  { title: 'any usage', csr: plain({ usages: ['any'] }), breach: 'usage', finding: 'usage-beyond-client' },
  {
    title: 'a usage nobody knows',
    csr: plain({ usages: ['client auth', 'world peace'] }),
    breach: 'usage',
    finding: 'usage-beyond-client',
  },
  {
    title: 'a year too long',
    csr: plain({ expirationSeconds: 366 * 86_400 }),
    breach: 'too-long',
    finding: 'long-life',
  },
  {
    title: 'somebody no rule is for',
    csr: async () => ({ username: 'mallory', groups: ['strangers'], key: await sharedKey() }),
    breach: 'requester',
    finding: undefined,
  },
]
