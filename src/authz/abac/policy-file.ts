/**
 * The text of an ABAC policy file, as kube-apiserver's `--authorization-policy-file` has it: one JSON object a line.
 * Owns the two forms of a line, what they come to, and the wording of mistakes and doubts; leaves matching to
 * `policy-index.ts`.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/abac/#policy-file-format
 * @module
 */
import { isUtf8 } from 'node:buffer'
import { InvalidDocumentError, messageOf, type Problem } from '../../errors.ts'
import { structureProblem } from '../../json.ts'
import { asObject, type Fields, member, optionalString } from '../../kube/fields.ts'
import { shown } from '../../kube/strict-json.ts'

/** What a line grants. Its wildcards for subjects are resolved already; those for objects are not. */
export interface AbacPolicy {
  /** Counted from 1. */
  readonly line: number
  /** Empty: any user, if `group` is met. */
  readonly user: string
  /** Empty: no group needed. A line with neither user nor group is for nobody. */
  readonly group: string
  readonly readonly: boolean
  /** `*` is any; empty is cluster scope and requests over all namespaces. */
  readonly namespace: string
  readonly resource: string
  /** `*` is any; empty is the core group. */
  readonly apiGroup: string
  /** A path, or the beginning of one before stars at the end. */
  readonly nonResourcePath: string
}

/** What a policy file says. */
export interface AbacFile {
  readonly policies: readonly AbacPolicy[]
  /** What kube-apiserver takes, and whoever wrote it most likely did not mean. */
  readonly warnings: readonly Problem[]
}

const GROUP = 'abac.authorization.kubernetes.io'
const EVERYBODY = 'system:authenticated'
/** Go's `bufio.MaxScanTokenSize`, at which kube-apiserver gives up. */
const MAX_LINE_BYTES = 64 * 1024
const MAX_PROBLEMS = 20
const TEXT_FIELDS = ['user', 'group', 'namespace', 'resource', 'apiGroup', 'nonResourcePath'] as const
const FLAT_FIELDS: readonly string[] = ['user', 'group', 'namespace', 'resource', 'readonly']
const SPEC_FIELDS: readonly string[] = [...TEXT_FIELDS, 'readonly']
const TYPE_FIELDS: readonly string[] = ['apiVersion', 'kind']

/**
 * Reads a policy file. One bad line refuses the file: throws `file_invalid` with every bad line and its number.
 *
 * @param where names the file in the error
 */
export function parseAbacFile(content: Buffer, where: string): AbacFile {
  if (!isUtf8(content))
    throw new InvalidDocumentError('file_invalid', where, [{ path: '', message: 'is not UTF-8 text' }])
  const policies: AbacPolicy[] = []
  const warnings: Problem[] = []
  const problems: Problem[] = []
  const lines = content
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .split('\n')
  for (const [index, text] of lines.entries()) {
    const line = index + 1
    try {
      const policy = parseLine(text, line, (path, message) => warnings.push({ line, path, message }))
      if (policy !== undefined) policies.push(policy)
    } catch (thrown) {
      problems.push({ line, path: '', message: messageOf(thrown) })
      if (problems.length === MAX_PROBLEMS) break
    }
  }
  if (problems.length > 0) throw new InvalidDocumentError('file_invalid', where, problems)
  return { policies, warnings }
}

type Doubt = (path: string, message: string) => void

function parseLine(text: string, line: number, doubt: Doubt): AbacPolicy | undefined {
  if (Buffer.byteLength(text) >= MAX_LINE_BYTES) throw new Error('is longer than 64 KiB')
  const trimmed = text.trim()
  if (trimmed === '' || trimmed.startsWith('#')) return undefined
  const object = parseObject(text, doubt)
  const apiVersion = optionalString(object, 'apiVersion', 'apiVersion')
  const kind = optionalString(object, 'kind', 'kind')
  if (apiVersion === `${GROUP}/v1beta1` && kind === 'Policy') return { line, ...fromSpec(object, doubt) }
  if ((apiVersion === '' || apiVersion === `${GROUP}/v0`) && (kind === '' || kind === 'Policy')) {
    return { line, ...fromFlat(object, doubt) }
  }
  if (kind === '') throw new Error('kind is missing: "Policy"')
  throw new Error(`${shown(kind)} of ${shown(apiVersion)} is not read: use Policy of ${GROUP}/v1beta1`)
}

function parseObject(text: string, doubt: Doubt): Fields {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Error('is not one JSON object. A comment needs a line of its own')
  }
  const problem = structureProblem(text, { maxDepth: 32, maxKeys: 256 })
  if (problem !== undefined) doubt('', `${problem}; where a key stands twice the last one counts`)
  return asObject(value, 'the line')
}

type Granted = Omit<AbacPolicy, 'line'>

/** The form of v1beta1: everything under `spec`, what is not said is empty. */
function fromSpec(object: Fields, doubt: Doubt): Granted {
  doubtUnknown(object, [...TYPE_FIELDS, 'spec'], '', doubt)
  const spec = asObject(member(object, 'spec') ?? {}, 'spec')
  doubtUnknown(spec, SPEC_FIELDS, 'spec.', doubt)
  const granted = fieldsOf(spec, 'spec.')
  if (granted.user === '' && granted.group === '') doubt('spec', 'neither user nor group: the line is for nobody')
  return withEverybody(granted, doubt)
}

/** The old form, with no version and no `spec`: what is not said is everything. */
function fromFlat(object: Fields, doubt: Doubt): Granted {
  doubtUnknown(object, [...TYPE_FIELDS, ...FLAT_FIELDS], '', doubt)
  const { user, group, namespace, resource, readonly } = fieldsOf(object, '')
  const nobodyNamed = user === '' && group === ''
  if (nobodyNamed) doubt('', 'neither user nor group: in this old form that is every user who is logged in')
  return withEverybody(
    {
      user,
      group: nobodyNamed ? EVERYBODY : group,
      readonly,
      namespace: namespace === '' ? '*' : namespace,
      resource: resource === '' ? '*' : resource,
      apiGroup: '*',
      nonResourcePath: namespace === '' && resource === '' ? '*' : '',
    },
    doubt,
  )
}

/** A star for user or group opens the line to everybody who is logged in, whatever the other of the two says. */
function withEverybody(granted: Granted, doubt: Doubt): Granted {
  const { user, group } = granted
  if (user !== '*' && group !== '*') return granted
  if (user !== '' && group !== '') doubt('', 'a star for user or group opens the line to every user who is logged in')
  return { ...granted, user: '', group: EVERYBODY }
}

function fieldsOf(object: Fields, prefix: string): Granted {
  const text = (key: (typeof TEXT_FIELDS)[number]): string => optionalString(object, key, `${prefix}${key}`)
  const readonly = member(object, 'readonly') ?? false
  if (typeof readonly !== 'boolean') throw new Error(`${prefix}readonly is not true or false`)
  return {
    user: text('user'),
    group: text('group'),
    readonly,
    namespace: text('namespace'),
    resource: text('resource'),
    apiGroup: text('apiGroup'),
    nonResourcePath: text('nonResourcePath'),
  }
}

/** Fields nobody reads leave a line wider than it looks, or empty. Names are told apart by case. */
function doubtUnknown(object: Fields, known: readonly string[], prefix: string, doubt: Doubt): void {
  for (const key of Object.keys(object)) {
    if (!known.includes(key)) doubt(`${prefix}${key}`, 'is no field here and counts for nothing')
  }
}
