/**
 * Path validation: from a certificate to one that is trusted, as Go's crypto/x509 does it for client authentication.
 * Every step is made of a name (the same byte for byte), a signature, validity now, what the issuer may sign, how long
 * the path may be; a whole path of usages and name constraints. Owns the search and its bounds; leaves revocation to
 * `revocation.ts`.
 *
 * Own code because the validation engine of pkijs, tried on the vectors, takes certificates that are for servers only.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5280#section-6
 * @module
 */
import { type Certificate, KEY_USAGE } from './certificate.ts'
import { isWithin } from './name-constraints.ts'
import { isSignedBy } from './signature.ts'

/** From the certificate that was shown to the anchor; of one certificate where that is an anchor. */
export type Path = readonly [Certificate, ...Certificate[]]

/** Why there is no path; the one that came nearest. */
export type PathFault =
  | 'certificate_expired'
  | 'certificate_not_yet_valid'
  | 'certificate_untrusted'
  | 'certificate_usage'

export interface PathOptions {
  readonly anchors: readonly Certificate[]
  readonly intermediates: readonly Certificate[]
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** Go's bound: a stranger decides how many certificates of one name there are, and each costs a signature check. */
const MAX_SIGNATURE_CHECKS = 100

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_USAGE = '2.5.29.37.0'

/**
 * All paths that hold, found one after the other; those to an anchor first. Returns why there is none, which means
 * something only to who has got none.
 */
export function* validPaths(leaf: Certificate, options: PathOptions): Generator<Path, PathFault, void> {
  const { at, anchors, intermediates } = options
  let fault: PathFault = 'certificate_untrusted'
  let checks = 0

  const own = faultOf(leaf, at)
  if (own !== undefined) return own
  if (anchors.some(({ der }) => Buffer.from(der).equals(leaf.der))) yield* whole([leaf])
  else yield* extended([leaf])
  return fault

  function* extended(path: Path): Generator<Path, void, void> {
    for (const anchor of anchors) {
      if (isIssuer(anchor, path)) yield* whole([...path, anchor])
    }
    for (const intermediate of intermediates) {
      const { basicConstraints } = intermediate.extensions
      if (basicConstraints?.isAuthority === true && isIssuer(intermediate, path))
        yield* extended([...path, intermediate])
    }
  }

  /** Whether this one issued the last of the path, and may have. */
  function isIssuer(candidate: Certificate, path: Path): boolean {
    const child = path.at(-1) ?? path[0]
    if (candidate.subjectId !== child.issuerId || candidate.key === undefined) return false
    if (path.some(({ subjectId, keyId }) => subjectId === candidate.subjectId && keyId === candidate.keyId))
      return false
    if (checks >= MAX_SIGNATURE_CHECKS) return false
    checks += 1
    if (!maySign(candidate, path.length - 1) || !isSignedBy(child, candidate.key)) return false
    const found = faultOf(candidate, at)
    if (found !== undefined) fault = found
    return found === undefined
  }

  /** What can only be told of the whole path. It hangs on an anchor: no stranger chooses what is compared here. */
  function* whole(path: Path): Generator<Path, void, void> {
    if (!path.every(isForClients)) fault = 'certificate_usage'
    else if (isWithinConstraints(path)) yield path
  }
}

function faultOf({ extensions, notBefore, notAfter }: Certificate, at: number): PathFault | undefined {
  if (extensions.hasUnknownCritical) return 'certificate_untrusted'
  if (at < notBefore) return 'certificate_not_yet_valid'
  return at > notAfter ? 'certificate_expired' : undefined
}

/** Whether it may sign a certificate with this many between that one and the end. */
function maySign({ version, extensions }: Certificate, between: number): boolean {
  const { basicConstraints, keyUsage } = extensions
  if (basicConstraints === undefined ? version === 3 : !basicConstraints.isAuthority) return false
  if (keyUsage !== undefined && !keyUsage.has(KEY_USAGE.certSign)) return false
  return basicConstraints?.pathLength === undefined || between <= basicConstraints.pathLength
}

/** What a certificate is for, each on the way has to allow; one that says nothing allows all. */
function isForClients({ extensions: { extendedKeyUsage } }: Certificate): boolean {
  return extendedKeyUsage === undefined || extendedKeyUsage.has(CLIENT_AUTH) || extendedKeyUsage.has(ANY_USAGE)
}

/** Each authority's constraints are for everything below it. */
function isWithinConstraints(path: Path): boolean {
  return path.every(({ extensions: { nameConstraints } }, at) => {
    if (nameConstraints === undefined || at === 0) return true
    return path
      .slice(0, at)
      .every(({ subject, extensions }) =>
        isWithin({ subject, alternativeNames: extensions.alternativeNames }, nameConstraints),
      )
  })
}
