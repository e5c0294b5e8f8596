/**
 * A request on the command line: who asks for what, in the words of `kubectl auth can-i`. What is not said is filled
 * in as kube-apiserver would see it.
 *
 * @module
 */
import type { Command } from 'commander'
import type { Attributes } from '../../authz/authorizer.ts'
import { ExitError } from '../io.ts'
import { collect } from './policy-files.ts'
import { type KnownResource, knownResource, SUBRESOURCES } from './resource-names.ts'

export interface WhoFlags {
  readonly as?: string
  readonly asUid?: string
  readonly asGroup: readonly string[]
  readonly extra: readonly string[]
  readonly projectId?: string
  readonly projectName?: string
  readonly role: readonly string[]
}

export interface WhereFlags {
  readonly namespace?: string
  readonly allNamespaces?: boolean
}

export interface RequestFlags extends WhoFlags, WhereFlags {
  readonly apiGroup?: string
  readonly subresource?: string
}

export type Who = Pick<Attributes, 'user' | 'extraPresent'>

export function addRequestFlags(command: Command): Command {
  return command
    .optionsGroup('Who asks:')
    .option('--as <USER>', 'user name')
    .option('--as-uid <UID>', 'user id')
    .option('--as-group <GROUP>', 'group; repeatable. system:authenticated is added, as for every user', collect, [])
    .option('--extra <KEY=VALUE>', 'a value of extra; repeatable', collect, [])
    .option('--project-id <ID>', 'Keystone project by id; it is one of the groups as well')
    .option('--project-name <NAME>', 'Keystone project by name')
    .option('--role <NAME>', 'Keystone role; repeatable', collect, [])
    .optionsGroup('What is asked for:')
    .option('-n, --namespace <NAME>', 'namespace (default: default; none for what stands outside of namespaces)')
    .option('-A, --all-namespaces', 'over all namespaces: no namespace in the request')
    .option('--api-group <GROUP>', 'API group; deployments.apps says the same')
    .option('--subresource <NAME>', 'subresource; pods/log says the same')
    .optionsGroup('Options:')
}

/** Who asks. Without a word about Keystone and without `--extra` the request has no extra at all. */
export function whoOf(flags: WhoFlags): Who {
  const { as: username = '', asUid: uid = '', projectId, projectName, role } = flags
  if (username === '') throw new ExitError(2, 'archway: --as USER is missing: say who asks')
  const extra = extraOf(flags.extra)
  for (const [key, values] of [
    ['project/id', projectId === undefined ? [] : [projectId]],
    ['project/name', projectName === undefined ? [] : [projectName]],
    ['roles', role],
  ] as const) {
    const full = `alpha.kubernetes.io/identity/${key}`
    if (values.length > 0) extra.set(full, [...(extra.get(full) ?? []), ...values])
  }
  const given = projectId === undefined || flags.asGroup.includes(projectId) ? [] : [projectId]
  const groups = groupsOf(username, [...flags.asGroup, ...given])
  return { user: { username, uid, groups, extra }, extraPresent: extra.size > 0 }
}

/** Keys in lower case: kube-apiserver folds those it is asked to impersonate with. */
function extraOf(pairs: readonly string[]): Map<string, readonly string[]> {
  const extra = new Map<string, readonly string[]>()
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1) throw new ExitError(2, `archway: --extra ${pair}: expected KEY=VALUE`)
    const key = pair.slice(0, at).toLowerCase()
    extra.set(key, [...(extra.get(key) ?? []), pair.slice(at + 1)])
  }
  return extra
}

/** The groups kube-apiserver gives to somebody who is impersonated. */
function groupsOf(username: string, given: readonly string[]): readonly string[] {
  const [, namespace] = /^system:serviceaccount:([^:]+):[^:]+$/.exec(username) ?? []
  const groups =
    given.length === 0 && namespace !== undefined
      ? ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
      : given
  if (groups.includes('system:authenticated') || groups.includes('system:unauthenticated')) return groups
  return [...groups, username === 'system:anonymous' ? 'system:unauthenticated' : 'system:authenticated']
}

/** The request as a whole: `VERB RESOURCE|PATH [NAME]` and the flags. */
export function requestOf(words: readonly (string | undefined)[], flags: RequestFlags): Attributes {
  const [verb, what, name] = words
  if (verb === undefined || what === undefined) {
    throw new ExitError(2, 'archway: say what is asked for: VERB RESOURCE [NAME], or VERB /PATH')
  }
  const who = whoOf(flags)
  if (what.startsWith('/')) return { ...who, kind: 'non-resource', verb, path: pathOf(what, name, flags) }
  const { word, subresource, name: object } = partsOf(what, name, flags.subresource)
  const { resource, group, version, known } = resourceOf(word, flags.apiGroup)
  return {
    ...who,
    kind: 'resource',
    verb,
    group,
    version,
    resource,
    subresource,
    namespace: namespaceOf(flags, known, object),
    name: object,
  }
}

function pathOf(path: string, name: string | undefined, flags: RequestFlags): string {
  const odd = [
    name === undefined ? undefined : `the name ${name}`,
    flags.subresource === undefined ? undefined : '--subresource',
    flags.apiGroup === undefined ? undefined : '--api-group',
    flags.namespace === undefined ? undefined : '--namespace',
  ].find((given) => given !== undefined)
  if (odd !== undefined) throw new ExitError(2, `archway: a path is all there is to such a request: leave out ${odd}`)
  return path
}

interface Parts {
  readonly word: string
  readonly subresource: string
  readonly name: string
}

/** `pods`, `pods/log`, `pods/web-0`, `pods/web-0/log`; name and subresource may be given apart. */
function partsOf(what: string, name: string | undefined, subresource: string | undefined): Parts {
  const [word = '', second, third, ...more] = what.split('/')
  if (word === '' || more.length > 0 || second === '' || third === '') {
    throw new ExitError(2, `archway: ${what}: expected TYPE, TYPE/NAME, TYPE/SUBRESOURCE or TYPE/NAME/SUBRESOURCE`)
  }
  const isSubresource =
    third === undefined && second !== undefined && subresource === undefined && SUBRESOURCES.has(second)
  const inWord = isSubresource ? { subresource: second } : { name: second, subresource: third }
  return {
    word,
    name: oneOf('name', what, inWord.name, name),
    subresource: oneOf('subresource', what, inWord.subresource, subresource),
  }
}

function oneOf(label: string, what: string, here: string | undefined, there: string | undefined): string {
  if (here !== undefined && there !== undefined && here !== there) {
    throw new ExitError(2, `archway: two ${label}s: ${here} in ${what}, and ${there}. Leave out one`)
  }
  return here ?? there ?? ''
}

interface Resource {
  readonly resource: string
  readonly group: string
  readonly version: string
  readonly known: KnownResource | undefined
}

/** `deployments`, `deploy`, `deployments.apps`, `deployments.v1.apps`; what nobody knows stays as it is. */
function resourceOf(word: string, apiGroup: string | undefined): Resource {
  const [name = '', ...rest] = word.split('.')
  const version = rest.length > 1 && /^v\d+((alpha|beta)\d+)?$/.test(rest[0] ?? '') ? (rest.shift() ?? '') : ''
  const group = rest.length === 0 ? apiGroup : oneOf('API group', word, rest.join('.'), apiGroup)
  const known = knownResource(name, group)
  return { resource: known?.resource ?? name, group: group ?? known?.group ?? '', version, known }
}

/** A namespace itself is asked for in the namespace of its name, as kube-apiserver has it. */
function namespaceOf(flags: WhereFlags, known: KnownResource | undefined, name: string): string {
  if (flags.allNamespaces === true || flags.namespace !== undefined || known?.namespaced !== false) {
    return namespaceAsked(flags)
  }
  return known.resource === 'namespaces' && known.group === '' ? name : ''
}

/** The namespace of the flags alone. */
export function namespaceAsked({ namespace, allNamespaces }: WhereFlags): string {
  if (allNamespaces !== true) return namespace ?? 'default'
  if (namespace !== undefined) throw new ExitError(2, 'archway: either --namespace or --all-namespaces')
  return ''
}
