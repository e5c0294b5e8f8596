/**
 * The Keystone policy as an authorizer.
 *
 * @module
 */
import type { Authorizer } from '../authorizer.ts'
import type { CompiledPolicy } from './compile.ts'
import { decide } from './decide.ts'
import { isKeystoneIdentity } from './identity.ts'

/** What {@link keystonePolicy} needs. */
export interface KeystonePolicyOptions {
  /** The policy in force; asked for at each request, so that a reload is a swap. */
  readonly policy: () => CompiledPolicy
  /** Stands in logs and metrics. Default `keystone-policy`. */
  readonly name?: string
  /**
   * Denies Keystone users what no rule allows, so that no later authorizer is asked for them. Others are left to it in
   * any case: a node or a service account that is denied takes the cluster down. Default false.
   */
  readonly hardDeny?: boolean
}

/**
 * Decides by a compiled policy. It allows or has no opinion; with `hardDeny` it denies Keystone users.
 *
 * @example
 * const compiled = compilePolicy(parsePolicy(text, { where: 'policy.json' }))
 * const authorizer = keystonePolicy({ policy: () => compiled })
 */
export function keystonePolicy(options: KeystonePolicyOptions): Authorizer {
  const { policy, name = 'keystone-policy', hardDeny = false } = options
  return {
    name,
    async authorize(attributes) {
      const decision = decide(policy(), attributes)
      if (decision.kind !== 'no-opinion' || !hardDeny || !isKeystoneIdentity(attributes)) return decision
      return { kind: 'deny', reason: decision.reason ?? 'Keystone policy: no rule allows this' }
    },
  }
}
