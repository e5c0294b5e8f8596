/**
 * Which addresses a host name may stand for. A name that leads to this machine, or to the link-local range where clouds
 * keep their metadata services, is somebody else's doing; whoever means such an address writes it in the URL.
 *
 * @module
 */
import { type LookupAddress, type LookupAllOptions, lookup as systemLookup } from 'node:dns'
import { BlockList, type LookupFunction } from 'node:net'

/** Code of the error for a name that has no address but refused ones. */
export const ADDRESS_REFUSED = 'ERR_ADDRESS_REFUSED'

/** Resolves a host name to all its addresses: the promise-less form of `dns.lookup` with `all`. */
export type LookupAll = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

export interface LookupOptions {
  /** `dns.lookup`. */
  readonly lookup?: LookupAll
  /** Whether names other than `localhost` may lead to loopback addresses. */
  readonly allowLoopback?: boolean
}

/**
 * A `lookup` for sockets that leaves out link-local and unspecified addresses, and loopback where that is not allowed. It is asked at each connect, so a name cannot change its address later; an address in the URL is not
 * looked up, and is thereby allowed.
 */
export function guardedLookup({ lookup = systemLookup, allowLoopback = false }: LookupOptions): LookupFunction {
  const refused = refusedAddresses()
  const loopback = loopbackAddresses()
  return (hostname, options, callback) => {
    const local = allowLoopback || /^(.+\.)?localhost\.?$/i.test(hostname)
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, [])
      const allowed = addresses.filter(({ address, family }) => {
        const type = family === 6 ? 'ipv6' : 'ipv4'
        return !refused.check(address, type) && (local || !loopback.check(address, type))
      })
      const [first] = allowed
      if (first === undefined) return callback(refusal(), [])
      if (options.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}

function refusedAddresses(): BlockList {
  const list = new BlockList()
  list.addSubnet('169.254.0.0', 16, 'ipv4')
  list.addSubnet('0.0.0.0', 8, 'ipv4')
  list.addSubnet('fe80::', 10, 'ipv6')
  list.addAddress('::', 'ipv6')
  return list
}

function loopbackAddresses(): BlockList {
  const list = new BlockList()
  list.addSubnet('127.0.0.0', 8, 'ipv4')
  list.addAddress('::1', 'ipv6')
  return list
}

function refusal(): NodeJS.ErrnoException {
  return Object.assign(new Error('the host name has no address but loopback or link-local ones'), {
    code: ADDRESS_REFUSED,
  })
}
