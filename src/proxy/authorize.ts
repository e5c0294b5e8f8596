/**
 * Whether somebody may do what a request asks, where the proxy has authorizers of its own; the API server asks its own
 * besides. Owns the questions, impersonation among them; leaves the deciding to the authorizers.
 *
 * @module
 */
import { type Impersonation, readImpersonation } from '../authn/request/impersonation.ts'
import type { Attributes, Authorizer, Decision } from '../authz/authorizer.ts'
import type { CallContext } from '../context.ts'
import { ArchwayError } from '../errors.ts'
import type { ParsedRequestInfo } from '../kube/request-info.ts'
import { statusAnswer } from '../kube/status.ts'
import type { UserInfo } from '../user.ts'
import { forbidden } from './forbidden.ts'
import type { CleanHead } from './hygiene/hygiene.ts'
import { type Refused, refused, undecided } from './refused.ts'

/** What somebody wants to do. */
export interface Asked {
  readonly user: UserInfo
  readonly head: CleanHead
  readonly about: ParsedRequestInfo
}

/** Undefined: they may. Never throws. */
export async function authorize(authorizer: Authorizer, asked: Asked, ctx: CallContext): Promise<Refused | undefined> {
  const { about, head, user } = asked
  // kube-apiserver answers 500 to these; but it is the request that is at fault, and asking again does not help.
  if (about.problem !== undefined) return refused('refused', about.problem, statusAnswer(400, PROBLEMS[about.problem]))
  try {
    const wanted = head.impersonates ? readImpersonation(head.headers) : NOBODY
    if (wanted.kind === 'malformed') return refused('refused', 'H6', statusAnswer(400, WITHOUT_USER))
    if (wanted.kind === 'none') return await judge(authorizer, attributesOf(asked, user), ctx)
    const no = await judgeImpersonation(authorizer, user, wanted, ctx)
    return no ?? (await judge(authorizer, attributesOf(asked, wanted.user), ctx))
  } catch (error) {
    if (!ctx.signal.aborted) {
      const level = error instanceof ArchwayError ? 'warn' : 'error'
      ctx.log[level]({ requestId: ctx.requestId, error }, 'could not tell whether a request is allowed')
    }
    return undecided(error, 'it could not be told whether you may do this')
  }
}

const NOBODY: Impersonation = { kind: 'none' }
const WITHOUT_USER = 'impersonation without Impersonate-User: name the user to be taken for'
const PROBLEMS = {
  'path-malformed': 'the path has an escape that is none: write "%25" for "%"',
  'resource-missing': 'the path names no resource behind "watch" or "proxy"',
  'query-ambiguous': 'the query has a bare ";", which servers read in two ways: write "&" or "%3B"',
} as const

/** Every part of the other identity has to be allowed, to the one who really asks. */
async function judgeImpersonation(
  authorizer: Authorizer,
  user: UserInfo,
  { checks }: Extract<Impersonation, { kind: 'wanted' }>,
  ctx: CallContext,
): Promise<Refused | undefined> {
  for (const check of checks) {
    const attributes: Attributes = { kind: 'resource', verb: 'impersonate', ...whoAsks(user), ...check }
    const no = await judge(authorizer, attributes, ctx)
    if (no !== undefined) return no
  }
  return undefined
}

async function judge(authorizer: Authorizer, attributes: Attributes, ctx: CallContext): Promise<Refused | undefined> {
  const decision = await authorizer.authorize(attributes, ctx)
  switch (decision.kind) {
    case 'allow':
      return undefined
    case 'deny':
      return forbidden(attributes, decision.reason)
    case 'no-opinion':
      return decision.evaluationError === undefined
        ? forbidden(attributes, decision.reason ?? '')
        : notEvaluated(decision, ctx)
    default:
      return decision satisfies never
  }
}

/** As kube-apiserver: a no that came with an error is no plain no. */
function notEvaluated(decision: Extract<Decision, { kind: 'no-opinion' }>, ctx: CallContext): Refused {
  const { requestId } = ctx
  ctx.log.warn({ requestId, cause: decision.evaluationError }, 'a request could not be authorized')
  const message = `Internal error occurred: the authorization could not be evaluated; the log has more under ${requestId}`
  return refused('undecided', 'evaluation-error', statusAnswer(500, message))
}

function attributesOf({ about: { info } }: Asked, user: UserInfo): Attributes {
  const who = whoAsks(user)
  const { verb, path } = info
  if (!info.isResourceRequest) return { kind: 'non-resource', ...who, verb, path }
  return {
    kind: 'resource',
    ...who,
    verb,
    group: info.apiGroup,
    version: info.apiVersion,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    ...(info.fieldSelector === '' ? {} : { fieldSelector: { rawSelector: info.fieldSelector } }),
    ...(info.labelSelector === '' ? {} : { labelSelector: { rawSelector: info.labelSelector } }),
  }
}

function whoAsks(user: UserInfo): { readonly user: UserInfo; readonly extraPresent: boolean } {
  return { user, extraPresent: user.extra.size > 0 }
}
