/**
 * Name constraints: which names an authority may certify. DNS names, mail addresses, URIs and IP addresses as Go's
 * crypto/x509 has them. Directory names too, which Go refuses to judge: they are what keeps an authority to its own
 * organizations, that is, groups. Any other kind, critical or not, makes the certificate one nobody can be below.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.10
 * @module
 */
import { type Der, MalformedError, membersOf, TAG } from './der.ts'
import { nameOf, type Rdn } from './name.ts'

/** What a GeneralName can be, as far as it is judged. */
type Name =
  | { readonly kind: 'dns' | 'email' | 'uri'; readonly text: string }
  | { readonly kind: 'ip'; readonly bytes: Uint8Array }
  | { readonly kind: 'directory'; readonly rdns: readonly Rdn[] }

export interface NameConstraints {
  readonly permitted: readonly Name[]
  readonly excluded: readonly Name[]
  /** Whether there is a constraint of a kind that is not judged. */
  readonly hasUnknown: boolean
}

export function nameConstraintsOf(der: Der): NameConstraints {
  const members = membersOf(der, TAG.sequence, 'name constraints')
  const [permitted, excluded] = [members.takeIf(0xa0), members.takeIf(0xa1)].map((list) => list?.children.map(subtree))
  members.end()
  const all = [...(permitted ?? []), ...(excluded ?? [])]
  if (all.length === 0) throw new MalformedError('name constraints: are empty')
  return {
    permitted: (permitted ?? []).filter((name) => name !== undefined),
    excluded: (excluded ?? []).filter((name) => name !== undefined),
    hasUnknown: all.includes(undefined),
  }
}

/** The base of a GeneralSubtree; minimum and maximum have no use in certificates, and are not to be there. */
function subtree(der: Der): Name | undefined {
  const [base, more] = der.children
  if (der.tag !== TAG.sequence || base === undefined) throw new MalformedError('name constraints: are malformed')
  if (more !== undefined) return undefined
  const name = generalName(base)
  const isSound =
    name === undefined ||
    name.kind === 'directory' ||
    (name.kind === 'ip' ? isNetwork(name.bytes) : name.text === '' || isSoundConstraint(name.kind, name.text))
  if (!isSound) throw new MalformedError('name constraints: have a malformed name')
  return name
}

function isSoundConstraint(kind: 'dns' | 'email' | 'uri', text: string): boolean {
  if (kind === 'email' && text.includes('@')) return mailbox(text) !== undefined
  return isDomain(text.replace(/^\./, ''))
}

function generalName({ tag, content, children }: Der): Name | undefined {
  switch (tag) {
    case 0x81:
      return { kind: 'email', text: ascii(content) }
    case 0x82:
      return { kind: 'dns', text: ascii(content) }
    case 0x86:
      return { kind: 'uri', text: ascii(content) }
    case 0x87:
      return { kind: 'ip', bytes: content }
    case 0xa4: {
      const [name, more] = children
      if (name === undefined || more !== undefined) throw new MalformedError('directory name: is malformed')
      return { kind: 'directory', rdns: nameOf(name, 'directory name') }
    }
    default:
      return undefined
  }
}

function ascii(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('latin1')
  if (/[^\0-\x7f]/.test(text)) throw new MalformedError('general name: is not ASCII')
  return text
}

/** The names of a certificate that constraints are about. */
export interface NamesOfCertificate {
  readonly subject: readonly Rdn[]
  /** GeneralNames. */
  readonly alternativeNames: readonly Der[]
}

/** Whether an authority with these constraints may certify these names. */
export function isWithin({ subject, alternativeNames }: NamesOfCertificate, constraints: NameConstraints): boolean {
  if (constraints.hasUnknown) return false
  const own: Name[] = subject.length === 0 ? [] : [{ kind: 'directory', rdns: subject }]
  const others = alternativeNames.map(nameOrNone)
  return [...own, ...others].every((name) => name === undefined || isAllowed(name, constraints))
}

function nameOrNone(der: Der): Name | undefined {
  try {
    return generalName(der)
  } catch {
    return UNREADABLE.get(der.tag)
  }
}

/** A name of the kind that no constraint permits: it cannot be read, so nothing can be said of it. */
const UNREADABLE: ReadonlyMap<number, Name> = new Map<number, Name>([
  [0x81, { kind: 'email', text: '' }],
  [0x82, { kind: 'dns', text: '' }],
  [0x86, { kind: 'uri', text: '' }],
  [0xa4, { kind: 'directory', rdns: [] }],
])

/** A name that cannot be read is not allowed by anything, also where no constraint is of its kind: as Go has it. */
function isAllowed(name: Name, { permitted, excluded }: NameConstraints): boolean {
  if (!isReadable(name)) return false
  const ofKind = ({ kind }: Name): boolean => kind === name.kind
  const [allowing, forbidding] = [permitted.filter(ofKind), excluded.filter(ofKind)]
  if (forbidding.some((constraint) => matches(name, constraint, 'excluded'))) return false
  return allowing.length === 0 || allowing.some((constraint) => matches(name, constraint, 'permitted'))
}

type Side = 'permitted' | 'excluded'

function isReadable(name: Name): boolean {
  switch (name.kind) {
    case 'dns':
      return isDomain(name.text)
    case 'email':
      return mailbox(name.text) !== undefined
    case 'uri':
      return hostOf(name.text) !== undefined
    case 'ip':
      return name.bytes.length === 4 || name.bytes.length === 16
    case 'directory':
      return name.rdns.length > 0
    default:
      return name satisfies never
  }
}

function matches(name: Name, constraint: Name, side: Side): boolean {
  if (name.kind === 'ip') return constraint.kind === 'ip' && isInNetwork(name.bytes, constraint.bytes)
  if (name.kind === 'directory') return constraint.kind === 'directory' && isBelow(name.rdns, constraint.rdns, side)
  if (constraint.kind === 'ip' || constraint.kind === 'directory') return false
  switch (name.kind) {
    case 'dns':
      return isInDomain(name.text, constraint.text) || (side === 'excluded' && coversBase(name.text, constraint.text))
    case 'uri':
      return isInDomain(hostOf(name.text) ?? '', constraint.text)
    case 'email':
      return isMailFrom(name.text, constraint.text)
    default:
      return name satisfies never
  }
}

/** A wildcard stands for the excluded name itself: `*.example.org`, where `a.example.org` is excluded. */
function coversBase(name: string, constraint: string): boolean {
  return name.startsWith('*.') && constraint.replace(/^[^.]*/, '').toLowerCase() === name.slice(1).toLowerCase()
}

function isMailFrom(address: string, constraint: string): boolean {
  const { local, domain } = mailbox(address) ?? { local: '', domain: '' }
  const exact = mailbox(constraint)
  if (exact === undefined) return isInDomain(domain, constraint)
  return local === exact.local && domain.toLowerCase() === exact.domain.toLowerCase()
}

/** `example.org`: that and all below; `.example.org`: only what is below; nothing: everything. */
function isInDomain(host: string, constraint: string): boolean {
  const [name, suffix] = [host.toLowerCase(), constraint.toLowerCase()]
  if (suffix === '' || name === suffix) return true
  return name.endsWith(suffix.startsWith('.') ? suffix : `.${suffix}`)
}

function isDomain(text: string): boolean {
  return text.length <= 253 && /^[A-Za-z0-9_*-]{1,63}(\.[A-Za-z0-9_*-]{1,63})*$/.test(text)
}

/** Plain addresses. Quoted local parts are no address here: under constraints they are refused. */
function mailbox(text: string): { readonly local: string; readonly domain: string } | undefined {
  const [, local, domain] = /^([^@\s"\\]+)@([^@]+)$/.exec(text) ?? []
  return local === undefined || domain === undefined || !isDomain(domain) ? undefined : { local, domain }
}

/** The host of a URI, if it is a domain name: constraints say nothing of addresses. */
function hostOf(uri: string): string | undefined {
  const [, host] = /^[A-Za-z][A-Za-z\d+.-]*:\/\/(?:[^/?#@]*@)?([^/?#@:[\]]+)(?::\d*)?(?:[/?#]|$)/.exec(uri) ?? []
  return host === undefined || !isDomain(host) || /^[\d.]+$/.test(host) ? undefined : host
}

function isNetwork(bytes: Uint8Array): boolean {
  if (bytes.length !== 8 && bytes.length !== 32) return false
  const mask = [...bytes.subarray(bytes.length / 2)].map((octet) => octet.toString(2).padStart(8, '0')).join('')
  return /^1*0*$/.test(mask)
}

function isInNetwork(address: Uint8Array, network: Uint8Array): boolean {
  if (network.length !== address.length * 2) return false
  const mask = network.subarray(address.length)
  return address.every((octet, at) => ((octet ^ (network[at] ?? 0)) & (mask[at] ?? 0xff)) === 0)
}

/**
 * Whether a name begins with the sets of another. To Kubernetes `Team` and `team` are two groups, so what is permitted
 * has to be the same text; what is excluded goes in any spelling.
 */
function isBelow(name: readonly Rdn[], base: readonly Rdn[], side: Side): boolean {
  const spelling = side === 'permitted' ? (value: string) => value : folded
  const id = (rdn: Rdn): string =>
    JSON.stringify(rdn.map(({ type, value }) => JSON.stringify([type, spelling(value)])).sort())
  return base.length <= name.length && base.every((rdn, at) => id(rdn) === id(name[at] ?? []))
}

function folded(value: string): string {
  return value.normalize('NFKC').trim().replace(/\s+/g, ' ').toLowerCase()
}
