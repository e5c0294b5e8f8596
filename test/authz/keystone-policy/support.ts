/**
 * Short ways to write policies and requests in the tests of this folder.
 *
 * @module
 */
import type { Attributes } from '../../../src/authz/authorizer.ts'
import { type CompiledPolicy, type CompileOptions, compilePolicy } from '../../../src/authz/keystone-policy/compile.ts'
import { parsePolicy } from '../../../src/authz/keystone-policy/parse.ts'
import { parseReview } from '../../../src/kube/review.ts'

export const IDENTITY = 'alpha.kubernetes.io/identity'

/** Through the text, as it comes from a file. */
export function compiled(policies: unknown, options?: CompileOptions): CompiledPolicy {
  return compilePolicy(parsePolicy(JSON.stringify(policies), { where: 'policy.json' }), options)
}

export interface Who {
  readonly username?: string
  readonly uid?: string
  readonly groups?: readonly string[]
  readonly roles?: readonly string[]
  readonly project?: string
  readonly projectId?: string
  /** Instead of the five above; `null`: no extra in the request. */
  readonly extra?: Readonly<Record<string, readonly string[]>> | null
}

/** Jane, a member of demo, unless said otherwise. */
export function user(who: Who = {}): Pick<Attributes, 'user' | 'extraPresent'> {
  const { roles = ['member'], project = 'demo', projectId = 'p-1' } = who
  const keystone = {
    [`${IDENTITY}/project/id`]: [projectId],
    [`${IDENTITY}/project/name`]: [project],
    [`${IDENTITY}/roles`]: roles,
  }
  const extra = who.extra === undefined ? keystone : (who.extra ?? {})
  return {
    extraPresent: who.extra !== null,
    user: {
      username: who.username ?? 'jane',
      uid: who.uid ?? 'u-1',
      groups: who.groups ?? [projectId, 'system:authenticated'],
      extra: new Map(Object.entries(extra)),
    },
  }
}

/** `get default/pods/log`, `list pods` and `get -/nodes/proxy` (no namespace), `get default/apps:deployments`. */
export function asks(words: string, who?: Who): Attributes {
  const [verb = '', what = ''] = words.split(' ')
  const parts = what.split('/')
  const [namespace = '', named = '', subresource = ''] = parts.length === 1 ? ['', ...parts] : parts
  const [resource = '', group = ''] = named.split(':').reverse()
  return {
    ...user(who),
    kind: 'resource',
    verb,
    group,
    version: 'v1',
    resource,
    subresource,
    namespace: namespace === '-' ? '' : namespace,
    name: '',
  }
}

/** `get /healthz`. */
export function asksPath(words: string, who?: Who): Attributes {
  const [verb = '', path = ''] = words.split(' ')
  return { ...user(who), kind: 'non-resource', verb, path }
}

/** The attributes of a review, as the webhook makes them. */
export function attributesOf(body: unknown): Attributes {
  const review = parseReview(Buffer.from(JSON.stringify(body)))
  if (review.kind !== 'SubjectAccessReview') throw new TypeError('not a SubjectAccessReview')
  const { user: username, uid, groups, extra, attributes } = review
  return {
    ...attributes,
    extraPresent: extra !== undefined,
    user: { username, uid, groups, extra: extra ?? new Map() },
  }
}
