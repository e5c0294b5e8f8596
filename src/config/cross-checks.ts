/**
 * What one value of the configuration asks of another. The checks read the configuration as it is written, so that
 * they run, and report, also where other values are wrong.
 *
 * @module
 */
import type { Problem } from '../errors.ts'

/** Finds every contradiction between values. Whatever has a wrong type is left to the schema. */
export function crossCheck(config: unknown): readonly Problem[] {
  return [...checkServer(at(config, 'server', 'tls')), ...checkSources(at(config, 'authenticators'))]
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

const KINDS: Readonly<Record<string, string>> = { tokenFile: 'token-file', keystone: 'keystone' }

function* checkSources(sources: unknown): Generator<Problem> {
  if (!Array.isArray(sources)) {
    if (sources === undefined) {
      yield {
        path: 'authenticators',
        message: 'no source of identities: name at least one, or pass --keystone-url URL or --token-file FILE',
      }
    }
    return
  }
  const names = new Set<unknown>()
  for (const [index, source] of sources.entries()) {
    const path = `authenticators[${index}]`
    const kinds = Object.keys(KINDS).filter((kind) => at(source, kind) !== undefined)
    const [kind] = kinds
    if (kinds.length !== 1 || kind === undefined) {
      yield { path, message: `expected exactly one of ${Object.keys(KINDS).join(', ')}` }
      continue
    }
    const name = at(source, kind, 'name') ?? KINDS[kind]
    if (names.has(name)) {
      yield { path: `${path}.${kind}.name`, message: `a second source called ${name}: give it a name of its own` }
    }
    names.add(name)
    if ((at(source, kind, 'clientCertFile') === undefined) !== (at(source, kind, 'clientKeyFile') === undefined)) {
      yield { path: `${path}.${kind}.clientCertFile`, message: 'clientCertFile and clientKeyFile go together' }
    }
  }
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
