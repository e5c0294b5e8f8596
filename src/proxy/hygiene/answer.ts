/**
 * An API server's answer as it leaves for the client: nothing of the connection it came on, nobody's identity, and no
 * way to another host (H10). Everything else, `Strict-Transport-Security` included, is the API server's to say.
 *
 * @module
 */
import type { UpstreamHead } from '../upstream/upstream.ts'
import type { HeaderLines } from '../wire.ts'
import type { CleanHead, LinesResult, Refusal } from './hygiene.ts'
import { foldedName } from './names.ts'
import { hostOf } from './outgoing.ts'
import { refusal } from './refusal.ts'

/** Of the connection between proxy and API server; `alt-svc` would lead around the proxy. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  'alt-svc',
  'connection',
  'content-length',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

const ELSEWHERE: Refusal = refusal(
  502,
  'H10',
  'the API server answered with a redirect to another host, which is not passed on',
)

/** The lines for the client that asked for `head`; framing is written by the door. */
export function answerLines(
  { status, headers }: Pick<UpstreamHead, 'status' | 'headers'>,
  head: CleanHead,
): LinesResult {
  const lines: [name: string, value: string][] = []
  let named: string | undefined
  let locations = 0
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    if (lower === 'connection') named = named === undefined ? value : `${named},${value}`
    if (lower === 'location' && status >= 300 && status < 400) {
      locations++
      if (locations > 1 || !staysHere(value, head)) return ELSEWHERE
    }
    if (!LEFT_OUT.has(lower) && !isIdentity(lower)) lines.push([name, value])
  }
  return { kind: 'lines', lines: named === undefined ? lines : without(lines, named) }
}

function isIdentity(lower: string): boolean {
  return lower.charCodeAt(0) === 0x78 && foldedName(lower).startsWith('x-remote-')
}

function without(lines: HeaderLines, connection: string): HeaderLines {
  const lower = connection.toLowerCase()
  if (lower === 'close' || lower === 'keep-alive' || lower === 'upgrade') return lines
  const named = new Set(lower.split(',').map((name) => name.trim()))
  return lines.filter(([name]) => !named.has(name.toLowerCase()))
}

/** What clients read in different ways: `\` is `/` to browsers, and they skip tabs and line ends. */
const AMBIGUOUS = /[\\\0-\x1f]/

/** `javascript:`, `http:`; and `https:x`, which is a path to browsers. */
const OTHER_SCHEME = /^ *(?!https:\/\/)[a-z][a-z0-9+.-]*:/i

function staysHere(location: string, head: CleanHead): boolean {
  if (AMBIGUOUS.test(location) || OTHER_SCHEME.test(location)) return false
  const here = `https://${hostOf(head.headers)}`
  return (
    URL.canParse(location, here + head.target) && new URL(location, here + head.target).origin === new URL(here).origin
  )
}
