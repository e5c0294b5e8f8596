/**
 * Which proxy the environment names for a Keystone. The rules are those of Go programs, kubectl among them: upper case
 * before lower case, nothing on this machine goes through a proxy, and `NO_PROXY` knows domains, addresses and subnets.
 *
 * @see https://pkg.go.dev/golang.org/x/net/http/httpproxy
 * @module
 */
import { BlockList, isIP, isIPv6 } from 'node:net'
import { ArchwayError } from '../../errors.ts'
import { Secret } from '../../secret.ts'
import type { KeystoneUrl } from '../url.ts'

/** A proxy that was read from the environment. */
export interface HttpProxy {
  /** The variable that names it: `HTTPS_PROXY`. */
  readonly variable: string
  /** Its address without credentials: `http://proxy.example:3128`. */
  readonly origin: string
  /** Value of `Proxy-Authorization`, where the address has a user name. */
  readonly authorization: Secret | undefined
}

/**
 * The proxy on the way to `url`; `undefined`: there is none.
 *
 * @throws ArchwayError `credential_settings_invalid` naming the variable, for an address that cannot be used.
 */
export function proxyFor(url: KeystoneUrl, env: Readonly<Record<string, string | undefined>>): HttpProxy | undefined {
  const { hostname, protocol, port } = new URL(url.origin)
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  if (isThisMachine(host)) return undefined
  const [variable, address] = setting(env, protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY')
  if (address === '') return undefined
  const [, exempt] = setting(env, 'NO_PROXY')
  const target = { host, port: port || (protocol === 'https:' ? '443' : '80') }
  if (exempt.split(',').some((entry) => exempts(entry.trim().toLowerCase(), target))) return undefined
  return readProxy(variable, address)
}

function isThisMachine(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** The variable, in upper or lower case, that has a value, and the value; '' where neither has. */
function setting(env: Readonly<Record<string, string | undefined>>, name: string): readonly [string, string] {
  const variable = (env[name] ?? '') === '' ? name.toLowerCase() : name
  return [variable, env[variable] ?? '']
}

interface Destination {
  readonly host: string
  readonly port: string
}

/** Whether one entry of `NO_PROXY` is about the destination. */
function exempts(entry: string, { host, port }: Destination): boolean {
  if (entry === '*') return true
  if (entry.includes('/')) return isInSubnet(host, entry)
  const [, name = '', only] = isIPv6(entry) ? [entry, entry] : (/^(.+?)(?::(\d+))?$/.exec(entry) ?? [])
  if (only !== undefined && only !== port) return false
  const wanted = name.replace(/^\[|\]$/g, '').replace(/^\*(?=\.)/, '')
  if (wanted === '') return false
  if (isIP(wanted) !== 0 || isIP(host) !== 0) return isSameAddress(wanted, host)
  return wanted.startsWith('.') ? host.endsWith(wanted) : host === wanted || host.endsWith(`.${wanted}`)
}

function isInSubnet(host: string, subnet: string): boolean {
  const [, address = '', prefix = ''] = /^([^/]+)\/(\d{1,3})$/.exec(subnet) ?? []
  const family = isIP(address)
  if (family === 0 || family !== isIP(host) || Number(prefix) > (family === 6 ? 128 : 32)) return false
  const list = new BlockList()
  list.addSubnet(address, Number(prefix), typeOf(family))
  return list.check(host, typeOf(family))
}

function isSameAddress(one: string, other: string): boolean {
  const family = isIP(one)
  if (family === 0 || family !== isIP(other)) return false
  const list = new BlockList()
  list.addAddress(one, typeOf(family))
  return list.check(other, typeOf(family))
}

function typeOf(family: number): 'ipv4' | 'ipv6' {
  return family === 6 ? 'ipv6' : 'ipv4'
}

function readProxy(variable: string, value: string): HttpProxy {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.hostname === '') throw unusable(variable, 'it is not an address')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw unusable(variable, `its scheme is ${url.protocol}`)
  return { variable, origin: url.origin, authorization: authorizationOf(url, variable) }
}

function authorizationOf({ username, password }: URL, variable: string): Secret | undefined {
  if (username === '' && password === '') return undefined
  try {
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    return new Secret(`Basic ${Buffer.from(credentials).toString('base64')}`)
  } catch {
    throw unusable(variable, 'the credentials in it are not percent-encoded UTF-8')
  }
}

/** The value stays out of the message: it may have a password in it. */
function unusable(variable: string, fault: string): ArchwayError {
  const message = `${variable} cannot be used: ${fault}; write it like http://proxy.example:3128, or add the host of Keystone to NO_PROXY`
  return new ArchwayError('credential_settings_invalid', message)
}
