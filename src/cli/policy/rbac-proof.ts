/**
 * Whether RBAC manifests decide as what they were made from: both are asked, over requests made of every name there
 * is and of names that are nowhere.
 *
 * @module
 */
import type { AbacPolicy } from '../../authz/abac/policy-file.ts'
import { policyAllows } from '../../authz/abac/policy-index.ts'
import type { Attributes, Decision } from '../../authz/authorizer.ts'
import {
  isKeystoneIdentity,
  looksLikeId,
  PROJECT_ID,
  PROJECT_NAME,
  ROLES,
} from '../../authz/keystone-policy/identity.ts'
import {
  type CompiledPolicy,
  compareDecisions,
  type Decide,
  decide,
  generateRequests,
  type PolicyDiff,
  type RbacOptions,
} from '../../authz/keystone-policy/index.ts'
import { OUTSIDER } from '../../authz/keystone-policy/probe.ts'
import { parseManifests } from '../../authz/rbac/manifests.ts'
import { rbacIndex } from '../../authz/rbac/rbac-index.ts'
import { ExitError } from '../io.ts'

type GroupFor = NonNullable<RbacOptions['groupFor']>

/** Groups that stand for roles and projects of Keystone, as they were given on the command line. */
export interface Groups {
  readonly groupFor: GroupFor
  /** The groups that somebody with these roles and projects has. */
  readonly of: (attributes: Attributes) => readonly string[]
}

/** Reads `ROLE=GROUP`, `@PROJECT=GROUP`, `ROLE@PROJECT=GROUP`. The id of a project is a group anyway. */
export function groupsFor(pairs: readonly string[]): Groups {
  const groups = new Map<string, string>()
  for (const pair of pairs) {
    const [, who, group] = /^([^=]+)=(.+)$/.exec(pair) ?? []
    if (who === undefined || group === undefined) {
      throw new ExitError(2, `archway: --group-for ${pair}: expected ROLE=GROUP, @PROJECT=GROUP or ROLE@PROJECT=GROUP`)
    }
    groups.set(who, group)
  }
  const groupFor: GroupFor = ({ project, role }) => {
    const given = groups.get(`${role ?? ''}${project === undefined ? '' : `@${project}`}`)
    return given ?? (role === undefined && project !== undefined && looksLikeId(project) ? project : undefined)
  }
  return {
    groupFor,
    of({ user: { extra } }) {
      const projects = [undefined, ...(extra.get(PROJECT_ID) ?? []), ...(extra.get(PROJECT_NAME) ?? [])]
      const roles = [undefined, ...(extra.get(ROLES) ?? [])]
      return projects.flatMap((project) =>
        roles.flatMap((role) => {
          if (project === undefined && role === undefined) return []
          return groupFor({ ...(project !== undefined && { project }), ...(role !== undefined && { role }) }) ?? []
        }),
      )
    },
  }
}

/**
 * Compares a policy with manifests made from it, for people who came by way of Keystone: that a group counts wherever
 * it comes from is a loss that is told anyway.
 */
export async function provePolicy(policy: CompiledPolicy, manifests: string, groups: Groups): Promise<PolicyDiff> {
  const requests = generateRequests(policy).filter(isOfKeystone).map(withGroups)
  return compareDecisions((attributes) => decide(policy, attributes), await rbacDecisions(manifests), requests)

  function withGroups(attributes: Attributes): Attributes {
    const { user } = attributes
    return { ...attributes, user: { ...user, groups: [...new Set([...user.groups, ...groups.of(attributes)])] } }
  }
}

function isOfKeystone(attributes: Attributes): boolean {
  const { groups, extra } = attributes.user
  const ids = extra.get(PROJECT_ID) ?? []
  return isKeystoneIdentity(attributes) && groups.every((group) => !looksLikeId(group) || ids.includes(group))
}

async function rbacDecisions(manifests: string): Promise<Decide> {
  const { objects } = await parseManifests([['converted.yaml', Buffer.from(manifests)]], 'the result')
  const index = rbacIndex(objects)
  return (attributes) => {
    const verdict = index.decide(attributes)
    return verdict.allowed ? { kind: 'allow', reason: `by ${verdict.source}` } : { kind: 'no-opinion' }
  }
}

// --- ABAC ------------------------------------------------------------------------------------------------------

/** Requests that are compared, about; of more a part is chosen, always the same. */
const LIMIT = 20_000

/** Compares ABAC lines with manifests made from them. */
export async function proveAbac(policies: readonly AbacPolicy[], manifests: string): Promise<PolicyDiff> {
  const before: Decide = (attributes): Decision => {
    const found = policies.find((policy) => policyAllows(policy, attributes))
    return found === undefined ? { kind: 'no-opinion' } : { kind: 'allow', reason: `by line ${found.line}` }
  }
  return compareDecisions(before, await rbacDecisions(manifests), abacRequests(policies))
}

/** Whoever a line names, and somebody else, asks for what each line is about and for what is nearly that. */
function abacRequests(policies: readonly AbacPolicy[]): readonly Attributes[] {
  const people = policies.map(peopleOf)
  const targets = policies.map(targetsOf)
  const stride = Math.ceil((policies.length ** 2 * MOST_OF_A_PAIR) / LIMIT)
  return people.flatMap((some, i) =>
    targets.flatMap((asked, j) => {
      if (i !== j && (i * policies.length + j) % stride !== 0) return []
      return some.flatMap((who) => asked.map((what): Attributes => ({ ...who, ...what })))
    }),
  )
}

/** Three people and two dozen requests. */
const MOST_OF_A_PAIR = 72

type Who = Pick<Attributes, 'user' | 'extraPresent'>
type What = Attributes extends infer One ? (One extends Attributes ? Omit<One, keyof Who> : never) : never

function peopleOf({ user, group }: AbacPolicy): readonly Who[] {
  const somebody = (username: string, groups: readonly string[]): Who => {
    return { user: { username, uid: '', groups, extra: new Map() }, extraPresent: false }
  }
  return [
    ...(user === '' ? [] : [somebody(user, [])]),
    ...(group === '' ? [] : [somebody(user === '' ? OUTSIDER : user, [group])]),
    somebody(OUTSIDER, group === '' || user === '' ? [] : [group]),
  ]
}

function targetsOf({ namespace, resource, apiGroup, nonResourcePath }: AbacPolicy): readonly What[] {
  const named = (name: string): string => (name === '*' ? OUTSIDER : name)
  const asked = { namespace: named(namespace), resource: named(resource), group: named(apiGroup), subresource: '' }
  const near = [
    asked,
    ...['', OUTSIDER].map((other) => ({ ...asked, namespace: other })),
    { ...asked, resource: OUTSIDER },
    ...['', OUTSIDER].map((other) => ({ ...asked, group: other })),
    ...['status', 'exec', OUTSIDER].map((subresource) => ({ ...asked, subresource })),
  ]
  const paths = [nonResourcePath.replace(/\*+$/, ''), nonResourcePath.replace(/\*+$/, OUTSIDER), `/${OUTSIDER}`]
  return ['get', 'create'].flatMap((verb) => [
    ...near.map((what): What => ({ kind: 'resource', verb, version: '', name: '', ...what })),
    ...paths.filter((path) => path !== '').map((path): What => ({ kind: 'non-resource', verb, path })),
  ])
}
