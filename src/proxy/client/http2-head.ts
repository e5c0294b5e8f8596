/**
 * The head of an HTTP/2 request as one of HTTP/1.1: what was split is joined, what is pseudo becomes real.
 *
 * @module
 */
import type { RawHead } from '../hygiene/hygiene.ts'

/**
 * Reads name and value by turns, as `node:http2` has them; `undefined` where there is no such request: no path, another
 * scheme, two readings of the host. `:authority` becomes `Host` (RFC 9113, section 8.3.1), crumbs of a cookie are put
 * together again (section 8.2.3).
 */
export function http2Head(raw: readonly string[], ended: boolean): RawHead | undefined {
  const headers: (readonly [name: string, value: string])[] = []
  const crumbs: string[] = []
  let [method, target, scheme, authority]: (string | undefined)[] = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? ''
    const value = raw[at + 1] ?? ''
    if (name === ':method') method = value
    else if (name === ':path') target = value
    else if (name === ':scheme') scheme = value
    else if (name === ':authority') authority = value
    else if (name.startsWith(':')) return undefined
    else if (name === 'cookie') crumbs.push(value)
    else if (name === 'host' && value === authority) continue
    else headers.push([name, value])
  }
  if (method === undefined || (method !== 'CONNECT' && (target === undefined || scheme !== 'https'))) return undefined
  if (crumbs.length > 0) headers.push(['cookie', crumbs.join('; ')])
  if (authority !== undefined) headers.unshift(['Host', authority])
  return { protocol: 'HTTP/2', method, target: target ?? authority ?? '', headers, ended }
}
