/**
 * Authorizers that do not look: for trying things out, and for the end of a chain.
 *
 * @module
 */
import type { Authorizer, Decision } from './authorizer.ts'

/** Allows everything to everybody who was let in. */
export function alwaysAllow(name = 'always-allow'): Authorizer {
  return constant(name, { kind: 'allow', reason: 'always-allow: everything is allowed' })
}

/** What {@link alwaysDeny} needs. */
export interface AlwaysDenyOptions {
  readonly name?: string
  /**
   * Deny, so that nobody after this one is asked. Without it there is no opinion, as kube-apiserver's `AlwaysDeny`:
   * a later authorizer, here or in kube-apiserver, may still allow.
   */
  readonly hard?: boolean
}

/** Allows nothing to anybody. */
export function alwaysDeny({ name = 'always-deny', hard = false }: AlwaysDenyOptions = {}): Authorizer {
  return constant(name, { kind: hard ? 'deny' : 'no-opinion', reason: 'Everything is forbidden.' })
}

function constant(name: string, decision: Decision): Authorizer {
  return { name, authorize: async () => decision }
}
