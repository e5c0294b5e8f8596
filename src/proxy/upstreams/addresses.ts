/**
 * The addresses behind the name of an API server. Looked up for every new connection and every health check, so that a
 * name which moves is followed; judged each time, so that a name which is made to lead elsewhere is not (H11). Owns
 * which addresses may be used and which have gone; leaves connecting to `connect.ts`.
 *
 * @module
 */
import { lookup as systemLookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import type { Clock } from './clock.ts'

/** Code of the error for a name that has no address but refused ones. */
export const ADDRESS_REFUSED = 'ERR_ADDRESS_REFUSED'

/** An address that a name no longer has counts as gone after this long: some name servers give a part of them each time. */
export const GONE_MS = 10_000

/** Resolves a host name to all its addresses. */
export type LookupAll = (host: string) => Promise<readonly { readonly address: string; readonly family: number }[]>

export interface AddressesOptions {
  /** From the URL. An address is not looked up, and is thereby allowed: whoever means it has written it. */
  readonly host: string
  readonly clock: Clock
  /** Connections are open to an address that the name no longer has. Once for each address. */
  readonly onGone: () => void
  /** `dns.lookup`. */
  readonly lookup?: LookupAll
}

export interface Addresses {
  /**
   * At least one, in the order of the answer, those that failed last behind the others. Where the look-up fails the
   * last answer stands: a name server that is down makes no API server go away.
   */
  resolve(): Promise<readonly string[]>
  /** A connection was made; call what comes back when it has closed. */
  opened(address: string): () => void
  /** None was made. */
  failed(address: string): void
}

type Rule = (found: { readonly address: string; readonly family: number }) => boolean

interface Open {
  connections: number
  seenAt: number
  gone: boolean
}

/** The addresses of one host. */
export function addressesOf({ host, clock, onGone, lookup = lookUp }: AddressesOptions): Addresses {
  const open = new Map<string, Open>()
  const bad = new Set<string>()
  const allowed = isIP(host) === 0 ? addressRules(host) : undefined
  let last: readonly string[] = isIP(host) === 0 ? [] : [host]
  let looking: Promise<readonly string[]> | undefined

  /** One look-up for all who ask meanwhile: each holds a thread of the few that this process has for it. */
  function current(): Promise<readonly string[]> {
    if (allowed === undefined) return Promise.resolve(last)
    looking ??= look(allowed).finally(() => {
      looking = undefined
    })
    return looking
  }

  async function look(allowed: Rule): Promise<readonly string[]> {
    const answer = await lookup(host).catch((error: unknown) => {
      if (last.length === 0) throw error
      return undefined
    })
    if (answer === undefined) return last
    last = answer.filter(allowed).map(({ address }) => address)
    if (last.length === 0) throw refusal()
    compare(last)
    return last
  }

  function compare(present: readonly string[]): void {
    let gone = false
    for (const [address, state] of open) {
      if (present.includes(address)) {
        state.seenAt = clock.now()
        state.gone = false
      } else if (!state.gone && clock.now() - state.seenAt >= GONE_MS) {
        state.gone = true
        gone = true
      }
    }
    if (gone) onGone()
  }

  return {
    async resolve() {
      const present = await current()
      for (const address of bad) if (!present.includes(address)) bad.delete(address)
      return bad.size === 0 ? present : present.toSorted((one, other) => Number(bad.has(one)) - Number(bad.has(other)))
    },
    opened(address) {
      bad.delete(address)
      const state = open.get(address) ?? { connections: 0, seenAt: clock.now(), gone: false }
      open.set(address, state)
      state.connections++
      return () => {
        state.connections--
        if (state.connections === 0) open.delete(address)
      }
    },
    failed(address) {
      bad.add(address)
    },
  }
}

/** All addresses, in the order of the resolver, which knows what this machine can reach (RFC 6724). */
const lookUp: LookupAll = (host) => systemLookup(host, { all: true, order: 'verbatim' })

/** Never link-local or unspecified; loopback only where the name says so itself (RFC 6761). */
function addressRules(host: string): Rule {
  const refused = new BlockList()
  refused.addSubnet('169.254.0.0', 16, 'ipv4')
  refused.addSubnet('0.0.0.0', 8, 'ipv4')
  refused.addSubnet('fe80::', 10, 'ipv6')
  refused.addAddress('::', 'ipv6')
  if (!/^(.+\.)?localhost\.?$/i.test(host)) {
    refused.addSubnet('127.0.0.0', 8, 'ipv4')
    refused.addAddress('::1', 'ipv6')
  }
  return ({ address, family }) => !refused.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

function refusal(): Error {
  return Object.assign(new Error('the host name has no address but loopback or link-local ones'), {
    code: ADDRESS_REFUSED,
  })
}
