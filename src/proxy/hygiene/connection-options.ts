/**
 * `Connection`: the lines that are of this connection only, by name. It is how an attacker has a careless proxy take
 * out what the proxy itself wrote (H1), so it may name nothing that decides anything.
 *
 * @module
 */
import type { Refusal } from './hygiene.ts'
import { type NameKind, TOKEN } from './names.ts'
import { malformed } from './refusal.ts'

export interface ConnectionOptions {
  /** Names of further lines to leave out, lower case; undefined where there are none. */
  readonly named: ReadonlySet<string> | undefined
  readonly upgrade: boolean
}

const PLAIN: ConnectionOptions = { named: undefined, upgrade: false }
const UPGRADE: ConnectionOptions = { named: undefined, upgrade: true }

const MALFORMED = malformed('H1', 'Connection is malformed: it is a list of names')
const NAMED = malformed('H1', 'Connection names a header that is not of the connection: leave its name out')

/** What may be named: lines that decide nothing, or are left out anyway. */
const USUAL: ReadonlySet<NameKind> = new Set(['pass', 'hop', 'cookie', 'subprotocol'])

export function connectionOptions(
  values: readonly string[],
  kindOf: (name: string) => NameKind,
): ConnectionOptions | Refusal {
  const [only] = values
  if (only === undefined) return PLAIN
  if (values.length === 1) {
    if (only === 'keep-alive' || only === 'close') return PLAIN
    if (only === 'Upgrade' || only === 'upgrade') return UPGRADE
  }
  let upgrade = false
  let named: Set<string> | undefined
  for (const option of values.flatMap((value) => value.split(','))) {
    const token = option.replace(/^[ \t]+|[ \t]+$/g, '')
    if (token === '') continue // RFC 9110, 5.6.1: empty elements are none
    if (!TOKEN.test(token)) return MALFORMED
    const lower = token.toLowerCase()
    if (lower === 'upgrade') upgrade = true
    else if (lower === 'close' || lower === 'keep-alive') continue
    else if (USUAL.has(kindOf(token))) named = (named ?? new Set()).add(lower)
    else return NAMED
  }
  return { named, upgrade }
}
