/**
 * RBAC manifests: YAML with any number of documents, or JSON, with objects or lists of them, as `kubectl apply` takes
 * them and `kubectl get -o yaml` prints them. Owns the text and the wording of mistakes; leaves the fields of an
 * object to `objects.ts`.
 *
 * @module
 */
import { setImmediate } from 'node:timers/promises'
import { InvalidDocumentError, messageOf, type Problem } from '../../errors.ts'
import { asObject, type Fields, member, optionalString } from '../../kube/fields.ts'
import { shown } from '../../kube/strict-json.ts'
import { aggregated } from './aggregation.ts'
import { documentsOf, type Placed } from './manifest-text.ts'
import {
  BINDING_KINDS,
  type Binding,
  type Parsed,
  parseBinding,
  parseRole,
  RBAC_GROUP,
  RBAC_VERSIONS,
  type RbacObjects,
  ROLE_KINDS,
  type Role,
} from './objects.ts'
import { doubtsAboutBinding, doubtsAboutRole } from './validation.ts'

/** What a set of manifests says. */
export interface Manifests {
  /** Aggregated roles have the rules they come to. */
  readonly objects: RbacObjects
  /** What evaluates, and whoever wrote it most likely did not mean. Paths begin with the file. */
  readonly warnings: readonly Problem[]
  /** Objects of other APIs, which were passed over. */
  readonly others: number
}

/** A picture or an archive in place of a manifest must not make a message of megabytes. */
const MAX_PROBLEMS = 50

/**
 * Reads manifests, each a file's name and content. Objects of other APIs are passed over, since folders of manifests
 * hold all sorts of things. Throws `file_invalid` with every mistake, the file and the object it is in.
 *
 * Lets others work between documents: a thousand of YAML take a second. One that is very large is better JSON.
 *
 * @param where names the set in the error: the folder
 */
export async function parseManifests(
  files: Iterable<readonly [name: string, content: Buffer]>,
  where: string,
): Promise<Manifests> {
  const found: Found = { roles: [], bindings: [], warnings: [], problems: [], places: new Map(), others: 0 }
  for (const [name, content] of files) {
    for (const document of documentsOf(name, content, found.problems)) {
      readDocument(document, found)
      await setImmediate()
    }
  }
  const { roles, bindings, warnings, problems, others } = found
  if (problems.length > 0) throw new InvalidDocumentError('file_invalid', where, shortened(problems))
  return { objects: { roles: aggregated(roles), bindings }, warnings, others }
}

/** What has been found so far. */
interface Found {
  readonly roles: Role[]
  readonly bindings: Binding[]
  readonly warnings: Problem[]
  readonly problems: Problem[]
  /** Where each object stands, by kind, namespace and name. */
  readonly places: Map<string, string>
  others: number
}

function readDocument({ place, value }: Placed, found: Found): void {
  try {
    const document = asObject(value, 'the document')
    const apiVersion = optionalString(document, 'apiVersion', 'apiVersion')
    const kind = optionalString(document, 'kind', 'kind')
    const ours = apiVersion.split('/')[0] === RBAC_GROUP
    if (kind === '' || apiVersion === '') {
      found.problems.push({ path: place, message: 'apiVersion or kind is missing' })
    } else if (kind === 'List' || (ours && kind.endsWith('List'))) {
      for (const item of itemsOf(document, apiVersion, kind, place)) readDocument(item, found)
    } else if (ours) {
      readObject(apiVersion, kind, document, place, found)
    } else {
      found.others++
    }
  } catch (thrown) {
    found.problems.push({ path: place, message: messageOf(thrown) })
  }
}

/** Items of a list of one kind (`RoleList`) need not say what they are. */
function itemsOf(list: Fields, apiVersion: string, kind: string, place: string): readonly Placed[] {
  const items = member(list, 'items') ?? []
  if (!Array.isArray(items)) throw new Error(`items of this ${kind} is not a list`)
  const implied = kind === 'List' ? {} : { apiVersion, kind: kind.slice(0, -'List'.length) }
  return items.map((item: unknown, index) => {
    const at = `${place} items[${index}]`
    const fields = asObject(item, 'the item')
    if (member(fields, 'kind')?.toString().endsWith('List') === true)
      throw new Error(`items[${index}] is a list itself`)
    return { place: at, value: { ...implied, ...fields } }
  })
}

function readObject(apiVersion: string, kind: string, document: Fields, place: string, found: Found): void {
  const name = nameOf(document)
  const label = `${place} ${kind}${name === '' ? '' : ` ${name}`}`
  const roleKind = ROLE_KINDS.find((known) => known === kind)
  const bindingKind = BINDING_KINDS.find((known) => known === kind)
  if (!RBAC_VERSIONS.includes(apiVersion)) {
    found.problems.push({ path: label, message: `${shown(apiVersion)} is not read: use ${RBAC_GROUP}/v1` })
  } else if (roleKind !== undefined) {
    const role = taken(parseRole(roleKind, document, 'refuse'), label, found)
    if (role === undefined) return
    found.roles.push(role)
    found.warnings.push(...at(label, doubtsAboutRole(role)))
  } else if (bindingKind !== undefined) {
    const binding = taken(parseBinding(bindingKind, document, 'refuse'), label, found)
    if (binding === undefined) return
    found.bindings.push(binding)
    found.warnings.push(...at(label, doubtsAboutBinding(binding)))
  } else {
    found.problems.push({ path: label, message: `is none of ${[...ROLE_KINDS, ...BINDING_KINDS].join(', ')}` })
  }
}

/** The object, unless it has mistakes or stands somewhere else already: which of the two holds would be a guess. */
function taken<T extends Role | Binding>(parsed: Parsed<T>, label: string, found: Found): T | undefined {
  if (parsed.kind === 'problems') {
    found.problems.push(...at(label, parsed.problems))
    return undefined
  }
  const { kind, namespace, name } = parsed.object
  const key = `${kind}/${namespace}/${name}`
  const elsewhere = found.places.get(key)
  if (elsewhere !== undefined) {
    found.problems.push({ path: label, message: `stands twice, first at ${elsewhere}` })
    return undefined
  }
  found.places.set(key, label)
  return parsed.object
}

/** For messages: whatever of its place in the cluster an object tells. */
function nameOf(document: Fields): string {
  const metadata = member(document, 'metadata')
  if (typeof metadata !== 'object' || metadata === null) return ''
  const { namespace, name } = metadata as Fields
  return [namespace, name].filter((part) => typeof part === 'string' && part !== '').join('/')
}

function at(label: string, problems: readonly Problem[]): readonly Problem[] {
  return problems.map((problem) => ({ ...problem, path: problem.path === '' ? label : `${label}: ${problem.path}` }))
}

function shortened(problems: readonly Problem[]): readonly Problem[] {
  if (problems.length <= MAX_PROBLEMS) return problems
  const more = problems.length - MAX_PROBLEMS
  return [...problems.slice(0, MAX_PROBLEMS), { path: '', message: `and ${more} more mistakes` }]
}
