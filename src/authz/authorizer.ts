/**
 * The contract of authorization. Owns what a decision is and how it goes onto the wire; leaves the ways of deciding
 * to one file each beside it.
 *
 * @module
 */
import type { CallContext } from '../context.ts'
import type { SubjectAccessReview } from '../kube/subject-access-review.ts'
import type { UserInfo } from '../user.ts'

/** What somebody wants to do: `SubjectAccessReviewSpec` of `authorization.k8s.io/v1`, typed. */
export type Attributes = {
  readonly user: UserInfo
  /** Whether the request had `extra` at all, be it an empty one: the Keystone policy tells the two apart. */
  readonly extraPresent: boolean
  readonly verb: string
} & (
  | {
      readonly kind: 'resource'
      /** API group; empty for the core group. */
      readonly group: string
      readonly version: string
      readonly resource: string
      readonly subresource: string
      /** Empty for objects of the cluster and for requests over all namespaces. */
      readonly namespace: string
      /** Empty for requests that name no object. */
      readonly name: string
      /** Selectors of the request as they came (Kubernetes 1.31 and later); absent when it has none. */
      readonly fieldSelector?: unknown
      readonly labelSelector?: unknown
    }
  | { readonly kind: 'non-resource'; readonly path: string }
)

/**
 * The three values of Kubernetes: yes, no, or leave it to the next authorizer. An authorizer that could not look may
 * still have no opinion and say why in `evaluationError`.
 */
export type Decision =
  | { readonly kind: 'allow'; readonly reason: string }
  | { readonly kind: 'deny'; readonly reason: string }
  | { readonly kind: 'no-opinion'; readonly reason?: string; readonly evaluationError?: string }

/** Decides on requests. Wrappers (`union` …) take one and are one. */
export interface Authorizer {
  /** Short, unique, stable: it stands in logs, metrics and readiness. */
  readonly name: string
  authorize(attributes: Attributes, ctx: CallContext): Promise<Decision>
}

/** `status` of a SubjectAccessReview. */
export interface AuthorizationStatus {
  readonly allowed: boolean
  readonly denied?: boolean
  readonly reason?: string
  readonly evaluationError?: string
}

/** What a review asks, as authorizers see it. */
export function toAttributes({ user, uid, groups, extra, attributes }: SubjectAccessReview): Attributes {
  return {
    user: { username: user, uid, groups, extra: extra ?? new Map() },
    extraPresent: extra !== undefined,
    ...attributes,
  }
}

/** Maps a decision to the wire. Only `deny` sets `denied`: without it the next authorizer still has its say. */
export function toStatus(decision: Decision): AuthorizationStatus {
  switch (decision.kind) {
    case 'allow':
      return { allowed: true, reason: decision.reason }
    case 'deny':
      return { allowed: false, denied: true, reason: decision.reason }
    case 'no-opinion':
      return {
        allowed: false,
        ...(decision.reason === undefined ? {} : { reason: decision.reason }),
        ...(decision.evaluationError === undefined ? {} : { evaluationError: decision.evaluationError }),
      }
    default:
      decision satisfies never
      throw new TypeError('unknown decision')
  }
}
