/**
 * Names of signers, and of what a certificate may be used for, as the certificates API has them.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#signers
 * @module
 */

/** Signers that kube-controller-manager brings. Any other name is somebody's own. */
export const BUILT_IN_SIGNER = {
  client: 'kubernetes.io/kube-apiserver-client',
  kubeletClient: 'kubernetes.io/kube-apiserver-client-kubelet',
  kubeletServing: 'kubernetes.io/kubelet-serving',
  legacy: 'kubernetes.io/legacy-unknown',
} as const

/** Every usage the API knows, in the order of its reference. Compared exactly. */
export const USAGES = [
  'signing',
  'digital signature',
  'content commitment',
  'key encipherment',
  'key agreement',
  'data encipherment',
  'cert sign',
  'crl sign',
  'encipher only',
  'decipher only',
  'any',
  'server auth',
  'client auth',
  'code signing',
  'email protection',
  's/mime',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'timestamping',
  'ocsp signing',
  'microsoft sgc',
  'netscape sgc',
] as const

export type Usage = (typeof USAGES)[number]

/** Whether the API knows the usage. */
export function isUsage(text: string): text is Usage {
  return USAGES.some((usage) => usage === text)
}

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const LONGEST_LABEL = 63
/** RFC 1123, a whole name. */
const LONGEST_SUBDOMAIN = 253
/** A domain, a slash, and what the API takes for a namespace with a name. */
const LONGEST = LONGEST_SUBDOMAIN + 1 + LONGEST_SUBDOMAIN + 1 + LONGEST_LABEL

/** Whether the API takes it for a `signerName`: `example.com/people`. */
export function isSignerName(text: string): boolean {
  const [domain = '', path = '', ...more] = text.split('/')
  if (more.length > 0 || text.length > LONGEST || domain.length > LONGEST_SUBDOMAIN) return false
  const labels = domain.split('.')
  return (
    labels.length >= 2 &&
    labels.every((label) => label.length <= LONGEST_LABEL && LABEL.test(label)) &&
    path.split('.').every((piece) => piece.length <= LONGEST_SUBDOMAIN && LABEL.test(piece))
  )
}
