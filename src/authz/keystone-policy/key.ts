/**
 * Keys of `resource_permissions`.
 *
 * ```text
 * namespace/resource                      the predecessor's form
 * namespace/resource/subresource          a subresource by name, ['a','b'] or * (guarded and strict)
 * namespace/resource@group[/subresource]  of one API group, or of ['a','b']; @core is the group without name
 *                                         (guarded and strict)
 * ```
 *
 * Neither addition can stand in a file of today and mean something: the predecessor ignores a key with two slashes,
 * and no Kubernetes name holds an `@`, so such a key matches nothing there. Taking a policy back to it closes, and
 * does not open. In `compat` both are read as it reads them.
 *
 * @module
 */
import { lowerCase, type Pattern, parsePattern, trimBlanks } from './pattern.ts'

/**
 * How far a key without subresource reaches.
 *
 * - `compat`: to every subresource, as in the predecessor. `"default/pods": ["get"]` opens a shell.
 * - `guarded`: to every harmless one. The dangerous ones need the verb `*`, the resource `*`, or a key of their own.
 * - `strict`: to none, be it `*`: a third part `*` says so.
 */
export type SubresourceMode = 'compat' | 'guarded' | 'strict'

/** Subresources that give more than a look at the object: a shell, a tunnel, a credential. */
export const DANGEROUS_SUBRESOURCES: ReadonlySet<string> = new Set([
  'attach',
  'ephemeralcontainers',
  'exec',
  'portforward',
  'proxy',
  'token',
])

export interface Key {
  readonly kind: 'key'
  readonly namespace: Pattern
  readonly resource: Pattern
  /** `undefined`: the key has no third part. */
  readonly subresource: Pattern | undefined
  /** `undefined`: every API group. */
  readonly groups: ReadonlySet<string> | undefined
}

/** A key that grants nothing, and why. */
export interface MalformedKey {
  readonly kind: 'malformed'
  readonly why: string
}

/** Reads a key as the mode has it. */
export function parseKey(key: string, mode: SubresourceMode): Key | MalformedKey {
  const parts = key.split('/')
  const [namespace = '', resource = '', subresource] = parts.map((part) => lowerCase(trimBlanks(part)))
  if (parts.length === 1) return malformed('it has no slash. Write namespace/resource, or */resource')
  if (parts.length > (mode === 'compat' ? 2 : 3)) return malformed(tooManySlashes(mode))
  const qualified = mode === 'compat' ? { name: resource, groups: undefined } : parseGroups(resource)
  if (qualified === undefined) return malformed("the API group after @ is no name. Write @apps, @core or @['a','b']")
  const third = subresource === undefined ? undefined : parseSubresource(subresource)
  if (third?.kind === 'malformed') return third
  return {
    kind: 'key',
    namespace: parsePattern(namespace),
    resource: parsePattern(qualified.name),
    subresource: third,
    groups: qualified.groups,
  }
}

function malformed(why: string): MalformedKey {
  return { kind: 'malformed', why }
}

function tooManySlashes(mode: SubresourceMode): string {
  return mode === 'compat'
    ? 'it has more than one slash, those inside of brackets included. Subresources follow the resource in compat mode'
    : 'it has more than two slashes, those inside of brackets included. Write one key for each subresource'
}

/** Splits `resource@group` outside of brackets. */
function parseGroups(resource: string): { name: string; groups: ReadonlySet<string> | undefined } | undefined {
  const at = resource.indexOf('@', /^!?\[/.test(resource) ? resource.indexOf(']') + 1 : 0)
  if (at < 0) return { name: resource, groups: undefined }
  const name = trimBlanks(resource.slice(0, at))
  const groups = parsePattern(trimBlanks(resource.slice(at + 1)))
  if (groups.kind === 'every') return { name, groups: undefined }
  const names = groups.kind === 'only' ? [...groups.names].filter((group) => GROUP.test(group)) : []
  return names.length === 0
    ? undefined
    : { name, groups: new Set(names.map((group) => (group === 'core' ? '' : group))) }
}

const GROUP = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

/** A form of our own need not inherit negations that cover what nobody thought of. */
function parseSubresource(part: string): Pattern | MalformedKey {
  const pattern = parsePattern(part)
  if (pattern.kind === 'except') return malformed('a subresource cannot be negated. Name those that are meant')
  const names = pattern.kind === 'every' ? [] : [...pattern.names].filter((name) => NAME.test(name))
  if (pattern.kind === 'only' && names.length === 0) return malformed('the subresource is no name. Write pods/log')
  return pattern.kind === 'every' ? pattern : { kind: 'only', names: new Set(names) }
}

const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
