/**
 * `Status` of the Kubernetes API (`meta/v1`): how an error is told to a Kubernetes client, so that it prints a
 * sentence.
 *
 * @module
 */
import type { HttpAnswer } from '../http.ts'

/** Reasons of `k8s.io/apimachinery/pkg/apis/meta/v1.StatusReason`, by HTTP status. */
const REASONS: ReadonlyMap<number, string> = new Map([
  [400, 'BadRequest'],
  [401, 'Unauthorized'],
  [403, 'Forbidden'],
  [404, 'NotFound'],
  [405, 'MethodNotAllowed'],
  [408, 'Timeout'],
  [413, 'RequestEntityTooLarge'],
  [415, 'UnsupportedMediaType'],
  [417, 'BadRequest'],
  [421, 'BadRequest'],
  [429, 'TooManyRequests'],
  [431, 'BadRequest'],
  [500, 'InternalError'],
  [502, 'InternalError'],
  [503, 'ServiceUnavailable'],
  [504, 'Timeout'],
])

/** What an error is about: members of `StatusDetails`, empty ones left out. */
export interface StatusDetails {
  readonly name?: string
  readonly group?: string
  /** The resource, `pods`: so kube-apiserver fills it. */
  readonly kind?: string
}

export interface StatusOptions {
  /** Seconds; becomes `Retry-After` and `details.retryAfterSeconds`. */
  readonly retryAfter?: number | undefined
  readonly headers?: readonly (readonly [string, string])[]
  readonly details?: StatusDetails
}

/** An error answer: a `Status` object with the HTTP status it describes. */
export function statusAnswer(code: number, message: string, options: StatusOptions = {}): HttpAnswer {
  const { retryAfter, headers = [], details } = options
  return {
    status: code,
    body: `${JSON.stringify({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      reason: REASONS.get(code) ?? 'Unknown',
      ...(retryAfter === undefined && details === undefined
        ? {}
        : { details: { ...filled(details), ...(retryAfter === undefined ? {} : { retryAfterSeconds: retryAfter }) } }),
      code,
    })}\n`,
    headers: retryAfter === undefined ? headers : [...headers, ['Retry-After', String(retryAfter)]],
  }
}

function filled({ name = '', group = '', kind = '' }: StatusDetails = {}): StatusDetails {
  return { ...(name === '' ? {} : { name }), ...(group === '' ? {} : { group }), ...(kind === '' ? {} : { kind }) }
}
