/**
 * Whom to trust to be the API server. Owns the ways to its authority, from the surest to none: a file, what a kubeconfig
 * already says, a pin, the system's own. Nothing is trusted because it was met first.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto'
import { parseDocument } from 'yaml'
import { askServer, type Inspection, inspectServer, type ServerToAsk } from './ask-server.ts'
import {
  canBeTrusted,
  certificatesOf,
  describeCertificate,
  isPinned,
  namesOf,
  pemOf,
  pinOf,
  subjectOf,
} from './certificates.ts'
import type { ServerAddress } from './server-address.ts'

/** Where an authority may be had from. */
export interface AuthorityOptions {
  readonly address: ServerAddress
  readonly serverName: string | undefined
  /** An authority somebody vouches for, PEM, and where it is from: `ca.crt`, `cluster "prod"`. */
  readonly given: { readonly pem: string; readonly from: string } | undefined
  /** Ask the server for its authority; it is taken where it fits the pin. */
  readonly fromServer: boolean
  readonly pin: string | undefined
  readonly timeoutMs: number
}

export type Authority =
  | {
      readonly kind: 'trusted'
      /** PEM; undefined: the system's. */
      readonly ca: string | undefined
      /** For people. */
      readonly lines: readonly string[]
    }
  /** What is wrong, and what to do, a line each. */
  | { readonly kind: 'refused'; readonly lines: readonly string[] }

/** Finds the authority and sees that the server's certificate is by it, for the right name, and in force. */
export async function clusterAuthority(options: AuthorityOptions): Promise<Authority> {
  const { given, fromServer } = options
  if (given !== undefined) return verified(options, given.pem, given.from)
  if (fromServer) return pinnedAuthority(options)
  return verified(options, undefined, 'the authorities of this system')
}

async function verified(options: AuthorityOptions, ca: string | undefined, from: string): Promise<Authority> {
  const inspection = await inspectServer(toAsk(options, ca))
  if (inspection.kind !== 'presented') return { kind: 'refused', lines: unreached(options.address, inspection) }
  const { chain, fault } = inspection
  const [own] = chain
  if (own !== undefined && fault === undefined) {
    return { kind: 'trusted', ca, lines: [`verified by ${from}: ${describeCertificate(own)}`] }
  }
  if (fault === 'ERR_TLS_CERT_ALTNAME_INVALID' && own !== undefined) return wrongName(options, own)
  if (fault === 'CERT_HAS_EXPIRED' || fault === 'CERT_NOT_YET_VALID') return outdated(chain, fault)
  return untrusted(options, chain, from, fault)
}

function toAsk({ address, serverName, timeoutMs }: AuthorityOptions, ca: string | undefined): ServerToAsk {
  return { address, serverName, timeoutMs, ca }
}

// --- by a pin --------------------------------------------------------------------------------------------------

async function pinnedAuthority(options: AuthorityOptions): Promise<Authority> {
  const { pin, address } = options
  const inspection = await inspectServer(toAsk(options, undefined))
  if (inspection.kind !== 'presented') return { kind: 'refused', lines: unreached(address, inspection) }
  const offered = [...inspection.chain, ...(await publishedAuthorities(options))]
  if (pin === undefined) {
    const lines = [
      '--ca-from-server needs --ca-pin: without it anybody on the way could be the API server.',
      ...howToPin(offered),
    ]
    return { kind: 'refused', lines }
  }
  const fitting = offered.filter((certificate) => isPinned(certificate, pin))
  const [found] = fitting.filter(canBeTrusted)
  if (found !== undefined) return verified(options, pemOf([found]), `the pinned ${subjectOf(found.subject)}`)
  const lines =
    fitting.length > 0
      ? [
          "the pin is that of the server's own certificate, which changes with each renewal.",
          'Pin the authority that has signed it, or give it with --ca-file.',
        ]
      : [
          `nothing that ${address.url} presents has this pin: it is another cluster, or somebody stands in between.`,
          ...howToPin(offered),
        ]
  return { kind: 'refused', lines }
}

/**
 * What kubeadm publishes for those who join: a kubeconfig with the cluster's authority, for everybody to read. Read from
 * a server that is not verified yet, so good only for what a pin then holds it against.
 */
async function publishedAuthorities(options: AuthorityOptions): Promise<readonly X509Certificate[]> {
  try {
    const path = '/api/v1/namespaces/kube-public/configmaps/cluster-info'
    const question = { ...toAsk(options, undefined), method: 'GET', path, unverified: true } as const
    const { status, text } = await askServer(question)
    if (status !== 200) return []
    const kubeconfig = stringAt(JSON.parse(text), ['data', 'kubeconfig'])
    const document: unknown = parseDocument(kubeconfig).toJS({ maxAliasCount: 10 })
    const data = stringAt(document, ['clusters', '0', 'cluster', 'certificate-authority-data'])
    return certificatesOf(Buffer.from(data, 'base64').toString('utf8'), 'cluster-info').slice(0, 10)
  } catch {
    return [] // not kubeadm's, or not for everybody: the chain has to do
  }
}

function stringAt(value: unknown, path: readonly string[]): string {
  let found = value
  for (const key of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return ''
    found = Reflect.get(found, key)
  }
  return typeof found === 'string' ? found : ''
}

// --- what is wrong, in words -----------------------------------------------------------------------------------

function unreached(
  address: ServerAddress,
  inspection: Exclude<Inspection, { readonly kind: 'presented' }>,
): readonly string[] {
  if (inspection.kind === 'no-tls') {
    return [
      `${address.url} was reached, but does not speak TLS as an API server does (${inspection.cause}).`,
      'Compare the port with the one of "kubectl cluster-info".',
    ]
  }
  const port = address.port === 443 ? ' An API server mostly listens on 6443: give the port with the address.' : ''
  return [
    `${address.url} cannot be reached (${inspection.cause}).`,
    `Compare the address with "kubectl cluster-info", and look for a VPN or firewall in between.${port}`,
    'It was tried without a proxy: where kubectl needs HTTPS_PROXY, use --no-check.',
  ]
}

function wrongName({ address, serverName }: AuthorityOptions, own: X509Certificate): Authority {
  const names = namesOf(own)
  const [suggestion = 'NAME'] = names
  const lines = [
    `the certificate of ${address.url} is not for ${serverName ?? address.host}, but for: ${names.join(', ') || 'nobody'}.`,
    `Use one of these as the address, or keep the address and add --tls-server-name ${suggestion}.`,
  ]
  return { kind: 'refused', lines }
}

function outdated(chain: readonly X509Certificate[], fault: string): Authority {
  const late = fault === 'CERT_HAS_EXPIRED'
  const lines = [
    `a certificate of the server ${late ? 'has expired' : 'is not valid yet'}; compare the clock of this machine, then renew it:`,
    ...chain.map(
      (one) => `  ${subjectOf(one.subject)}: ${one.validFromDate.toISOString()} to ${one.validToDate.toISOString()}`,
    ),
  ]
  return { kind: 'refused', lines }
}

async function untrusted(
  options: AuthorityOptions,
  chain: readonly X509Certificate[],
  from: string,
  fault: string | undefined,
): Promise<Authority> {
  const offered = [...chain, ...(await publishedAuthorities(options))]
  const lines = [
    `the certificate of ${options.address.url} is not by ${from} (${fault ?? 'none was presented'}).`,
    "Give the cluster's own authority with --ca-file: /etc/kubernetes/pki/ca.crt on a control plane of kubeadm.",
    ...howToPin(offered),
  ]
  return { kind: 'refused', lines }
}

/** The digests that were met, for comparing with what an administrator says over another way. */
function howToPin(offered: readonly X509Certificate[]): readonly string[] {
  const known = new Map(offered.map((certificate) => [certificate.fingerprint256, certificate]))
  if (known.size === 0) return []
  const lines = [...known.values()].flatMap((certificate) => [
    `  ${subjectOf(certificate.subject)}, signed by ${subjectOf(certificate.issuer)}${certificate.ca ? ', an authority' : ''}`,
    `    pin          ${pinOf(certificate)}`,
    `    fingerprint  ${certificate.fingerprint256}`,
  ])
  const authority = [...known.values()].find(canBeTrusted)
  const advice =
    authority === undefined
      ? 'The server does not send its authority along, so --ca-file is the way.'
      : `If the administrator of the cluster names the same: --ca-from-server --ca-pin ${pinOf(authority)}`
  return ['The server presents (nobody vouches for this yet):', ...lines, advice]
}
