/**
 * `archway pki issue`: a certificate for one party of a cluster, from an authority of a folder.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto'
import { Argument, type Command, Option } from 'commander'
import { parseCertificate } from '../../authn/x509/certificate.ts'
import { isWithin } from '../../authn/x509/name-constraints.ts'
import { ArchwayError } from '../../errors.ts'
import { readCertificates } from '../../pki/certificate.ts'
import { isThere, readTextFile, replaceFile, writeNewFile } from '../../pki/files.ts'
import { type FolderAuthority, openFolderAuthority } from '../../pki/folder-authority.ts'
import type { CertificateTemplate } from '../../pki/issuing.ts'
import { generateKey, type KeyAlgorithm, keyPem, publicOf } from '../../pki/keys.ts'
import { pairPaths } from '../../pki/layout.ts'
import { leafTemplate } from '../../pki/leaf.ts'
import {
  PROFILE_NAMES,
  PROFILES,
  type Profile,
  type ProfileFacts,
  type ProfileName,
  profileFile,
} from '../../pki/profiles.ts'
import { type CertificateRequest, readRequest } from '../../pki/request.ts'
import type { Secret } from '../../secret.ts'
import {
  collect,
  collectWhole,
  count,
  keyAlgorithmOption,
  lifetime,
  passphraseOf,
  passphraseOption,
  refusing,
  usage,
} from './flags.ts'
import { certificateKubeconfig } from './kubeconfigs.ts'
import type { PkiWorld } from './world.ts'

const PROFILE_LINES = PROFILE_NAMES.map((name) => `  ${name.padEnd(26)}${PROFILES[name].does}`).join('\n')

const EXAMPLES = `
Profiles:
${PROFILE_LINES}

Examples:
  archway pki issue apiserver --dir pki --node master-0 --advertise-address 10.0.0.1 --san api.example.org
  archway pki issue etcd-server --dir pki --node master-0 --advertise-address 10.0.0.1
  archway pki issue front-proxy-client --dir pki --out /etc/archway/front-proxy-client
  archway pki issue user --dir pki --cn jane --group devs --hours 12 --kubeconfig jane.conf --server https://10.0.0.1:6443
  archway pki issue user --dir pki --cn jane --csr jane.csr
  archway pki issue super-admin --dir pki --i-know --kubeconfig pki/super-admin.conf --server https://10.0.0.1:6443
  archway pki issue webhook-server --dir pki --san archway.kube-system.svc

Writes NAME.crt and NAME.key into the folder, or where --out says; with --kubeconfig only that file. From a request
(--csr) the key alone is taken, and what it asks for has to be what the profile gives. Nothing is written over what is
there without --replace. Kubernetes cannot revoke certificates: those of users are for 30 days unless told otherwise.
The group of admin, kubeadm:cluster-admins, has no rights of its own; as super-admin:
  kubectl create clusterrolebinding kubeadm:cluster-admins --clusterrole=cluster-admin --group=kubeadm:cluster-admins
Status 0: issued; 1: refused; 2: a wrong command line.
`

interface IssueFlags {
  readonly dir: string
  readonly cn?: string
  readonly group: readonly string[]
  readonly node?: string
  readonly san: readonly string[]
  readonly clusterDomain: string
  readonly serviceSubnet: readonly string[]
  readonly advertiseAddress?: string
  readonly csr?: string
  readonly keyAlgorithm?: KeyAlgorithm
  readonly days?: number
  readonly hours?: number
  readonly out?: string
  readonly kubeconfig?: string
  readonly server?: string
  readonly clusterName: string
  readonly namespace?: string
  readonly replace?: boolean
  readonly passphraseFile?: string
  readonly iKnow?: boolean
}

export function addIssueCommand(pki: Command, world: PkiWorld): void {
  pki
    .command('issue')
    .description('issue a certificate for a party of the cluster')
    .addArgument(new Argument('<profile>', 'who it is for').choices(PROFILE_NAMES))
    .requiredOption('--dir <DIR>', 'folder with the authorities, of archway pki init or kubeadm')
    .option('--cn <NAME>', 'name of the user')
    .option('--group <NAME>', 'group of the user, in place of those of the profile; repeatable', collectWhole, [])
    .option('--node <NAME>', 'host name of the machine')
    .option('--san <NAMES>', 'more host names and addresses of the server; repeatable', collect, [])
    .option('--cluster-domain <DOMAIN>', 'domain of services', 'cluster.local')
    .option('--service-subnet <NETWORKS>', 'networks of services (10.96.0.0/12)', collect, [])
    .option('--advertise-address <ADDRESS>', 'address the server is reached at')
    .option('--csr <FILE>', 'certificate signing request with the key, PEM; else a key is made')
    .addOption(keyAlgorithmOption(undefined))
    .addOption(new Option('--days <N>', 'how long it is good; the default is the profile’s').argParser(count))
    .addOption(new Option('--hours <N>', 'the same in hours; both together add up').argParser(count))
    .option('--out <PATH>', 'path of the files, without .crt and .key')
    .option('--kubeconfig <FILE>', 'write a kubeconfig around it; goes with --server')
    .option('--server <URL>', 'API server for the kubeconfig')
    .option('--cluster-name <NAME>', 'name of the cluster in the kubeconfig', 'kubernetes')
    .option('--namespace <NAME>', 'namespace of the kubeconfig’s context')
    .option('--replace', 'put it in the place of what is there')
    .addOption(passphraseOption())
    .option('--i-know', 'also names that are Kubernetes’ own, and system:masters')
    .addHelpText('after', EXAMPLES)
    .action((profile: ProfileName, flags: IssueFlags) => refusing(() => issue(PROFILES[profile], flags, world)))
}

async function issue(profile: Profile, flags: IssueFlags, { io, now, done }: PkiWorld): Promise<void> {
  checkFlags(profile, flags)
  const request = flags.csr === undefined ? undefined : readRequest(readTextFile(flags.csr))
  const facts = factsOf(flags, profile, request)
  const target = targetOf(profile, facts, flags)
  if (flags.replace !== true) refuseExisting(target)
  const { folder, passphrase } = { folder: flags.dir, passphrase: passphraseOf(flags.passphraseFile) }
  const authority = openFolderAuthority({ folder, name: profile.authority, passphrase, now })
  const key = request === undefined ? await generateKey(flags.keyAlgorithm ?? 'ecdsa-p256') : undefined
  const publicKey = key === undefined ? request?.publicKey : publicOf(key)
  if (publicKey === undefined) throw usage('neither a key nor a request')
  const { days = flags.hours === undefined ? profile.days : 0, hours = 0 } = flags
  const template = leafTemplate({
    profile,
    facts,
    request,
    isMeant: flags.iKnow === true,
    ...lifetime(now(), { days, hours }),
    keyType: publicKey.asymmetricKeyType,
  })
  const { certificatePem, notAfter } = await authority.issue(publicKey, template)
  refuseOutside(certificatePem, authority)
  const chain = `${certificatePem}${authority.intermediatesPem}`
  const written = write(target, { chain, key, authority, template, flags })
  io.out(`${described(template)}\nby ${profile.authority}, until ${notAfter.toISOString()}\n`)
  for (const path of written) io.out(`wrote ${path}\n`)
  done(0)
}

/** Nobody would take a certificate with names that its authority may not certify. */
function refuseOutside(certificatePem: string, { certificate }: FolderAuthority): void {
  const [issued] = readCertificates(certificatePem, 'the new certificate')
  const { nameConstraints } = parseCertificate(certificate.der).extensions
  if (issued === undefined || nameConstraints === undefined) return
  const { subject, extensions } = parseCertificate(issued.der)
  if (isWithin({ subject, alternativeNames: extensions.alternativeNames }, nameConstraints)) return
  throw new ArchwayError(
    'certificate_not_issued',
    'its authority may not certify one of its names (name constraints, given with pki init --permit-dns, --permit-ip)',
  )
}

function checkFlags(profile: Profile, flags: IssueFlags): void {
  const { kubeconfig, server, csr, keyAlgorithm } = flags
  if ((kubeconfig === undefined) !== (server === undefined)) throw usage('--kubeconfig and --server go together')
  if (server !== undefined && URL.parse(server)?.protocol !== 'https:')
    throw usage('--server: expected https://HOST:PORT')
  if (kubeconfig !== undefined && csr !== undefined)
    throw usage('--kubeconfig needs the key, which --csr does not bring')
  if (kubeconfig !== undefined && (profile.names !== undefined || profile.authority !== 'ca')) {
    throw usage('--kubeconfig is for clients of kube-apiserver')
  }
  if (csr !== undefined && keyAlgorithm !== undefined) throw usage('either --csr or --key-algorithm')
}

const SERVICE_SUBNETS = ['10.96.0.0/12']

/** Of a request for a user the name is the request's where none is given: it is shown, and no group comes with it. */
function factsOf(flags: IssueFlags, { fixedFile }: Profile, request: CertificateRequest | undefined): ProfileFacts {
  const named = fixedFile === undefined && flags.node === undefined ? request?.subject.commonName : undefined
  return {
    commonName: flags.cn ?? named,
    groups: flags.group,
    node: flags.node,
    clusterDomain: flags.clusterDomain,
    serviceSubnets: flags.serviceSubnet.length === 0 ? SERVICE_SUBNETS : flags.serviceSubnet,
    advertiseAddress: flags.advertiseAddress,
    names: flags.san,
  }
}

/** Where the result goes. */
interface Target {
  readonly pair: { readonly certificate: string; readonly key: string | undefined } | undefined
  readonly kubeconfig: string | undefined
}

function targetOf(profile: Profile, facts: ProfileFacts, { out, kubeconfig, dir, csr }: IssueFlags): Target {
  if (kubeconfig !== undefined && out === undefined) return { pair: undefined, kubeconfig }
  const { certificate, key } =
    out === undefined ? pairPaths(dir, profileFile(profile, facts)) : { certificate: `${out}.crt`, key: `${out}.key` }
  return { pair: { certificate, key: csr === undefined ? key : undefined }, kubeconfig }
}

function refuseExisting({ pair, kubeconfig }: Target): void {
  const there = [pair?.certificate, pair?.key, kubeconfig].find((path) => path !== undefined && isThere(path))
  if (there !== undefined) throw usage(`${there} is there already; --replace puts the new one in its place`)
}

interface Result {
  /** The certificate and what has to be sent with it. */
  readonly chain: string
  readonly key: KeyObject | undefined
  readonly authority: FolderAuthority
  readonly template: CertificateTemplate
  readonly flags: IssueFlags
}

function write({ pair, kubeconfig }: Target, { chain, key, authority, template, flags }: Result): readonly string[] {
  const files: { path: string; content: string | Secret }[] = []
  if (pair?.key !== undefined && key !== undefined) files.push({ path: pair.key, content: keyPem(key) })
  if (pair !== undefined) files.push({ path: pair.certificate, content: chain })
  if (kubeconfig !== undefined && key !== undefined) {
    const content = certificateKubeconfig({
      server: flags.server ?? '',
      authorityPem: authority.bundlePem,
      clusterName: flags.clusterName,
      userName: template.subject.commonName,
      namespace: flags.namespace,
      certificatePem: chain,
      key: keyPem(key),
    })
    files.push({ path: kubeconfig, content })
  }
  for (const file of files) {
    if (flags.replace === true) replaceFile(file)
    else writeNewFile(file)
  }
  return files.map(({ path }) => path)
}

function described({ subject, altNames, extendedKeyUsages }: CertificateTemplate): string {
  const groups = subject.organizations.length === 0 ? '' : `, groups ${subject.organizations.map(quoted).join(', ')}`
  const names = [...altNames.dns, ...altNames.ip]
  const called = names.length === 0 ? '' : `\nnames ${names.join(', ')}`
  return `${quoted(subject.commonName)}${groups} (${extendedKeyUsages.join(', ')})${called}`
}

function quoted(text: string): string {
  return JSON.stringify(text)
}
