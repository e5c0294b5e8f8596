/**
 * RBAC as an authorizer: allows what a binding allows, has no opinion on anything else, never denies. Owns when the
 * index is built; leaves where the objects come from to its {@link RbacSource}.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/rbac/
 * @module
 */
import type { UserInfo } from '../../user.ts'
import type { Attributes, Authorizer } from '../authorizer.ts'
import type { RbacObjects, Role } from './objects.ts'
import type { RuleListing } from './policy-rule.ts'
import { type Grantee, type RbacIndex, rbacIndex } from './rbac-index.ts'
import type { RuleSet } from './rule-set.ts'

/** Where roles and bindings come from: a folder of manifests, a cluster that is watched, or a constant. */
export interface RbacSource {
  /** The objects in force; the same object as long as nothing changed. `undefined` before they are known. */
  current(): RbacObjects | undefined
}

/** What {@link rbac} needs. */
export interface RbacOptions {
  readonly source: RbacSource
  /** Default `rbac`. */
  readonly name?: string
}

/** The authorizer, and what it can tell besides decisions. */
export interface RbacAuthorizer extends Authorizer {
  rulesFor(user: UserInfo, namespace: string): RuleListing
  whoCan(request: Attributes): readonly Grantee[]
}

const UNKNOWN = 'RBAC: roles and bindings are not known yet'

/** Decides by roles and bindings. Before they are known it has no opinion, and says so as an evaluation error. */
export function rbac({ source, name = 'rbac' }: RbacOptions): RbacAuthorizer {
  const known = new WeakMap<Role, RuleSet>()
  let built: { readonly from: RbacObjects; readonly index: RbacIndex } | undefined

  function index(): RbacIndex | undefined {
    const from = source.current()
    if (from === undefined) return undefined
    if (built?.from !== from) built = { from, index: rbacIndex(from, known) }
    return built.index
  }

  return {
    name,
    async authorize(request) {
      const verdict = index()?.decide(request)
      if (verdict === undefined) return { kind: 'no-opinion', evaluationError: UNKNOWN }
      if (verdict.allowed) return { kind: 'allow', reason: `RBAC: allowed by ${verdict.source}` }
      return verdict.errors.length === 0
        ? { kind: 'no-opinion' }
        : { kind: 'no-opinion', reason: `RBAC: ${joined(verdict.errors)}` }
    },
    rulesFor: (user, namespace) =>
      index()?.rulesFor(user, namespace) ?? { rules: [], incomplete: true, errors: [UNKNOWN] },
    whoCan: (request) => index()?.whoCan(request) ?? [],
  }
}

/** Several errors as Go's `errors.NewAggregate` words them. */
function joined(errors: readonly string[]): string {
  return errors.length === 1 ? errors.join() : `[${errors.join(', ')}]`
}
