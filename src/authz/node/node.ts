/**
 * The node authorizer: what a kubelet may do, which is what the pods on its node need. Allows or has no opinion, never
 * denies. Owns the judgement; leaves who needs what to `graph.ts` and what everybody may to `rules.ts`.
 *
 * It does not see what is in an object: that a node creates only its own lease is for the NodeRestriction admission
 * plugin of kube-apiserver. Run both.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/node/
 * @module
 */
import type { UserInfo } from '../../user.ts'
import type { Authorizer } from '../authorizer.ts'
import type { RuleListing } from '../rbac/policy-rule.ts'
import { ruleSet, soughtBy } from '../rbac/rule-set.ts'
import { ALLOWED, type JudgeOptions, judges, NO_OPINION, no } from './judges.ts'
import { NODE_RULES } from './rules.ts'

/** What {@link nodeAuthorizer} needs. */
export interface NodeOptions extends Omit<JudgeOptions, 'ready'> {
  /** Whether the graph holds the cluster yet. Default: it does. */
  readonly ready?: () => boolean
  /** Default `node`. */
  readonly name?: string
}

/** The authorizer, and what it can tell besides decisions: that a node's rules cannot be listed. */
export interface NodeAuthorizer extends Authorizer {
  rulesFor(user: UserInfo, namespace: string): RuleListing
}

/**
 * The name of the node a user is; `undefined` for anybody else. It may be empty: a node nobody can tell.
 */
export function nodeIdentity({ username, groups }: UserInfo): string | undefined {
  return username.startsWith(USER_PREFIX) && groups.includes(GROUP) ? username.slice(USER_PREFIX.length) : undefined
}

const USER_PREFIX = 'system:node:'
const GROUP = 'system:nodes'

/** Decides for nodes; has no opinion on anybody else. */
export function nodeAuthorizer({ graph, features, ready = () => true, name = 'node' }: NodeOptions): NodeAuthorizer {
  const rules = ruleSet(NODE_RULES)
  const judged = judges({ graph, features, ready })
  return {
    name,
    async authorize(request) {
      const node = nodeIdentity(request.user)
      if (node === undefined) return NO_OPINION
      if (node === '') return no(`unknown node for user ${JSON.stringify(request.user.username)}`)
      if (request.kind === 'resource') {
        const judge = judged.get(`${request.group}/${request.resource}`)
        if (judge !== undefined) return judge(node, request)
      }
      return rules.allows(soughtBy(request)) ? ALLOWED : NO_OPINION
    },
    rulesFor(user) {
      if (nodeIdentity(user) === undefined) return { rules: [], incomplete: false, errors: [] }
      return { rules: [], incomplete: true, errors: ['node authorizer does not support user rule resolution'] }
    },
  }
}
