/**
 * Which requests for resources a rule is about, as conditions: the keys of version 2, the fields of version 1.
 *
 * @module
 */
import { among, amongOrAny, type Condition, noneOf } from './condition.ts'
import { DANGEROUS_SUBRESOURCES, type Key, type SubresourceMode } from './key.ts'
import type { ResourceRule } from './model.ts'
import { lowerCase, type Pattern } from './pattern.ts'

/** Of a version 1 rule. All is exact, case included. `undefined`: a field is missing and it allows nothing. */
export function ruleConditions(rule: ResourceRule): readonly Condition[] | undefined {
  const { verbs, resources, version, namespace } = rule
  if (version === undefined || namespace === undefined) return undefined
  return [
    ...amongOrAny('namespace', [namespace], 'resource.namespace'),
    ...amongOrAny('target', resources, 'resource.resources'),
    ...amongOrAny('group', [version], 'resource.version'),
    ...amongOrAny('verb', verbs, 'resource.verbs'),
  ]
}

/** Of an entry of a version 2 map. */
export function keyConditions(key: Key, verbs: readonly string[], mode: SubresourceMode): readonly Condition[] {
  const verb = amongOrAny('verb', verbs.map(lowerCase), 'verbs')
  return [
    ...namespaceCondition(key.namespace),
    ...resourceCondition(key.resource, mode),
    ...subresourceCondition(key, mode, verb.length === 0),
    ...(key.groups === undefined ? [] : [among('group', key.groups, 'key')]),
    ...verb,
  ]
}

/** "No namespace" is the empty name: only a `*` that stands alone covers it, and no exception ever does. */
function namespaceCondition(pattern: Pattern): readonly Condition[] {
  return pattern.kind === 'every' && pattern.bare ? [] : [named('namespace', pattern, false)]
}

/** A request that names no resource (`/api/v1//pods` makes one) is covered by everything in the predecessor. */
function resourceCondition(pattern: Pattern, mode: SubresourceMode): readonly Condition[] {
  if (pattern.kind === 'every' && (pattern.bare || mode === 'compat')) return []
  return [named('resource', pattern, mode === 'compat')]
}

/** What the pattern says, and whether it covers the empty name, which no pattern speaks of. */
function named(dimension: 'namespace' | 'resource', pattern: Pattern, coversEmpty: boolean): Condition {
  const names = new Set(pattern.kind === 'every' ? [] : pattern.names)
  if ((pattern.kind === 'only') === coversEmpty) names.add('')
  else names.delete('')
  return pattern.kind === 'only' ? among(dimension, names, 'key') : noneOf(dimension, names, 'key')
}

function subresourceCondition(
  { subresource, resource }: Key,
  mode: SubresourceMode,
  anyVerb: boolean,
): readonly Condition[] {
  if (subresource?.kind === 'only') return [among('subresource', subresource.names, 'key')]
  if (subresource !== undefined) return [noneOf('subresource', [''], 'key')]
  if (mode === 'strict') return [among('subresource', [''], 'key')]
  const reachesAll = mode === 'compat' || anyVerb || resource.kind === 'every'
  return reachesAll ? [] : [noneOf('subresource', DANGEROUS_SUBRESOURCES, 'key')]
}
