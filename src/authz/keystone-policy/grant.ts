/**
 * Policy → lines. A line that can allow something by itself (a key of a version 2 map, a version 1 rule) is a grant,
 * and its conditions are all there is to it. What can never allow is kept with the reason, for those who ask.
 *
 * @module
 */
import { among, amongOrAny, type Condition } from './condition.ts'
import { keyConditions, ruleConditions } from './conditions-of-resources.ts'
import { userConditions } from './conditions-of-users.ts'
import { parseKey, type SubresourceMode } from './key.ts'
import type { Policy } from './model.ts'

/** What a policy is taken to mean, where that is for the operator to say. */
export interface Meaning {
  readonly subresources: SubresourceMode
  /** Whether `match` guards version 2 maps too; the predecessor ignores it there. */
  readonly matchGuardsVersion2: boolean
}

/** Where a line stands. */
export interface Place {
  readonly policy: Policy
  /** Resource requests and path requests are judged apart. */
  readonly half: 'resource' | 'path'
  /** `resource_permissions["default/pods"]`, `resource`, `nonresource` …, seen from the policy. */
  readonly place: string
  /** The key, of a version 2 map. */
  readonly key?: string
  /** For people: `policy.json[3] "default/pods"`, `policy.json[4] resource`. Short enough for kubectl's error line. */
  readonly name: string
}

export interface Grant extends Place {
  readonly conditions: readonly Condition[]
}

/** A line that allows nothing, whoever asks for whatever. */
export interface Inert extends Place {
  readonly why: string
}

export type Line = Grant | Inert

/** Whether a line can allow something, as far as its form goes. */
export function isGrant(line: Line): line is Grant {
  return 'conditions' in line
}

/** Every line of a policy, in order. `where` names its text. */
export function linesOf(where: string, policy: Policy, meaning: Meaning): readonly Line[] {
  const places = placesOf(where, policy)
  return [...resourceLines(policy, meaning, places), ...pathLines(policy, meaning, places)]
}

type Places = (half: Place['half'], field: string, key?: string) => Place

const LONGEST_KEY = 80

function placesOf(where: string, policy: Policy): Places {
  return (half, field, key) => {
    const named = `${where}[${policy.index}] `
    if (key === undefined) return { policy, half, place: field, name: `${named}${field}` }
    const short = key.length > LONGEST_KEY ? `${key.slice(0, LONGEST_KEY)}…` : key
    return { policy, half, key, place: `${field}[${JSON.stringify(key)}]`, name: `${named}${JSON.stringify(short)}` }
  }
}

function resourceLines(policy: Policy, meaning: Meaning, places: Places): readonly Line[] {
  const { resource, resourcePermissions } = policy
  if (resourcePermissions === undefined) return resource === undefined ? [] : [resourceRule(policy, places)]
  const who = userConditions(policy, meaning.matchGuardsVersion2)
  const lines = [...resourcePermissions].map(([key, verbs]): Line => {
    const place = places('resource', 'resource_permissions', key)
    const parsed = parseKey(key, meaning.subresources)
    if (parsed.kind === 'malformed') return { ...place, why: parsed.why }
    return { ...place, conditions: [...who, ...keyConditions(parsed, verbs, meaning.subresources)] }
  })
  return resource === undefined ? lines : [...lines, hidden(places('resource', 'resource'))]
}

function hidden(place: Place): Inert {
  return { ...place, why: `${place.place}_permissions stands in the same policy and hides it` }
}

function resourceRule(policy: Policy, places: Places): Line {
  const place = places('resource', 'resource')
  const conditions = policy.resource && ruleConditions(policy.resource)
  return conditions === undefined
    ? { ...place, why: 'it needs both version and namespace. Write "*" for any API group, any namespace' }
    : { ...place, conditions: [...userConditions(policy, true), ...conditions] }
}

function pathLines(policy: Policy, meaning: Meaning, places: Places): readonly Line[] {
  const { nonresource, nonresourcePermissions } = policy
  if (nonresourcePermissions === undefined) return nonresource === undefined ? [] : [pathRule(policy, places)]
  const who = userConditions(policy, meaning.matchGuardsVersion2)
  const lines = [...nonresourcePermissions].map(([key, verbs]): Line => {
    const place = places('path', 'nonresource_permissions', key)
    const conditions = [...who, among('path', [key], 'key'), ...amongOrAny('verb', verbs, 'verbs')]
    return { ...place, conditions }
  })
  return nonresource === undefined ? lines : [...lines, hidden(places('path', 'nonresource'))]
}

function pathRule(policy: Policy, places: Places): Line {
  const place = places('path', 'nonresource')
  const { path, verbs = [] } = policy.nonresource ?? {}
  if (path === undefined) return { ...place, why: 'it has no path. Write one, such as "/healthz" or "/api/*"' }
  if (verbs.includes('')) return { ...place, why: 'its verbs hold an empty text, which switches it off. Take it away' }
  const conditions = [...pathCondition(path), ...amongOrAny('verb', verbs, 'nonresource.verbs')]
  return { ...place, conditions: [...userConditions(policy, true), ...conditions] }
}

/** A star at the end makes it the beginning of paths, at any depth. */
function pathCondition(path: string): readonly Condition[] {
  const place = 'nonresource.path'
  if (!path.endsWith('*')) return [among('path', [path], place)]
  const prefix = withoutStars(path)
  return prefix === '' ? [] : [among('prefix', [prefix], place)]
}

/** Without the stars at its end. */
export function withoutStars(path: string): string {
  let end = path.length
  while (path[end - 1] === '*') end -= 1
  return path.slice(0, end)
}
