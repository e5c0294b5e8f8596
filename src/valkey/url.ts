/**
 * Addresses of Valkey and Redis servers.
 *
 * @module
 */
import { isIP } from 'node:net'
import { ArchwayError } from '../errors.ts'

export interface ValkeyAddress {
  readonly host: string
  readonly port: number
  readonly database: number
  readonly tls: boolean
}

const SCHEMES: ReadonlyMap<string, boolean> = new Map([
  ['redis:', false],
  ['valkey:', false],
  ['rediss:', true],
  ['valkeys:', true],
])

/**
 * Reads `rediss://host:6379/0`. Port 6379 and database 0 when absent.
 *
 * @throws ArchwayError `config_invalid`: no such address, a password in it, or no TLS to another machine.
 */
export function parseValkeyUrl(text: string, { allowPlain = false } = {}): ValkeyAddress {
  const url = URL.parse(text)
  const tls = SCHEMES.get(url?.protocol ?? '')
  if (url === null || tls === undefined || url.hostname === '') throw invalid('expected rediss://host:6379')
  if (url.username !== '' || url.password !== '') throw invalid('names no user and no password: set them by themselves')
  if (url.search !== '' || url.hash !== '') throw invalid('has nothing after the database')
  const [, database] = /^\/?(\d{0,5})$/.exec(url.pathname) ?? []
  if (database === undefined) throw invalid('after the host comes nothing, or the number of a database')
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (!tls && !allowPlain && !isLoopback(host)) {
    throw invalid('without TLS anybody on the way can lift locks: use rediss:, or set `allowPlain`')
  }
  return { host, port: url.port === '' ? 6379 : Number(url.port), database: Number(database), tls }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

function invalid(fault: string): ArchwayError {
  return new ArchwayError('config_invalid', `url: ${fault}`)
}
