/**
 * Tokens that the API server itself knows: of service accounts above all. Asks it with a TokenReview, always naming an
 * audience of our own, so that a token which was made for somebody else is not taken.
 *
 * Not for the webhook door: the API server would ask Archway about the token it is asked about.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
 * @module
 */
import { ArchwayError, messageOf } from '../errors.ts'
import type { KubeClient } from '../kube/api-client/client.ts'
import { KubeApiError } from '../kube/api-client/error.ts'
import { asObject, type Fields, member, stringList } from '../kube/fields.ts'
import { judgeTokenReview, type TokenReviewVerdict } from '../kube/token-review-client.ts'
import { type AuthnResult, type RejectionCode, SKIPPED, type TokenAuthenticator } from './authenticator.ts'
import type { SourceTrust } from './identity-gate.ts'

export interface ApiserverTokenOptions {
  readonly name: string
  readonly client: Pick<KubeClient, 'create'>
  /** Whom a token has to be made for; one of them is enough. At least one. */
  readonly audiences: readonly string[]
  /** Only service accounts may come this way. */
  readonly serviceAccountsOnly: boolean
}

/** What service accounts are called, and nobody else: for the identity gate. */
export const SERVICE_ACCOUNT_NAMES: SourceTrust = {
  name: (name) =>
    /^system:serviceaccount:[a-z0-9.-]{1,253}:[a-z0-9.-]{1,253}$/.test(name) ||
    /^system:serviceaccounts(:[a-z0-9.-]{1,253})?$/.test(name) ||
    name === 'system:authenticated',
  extraKey: (key) => key.startsWith('authentication.kubernetes.io/'),
}

const PATH = '/apis/authentication.k8s.io/v1/tokenreviews'
const API_VERSION = 'authentication.k8s.io/v1'
/** Longest token that is asked about, in characters; a bound token with long names stays far below. */
const MOST_TOKEN = 16_384
const SERVICE_ACCOUNT = /^system:serviceaccount:[^:]+:[^:]+$/

/**
 * What the API server says of a token that it knows to be bad: 1.20 as it was seen to, later ones by their source
 * (`pkg/serviceaccount/{jwt,claims,legacy}.go`). It puts `invalid bearer token` before whatever went wrong, an outage of
 * a webhook of its own as well: only where all that it says is known is the token refused.
 */
const KNOWN_BAD = [
  'invalid bearer token',
  String.raw`token audiences \[[^\]]*\] is invalid for the target audiences \[[^\]]*\]`,
  String.raw`(?:square\/|go-jose\/)?go-jose(?:\/v\d+)?: error in cryptographic primitive`,
  String.raw`(?:service account )?token (?:has expired|could not be validated|has been invalidated|is not valid yet|is issued in the future)\.?`,
  "token does not match server's copy",
  'resource name may not be empty',
  '(?:serviceaccounts|pods|secrets|nodes) "[^"]*" not found',
  String.raw`service ?account [\w./-]+ has been deleted`,
  String.raw`(?:service ?account|pod|secret|node) UID \([^()]*\) does not match [\w ]*claim \([^()]*\)`,
].join('|')
const BAD = new RegExp(String.raw`^\[?(?:${KNOWN_BAD})(?:, (?:${KNOWN_BAD}))*\]?$`, 'i')

export function apiserverToken(options: ApiserverTokenOptions): TokenAuthenticator {
  const { name, client, audiences, serviceAccountsOnly } = options
  const rejected = (code: RejectionCode): AuthnResult => ({ kind: 'rejected', code, source: name })
  return {
    name,
    async authenticate(token, ctx) {
      if (!looksLikeJwt(token)) return SKIPPED
      const review = { kind: 'TokenReview', apiVersion: API_VERSION, spec: { token, audiences } }
      const answer = await client.create(PATH, review, ctx.signal).catch((thrown: unknown) => {
        throw notAnswered(thrown)
      })
      const verdict = judge(answer, audiences)
      switch (verdict.kind) {
        case 'rejected':
          return rejected('token_unknown')
        case 'undecided':
          if (verdict.error !== undefined && BAD.test(verdict.error)) return rejected('token_unknown')
          throw new ArchwayError('apiserver_answer_invalid', `TokenReview: ${verdict.cause}`)
        case 'authenticated':
          if (!namesAudiences(answer)) return rejected('audience_mismatch')
          if (serviceAccountsOnly && !SERVICE_ACCOUNT.test(verdict.user.username)) return rejected('token_unknown')
          return { kind: 'authenticated', user: verdict.user, source: name, audiences: verdict.audiences }
      }
    },
  }
}

/** A JOSE compact token: three parts of base64url, the first the beginning of a JSON object. */
function looksLikeJwt(token: string): boolean {
  return token.length <= MOST_TOKEN && /^eyJ[\w-]*\.[\w-]+\.[\w-]*$/.test(token)
}

function judge(answer: Fields, audiences: readonly string[]): TokenReviewVerdict {
  try {
    return judgeTokenReview(answer, { apiVersion: API_VERSION, audiences })
  } catch (thrown) {
    return { kind: 'undecided', cause: messageOf(thrown) }
  }
}

/** An answer without audiences is of a server that did not look at ours. */
function namesAudiences(answer: Fields): boolean {
  const status = asObject(member(answer, 'status') ?? {}, 'status')
  return stringList(status, 'audiences', 'status.audiences', 1000).length > 0
}

function notAnswered(thrown: unknown): unknown {
  if (!(thrown instanceof KubeApiError)) return thrown
  const { status } = thrown
  if (status === 401 || status === 403) {
    const remedy = 'bind the ClusterRole system:auth-delegator to the account that Archway uses'
    return new ArchwayError('apiserver_answer_invalid', `${thrown.message}; ${remedy}`, { cause: thrown })
  }
  const code = thrown.failure === 'answer' ? 'apiserver_answer_invalid' : 'apiserver_unreachable'
  return new ArchwayError(code, thrown.message, { cause: thrown, retryAfter: 1 })
}
