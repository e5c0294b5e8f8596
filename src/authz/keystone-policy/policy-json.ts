/**
 * Policies as they are written: what a conversion puts out.
 *
 * @module
 */
import type { Policy, VerbsByKey } from './model.ts'

/** One policy, in the names of the language. */
export interface PolicyJson {
  readonly users?: { readonly projects?: readonly string[]; readonly roles?: readonly string[] }
  readonly match?: readonly { readonly type: string; readonly values: readonly string[] }[]
  readonly resource_permissions?: Readonly<Record<string, readonly string[]>>
  readonly nonresource_permissions?: Readonly<Record<string, readonly string[]>>
  readonly resource?: {
    readonly verbs: readonly string[]
    readonly resources: readonly string[]
    readonly version?: string
    readonly namespace?: string
  }
  readonly nonresource?: { readonly verbs: readonly string[]; readonly path?: string }
}

/** Who a policy is for, as it is written. */
export function guardOf({ users, match }: Policy): Pick<PolicyJson, 'users' | 'match'> {
  return { ...(users !== undefined && { users }), ...(match.length > 0 && { match }) }
}

/** The parts of a policy that are of version 2. */
export function version2Of({
  resourcePermissions,
  nonresourcePermissions,
}: Policy): Pick<PolicyJson, 'resource_permissions' | 'nonresource_permissions'> {
  return {
    ...(resourcePermissions && { resource_permissions: toRecord(resourcePermissions) }),
    ...(nonresourcePermissions && { nonresource_permissions: toRecord(nonresourcePermissions) }),
  }
}

function toRecord(map: VerbsByKey): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(map)
}
