/**
 * The format of a recording: JSON lines, a header first, then one review a line. Owns what is kept of a review and
 * what is left out; leaves files to `recorder.ts` and `reader.ts`.
 *
 * Kept: name (or a stand-in for it), groups, the keys of a Keystone identity, what was asked, what was decided. Left
 * out: the uid, every other key of `extra` (credential ids, scopes, what a proxy put there), selectors. A review never
 * holds a token.
 *
 * ```json
 * {"recording":"archway/v1","startedAt":"2026-11-21T10:00:00.000Z","users":"plain"}
 * {"at":"2026-11-21T10:00:01.000Z","user":"jane","groups":["…"],"extra":{…},"verb":"get","resource":"pods","namespace":"default","decision":"allow","reason":"…"}
 * {"at":"2026-11-21T10:05:00.000Z","count":41,"user":"jane", …}
 * ```
 *
 * The same review is written once; a line with `count` says how many more of it there were.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import { asObject, type Fields, member, optionalString, requiredString, stringList } from '../../kube/fields.ts'
import { parseStrictJson, shown } from '../../kube/strict-json.ts'
import type { Attributes, Decision } from '../authorizer.ts'

const FORMAT = 'archway/v1'
/** All that a Keystone policy looks at begins like this. */
const IDENTITY = 'alpha.kubernetes.io/identity/'
const LONGEST_REASON = 500
const MAX_ITEMS = 10_000
const DECISIONS: readonly Decision['kind'][] = ['allow', 'deny', 'no-opinion']

/** The first line of a recording. */
export interface RecordingHeader {
  readonly startedAt: string
  /** Whether users have their names, or stand-ins that are the same for the same user in this file only. */
  readonly users: 'plain' | 'hashed'
}

/** A review as it was recorded. */
export interface RecordedReview {
  readonly at: string
  /** How many reviews the line stands for. */
  readonly count: number
  /** Without uid, selectors and the version, which nobody decides by. */
  readonly attributes: Attributes
  readonly decision: Decision['kind']
  readonly reason: string
}

export function headerText({ startedAt, users }: RecordingHeader): string {
  return `${JSON.stringify({ recording: FORMAT, startedAt, users })}\n`
}

/** What is kept of a review, the same text for the same review. {@link lineText} makes a line of it. */
export function reviewText(attributes: Attributes, decision: Decision, nameOf: (username: string) => string): string {
  const { user, verb, extraPresent } = attributes
  const name = nameOf(user.username)
  return JSON.stringify({
    user: name,
    groups: user.groups.length === 0 ? undefined : user.groups,
    extra: extraPresent ? identityOf(user.extra) : undefined,
    verb,
    ...whatOf(attributes),
    decision: decision.kind,
    reason: reasonOf(decision, name === user.username ? undefined : user.username),
  })
}

/** A line of the file. */
export function lineText(review: string, at: Date, count = 1): string {
  const counted = count === 1 ? '' : `"count":${count},`
  return `{"at":"${at.toISOString()}",${counted}${review.slice(1)}\n`
}

/** More than a line is longer than the review in it. */
export const LINE_OVERHEAD = 80

function identityOf(extra: Attributes['user']['extra']): Record<string, readonly string[]> {
  const kept: Record<string, readonly string[]> = {}
  for (const [key, values] of extra) if (key.startsWith(IDENTITY)) kept[key] = values
  return kept
}

function whatOf(attributes: Attributes): object {
  if (attributes.kind === 'non-resource') return { path: attributes.path }
  const { group, resource, subresource, namespace, name } = attributes
  return {
    group: group === '' ? undefined : group,
    resource,
    subresource: subresource === '' ? undefined : subresource,
    namespace: namespace === '' ? undefined : namespace,
    name: name === '' ? undefined : name,
  }
}

/** Reasons may name the user, whose name is not to be had from them either. */
function reasonOf({ reason }: Decision, hidden: string | undefined): string | undefined {
  if (reason === undefined || reason === '') return undefined
  if (hidden !== undefined && reason.includes(hidden)) return undefined
  return reason.length > LONGEST_REASON ? `${reason.slice(0, LONGEST_REASON)}…` : reason
}

/** Reads the first line. Throws where it is none. */
export function parseHeader(line: Buffer): RecordingHeader {
  const header = asObject(parseStrictJson(line), 'the header')
  const format = requiredString(header, 'recording')
  if (format !== FORMAT) throw new ArchwayError('body_invalid', `${shown(format)} is not read: ${FORMAT} is`)
  const users = requiredString(header, 'users')
  if (users !== 'plain' && users !== 'hashed') throw new ArchwayError('body_invalid', 'users is not plain or hashed')
  return { startedAt: requiredString(header, 'startedAt'), users }
}

/** Reads any other line. Throws `body_invalid`, naming the field. */
export function parseRecord(line: Buffer): RecordedReview {
  const record = asObject(parseStrictJson(line), 'the line')
  const decision = DECISIONS.find((kind) => kind === member(record, 'decision'))
  if (decision === undefined) throw new ArchwayError('body_invalid', `decision is none of ${DECISIONS.join(', ')}`)
  return {
    at: requiredString(record, 'at'),
    count: countOf(record),
    attributes: attributesOf(record),
    decision,
    reason: optionalString(record, 'reason', 'reason'),
  }
}

function countOf(record: Fields): number {
  const count = member(record, 'count') ?? 1
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 1) {
    throw new ArchwayError('body_invalid', 'count is not a whole number from 1')
  }
  return count
}

function attributesOf(record: Fields): Attributes {
  const extra = member(record, 'extra')
  const who = {
    user: {
      username: optionalString(record, 'user', 'user'),
      uid: '',
      groups: stringList(record, 'groups', 'groups', MAX_ITEMS),
      extra: extra === undefined ? new Map() : extraOf(asObject(extra, 'extra')),
    },
    extraPresent: extra !== undefined,
    verb: optionalString(record, 'verb', 'verb'),
  }
  if (member(record, 'path') !== undefined) {
    return { ...who, kind: 'non-resource', path: requiredString(record, 'path') }
  }
  return {
    ...who,
    kind: 'resource',
    group: optionalString(record, 'group', 'group'),
    version: '',
    resource: requiredString(record, 'resource'),
    subresource: optionalString(record, 'subresource', 'subresource'),
    namespace: optionalString(record, 'namespace', 'namespace'),
    name: optionalString(record, 'name', 'name'),
  }
}

function extraOf(extra: Fields): ReadonlyMap<string, readonly string[]> {
  return new Map(Object.keys(extra).map((key) => [key, stringList(extra, key, 'extra', MAX_ITEMS)]))
}
