/**
 * The bearer token that browsers send as a WebSocket subprotocol, taken out (H12). It has been read where the door
 * identifies; the API server, which reads it there too, must not see it.
 *
 * @module
 */
import type { Refusal } from './hygiene.ts'
import { malformed } from './refusal.ts'

const BEARER = 'base64url.bearer.authorization.k8s.io.'

const ALONE = malformed('H12', 'Sec-WebSocket-Protocol has a token and nothing else: offer another subprotocol too')
const TWICE = malformed('H12', 'the request has two credentials: send one of them')

/** The values of the lines, in order, without a token; lines that had nothing else are gone. */
export function withoutBearer(values: readonly string[], hasAuthorization: boolean): string[] | Refusal {
  let tokens = 0
  const kept = values.flatMap((value) => {
    const offered = value.split(',').map((one) => one.replace(/^[ \t]+|[ \t]+$/g, ''))
    const others = offered.filter((one) => !one.toLowerCase().startsWith(BEARER))
    if (others.length === offered.length) return [value]
    tokens += offered.length - others.length
    return others.some((one) => one !== '') ? [others.join(', ')] : []
  })
  if (tokens > 1 || (tokens > 0 && hasAuthorization)) return TWICE
  return kept.length === 0 ? ALONE : kept
}
