/**
 * Who may do what, as data: a table of people and namespaces by resources, each cell asked of the policy itself.
 *
 * @module
 */
import type { CompiledPolicy } from './compile.ts'
import { allHold } from './condition.ts'
import { decide } from './decide.ts'
import { ESCALATIONS } from './escalations.ts'
import { type Grant, isGrant } from './grant.ts'
import { userInWords } from './people-words.ts'
import { eachWay, type Pools, poolsOf } from './pools.ts'
import { type Asked, asksWho, type Facts, OUTSIDER, probe, somebody } from './probe.ts'
import { toRequest } from './request.ts'

/** What is allowed of one thing. */
export interface MatrixCell {
  /** Verbs that are allowed; `*` for all, known or not. */
  readonly verbs: readonly string[]
  /** Whether one of them leads to more than it says: a shell, a credential, more rights. */
  readonly dangerous: boolean
}

export interface MatrixRow {
  /** Somebody who satisfies a rule and has nothing besides. */
  readonly who: string
  /** Namespaces in which the row is the same; `*` stands for all that the policy does not name. */
  readonly namespaces: readonly string[]
  /** One for each column. */
  readonly cells: readonly MatrixCell[]
}

export interface Matrix {
  readonly title: string
  /** `pods`, `pods/exec`; `*` for what the policy does not name. */
  readonly resources: readonly string[]
  readonly resourceRows: readonly MatrixRow[]
  readonly paths: readonly string[]
  readonly pathRows: readonly MatrixRow[]
}

/** What stands for requests without namespace: objects of the cluster, and lists over all namespaces. */
const CLUSTER = '(cluster)'

const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']

/** What Kubernetes takes for a name; policies hold others, which nothing is called. */
const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/

/** Asks the policy for every combination. Rows without any right are left out. */
export function matrix(policy: CompiledPolicy): Matrix {
  const grants = policy.lines.filter(isGrant)
  const pools = poolsOf(grants)
  const people = peopleOf(grants)
  const resources = columns(pools.resources, grants)
  const paths = [...pools.paths.filter((path) => !path.includes(OUTSIDER)), `/${OUTSIDER}`]
  const cell = (facts: Facts, asked: Asked): MatrixCell => cellOf(policy, facts, asked, pools)
  return {
    title: policy.documents.map(({ where }) => where).join(', '),
    resources: resources.map(shown),
    resourceRows: people.flatMap((facts) => resourceRows(facts, namespacesFor(facts, grants), resources, cell)),
    paths: paths.map(shown),
    pathRows: people.flatMap((facts) => {
      const cells = paths.map((path) => cell(facts, { path }))
      return isEmpty(cells) ? [] : [{ who: userInWords(somebody(facts)), namespaces: [], cells }]
    }),
  }
}

/** Names of one condition that get rows of their own. */
const NAMES = 100

/** One for each combination of roles, project … that rules ask for: nobody who may do something is left out. */
function peopleOf(grants: readonly Grant[]): readonly Facts[] {
  const people = grants.flatMap((grant) => eachWay(grant, NAMES))
  return [...new Map(people.map((facts) => [userInWords(somebody(facts)), facts])).values()]
}

/** Namespaces that some rule about them tells from others. */
function namespacesFor(facts: Facts, grants: readonly Grant[]): readonly string[] {
  const request = toRequest(probe(facts, {}))
  const theirs = grants.filter(({ conditions }) => allHold(conditions.filter(asksWho), request))
  return poolsOf(theirs).namespaces.filter((name) => name === '' || NAME.test(name))
}

/** Resources and subresources that are named, what of them is dangerous, and what stands for all others. */
function columns(resources: readonly string[], grants: readonly Grant[]): readonly string[] {
  const named = grants.flatMap(subresourcesOf)
  const dangerous = ESCALATIONS.flatMap(({ resource, subresource }) =>
    subresource === undefined ? [] : [`${resource}/${subresource}`],
  )
  const known = resources.filter((resource) => resource !== OUTSIDER && NAME.test(resource)).sort()
  const all = [...known, OUTSIDER].flatMap((resource) => {
    const below = [...dangerous, ...named].filter((target) => target.startsWith(`${resource}/`))
    return [resource, ...below]
  })
  return [...new Set(all)]
}

/** `pods/log`; with the outsider for "of whatever resource". */
function subresourcesOf({ conditions }: Grant): readonly string[] {
  const names = (wanted: string): readonly string[] | undefined => {
    const found = conditions.find(({ dimension, kind }) => dimension === wanted && kind === 'in')
    return found && [...found.names]
  }
  const targets = names('target') ?? []
  const subresources = names('subresource') ?? []
  const pairs = (names('resource') ?? [OUTSIDER]).flatMap((resource) => subresources.map((sub) => `${resource}/${sub}`))
  return [...targets, ...pairs].filter((target) => /^[^/[\]'"]+\/[^/*]+$/.test(target))
}

type CellOf = (facts: Facts, asked: Asked) => MatrixCell

/** Namespaces in which everything is alike share a row. */
function resourceRows(
  facts: Facts,
  namespaces: readonly string[],
  resources: readonly string[],
  cell: CellOf,
): readonly MatrixRow[] {
  const rows = new Map<string, { namespaces: string[]; cells: readonly MatrixCell[] }>()
  for (const namespace of namespaces) {
    const cells = resources.map((target) => {
      const [resource = '', subresource = ''] = target.split('/')
      return cell(facts, { namespace, resource, subresource })
    })
    const key = JSON.stringify(cells)
    const name = namespace === '' ? CLUSTER : shown(namespace)
    const same = rows.get(key)
    if (same !== undefined) same.namespaces.push(name)
    else if (!isEmpty(cells)) rows.set(key, { namespaces: [name], cells })
  }
  return [...rows.values()].map((row) => ({ who: userInWords(somebody(facts)), ...row }))
}

/** A verb counts where it is allowed in some API group that the policy names. */
function cellOf(policy: CompiledPolicy, facts: Facts, asked: Asked, { verbs, groups }: Pools): MatrixCell {
  const allowed = [...new Set([...VERBS, ...verbs])].filter((verb) =>
    groups.some((group) => decide(policy, probe(facts, { ...asked, verb, group })).kind === 'allow'),
  )
  return {
    verbs: allowed.includes(OUTSIDER) ? ['*'] : allowed,
    dangerous: ESCALATIONS.some(
      ({ resource, subresource = '', verbs: some }) =>
        resource === asked.resource &&
        subresource === (asked.subresource ?? '') &&
        some.some((verb) => allowed.includes(verb)),
    ),
  }
}

function isEmpty(cells: readonly MatrixCell[]): boolean {
  return cells.every(({ verbs }) => verbs.length === 0)
}

function shown(name: string): string {
  return name.replace(OUTSIDER, '*')
}
