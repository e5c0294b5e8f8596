/**
 * Reviews as kube-apiserver sends them to a webhook: which kind and version a body is. The last place that sees
 * untyped JSON; what leaves here is typed.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import { readCanonicalTokenReview } from './canonical-token-review.ts'
import { asObject, requiredString } from './fields.ts'
import { parseStrictJson, shown } from './strict-json.ts'
import { parseSubjectAccessReview, type SubjectAccessReview } from './subject-access-review.ts'
import { parseTokenReview, type TokenReview } from './token-review.ts'

export type Review = TokenReview | SubjectAccessReview

/**
 * Parses the body of a review request. Unknown fields are let pass, as the API conventions ask of a reader; a wrong
 * type, an unknown kind or version, a key that stands twice are refused (`body_invalid`, `kind_unknown`).
 */
export function parseReview(body: Buffer): Review {
  return readCanonicalTokenReview(body) ?? parseAnyReview(body)
}

/** The general reader; {@link parseReview} is the same, and quicker for what kube-apiserver sends. */
export function parseAnyReview(body: Buffer): Review {
  const document = asObject(parseStrictJson(body), 'the body')
  const apiVersion = requiredString(document, 'apiVersion')
  const kind = requiredString(document, 'kind')
  if (kind === 'TokenReview') return parseTokenReview(apiVersion, document)
  if (kind === 'SubjectAccessReview') return parseSubjectAccessReview(apiVersion, document)
  throw new ArchwayError(
    'kind_unknown',
    `unknown kind/apiVersion ${shown(kind)} ${shown(apiVersion)}: TokenReview and SubjectAccessReview are served`,
  )
}
