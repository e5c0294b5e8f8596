/**
 * What one value of the configuration asks of another. The checks read the configuration as it is written, so that
 * they run, and report, also where other values are wrong.
 *
 * @module
 */
import type { Problem } from '../errors.ts'
import type { Door } from './option.ts'
import { knownKeys } from './options.ts'
import { qualifiedName } from './values.ts'

/**
 * Finds every contradiction between values. Whatever has a wrong type is left to the schema. What a door needs is
 * asked for only where the configuration is for that door.
 */
export function crossCheck(config: unknown, door: Door): readonly Problem[] {
  return [
    ...(door === 'webhook' ? checkServer(at(config, 'server', 'tls')) : []),
    ...(door === 'proxy' ? checkProxy(at(config, 'proxy')) : []),
    ...checkSources(at(config, 'authenticators')),
    ...checkAuthorizers(at(config, 'authorizers')),
  ]
}

function* checkServer(tls: unknown): Generator<Problem> {
  if (at(tls, 'certFile') === undefined) {
    yield { path: 'server.tls.certFile', message: 'missing: set it or pass --tls-cert-file FILE' }
  }
  if (at(tls, 'keyFile') === undefined) {
    yield { path: 'server.tls.keyFile', message: 'missing: set it or pass --tls-private-key-file FILE' }
  }
  const names = at(tls, 'clientNames')
  if (Array.isArray(names) && names.length > 0 && at(tls, 'clientCAFile') === undefined) {
    yield { path: 'server.tls.clientNames', message: 'names of callers are checked only with `clientCAFile`' }
  }
}

/** What the proxy cannot be without → its flag. */
const PROXY_NEEDS: readonly (readonly [path: readonly string[], flag: string, why?: string])[] = [
  [['tls', 'certFile'], '--tls-cert-file FILE'],
  [['tls', 'keyFile'], '--tls-private-key-file FILE'],
  [['upstream', 'caFile'], '--upstream-ca-file FILE', ': the CA of the API servers'],
  [['upstream', 'clientCertFile'], '--upstream-client-cert-file FILE', ': the front-proxy client certificate'],
  [['upstream', 'clientKeyFile'], '--upstream-client-key-file FILE', ': its key'],
]

function* checkProxy(proxy: unknown): Generator<Problem> {
  for (const [path, flag, why = ''] of PROXY_NEEDS) {
    if (at(proxy, ...path) !== undefined) continue
    yield { path: `proxy.${path.join('.')}`, message: `missing: set it or pass ${flag}${why}` }
  }
  const upstreams = at(proxy, 'upstreams')
  if (isEmpty(upstreams)) {
    yield { path: 'proxy.upstreams', message: 'no API server: name at least one, or pass --upstream https://HOST:PORT' }
  }
  const seen = new Set<unknown>()
  for (const [index, url] of Array.isArray(upstreams) ? upstreams.entries() : []) {
    const server = typeof url === 'string' && URL.canParse(url) ? new URL(url).host : url
    if (seen.has(server)) yield { path: `proxy.upstreams[${index}]`, message: 'stands twice: name each server once' }
    seen.add(server)
  }
}

/** Kinds of sources and the names they have unless told otherwise. */
const SOURCES: Kinds = {
  tokenFile: 'token-file',
  passwordFile: 'password-file',
  x509: 'x509',
  keystone: 'keystone',
  ldap: 'ldap',
  oidc: 'oidc',
  authenticationConfiguration: 'oidc-file',
  apiserver: 'apiserver',
  requestHeader: 'request-header',
  anonymous: 'anonymous',
}
const AUTHORIZERS: Kinds = {
  keystonePolicy: 'keystone-policy',
  rbac: 'rbac',
  abac: 'abac',
  node: 'node',
  webhook: 'webhook',
  alwaysAllow: 'always-allow',
  alwaysDeny: 'always-deny',
}

type Kinds = Readonly<Record<string, string>>

function* checkSources(sources: unknown): Generator<Problem> {
  if (sources === undefined) {
    const message = 'no source of identities: name at least one, or pass --keystone-url URL or --token-file FILE'
    yield { path: 'authenticators', message }
  }
  const items = yield* checkItems('authenticators', sources, SOURCES)
  const authorities = items.filter(({ kind }) => kind === 'x509').flatMap(({ value }) => caFiles(value))
  for (const [index, source] of Array.isArray(sources) ? sources.entries() : []) {
    if (at(source, 'anonymous') === undefined || at(source, 'mapping') === undefined) continue
    yield {
      path: `authenticators[${index}].mapping`,
      message: 'the anonymous are always called the same: leave it out',
    }
  }
  for (const item of items) {
    if (item.kind === 'requestHeader' && authorities.includes(at(item.value, 'caFile'))) {
      const message = 'is an authority of people as well (x509): whoever it certifies could be anybody'
      yield { path: `${item.path}.caFile`, message }
    }
    if ((at(item.value, 'clientCertFile') === undefined) !== (at(item.value, 'clientKeyFile') === undefined)) {
      yield { path: `${item.path}.clientCertFile`, message: 'clientCertFile and clientKeyFile go together' }
    }
  }
}

function caFiles(x509: unknown): readonly unknown[] {
  const list = at(x509, 'authorities')
  return Array.isArray(list) ? list.map((authority) => at(authority, 'caFile')) : []
}

function* checkAuthorizers(authorizers: unknown): Generator<Problem> {
  for (const { kind, path, value } of yield* checkItems('authorizers', authorizers, AUTHORIZERS)) {
    if (kind === 'keystonePolicy' && isEmpty(at(value, 'files')) && isEmpty(at(value, 'configMaps'))) {
      yield { path, message: 'no policy: name `files`, `configMaps` or both' }
    }
    if (kind === 'keystonePolicy') yield* checkPolicySources(path, value)
  }
}

/** What stands twice would be two policies of one name. */
function* checkPolicySources(path: string, value: unknown): Generator<Problem> {
  const seen = new Set<string>()
  for (const list of ['files', 'configMaps'] as const) {
    const sources = at(value, list)
    for (const [index, source] of Array.isArray(sources) ? sources.entries() : []) {
      if (typeof source !== 'string') continue
      const name = list === 'configMaps' ? qualifiedName(source) : source
      if (seen.has(name)) yield { path: `${path}.${list}[${index}]`, message: 'stands twice: name it once' }
      seen.add(name)
    }
  }
}

function isEmpty(list: unknown): boolean {
  return list === undefined || (Array.isArray(list) && list.length === 0)
}

interface Item {
  readonly kind: string
  /** `authenticators[1].keystone` */
  readonly path: string
  readonly value: unknown
}

/** Items of a list whose members say their kind by their one key, and whose names differ. */
function* checkItems(list: string, items: unknown, kinds: Kinds): Generator<Problem, readonly Item[]> {
  const found: Item[] = []
  const names = new Set<unknown>()
  for (const [index, item] of Array.isArray(items) ? items.entries() : []) {
    const present = Object.keys(kinds).filter((kind) => at(item, kind) !== undefined)
    const [kind] = present
    if (present.length !== 1 || kind === undefined) {
      yield { path: `${list}[${index}]`, message: `expected exactly one of ${Object.keys(kinds).join(', ')}` }
      continue
    }
    const path = `${list}[${index}].${kind}`
    const value = at(item, kind)
    const name = at(value, 'name') ?? kinds[kind]
    if (names.has(name)) {
      const way = knownKeys([list, '0', kind]).includes('name') ? 'give it a name of its own' : 'one is enough'
      yield { path: `${path}.name`, message: `a second one called ${name}: ${way}` }
    }
    names.add(name)
    found.push({ kind, path, value })
  }
  return found
}

/** The value at a path of own keys; `undefined` where there is none. */
function at(value: unknown, ...path: readonly string[]): unknown {
  let current = value
  for (const key of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key)) return undefined
    current = (current as Readonly<Record<string, unknown>>)[key] ?? undefined
  }
  return current
}
