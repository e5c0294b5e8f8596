/**
 * From a request's head as it came to one that may be sent on, or to a refusal. Owns the order of the questions; each
 * question is answered in a file of its own.
 *
 * @module
 */
import type { HeaderLines } from '../wire.ts'
import { connectionOptions } from './connection-options.ts'
import { framingOf, upgradeOf } from './framing.ts'
import { HEAD_LIMITS, type HygieneOptions, type HygieneResult, type RawHead, type Refusal } from './hygiene.ts'
import { nameKinds } from './names.ts'
import { malformed, refusal } from './refusal.ts'
import { isAuthority, requestLineProblem } from './request-line.ts'
import { type SortedLines, type SortOptions, sortLines } from './sort-lines.ts'
import { withoutBearer } from './subprotocols.ts'

const NO_HOST = malformed('H8', 'Host is missing: name the host that is asked')
const BAD_HOST = malformed('H8', 'Host is malformed: it is a name or an address, and perhaps a port')
const OF_HTTP_1 = malformed('H8', 'Connection, Upgrade and Transfer-Encoding are not of HTTP/2: leave them out')
const EXPECTATION = refusal(417, 'H8', 'Expect other than "100-continue" is not supported')

/** Makes the judge of heads; what the options say is worked out once. */
export function headCheck(options: HygieneOptions): (raw: RawHead) => HygieneResult {
  const { identityHeaders: names = [], identityPrefixes: prefixes = [], impersonation } = options
  const sort: SortOptions = {
    kindOf: nameKinds({ names, prefixes }),
    impersonation,
    limits: { ...HEAD_LIMITS, ...options.limits },
  }
  return (raw) => {
    const problem = requestLineProblem(raw.method, raw.target)
    if (problem !== undefined) return problem
    const sorted = sortLines(raw.headers, sort)
    return 'kind' in sorted ? sorted : together(raw, sorted, sort)
  }
}

/** What the lines mean together. */
function together(raw: RawHead, sorted: SortedLines, { kindOf }: SortOptions): HygieneResult {
  const { singles, impersonates, spoofed } = sorted
  const problem = hostProblem(singles.host) ?? protocolProblem(raw, sorted) ?? expectProblem(singles.expect)
  if (problem !== undefined) return problem
  const connection = connectionOptions(sorted.connection, kindOf)
  if ('kind' in connection) return connection
  const framing = framingOf(raw, singles['content-length'], singles['transfer-encoding'])
  if (framing.kind === 'refused') return framing
  const upgrade =
    singles.upgrade === undefined ? undefined : upgradeOf(raw, singles.upgrade, connection.upgrade, framing)
  if (typeof upgrade === 'object') return upgrade
  const headers = remaining(sorted, connection.named)
  if ('kind' in headers) return headers
  const mark = raw.target.indexOf('?')
  return {
    kind: 'clean',
    head: {
      method: raw.method,
      target: raw.target,
      path: mark === -1 ? raw.target : raw.target.slice(0, mark),
      query: mark === -1 ? '' : raw.target.slice(mark + 1),
      headers,
      framing: upgrade === undefined ? framing : { kind: 'none' },
      upgrade,
      expectContinue: singles.expect !== undefined && raw.protocol !== 'HTTP/1.0' && framing.kind !== 'none',
      impersonates,
      spoofed,
    },
  }
}

function hostProblem(host: string | undefined): Refusal | undefined {
  if (host === undefined) return NO_HOST
  return isAuthority(host) ? undefined : BAD_HOST
}

function protocolProblem({ protocol }: RawHead, { singles, connection }: SortedLines): Refusal | undefined {
  if (protocol !== 'HTTP/2') return undefined
  const isOfOther = connection.length > 0 || singles.upgrade !== undefined || singles['transfer-encoding'] !== undefined
  return isOfOther ? OF_HTTP_1 : undefined
}

function expectProblem(expect: string | undefined): Refusal | undefined {
  return expect === undefined || expect.toLowerCase() === '100-continue' ? undefined : EXPECTATION
}

/** The lines that pass: those of the connection left out, the token taken out of the subprotocols, `Host` put back. */
function remaining(sorted: SortedLines, named: ReadonlySet<string> | undefined): HeaderLines | Refusal {
  const lines = sorted.passed
  if (sorted.cookies.length > 0) lines.push(['Cookie', sorted.cookies.join('; ')]) // RFC 9113, 8.2.3
  if (sorted.subprotocols.length > 0) {
    const protocols = withoutBearer(sorted.subprotocols, sorted.hasAuthorization)
    if (!Array.isArray(protocols)) return protocols
    for (const value of protocols) lines.push(['Sec-WebSocket-Protocol', value])
  }
  const kept = named === undefined ? lines : lines.filter(([name]) => !named.has(name.toLowerCase()))
  kept.push(['Host', sorted.singles.host ?? ''])
  return kept
}
