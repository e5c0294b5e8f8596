/**
 * A SubjectAccessReview as kube-apiserver sends it to a webhook, and what it makes of the answer.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/webhook/#request-payloads
 * @module
 */
import { messageOf } from '../../errors.ts'
import { asObject, type Fields, member, optionalString } from '../../kube/fields.ts'
import { parseStrictJson, shown } from '../../kube/strict-json.ts'
import type { SubjectAccessReviewVersion } from '../../kube/subject-access-review.ts'
import type { Attributes } from '../authorizer.ts'

/** What the other side said. */
export type Answer =
  | { readonly kind: 'answered'; readonly allowed: boolean; readonly denied: boolean; readonly reason: string }
  /** No decision: `cause` is for the log. */
  | { readonly kind: 'failed'; readonly cause: string; readonly retry: boolean; readonly retryAfterMs: number }

/** The question, `spec` of the review, as JSON: the same text for the same question. */
export function reviewSpec(request: Attributes, apiVersion: SubjectAccessReviewVersion): string {
  const { username, uid, groups, extra } = request.user
  return JSON.stringify({
    ...(request.kind === 'resource'
      ? { resourceAttributes: resourceAttributes(request) }
      : { nonResourceAttributes: filled({ path: request.path, verb: request.verb }) }),
    ...filled({ user: username }),
    // The one difference between the two versions.
    ...(groups.length === 0 ? {} : { [apiVersion === 'authorization.k8s.io/v1' ? 'groups' : 'group']: groups }),
    ...(extra.size === 0 ? {} : { extra: Object.fromEntries(extra) }),
    ...filled({ uid }),
  })
}

/** The body of the request. */
export function reviewBody(spec: string, apiVersion: SubjectAccessReviewVersion): string {
  return `{"kind":"SubjectAccessReview","apiVersion":"${apiVersion}","metadata":{"creationTimestamp":null},"spec":${spec},"status":{"allowed":false}}`
}

/** How much of a request its sender chose freely: what is too long is not worth remembering. */
export function controlledLength(request: Attributes): number {
  if (request.kind === 'non-resource') return Buffer.byteLength(request.verb + request.path)
  const { namespace, verb, group, version, resource, subresource, name } = request
  return Buffer.byteLength(namespace + verb + group + version + resource + subresource + name)
}

function resourceAttributes(request: Extract<Attributes, { kind: 'resource' }>): object {
  const { namespace, verb, group, version, resource, subresource, name, fieldSelector, labelSelector } = request
  return {
    ...filled({ namespace, verb, group, version, resource, subresource, name }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
  }
}

/** Empty texts are left out, as Go's `omitempty` does. */
function filled(fields: Readonly<Record<string, string>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''))
}

/** Statuses after which kube-apiserver asks again, besides any with `Retry-After`. */
const RETRIED: readonly number[] = [429, 500, 504]

/**
 * Reads an answer. A status other than 200 to 206 is a failure whatever the body says, a 403 too; so is a review of
 * another version than was asked. `evaluationError` counts for nothing.
 */
export function readAnswer(
  status: number,
  retryAfterSeconds: number,
  body: Buffer,
  apiVersion: SubjectAccessReviewVersion,
): Answer {
  const retryAfterMs = Number.isFinite(retryAfterSeconds) && retryAfterSeconds > 0 ? retryAfterSeconds * 1000 : 0
  if (status < 200 || status > 206) {
    return {
      kind: 'failed',
      cause: `HTTP ${status}`,
      retry: RETRIED.includes(status) || retryAfterMs > 0,
      retryAfterMs,
    }
  }
  try {
    const review = asObject(parseStrictJson(body), 'the answer')
    const version = optionalString(review, 'apiVersion', 'apiVersion')
    const kind = optionalString(review, 'kind', 'kind')
    if ((version !== '' && version !== apiVersion) || (kind !== '' && kind !== 'SubjectAccessReview')) {
      return noAnswer(`the answer is ${shown(kind)} of ${shown(version)}, asked was ${apiVersion}`)
    }
    const found = asObject(member(review, 'status') ?? {}, 'status')
    optionalString(found, 'evaluationError', 'status.evaluationError')
    return {
      kind: 'answered',
      allowed: optionalBoolean(found, 'allowed'),
      denied: optionalBoolean(found, 'denied'),
      reason: optionalString(found, 'reason', 'status.reason'),
    }
  } catch (thrown) {
    return noAnswer(messageOf(thrown).replace('the body', 'the answer'))
  }
}

function noAnswer(cause: string): Answer {
  return { kind: 'failed', cause, retry: false, retryAfterMs: 0 }
}

function optionalBoolean(object: Fields, key: string): boolean {
  const value = member(object, key) ?? false
  if (typeof value !== 'boolean') throw new Error(`status.${key} is neither true nor false`)
  return value
}
