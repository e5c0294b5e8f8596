/**
 * Where to listen: from the text in the configuration to a bound socket, or to an error that says what to do. Owns
 * the notation and the words of failure; leaves what is served there to the listeners.
 *
 * @module
 */
import { type AddressInfo, isIP, type Server } from 'node:net'
import { ArchwayError } from '../errors.ts'

/** An address to bind. */
export interface ListenAddress {
  /** IP address or host name; `undefined` is every address of the machine. */
  readonly host: string | undefined
  /** 0 lets the system choose. */
  readonly port: number
}

const NOTATION = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/
const HOST_NAME = /^(?=.{1,253}$)[a-z\d](?:[a-z\d-]*[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]*[a-z\d])?)*$/i

/** Reads `host:port`, `127.0.0.1:8443`, `[::1]:8443` or `:8443` (every address). Throws `config_invalid`. */
export function parseListen(text: string): ListenAddress {
  const [, ipv6, name, digits] = NOTATION.exec(text) ?? []
  const port = Number(digits)
  const known = ipv6 === undefined ? name === '' || isIP(name ?? '') === 4 || isName(name) : isIP(ipv6) === 6
  if (digits === undefined || port > 65_535 || !known) {
    const forms = '"host:port", "127.0.0.1:8443", "[::1]:8443" or ":8443"'
    throw new ArchwayError('config_invalid', `listen address ${JSON.stringify(text)} is not one of the form ${forms}`)
  }
  const host = ipv6 ?? name
  return { host: host === '' ? undefined : host, port }
}

/** The notation {@link parseListen} reads. */
export function formatListen({ host, port }: ListenAddress): string {
  return host === undefined ? `:${port}` : host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Binds. Resolves with what was bound; a failure is `config_invalid` with the address and the remedy. */
export function bind(server: Server, address: ListenAddress): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => reject(explain(error, address))
    server.once('error', failed)
    server.listen({ port: address.port, ...(address.host === undefined ? {} : { host: address.host }) }, () => {
      server.removeListener('error', failed)
      const bound = server.address()
      if (bound === null || typeof bound === 'string') reject(new Error('bound to something that has no port'))
      else resolve(bound)
    })
  })
}

/** A name that looks like a number with dots is a mistyped address. */
function isName(name: string | undefined): boolean {
  return name !== undefined && HOST_NAME.test(name) && !/^[\d.]+$/.test(name)
}

const REMEDIES: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'another process listens there; stop it or choose another port'],
  ['EACCES', 'not permitted; ports below 1024 need CAP_NET_BIND_SERVICE, choose a higher one'],
  ['EADDRNOTAVAIL', 'this machine has no such address; use one of its own, or ":port" for all'],
  ['ENOTFOUND', 'the name has no address; use an IP address, or ":port" for all'],
])

function explain(error: NodeJS.ErrnoException, address: ListenAddress): ArchwayError {
  const remedy = REMEDIES.get(error.code ?? '') ?? error.message
  return new ArchwayError('config_invalid', `cannot listen on ${formatListen(address)}: ${remedy}`, { cause: error })
}
