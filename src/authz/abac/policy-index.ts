/**
 * ABAC policies compiled: from a user and his groups straight to the lines about what he asks. Built once for a file,
 * then only read; lines about other people or other things cost nothing.
 *
 * @module
 */
import type { UserInfo } from '../../user.ts'
import type { Attributes } from '../authorizer.ts'
import { policyRule, type RuleListing, urlCovers, urlPrefix } from '../rbac/policy-rule.ts'
import type { AbacPolicy } from './policy-file.ts'

/** One state of the file, ready to be asked. */
export interface AbacIndex {
  /** The first line that allows the request; `undefined` where none does. */
  find(request: Attributes): AbacPolicy | undefined
  rulesFor(user: UserInfo, namespace: string): RuleListing
}

const READ_ONLY: readonly string[] = ['get', 'list', 'watch']

/** Builds the index. */
export function abacIndex(policies: readonly AbacPolicy[]): AbacIndex {
  const users = new Map<string, SubjectIndex>()
  const groups = new Map<string, SubjectIndex>()
  for (const policy of policies) {
    // A line for a user in a group is found by the user, and looks at the groups itself.
    if (policy.user !== '') add(subjectIn(users, policy.user), policy)
    else if (policy.group !== '') add(subjectIn(groups, policy.group), policy)
  }
  return {
    find(request) {
      const { user } = request
      const keys = request.kind === 'resource' ? objectKeys(request) : []
      let first = findIn(users.get(user.username), request, keys, undefined)
      for (const group of user.groups) first = findIn(groups.get(group), request, keys, first)
      return first
    },
    rulesFor: (user, namespace) => listing(policies, user, namespace),
  }
}

/** Whether one line allows one request: the direct reading, with which the index must agree. */
export function policyAllows(policy: AbacPolicy, request: Attributes): boolean {
  if (!subjectMatches(policy, request.user)) return false
  if (policy.readonly && !READ_ONLY.includes(request.verb)) return false
  if (request.kind === 'non-resource') return urlCovers(policy.nonResourcePath, request.path)
  // Subresource and name are not looked at: a line about pods is one about pods/exec.
  return (
    anyOr(policy.namespace, request.namespace) &&
    anyOr(policy.resource, request.resource) &&
    anyOr(policy.apiGroup, request.group)
  )
}

function subjectMatches({ user, group }: AbacPolicy, { username, groups }: UserInfo): boolean {
  if (user === '' && group === '') return false
  return (user === '' || user === username) && (group === '' || groups.includes(group))
}

function anyOr(pattern: string, value: string): boolean {
  return pattern === '*' || pattern === value
}

// --- the index -------------------------------------------------------------------------------------------------

/** Lines of one subject, each list in the order of the file. */
interface SubjectIndex {
  readonly byObject: Map<string, AbacPolicy[]>
  readonly byPath: Map<string, AbacPolicy[]>
  readonly byPrefix: Map<string, AbacPolicy[]>
  /** Lengths of the keys of `byPrefix`. */
  readonly prefixLengths: Set<number>
}

function subjectIn(subjects: Map<string, SubjectIndex>, name: string): SubjectIndex {
  let index = subjects.get(name)
  if (index === undefined) {
    index = { byObject: new Map(), byPath: new Map(), byPrefix: new Map(), prefixLengths: new Set() }
    subjects.set(name, index)
  }
  return index
}

function add({ byObject, byPath, byPrefix, prefixLengths }: SubjectIndex, policy: AbacPolicy): void {
  const { namespace, resource, apiGroup, nonResourcePath } = policy
  append(byObject, objectKey(namespace, resource, apiGroup), policy)
  if (nonResourcePath.endsWith('*')) {
    const prefix = urlPrefix(nonResourcePath)
    append(byPrefix, prefix, policy)
    prefixLengths.add(prefix.length)
  } else append(byPath, nonResourcePath, policy)
}

/** Leaves out lines that an earlier one of the same list makes superfluous, so lists do not grow with repetition. */
function append(index: Map<string, AbacPolicy[]>, key: string, policy: AbacPolicy): void {
  const lines = index.get(key)
  if (lines === undefined) index.set(key, [policy])
  else if (!lines.some((earlier) => covers(earlier, policy))) lines.push(policy)
}

/** Of two lines of one subject about one thing. */
function covers(earlier: AbacPolicy, later: AbacPolicy): boolean {
  const sameGroup = earlier.user === '' || earlier.group === '' || earlier.group === later.group
  return sameGroup && (!earlier.readonly || later.readonly)
}

function objectKey(namespace: string, resource: string, apiGroup: string): string {
  return `${namespace}\0${resource}\0${apiGroup}`
}

function objectKeys({ namespace, resource, group }: Extract<Attributes, { kind: 'resource' }>): readonly string[] {
  const keys: string[] = []
  for (const inNamespace of [namespace, '*']) {
    for (const about of [resource, '*']) {
      keys.push(objectKey(inNamespace, about, group), objectKey(inNamespace, about, '*'))
    }
  }
  return keys
}

/** The earlier of `first` and the first line of this subject that allows the request. */
function findIn(
  index: SubjectIndex | undefined,
  request: Attributes,
  keys: readonly string[],
  first: AbacPolicy | undefined,
): AbacPolicy | undefined {
  if (index === undefined) return first
  let found = first
  const look = (lines: readonly AbacPolicy[] | undefined): void => {
    for (const policy of lines ?? []) {
      if (found !== undefined && policy.line > found.line) return
      if (remains(policy, request)) {
        found = policy
        return
      }
    }
  }
  if (request.kind === 'resource') {
    for (const key of keys) look(index.byObject.get(key))
    return found
  }
  const { path } = request
  look(index.byPath.get(path))
  for (const length of index.prefixLengths) {
    if (length <= path.length) look(index.byPrefix.get(path.slice(0, length)))
  }
  return found
}

/** What is left to look at once a line was found by its subject and its object. */
function remains({ user, group, readonly }: AbacPolicy, request: Attributes): boolean {
  if (readonly && !READ_ONLY.includes(request.verb)) return false
  return user === '' || group === '' || request.user.groups.includes(group)
}

// --- telling ---------------------------------------------------------------------------------------------------

function listing(policies: readonly AbacPolicy[], user: UserInfo, namespace: string): RuleListing {
  const rules = policies
    .filter((policy) => subjectMatches(policy, user) && anyOr(policy.namespace, namespace))
    .flatMap(({ line, readonly, apiGroup, resource, nonResourcePath }) => {
      const verbs = readonly ? READ_ONLY : ['*']
      const source = `line ${line}`
      return [
        ...(resource === ''
          ? []
          : [{ rule: policyRule({ verbs, apiGroups: [apiGroup], resources: [resource] }), source }]),
        ...(nonResourcePath === ''
          ? []
          : [{ rule: policyRule({ verbs, nonResourceURLs: [nonResourcePath] }), source }]),
      ]
    })
  return { rules, incomplete: false, errors: [] }
}
