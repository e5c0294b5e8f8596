/**
 * Which requests for resources a rule is about, as conditions: the keys of version 2, the fields of version 1.
 *
 * @module
 */
import { type Condition, oneOf } from './condition.ts'
import { DANGEROUS_SUBRESOURCES, type Key, type SubresourceMode } from './key.ts'
import type { ResourceRule } from './model.ts'
import { lowerCase, type Pattern } from './pattern.ts'

/** Of a version 1 rule. All is exact, case included. `undefined`: a field is missing and it allows nothing. */
export function ruleConditions(rule: ResourceRule): readonly Condition[] | undefined {
  const { verbs, resources, version, namespace } = rule
  if (version === undefined || namespace === undefined) return undefined
  return [
    ...oneOf('namespace', [namespace], 'resource.namespace'),
    ...oneOf('target', resources, 'resource.resources'),
    ...oneOf('group', [version], 'resource.version'),
    ...oneOf('verb', verbs, 'resource.verbs'),
  ]
}

/** Of an entry of a version 2 map. */
export function keyConditions(key: Key, verbs: readonly string[], mode: SubresourceMode): readonly Condition[] {
  const verb = oneOf('verb', verbs.map(lowerCase), 'verbs')
  const subresource = subresourceNames(key, mode, verb.length === 0)
  return [
    ...named('namespace', namespaceNames(key.namespace), 'key'),
    ...named('resource', resourceNames(key.resource, mode), 'key'),
    ...named('subresource', subresource, 'key'),
    ...named('group', key.groups && { kind: 'in', names: key.groups }, 'key'),
    ...verb,
  ]
}

type Names = Pick<Condition, 'kind' | 'names'> | undefined

function named(dimension: Condition['dimension'], names: Names, place: string): readonly Condition[] {
  return names === undefined ? [] : [{ dimension, place, ...names }]
}

/** "No namespace" is the empty name: only a `*` that stands alone covers it, and no exception ever does. */
function namespaceNames(pattern: Pattern): Names {
  return pattern.kind === 'every' && pattern.bare ? undefined : withoutEmpty(pattern)
}

/** A request that names no resource (`/api/v1//pods` makes one) is covered by everything in the predecessor. */
function resourceNames(pattern: Pattern, mode: SubresourceMode): Names {
  if (pattern.kind === 'every' && (pattern.bare || mode === 'compat')) return undefined
  if (mode !== 'compat' || pattern.kind === 'every') return withoutEmpty(pattern)
  if (pattern.kind === 'only') return { kind: 'in', names: new Set([...pattern.names, '']) }
  return { kind: 'not-in', names: new Set([...pattern.names].filter((name) => name !== '')) }
}

function withoutEmpty(pattern: Pattern): Names {
  if (pattern.kind === 'only') return { kind: 'in', names: new Set([...pattern.names].filter((name) => name !== '')) }
  return { kind: 'not-in', names: new Set(pattern.kind === 'every' ? [''] : [...pattern.names, '']) }
}

const NO_SUBRESOURCE: ReadonlySet<string> = new Set([''])

function subresourceNames({ subresource, resource }: Key, mode: SubresourceMode, anyVerb: boolean): Names {
  if (subresource?.kind === 'only') return { kind: 'in', names: subresource.names }
  if (subresource !== undefined) return { kind: 'not-in', names: NO_SUBRESOURCE }
  if (mode === 'strict') return { kind: 'in', names: NO_SUBRESOURCE }
  const reachesAll = mode === 'compat' || anyVerb || resource.kind === 'every'
  return reachesAll ? undefined : { kind: 'not-in', names: DANGEROUS_SUBRESOURCES }
}
