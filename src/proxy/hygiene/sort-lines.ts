/**
 * The one pass over a head's lines: each goes where its name belongs, or ends the request. Owns what is refused for a
 * line by itself; leaves what lines mean together to `check.ts`.
 *
 * @module
 */
import type { HeaderLines } from '../wire.ts'
import type { HeadLimits, HygieneOptions, Refusal } from './hygiene.ts'
import type { NameKind } from './names.ts'
import { malformed, refusal } from './refusal.ts'

/** Names that stand once or not at all. */
type Single = 'content-length' | 'expect' | 'host' | 'transfer-encoding' | 'upgrade'

/** Lines by what they are for. */
export interface SortedLines {
  /** What may pass. */
  readonly passed: [name: string, value: string][]
  readonly singles: Partial<Record<Single, string>>
  readonly connection: string[]
  readonly subprotocols: string[]
  readonly cookies: string[]
  hasAuthorization: boolean
  impersonates: boolean
  spoofed: number
}

const BAD_NAME = malformed('H14', 'a header has a name that is none: letters, digits and "-" of ASCII')
const BAD_VALUE = malformed('H14', 'a header has a value with control characters: leave them out')
const LOOK_ALIKE = malformed('H2', 'a header is spelled like one that decides something: write "-", not "_" or "."')
const IMPERSONATION = malformed('H6', 'Impersonate-* headers are not taken here: ask as who you are')
const REPEATED: Readonly<Record<Single, Refusal>> = {
  'content-length': malformed('H8', 'Content-Length stands more than once: send it once'),
  expect: refusal(417, 'H8', 'Expect stands more than once: send it once'),
  host: malformed('H8', 'Host stands more than once: send it once'),
  'transfer-encoding': malformed('H8', 'Transfer-Encoding stands more than once: send it once'),
  upgrade: malformed('H9', 'Upgrade stands more than once: name one protocol'),
}

/** What no value may have: controls but the tab, and characters that are no byte. */
const OUTSIDE = /[^\t\x20-\x7e\x80-\xff]/

export interface SortOptions {
  readonly kindOf: (name: string) => NameKind
  readonly impersonation: HygieneOptions['impersonation']
  readonly limits: Pick<HeadLimits, 'lines' | 'bytes'>
}

export function sortLines(headers: HeaderLines, { kindOf, impersonation, limits }: SortOptions): SortedLines | Refusal {
  const sorted: SortedLines = {
    passed: [],
    singles: {},
    connection: [],
    subprotocols: [],
    cookies: [],
    hasAuthorization: false,
    impersonates: false,
    spoofed: 0,
  }
  if (headers.length > limits.lines) return tooLarge(`more than ${limits.lines} header lines`)
  let bytes = 0
  for (const [name, value] of headers) {
    bytes += name.length + value.length
    if (OUTSIDE.test(value)) return BAD_VALUE
    const problem = take(sorted, kindOf(name), name, value, impersonation)
    if (problem !== undefined) return problem
  }
  return bytes > limits.bytes ? tooLarge(`headers of more than ${limits.bytes} bytes`) : sorted
}

function take(
  sorted: SortedLines,
  kind: NameKind,
  name: string,
  value: string,
  impersonation: HygieneOptions['impersonation'],
): Refusal | undefined {
  switch (kind) {
    case 'pass':
      sorted.passed.push([name, value])
      return undefined
    case 'forwarded':
    case 'hop':
      return undefined
    case 'identity':
      sorted.spoofed++
      return undefined
    case 'credential':
      sorted.hasAuthorization = true
      return undefined
    case 'impersonation':
      if (impersonation === 'refuse') return IMPERSONATION
      sorted.impersonates = true
      sorted.passed.push([name, value])
      return undefined
    case 'connection':
      sorted.connection.push(value)
      return undefined
    case 'subprotocol':
      sorted.subprotocols.push(value)
      return undefined
    case 'cookie':
      sorted.cookies.push(value)
      return undefined
    case 'invalid':
      return BAD_NAME
    case 'look-alike':
      return LOOK_ALIKE
    default:
      if (sorted.singles[kind] !== undefined) return REPEATED[kind]
      sorted.singles[kind] = value
      return undefined
  }
}

function tooLarge(what: string): Refusal {
  return refusal(431, 'H16', `the request has ${what}, which is the limit here: send fewer`)
}
