/**
 * Where a request's body ends, and what its connection may become. Two readings of that are two requests for one of the
 * two readers (H8), so there is one reading or none.
 *
 * @module
 */
import { type Framing, UPGRADES, type Upgrade } from '../wire.ts'
import type { RawHead, Refusal } from './hygiene.ts'
import { malformed, refusal } from './refusal.ts'

const NONE: Framing = { kind: 'none' }
const CHUNKED: Framing = { kind: 'chunked' }

const BOTH = malformed('H8', 'Content-Length and Transfer-Encoding exclude each other: send one of them')
const CODING = refusal(501, 'H8', 'Transfer-Encoding other than "chunked" is not supported')
const CODING_1_0 = malformed('H8', 'Transfer-Encoding is not of HTTP/1.0: send a Content-Length')
const LENGTH = malformed('H8', 'Content-Length is malformed: it is one decimal number')

/** At most 15 digits: beyond them a number is not exact. */
const DIGITS = /^(?:0|[1-9][0-9]{0,14})$/

export function framingOf(
  { protocol, ended }: RawHead,
  length: string | undefined,
  coding: string | undefined,
): Framing | Refusal {
  if (coding !== undefined) {
    if (length !== undefined) return BOTH
    if (protocol !== 'HTTP/1.1') return CODING_1_0
    return coding === 'chunked' || coding.toLowerCase() === 'chunked' ? CHUNKED : CODING
  }
  if (length !== undefined) return DIGITS.test(length) ? { kind: 'length', bytes: Number(length) } : LENGTH
  return protocol === 'HTTP/2' && ended !== true ? CHUNKED : NONE
}

const NOT_NAMED = malformed('H9', 'Upgrade without "Connection: upgrade": send both or none')
const UNKNOWN = malformed('H9', `Upgrade to something else than ${UPGRADES.join(' or ')}: this is not passed on`)
const ALONE = malformed('H9', 'Upgrade is for GET and POST of HTTP/1.1 without a body')

/** What the client wants the connection to become, after the framing of the same request. */
export function upgradeOf(
  { protocol, method }: RawHead,
  wanted: string,
  isNamed: boolean,
  framing: Framing,
): Upgrade | Refusal {
  if (!isNamed) return NOT_NAMED
  const upgrade = UPGRADES.find((known) => known.toLowerCase() === wanted.toLowerCase())
  if (upgrade === undefined) return UNKNOWN
  const isEmpty = framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0)
  const isFit = protocol === 'HTTP/1.1' && isEmpty && (method === 'GET' || method === 'POST')
  return isFit ? upgrade : ALONE
}
