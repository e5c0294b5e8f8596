/**
 * Version 1 → version 2. Decisions are kept: what version 2 cannot say stays version 1, which goes on to work beside
 * it. How much can be said depends on the mode: exactly in `strict`, where a resource does not bring its subresources,
 * as version 1 has it; in `guarded` if it may bring the harmless ones; in `compat` only where a rule is for all
 * resources anyway.
 *
 * @module
 */
import type { CompiledPolicy } from './compile.ts'
import { isUnsatisfiable } from './condition.ts'
import type { Loss } from './convert.ts'
import { usersOf } from './convert-v1-users.ts'
import { isGrant, type Line, type Meaning } from './grant.ts'
import type { Policy, PolicyDocument, ResourceRule } from './model.ts'
import { lowerCase } from './pattern.ts'
import { guardOf, type PolicyJson, version2Of } from './policy-json.ts'

export interface ConvertOptions {
  /** Whether a resource may bring its harmless subresources where version 2 has it so. Default no. */
  readonly widen?: boolean
}

export interface Version2 {
  readonly policies: readonly PolicyJson[]
  readonly losses: readonly Loss[]
}

/** Converts every document, in the order in which they were compiled. */
export function toVersion2(compiled: CompiledPolicy, { widen = false }: ConvertOptions = {}): Version2 {
  const losses: Loss[] = []
  const lines = Map.groupBy(compiled.lines, ({ policy }) => policy)
  const policies = compiled.documents.flatMap((document) =>
    document.policies.flatMap((policy) => {
      const converting = { document, policy, lines: lines.get(policy) ?? [], compiled, widen, losses }
      return [...version2Part(policy), ...resourcePart(converting), ...pathPart(converting)]
    }),
  )
  return { policies, losses }
}

interface Converting {
  readonly document: PolicyDocument
  readonly policy: Policy
  readonly lines: readonly Line[]
  readonly compiled: CompiledPolicy
  readonly widen: boolean
  readonly losses: Loss[]
}

function version2Part(policy: Policy): readonly PolicyJson[] {
  const part = version2Of(policy)
  return Object.keys(part).length === 0 ? [] : [{ ...guardOf(policy), ...part }]
}

function resourcePart(converting: Converting): readonly PolicyJson[] {
  const { policy, compiled } = converting
  const { resource } = policy
  if (resource === undefined || isDropped(converting, 'resource')) return []
  const { meaning } = compiled
  const kept = (names: readonly string[]): PolicyJson => ({
    ...guardOf(policy),
    resource: { ...resource, resources: names },
  })
  const guards = usersOf(policy, meaning)
  if (guards === undefined) return [keep(converting, 'resource', USERS, kept(resource.resources))]
  const wanted = resource.resources.includes('*') ? ['*'] : resource.resources
  const keys = new Map(wanted.map((name) => [name, keysFor(name, resource, meaning, converting)]))
  const verbs = resource.verbs.filter((verb) => verb === lowerCase(verb)) // others would begin to mean something
  if (verbs.length < resource.verbs.length) note(converting, 'dropped', 'resource.verbs', 'no verb is in upper case')
  const permissions = Object.fromEntries([...keys.values()].flatMap((some) => (some ?? []).map((key) => [key, verbs])))
  const left = wanted.filter((name) => keys.get(name) === undefined)
  return [
    ...(Object.keys(permissions).length === 0
      ? []
      : guards.map((guard) => ({ ...guard, resource_permissions: permissions }))),
    ...(left.length === 0 ? [] : [kept(left)]),
  ]
}

const USERS = 'only match can say for whom it is, and it does not guard version 2 in this mode'

function pathPart(converting: Converting): readonly PolicyJson[] {
  const { policy, compiled } = converting
  const { nonresource } = policy
  if (nonresource === undefined || isDropped(converting, 'nonresource')) return []
  const { path = '', verbs } = nonresource
  const kept: PolicyJson = { ...guardOf(policy), nonresource }
  if (path.endsWith('*')) return [keep(converting, 'nonresource', 'version 2 has no patterns for paths', kept)]
  const guards = usersOf(policy, compiled.meaning)
  if (guards === undefined) return [keep(converting, 'nonresource', USERS, kept)]
  return guards.map((guard) => ({ ...guard, nonresource_permissions: { [path]: verbs } }))
}

/** Whether the rule allows nothing, so that nothing need be written for it. */
function isDropped(converting: Converting, place: 'resource' | 'nonresource'): boolean {
  const line = converting.lines.find((some) => some.place === place)
  const dead = line === undefined || !isGrant(line) || line.conditions.some(isUnsatisfiable)
  if (dead) note(converting, 'dropped', place, 'it allowed nothing')
  return dead
}

function keep(converting: Converting, place: string, why: string, json: PolicyJson): PolicyJson {
  note(converting, 'kept', place, why)
  return json
}

function note({ document, policy, losses }: Converting, kind: Loss['kind'], place: string, message: string): void {
  const separator = policy.path.startsWith('[') ? '' : ' '
  losses.push({ kind, path: `${document.where}${separator}${policy.path}.${place}`, message })
}

const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const GROUP = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

/** The keys that say what version 1 says with one resource; `undefined` where none do, which is noted. */
function keysFor(
  name: string,
  { version = '', namespace = '', verbs }: ResourceRule,
  { subresources: mode }: Meaning,
  converting: Converting,
): readonly string[] | undefined {
  const kept = (why: string): undefined => note(converting, 'kept', `resource (${name})`, why) as undefined
  if (namespace !== '*' && !NAME.test(namespace)) {
    return kept(namespace === '' ? 'no key is for requests without namespace only' : 'the namespace is no name')
  }
  if (version !== '*' && mode === 'compat') return kept('no key is for one API group in this mode')
  if (version !== '*' && version !== '' && !GROUP.test(version)) return kept('the API group is no name')
  const group = version === '*' ? '' : `@${version === '' ? 'core' : version}`
  if (name === '*') {
    const all = `${namespace}/*${group}`
    return mode === 'strict' ? [all, `${all}/*`] : [all]
  }
  const [resource = '', subresource, ...more] = name.split('/')
  // `*/log` is no pattern: it is for questions about a resource called `*`, which `kubectl auth can-i` does ask.
  if (resource === '*') return kept('it is for requests about the resource * only, and no key is')
  if (!NAME.test(resource) || more.length > 0) return drop(converting, name)
  if (subresource !== undefined) {
    if (subresource !== '*' && !NAME.test(subresource)) return drop(converting, name)
    return mode === 'compat'
      ? kept('no key is for a subresource in this mode')
      : [`${namespace}/${resource}${group}/${subresource}`]
  }
  const wider = widens(mode, verbs, converting.widen)
  if (wider !== undefined) return kept(wider)
  if (mode !== 'strict') {
    note(
      converting,
      'wider',
      `resource (${name})`,
      `it brings the harmless subresources of ${resource}, as ${resource}/log`,
    )
  }
  return [`${namespace}/${resource}${group}`]
}

/** Why a key without subresource may not stand for a resource without subresources. */
function widens(mode: Meaning['subresources'], verbs: readonly string[], accepted: boolean): string | undefined {
  if (mode === 'strict') return undefined
  if (mode === 'compat') return 'a key would bring every subresource, exec included'
  if (verbs.includes('*')) return 'a key with the verb * would bring every subresource, exec included'
  return accepted
    ? undefined
    : 'a key would bring its harmless subresources, such as log. Say that it may, or use strict mode'
}

function drop(converting: Converting, name: string): readonly string[] {
  note(converting, 'dropped', `resource (${name})`, 'nothing is called so, and it allowed nothing')
  return []
}
