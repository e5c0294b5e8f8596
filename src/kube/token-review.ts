/**
 * TokenReview on the wire, `authentication.k8s.io/v1` and `v1beta1`. The two have the same fields; an answer must
 * come in the version that was asked, or kube-apiserver takes it for a failure.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import type { UserInfo } from '../user.ts'
import { asObject, type Fields, member, requiredString, stringList } from './fields.ts'
import { shown } from './strict-json.ts'

export const TOKEN_REVIEW_VERSIONS = ['authentication.k8s.io/v1', 'authentication.k8s.io/v1beta1'] as const

export type TokenReviewVersion = (typeof TOKEN_REVIEW_VERSIONS)[number]

export interface TokenReview {
  readonly kind: 'TokenReview'
  readonly apiVersion: TokenReviewVersion
  /** May be empty, which no credential is. */
  readonly token: string
  /** Audiences the asker wants the token to be good for; empty when it did not say. */
  readonly audiences: readonly string[]
}

/** `status` of the answer. */
export type TokenReviewStatus =
  | { readonly authenticated: true; readonly user: UserInfo; readonly audiences: readonly string[] | undefined }
  | {
      readonly authenticated: false
      /** Only for causes the asker may read. A filled `error` keeps kube-apiserver from remembering the refusal. */
      readonly error?: string
    }

const MAX_AUDIENCES = 64

/** Reads a TokenReview whose `kind` is known. Throws `kind_unknown` for its version, `body_invalid` for its fields. */
export function parseTokenReview(apiVersion: string, document: Fields): TokenReview {
  const version = TOKEN_REVIEW_VERSIONS.find((known) => known === apiVersion)
  if (version === undefined) {
    throw new ArchwayError(
      'kind_unknown',
      `unknown apiVersion ${shown(apiVersion)} for TokenReview: ${TOKEN_REVIEW_VERSIONS.join(' and ')} are served`,
    )
  }
  const spec = asObject(member(document, 'spec'), 'spec')
  const token = requiredString(spec, 'token', 'spec.token')
  // An unpaired surrogate has no bytes: two such tokens would look the same to whatever hashes or sends them.
  if (!token.isWellFormed()) throw new ArchwayError('body_invalid', 'spec.token is not Unicode text')
  return {
    kind: 'TokenReview',
    apiVersion: version,
    token,
    audiences: stringList(spec, 'audiences', 'spec.audiences', MAX_AUDIENCES),
  }
}

/**
 * Renders the answer. The token is not echoed: askers read `status` only.
 */
export function renderTokenReview(apiVersion: TokenReviewVersion, status: TokenReviewStatus): string {
  return `{"kind":"TokenReview","apiVersion":"${apiVersion}","metadata":{"creationTimestamp":null},"spec":{},"status":${renderStatus(status)}}\n`
}

function renderStatus(status: TokenReviewStatus): string {
  if (!status.authenticated) {
    return status.error === undefined
      ? '{"authenticated":false}'
      : `{"authenticated":false,"error":${JSON.stringify(status.error)}}`
  }
  const audiences = status.audiences === undefined ? '' : `,"audiences":${JSON.stringify(status.audiences)}`
  return `{"authenticated":true,"user":${renderUser(status.user)}${audiences}}`
}

/** Cached identities are answered again and again: each is rendered once, for as long as it lives. */
const rendered = new WeakMap<UserInfo, string>()

function renderUser(user: UserInfo): string {
  let text = rendered.get(user)
  if (text === undefined) {
    text = userJson(user)
    rendered.set(user, text)
  }
  return text
}

function userJson(user: UserInfo): string {
  const parts = [`"username":${JSON.stringify(user.username)}`]
  if (user.uid !== '') parts.push(`"uid":${JSON.stringify(user.uid)}`)
  if (user.groups.length > 0) parts.push(`"groups":${JSON.stringify(user.groups)}`)
  if (user.extra.size > 0) {
    const members = [...user.extra].map(([key, values]) => `${JSON.stringify(key)}:${JSON.stringify(values)}`)
    parts.push(`"extra":{${members.join(',')}}`)
  }
  return `{${parts.join(',')}}`
}
