/**
 * A clean head as it leaves for the API server. Who asks is written last, behind every line of the client (H1); where
 * the request came from is what the socket says (H4). Hop-by-hop lines are written by the connection to the server.
 *
 * @module
 */
import { identityHeaders } from '../../authn/request/identity-headers.ts'
import type { UserInfo } from '../../user.ts'
import type { HeaderLines } from '../wire.ts'
import { type CleanHead, HEAD_LIMITS, type HeadLimits, type LinesResult, type Origin, type Refusal } from './hygiene.ts'
import { refusal } from './refusal.ts'

type Line = readonly [name: string, value: string]

/** Writes heads for the API server; an identity that was written once is remembered as long as its object lives. */
export function outgoingLines(limits: Partial<HeadLimits> = {}): {
  readonly withIdentity: (head: CleanHead, user: UserInfo, origin: Origin) => LinesResult
  readonly withCredential: (head: CleanHead, authorization: string, origin: Origin) => LinesResult
} {
  const { identityLines, identityBytes } = { ...HEAD_LIMITS, ...limits }
  const written = new WeakMap<UserInfo, readonly Line[] | Refusal>()

  function linesOf(user: UserInfo): readonly Line[] | Refusal {
    let lines = written.get(user)
    if (lines === undefined) {
      lines = tooLarge(identityHeaders(user))
      written.set(user, lines)
    }
    return lines
  }

  function tooLarge(lines: readonly Line[]): readonly Line[] | Refusal {
    if (lines.length > identityLines) return tooMuch(`${lines.length} headers`, `${identityLines}`)
    const bytes = lines.reduce((sum, [name, value]) => sum + name.length + value.length, 0)
    return bytes > identityBytes ? tooMuch(`${bytes} bytes of headers`, `${identityBytes}`) : lines
  }

  return {
    withIdentity(head, user, origin) {
      const identity = linesOf(user)
      if ('kind' in identity) return identity
      const lines = common(head, origin)
      for (const line of identity) lines.push(line)
      return { kind: 'lines', lines }
    },
    withCredential(head, authorization, origin) {
      const lines = common(head, origin)
      lines.push(['Authorization', authorization])
      return { kind: 'lines', lines }
    },
  }
}

function tooMuch(what: string, limit: string): Refusal {
  return refusal(
    431,
    'H16',
    `your groups and extra attributes take ${what}, and the limit is ${limit}: leave the groups you do not need`,
  )
}

/** Both go where one is replaced: the state of another trace would be taken for that of ours. */
const TRACE: ReadonlySet<string> = new Set(['traceparent', 'tracestate'])

/** What the client sent, with the trace in place of its own, and where it came from. */
function common({ headers }: CleanHead, { remoteAddress, scheme, trace }: Origin): Line[] {
  const lines: Line[] = trace.length === 0 ? [...headers] : headers.filter(([name]) => !TRACE.has(name.toLowerCase()))
  for (const line of trace) lines.push(line)
  lines.push(['X-Forwarded-For', remoteAddress], ['X-Forwarded-Proto', scheme])
  const host = hostOf(headers)
  if (host !== undefined) lines.push(['X-Forwarded-Host', host])
  return lines
}

/** `check.ts` puts it last. */
export function hostOf(headers: HeaderLines): string | undefined {
  return headers.findLast(([name]) => name === 'Host')?.[1]
}
