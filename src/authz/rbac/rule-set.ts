/**
 * Rules of one role, indexed by what they name, so that a decision looks only at rules about that resource or path.
 * Owns the index; leaves what a single rule means to `policy-rule.ts`.
 *
 * @module
 */
import type { Attributes } from '../authorizer.ts'
import { type PolicyRule, resourceKeys, urlPrefix } from './policy-rule.ts'

/** What is looked up for one request. Made once a decision, however many roles are asked. */
export type Sought =
  | {
      readonly kind: 'resource'
      readonly verb: string
      readonly group: string
      readonly keys: readonly string[]
      readonly name: string
    }
  | { readonly kind: 'non-resource'; readonly verb: string; readonly path: string }

/** The rules of a role, ready to be asked. */
export interface RuleSet {
  /** As they stand in the role. */
  readonly rules: readonly PolicyRule[]
  allows(sought: Sought): boolean
}

/** Prepares the look-ups of a request. */
export function soughtBy(request: Attributes): Sought {
  const { verb } = request
  if (request.kind === 'non-resource') return { kind: 'non-resource', verb, path: request.path }
  const { group, resource, subresource, name } = request
  return { kind: 'resource', verb, group, keys: resourceKeys(resource, subresource), name }
}

/** Rules with an index, which is built when first asked: most roles of a cluster never are. The rules must not change. */
export function ruleSet(rules: readonly PolicyRule[]): RuleSet {
  let index: Index | undefined
  return {
    rules,
    allows(sought) {
      index ??= indexOf(rules)
      return sought.kind === 'resource' ? resourceAllowed(index, sought) : pathAllowed(index, sought)
    },
  }
}

interface Index {
  readonly byResource: ReadonlyMap<string, readonly Entry[]>
  readonly byPath: ReadonlyMap<string, readonly Entry[]>
  readonly byPrefix: ReadonlyMap<string, readonly Entry[]>
  /** Few, however many patterns there are: each is one look-up. */
  readonly prefixLengths: readonly number[]
}

function indexOf(rules: readonly PolicyRule[]): Index {
  const byResource = new Map<string, Entry[]>()
  const byPath = new Map<string, Entry[]>()
  const byPrefix = new Map<string, Entry[]>()
  for (const rule of rules) {
    const entry: Entry = { verbs: listed(rule.verbs), groups: listed(rule.apiGroups), names: named(rule.resourceNames) }
    for (const resource of new Set(rule.resources)) append(byResource, resource, entry)
    for (const url of new Set(rule.nonResourceURLs)) {
      if (url.endsWith('*')) append(byPrefix, urlPrefix(url), entry)
      else append(byPath, url, entry)
    }
  }
  const prefixLengths = [...new Set([...byPrefix.keys()].map((prefix) => prefix.length))]
  return { byResource, byPath, byPrefix, prefixLengths }
}

function resourceAllowed({ byResource }: Index, sought: Extract<Sought, { kind: 'resource' }>): boolean {
  const { verb, group, keys, name } = sought
  for (const key of keys) {
    for (const { verbs, groups, names } of byResource.get(key) ?? NONE) {
      if (contains(verbs, verb) && contains(groups, group) && contains(names, name)) return true
    }
  }
  return false
}

function pathAllowed(
  { byPath, byPrefix, prefixLengths }: Index,
  { verb, path }: { verb: string; path: string },
): boolean {
  if (verbAllowed(byPath.get(path), verb)) return true
  return prefixLengths.some((length) => length <= path.length && verbAllowed(byPrefix.get(path.slice(0, length)), verb))
}

function verbAllowed(entries: readonly Entry[] = NONE, verb: string): boolean {
  return entries.some(({ verbs }) => contains(verbs, verb))
}

const NONE: readonly Entry[] = []

/** A rule whose resource or URL has been found already. `undefined` is everything. */
interface Entry {
  readonly verbs: ReadonlySet<string> | undefined
  readonly groups: ReadonlySet<string> | undefined
  readonly names: ReadonlySet<string> | undefined
}

function contains(set: ReadonlySet<string> | undefined, wanted: string): boolean {
  return set === undefined || set.has(wanted)
}

function listed(list: readonly string[]): ReadonlySet<string> | undefined {
  return list.includes('*') ? undefined : new Set(list)
}

/** Names know no star: `*` would be the name of an object. */
function named(list: readonly string[]): ReadonlySet<string> | undefined {
  return list.length === 0 ? undefined : new Set(list)
}

function append(index: Map<string, Entry[]>, key: string, entry: Entry): void {
  const entries = index.get(key)
  if (entries === undefined) index.set(key, [entry])
  else entries.push(entry)
}
