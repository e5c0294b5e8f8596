/**
 * SubjectAccessReview on the wire, `authorization.k8s.io/v1` and `v1beta1`. The one difference: v1 carries the
 * user's groups in `spec.groups`, v1beta1 in `spec.group`.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import { asObject, type Fields, member, optionalString, requiredString, stringList } from './fields.ts'
import { shown } from './strict-json.ts'

export const SUBJECT_ACCESS_REVIEW_VERSIONS = ['authorization.k8s.io/v1', 'authorization.k8s.io/v1beta1'] as const

export type SubjectAccessReviewVersion = (typeof SUBJECT_ACCESS_REVIEW_VERSIONS)[number]

export interface ResourceAttributes {
  readonly verb: string
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  readonly fieldSelector?: Fields
  readonly labelSelector?: Fields
}

export interface SubjectAccessReview {
  readonly kind: 'SubjectAccessReview'
  readonly apiVersion: SubjectAccessReviewVersion
  readonly user: string
  readonly uid: string
  readonly groups: readonly string[]
  /** `undefined` when the request has none, which the Keystone policy tells from an empty one. */
  readonly extra: ReadonlyMap<string, readonly string[]> | undefined
  /** Resource attributes win where a request has both. */
  readonly attributes:
    | ({ readonly kind: 'resource' } & ResourceAttributes)
    | { readonly kind: 'non-resource'; readonly verb: string; readonly path: string }
}

/** `status` of the answer; `denied` only to keep later authorizers from being asked. */
export interface SubjectAccessReviewStatus {
  readonly allowed: boolean
  readonly denied?: boolean
  readonly reason?: string
  readonly evaluationError?: string
}

const MAX_GROUPS = 10_000
const MAX_EXTRA_VALUES = 10_000

/** Reads a SubjectAccessReview whose `kind` is known. Throws `kind_unknown` or `body_invalid`. */
export function parseSubjectAccessReview(apiVersion: string, document: Fields): SubjectAccessReview {
  const version = SUBJECT_ACCESS_REVIEW_VERSIONS.find((known) => known === apiVersion)
  if (version === undefined) {
    throw new ArchwayError(
      'kind_unknown',
      `unknown apiVersion ${shown(apiVersion)} for SubjectAccessReview: ` +
        `${SUBJECT_ACCESS_REVIEW_VERSIONS.join(' and ')} are served`,
    )
  }
  const spec = asObject(member(document, 'spec'), 'spec')
  const groups = version === 'authorization.k8s.io/v1' ? 'groups' : 'group'
  return {
    kind: 'SubjectAccessReview',
    apiVersion: version,
    user: optionalString(spec, 'user', 'spec.user'),
    uid: optionalString(spec, 'uid', 'spec.uid'),
    groups: stringList(spec, groups, `spec.${groups}`, MAX_GROUPS),
    extra: parseExtra(member(spec, 'extra')),
    attributes: parseAttributes(spec),
  }
}

/** Renders the answer: the request without its `spec`, and what was decided. */
export function renderSubjectAccessReview(
  apiVersion: SubjectAccessReviewVersion,
  status: SubjectAccessReviewStatus,
): string {
  return `{"kind":"SubjectAccessReview","apiVersion":"${apiVersion}","metadata":{"creationTimestamp":null},"spec":{},"status":${JSON.stringify(status)}}\n`
}

function parseExtra(value: unknown): ReadonlyMap<string, readonly string[]> | undefined {
  if (value === undefined) return undefined
  const extra = asObject(value, 'spec.extra')
  return new Map(Object.keys(extra).map((key) => [key, stringList(extra, key, 'spec.extra', MAX_EXTRA_VALUES)]))
}

function parseAttributes(spec: Fields): SubjectAccessReview['attributes'] {
  const resource = member(spec, 'resourceAttributes')
  if (resource !== undefined) {
    const fields = asObject(resource, 'spec.resourceAttributes')
    const text = (key: string): string => optionalString(fields, key, `spec.resourceAttributes.${key}`)
    return {
      kind: 'resource',
      verb: text('verb'),
      group: text('group'),
      version: text('version'),
      resource: text('resource'),
      subresource: text('subresource'),
      namespace: text('namespace'),
      name: text('name'),
      ...selector(fields, 'fieldSelector'),
      ...selector(fields, 'labelSelector'),
    }
  }
  const nonResource = member(spec, 'nonResourceAttributes')
  if (nonResource === undefined) {
    throw new ArchwayError('body_invalid', 'spec has neither resourceAttributes nor nonResourceAttributes')
  }
  const fields = asObject(nonResource, 'spec.nonResourceAttributes')
  return {
    kind: 'non-resource',
    verb: optionalString(fields, 'verb', 'spec.nonResourceAttributes.verb'),
    path: requiredString(fields, 'path', 'spec.nonResourceAttributes.path'),
  }
}

function selector(fields: Fields, key: 'fieldSelector' | 'labelSelector'): { [name in typeof key]?: Fields } {
  const value = member(fields, key)
  return value === undefined ? {} : { [key]: asObject(value, `spec.resourceAttributes.${key}`) }
}
