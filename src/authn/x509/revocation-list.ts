/**
 * Certificate revocation lists: what a file of them says of the certificates of a path. Complete, direct lists only; a
 * list with a critical extension says something about itself that is not understood here, and is refused with its file.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5280#section-5
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import { type Certificate, extensionList, hex, KEY_USAGE } from './certificate.ts'
import { countOf, type Der, MalformedError, membersOf, octetsOfBits, parseDer, TAG, timeOf } from './der.ts'
import { nameOf } from './name.ts'
import type { Path } from './path.ts'
import { parseBlocks } from './pem.ts'
import { isSignedBy, type Signed, signatureAlgorithm } from './signature.ts'

/** One list. */
export interface RevocationList extends Signed {
  /** Hex of the DER of the issuer's name. */
  readonly issuerId: string
  /** Milliseconds since the epoch. */
  readonly thisUpdate: number
  readonly nextUpdate: number
  /** Serial numbers: content of the INTEGER, hex. */
  readonly revoked: ReadonlySet<string>
}

/** A file of 16 MiB, the longest there can be, has fewer values. */
const MAX_NODES = 10_000_000

/**
 * Reads a file of lists. One that claims to be of an authority among `authorities` must be signed by it; one of any
 * other issuer waits for a path that has it. Throws `file_invalid`.
 */
export function readRevocationLists(
  content: Buffer,
  { where, authorities }: { readonly where: string; readonly authorities: readonly Certificate[] },
): RevocationList[] {
  const lists = parseBlocks(content, { where, label: 'X509 CRL', parse: parseRevocationList })
  for (const [at, list] of lists.entries()) {
    const named = authorities.filter(({ subjectId }) => subjectId === list.issuerId)
    if (named.length > 0 && !named.some((authority) => isListOf(list, authority))) {
      const message = 'is not signed by the authority it names, or that one may not sign lists (cRLSign)'
      throw new ArchwayError('file_invalid', `${where}: X509 CRL ${at + 1}: ${message}`)
    }
  }
  return lists
}

/** Takes a list apart. Throws {@link MalformedError}. */
function parseRevocationList(bytes: Uint8Array): RevocationList {
  const what = 'revocation list'
  const signed = membersOf(parseDer(bytes, what, { maxNodes: MAX_NODES }), TAG.sequence, what)
  const body = signed.take(TAG.sequence, 'its body')
  const algorithm = signed.take(TAG.sequence, 'signature algorithm')
  const signature = signed.take(TAG.bitString, 'signature')
  signed.end()

  const members = membersOf(body, TAG.sequence, what)
  const version = members.takeIf(TAG.integer)
  if (version !== undefined && countOf(version, 'version') !== 1)
    throw new MalformedError(`${what}: is of an unknown version`)
  const inner = members.take(TAG.sequence, 'signature algorithm')
  if (!Buffer.from(inner.raw).equals(algorithm.raw)) throw new MalformedError(`${what}: names two signature algorithms`)
  const issuer = members.take(TAG.sequence, 'issuer')
  nameOf(issuer, 'issuer')
  const takeTime = (): Der | undefined => members.takeIf(TAG.utcTime) ?? members.takeIf(TAG.generalizedTime)
  const thisUpdate = timeOf(takeTime(), 'thisUpdate')
  const nextUpdate = timeOf(takeTime(), 'nextUpdate')
  const entries = members.takeIf(TAG.sequence)
  const extensions = members.takeIf(0xa0)
  members.end()
  for (const list of extensions?.children ?? []) refuseCritical(list)
  return {
    signedBytes: body.raw,
    algorithm: signatureAlgorithm(algorithm),
    signature: octetsOfBits(signature, 'signature'),
    issuerId: hex(issuer.raw),
    thisUpdate,
    nextUpdate,
    revoked: new Set(entries?.children.map(serialOf)),
  }
}

/** A scope, a delta, an entry of another issuer: each is critical, and changes what the list is about. */
function refuseCritical(list: Der): void {
  const unknown = extensionList(list).find(({ isCritical }) => isCritical)
  if (unknown === undefined) return
  throw new MalformedError(`has the critical extension ${unknown.oid}; expected a complete list of one issuer`)
}

function serialOf(entry: Der): string {
  const members = membersOf(entry, TAG.sequence, 'entry of a revocation list')
  const serial = members.take(TAG.integer, 'serial number')
  timeOf(members.takeIf(TAG.utcTime) ?? members.takeIf(TAG.generalizedTime), 'date of a revocation')
  const extensions = members.takeIf(TAG.sequence)
  members.end()
  if (extensions !== undefined) refuseCritical(extensions)
  return hex(serial.content)
}

/** What lists say of a path. */
export type PathStatus =
  /** None is revoked; `until`: milliseconds since the epoch, up to which that was said. */
  | { readonly kind: 'good'; readonly until: number }
  | { readonly kind: 'revoked' }
  /** For want of a list of this issuer that is in force: its common name, for the log. */
  | { readonly kind: 'unknown'; readonly issuer: Certificate }

export interface Revocations {
  statusOf(path: Path, at: number): PathStatus
}

/**
 * Asks lists about paths. With `isRequired`, each certificate but the anchor needs a list of its issuer in force;
 * without, a list that is missing or too old is passed over. What any list has revoked stays revoked.
 */
export function revocations(
  lists: readonly RevocationList[],
  { isRequired }: { readonly isRequired: boolean },
): Revocations {
  // Asked only about issuers of whole paths: no stranger makes this grow.
  const signers = new WeakMap<RevocationList, Map<string, boolean>>()

  return {
    statusOf(path, at) {
      let until = Number.POSITIVE_INFINITY
      let unknown: Certificate | undefined
      for (const [index, issuer] of path.slice(1).entries()) {
        const own = lists.filter((list) => isOf(list, issuer))
        if (own.some(({ revoked }) => revoked.has(path[index]?.serial ?? ''))) return { kind: 'revoked' }
        const latest = Math.max(...own.filter(({ thisUpdate }) => thisUpdate <= at).map(({ nextUpdate }) => nextUpdate))
        if (at <= latest) until = Math.min(until, latest)
        else if (isRequired) unknown ??= issuer
      }
      return unknown === undefined ? { kind: 'good', until } : { kind: 'unknown', issuer: unknown }
    },
  }

  function isOf(list: RevocationList, issuer: Certificate): boolean {
    if (list.issuerId !== issuer.subjectId) return false
    const known = signers.get(list) ?? new Map<string, boolean>()
    signers.set(list, known)
    const id = `${issuer.keyId} ${maySignLists(issuer)}`
    const verdict = known.get(id) ?? isListOf(list, issuer)
    known.set(id, verdict)
    return verdict
  }
}

function isListOf(list: RevocationList, issuer: Certificate): boolean {
  return maySignLists(issuer) && issuer.key !== undefined && isSignedBy(list, issuer.key)
}

function maySignLists({ extensions: { keyUsage } }: Certificate): boolean {
  return keyUsage === undefined || keyUsage.has(KEY_USAGE.crlSign)
}
