/**
 * What a header's name stands for. A name is judged by how anything behind might read it: folded to lower case, `_` and
 * `.` taken for `-`. Owns the lists of names; what follows from a kind is for whoever asks.
 *
 * @module
 */

/**
 * - `pass`: none of our business
 * - `identity`: says who asks, or is what front doors of other makes say it with
 * - `forwarded`: says where a request came from
 * - `credential`: proves who asks
 * - `impersonation`: says for whom to be taken; spelled as kube-apiserver reads it
 * - `hop`: of the connection it came on, and of no other
 * - `look-alike`: reads like a name that decides something, but is spelled otherwise
 * - `invalid`: no name at all
 *
 * The rest are names that have a meaning of their own here.
 */
export type NameKind =
  | 'pass'
  | 'identity'
  | 'forwarded'
  | 'credential'
  | 'impersonation'
  | 'hop'
  | 'look-alike'
  | 'invalid'
  | 'connection'
  | 'content-length'
  | 'cookie'
  | 'expect'
  | 'host'
  | 'subprotocol'
  | 'transfer-encoding'
  | 'upgrade'

/** Whole names, folded. */
const NAMES: ReadonlyMap<string, NameKind> = new Map([
  ['authorization', 'credential'],
  ['proxy-authorization', 'credential'],
  ['connection', 'connection'],
  ['content-length', 'content-length'],
  ['cookie', 'cookie'],
  ['expect', 'expect'],
  ['host', 'host'],
  ['sec-websocket-protocol', 'subprotocol'],
  ['transfer-encoding', 'transfer-encoding'],
  ['upgrade', 'upgrade'],
  ['http2-settings', 'hop'],
  ['keep-alive', 'hop'],
  ['proxy-authenticate', 'hop'],
  ['proxy-authentication-info', 'hop'],
  ['proxy-connection', 'hop'],
  ['te', 'hop'],
  ['trailer', 'hop'],
  ['forwarded', 'forwarded'],
  ['client-ip', 'forwarded'],
  ['true-client-ip', 'forwarded'],
  ['cf-connecting-ip', 'forwarded'],
  ['x-client-ip', 'forwarded'],
  ['x-cluster-client-ip', 'forwarded'],
  ['x-real-ip', 'forwarded'],
  ['x-original-host', 'forwarded'],
  ['x-original-uri', 'forwarded'],
  ['x-original-url', 'forwarded'],
  ['x-rewrite-url', 'forwarded'],
  ['client-cert', 'identity'], // RFC 9440
  ['client-cert-chain', 'identity'],
  ['remote-user', 'identity'],
  ['x-user', 'identity'],
  ['x-groups', 'identity'],
])

/** Beginnings of names, folded. */
const PREFIXES: readonly (readonly [prefix: string, kind: NameKind])[] = [
  ['x-remote-', 'identity'],
  ['impersonate-', 'impersonation'],
  ['x-forwarded-', 'forwarded'],
  ['x-ssl-', 'identity'],
  ['x-client-cert', 'identity'],
  ['x-client-dn', 'identity'],
  ['x-client-verify', 'identity'],
  ['x-tls-client', 'identity'],
  ['ssl-client', 'identity'],
  ['x-auth-request-', 'identity'],
  ['x-webauth-', 'identity'],
]

/** Dropped whatever their spelling; the others decide something, and in another spelling are refused. */
const HARMLESS: ReadonlySet<NameKind> = new Set(['pass', 'identity', 'forwarded', 'hop'])

/** A token of RFC 9110. */
export const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

export function foldedName(name: string): string {
  return name.toLowerCase().replace(/[_.]/g, '-')
}

/** The kinds of names; what was told once is remembered, as far as `KEPT` goes. */
export function nameKinds(identity: { readonly names: readonly string[]; readonly prefixes: readonly string[] }) {
  const names = new Map(NAMES)
  for (const name of identity.names) names.set(foldedName(name), 'identity')
  const prefixes = [...identity.prefixes.map((prefix) => [foldedName(prefix), 'identity'] as const), ...PREFIXES]
  const known = new Map<string, NameKind>()

  function kindOf(name: string): NameKind {
    if (!TOKEN.test(name)) return 'invalid'
    const folded = foldedName(name)
    const kind = names.get(folded) ?? prefixes.find(([prefix]) => folded.startsWith(prefix))?.[1] ?? 'pass'
    if (HARMLESS.has(kind)) return kind
    const lower = name.toLowerCase()
    // Keys of `Impersonate-Extra-…` may hold any character of a name
    const isAsRead = kind === 'impersonation' ? lower.startsWith('impersonate-') : lower === folded
    return isAsRead ? kind : 'look-alike'
  }

  return (name: string): NameKind => {
    let kind = known.get(name)
    if (kind !== undefined) return kind
    kind = kindOf(name)
    if (name.length <= KEPT.length) {
      if (known.size >= KEPT.names) known.clear() // somebody makes names up: the usual ones are soon back
      known.set(name, kind)
    }
    return kind
  }
}

const KEPT = { names: 1_024, length: 64 } as const
