/**
 * The rules of the policy language read line by line, slowly, straight off the JSON: no index, no conditions, nothing
 * shared with the program. What the compiled policy decides is held against this.
 *
 * @module
 */
import type { Attributes } from '../../../src/authz/authorizer.ts'
import { IDENTITY } from './support.ts'

export interface RawPolicy {
  readonly users?: Readonly<Record<string, readonly string[] | null>> | null
  readonly resource_permissions?: Readonly<Record<string, readonly string[] | null>> | null
  readonly nonresource_permissions?: Readonly<Record<string, readonly string[] | null>> | null
  readonly resource?: {
    readonly verbs?: readonly string[] | null
    readonly resources?: readonly string[] | null
    readonly version?: string | null
    readonly namespace?: string | null
  } | null
  readonly nonresource?: { readonly verbs?: readonly string[] | null; readonly path?: string | null } | null
  readonly match?: readonly RawEntry[] | null | undefined
}

interface RawEntry {
  readonly type?: string | null | undefined
  readonly values?: readonly string[] | null | undefined
}

export interface ReferenceOptions {
  readonly mode: 'compat' | 'guarded' | 'strict'
  readonly requireKeystoneIdentity: boolean
  readonly matchGuardsVersion2: boolean
}

const DANGEROUS = ['exec', 'attach', 'portforward', 'proxy', 'token', 'ephemeralcontainers']
const KEYS = ['project/id', 'project/name', 'roles', 'user/domain/id', 'user/domain/name']

/** Indexes of the policies that allow the request. */
export function allowedBy(
  policies: readonly (RawPolicy | null)[],
  request: Attributes,
  options: ReferenceOptions,
): number[] {
  if (!request.extraPresent) return []
  if (options.requireKeystoneIdentity && !KEYS.some((key) => extra(request, key).length > 0)) return []
  return policies.flatMap((policy, index) => (policy !== null && policyAllows(policy, request, options) ? [index] : []))
}

function extra(request: Attributes, key: string): readonly string[] {
  return request.user.extra.get(`${IDENTITY}/${key}`) ?? []
}

function policyAllows(policy: RawPolicy, request: Attributes, options: ReferenceOptions): boolean {
  if (policy.users && !usersPass(policy.users, request)) return false
  const matched = matchPasses(policy.match ?? [], request)
  if (request.kind === 'resource') {
    if (policy.resource_permissions) {
      if (options.matchGuardsVersion2 && !matched) return false
      return Object.entries(policy.resource_permissions).some(([key, verbs]) =>
        entryAllows(key, verbs ?? [], request, options),
      )
    }
    return Boolean(policy.resource) && matched && resourceAllows(policy.resource ?? {}, request)
  }
  if (policy.nonresource_permissions) {
    if (options.matchGuardsVersion2 && !matched) return false
    const verbs = Object.hasOwn(policy.nonresource_permissions, request.path)
      ? (policy.nonresource_permissions[request.path] ?? [])
      : []
    return verbs.includes(request.verb) || verbs.includes('*')
  }
  return Boolean(policy.nonresource) && matched && pathAllows(policy.nonresource ?? {}, request)
}

function usersPass(users: NonNullable<RawPolicy['users']>, request: Attributes): boolean {
  const roles = extra(request, 'roles')
  for (const role of users['roles'] ?? []) if (!roles.includes(role)) return false
  const pool = [...extra(request, 'project/id'), ...extra(request, 'project/name')]
  return (users['projects'] ?? []).some((project) => pool.includes(project))
}

function matchPasses(match: NonNullable<RawPolicy['match']>, request: Attributes): boolean {
  return match.every(({ type, values }) => {
    const known = new Map([
      ['user', [request.user.username, ...(request.user.uid === '' ? [] : [request.user.uid])]],
      ['group', [...request.user.groups]],
      ['project', [...extra(request, 'project/id'), ...extra(request, 'project/name')]],
      ['role', [...extra(request, 'roles')]],
    ])
    const mine = known.get(type ?? '')
    if (mine === undefined) return false
    return (values ?? []).some((value) => value === '*' || (value !== '' && mine.includes(value)))
  })
}

type ResourceRequest = Extract<Attributes, { kind: 'resource' }>

function resourceAllows(rule: NonNullable<RawPolicy['resource']>, request: ResourceRequest): boolean {
  const { version, namespace } = rule
  if (version === undefined || version === null || namespace === undefined || namespace === null) return false
  const resources = rule.resources ?? []
  const verbs = rule.verbs ?? []
  if (version !== '*' && version !== request.group) return false
  if (namespace !== '*' && namespace !== request.namespace) return false
  const covered =
    resources.includes('*') ||
    (request.subresource === ''
      ? resources.includes(request.resource)
      : resources.includes(`${request.resource}/*`) || resources.includes(`${request.resource}/${request.subresource}`))
  return covered && (verbs.includes('*') || verbs.includes(request.verb))
}

function pathAllows(
  rule: NonNullable<RawPolicy['nonresource']>,
  request: Extract<Attributes, { kind: 'non-resource' }>,
): boolean {
  const verbs = rule.verbs ?? []
  const { path } = rule
  if (verbs.includes('') || path === undefined || path === null) return false
  if (!verbs.includes('*') && !verbs.includes(request.verb)) return false
  if (path === '*' || path === request.path) return true
  let rest = path
  while (rest.endsWith('*')) rest = rest.slice(0, -1)
  return rest !== path && request.path.startsWith(rest)
}

function entryAllows(
  key: string,
  verbs: readonly string[],
  request: ResourceRequest,
  { mode }: ReferenceOptions,
): boolean {
  const anyVerb = verbs.includes('*')
  if (!anyVerb && !verbs.map((verb) => verb.toLowerCase()).includes(request.verb)) return false
  const halves = key.split('/').map((half) => half.trim().toLowerCase())
  const [namespace = '', whole = '', subresource] = halves
  if (halves.length < 2 || halves.length > 3 || (halves.length === 3 && mode === 'compat')) return false

  let resource = whole
  if (mode !== 'compat') {
    const qualified = /^(!?\[[^\]]*\]?|[^@]*)@(.*)$/s.exec(whole)
    if (qualified !== null) {
      resource = (qualified[1] ?? '').trim()
      if (!groupCovers((qualified[2] ?? '').trim(), request.group)) return false
    }
  }
  if (request.namespace === '' ? namespace !== '*' : !halfMatches(namespace, request.namespace)) return false
  if (mode !== 'compat' && request.resource === '' ? resource !== '*' : !halfMatches(resource, request.resource)) {
    return false
  }
  if (subresource !== undefined) return thirdCovers(subresource, request.subresource)
  if (request.subresource === '' || mode === 'compat') return true
  if (mode === 'strict') return false
  return (
    !DANGEROUS.includes(request.subresource) || anyVerb || resource === '*' || listOf(resource)?.includes('*') === true
  )
}

/** `@core`, `@apps`, `@['a','core']`, `@*`. */
function groupCovers(text: string, group: string): boolean {
  const names = text.startsWith('[') ? (listOf(text) ?? []) : [text]
  if (names.includes('*')) return true
  return names.some((name) => name !== '' && !name.startsWith('!') && (name === 'core' ? '' : name) === group)
}

/** Never a negation. */
function thirdCovers(text: string, subresource: string): boolean {
  if (subresource === '' || text.startsWith('!')) return false
  const names = text.startsWith('[') ? (listOf(text) ?? []) : [text]
  return names.includes('*') || names.includes(subresource)
}

function halfMatches(half: string, value: string): boolean {
  if (half === value || half === '*' || value === '') return true
  if (half.startsWith('!') && half.indexOf('[') !== 1) {
    const rest = half.slice(1)
    return rest !== value && rest !== '*'
  }
  if (half.startsWith('[') && half.indexOf(']') === half.length - 1) {
    const items = listOf(half)
    return items !== undefined && (items.includes(value) || items.includes('*'))
  }
  if (half.startsWith('![') && half.indexOf(']') === half.length - 1) {
    const items = listOf(half.slice(1))
    return items !== undefined && !items.includes(value) && !items.includes('*')
  }
  return false
}

function listOf(text: string): string[] | undefined {
  if (!text.startsWith('[') || text.indexOf(']') !== text.length - 1) return undefined
  try {
    const items: unknown = JSON.parse(text.replaceAll("'", '"'))
    if (!Array.isArray(items)) return undefined
    const strings = items.map((item: unknown) => (item === null ? '' : item))
    return strings.every((item) => typeof item === 'string') ? strings : undefined
  } catch {
    return undefined
  }
}
