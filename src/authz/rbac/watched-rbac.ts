/**
 * Roles and bindings of the cluster itself, watched. As kube-apiserver does, it takes the rules of a role as they
 * stand in it: those of aggregated roles are written there by kube-controller-manager.
 *
 * @module
 */

import { type WatchedObjects, type WatchObjectsOptions, watchObjects } from '../../kube/api-client/watch-objects.ts'
import type { Fields } from '../../kube/fields.ts'
import { type Binding, type Parsed, parseBinding, parseRole, type RbacObjects, type Role } from './objects.ts'
import type { RbacSource } from './rbac.ts'

/** What {@link watchedRbac} needs. */
export interface WatchedRbacOptions extends Pick<WatchObjectsOptions<unknown>, 'client' | 'log' | 'signal' | 'timing'> {
  readonly onChange?: () => void
}

/** Roles and bindings as they are now. */
export interface WatchedRbac extends RbacSource {
  /** The four watches, for readiness. */
  readonly watches: readonly WatchedObjects<Role | Binding>[]
  /** Settles when everything is known, or has ended. */
  readonly synced: Promise<void>
}

const PATH = '/apis/rbac.authorization.k8s.io/v1'

/** Begins at once. Until all four lists have been had there is nothing: half of the bindings would be a wrong answer. */
export function watchedRbac({ onChange, ...options }: WatchedRbacOptions): WatchedRbac {
  const watch = <T>(resource: string, parse: (object: Fields) => T): WatchedObjects<T> =>
    watchObjects<T>({ ...options, path: `${PATH}/${resource}`, parse, onChange: () => onChange?.() })
  const roles = [
    watch('clusterroles', (object) => usable(parseRole('ClusterRole', object, 'ignore'))),
    watch('roles', (object) => usable(parseRole('Role', object, 'ignore'))),
  ]
  const bindings = [
    watch('clusterrolebindings', (object) => usable(parseBinding('ClusterRoleBinding', object, 'ignore'))),
    watch('rolebindings', (object) => usable(parseBinding('RoleBinding', object, 'ignore'))),
  ]
  const watches = [...roles, ...bindings]
  let made: { readonly version: number; readonly objects: RbacObjects } | undefined

  return {
    watches,
    synced: Promise.all(watches.map(({ synced }) => synced)).then(() => undefined),
    current() {
      if (watches.some((each) => each.current() === undefined)) return undefined
      // Each grows with every change, so the sum is another one after any.
      const version = watches.reduce((sum, each) => sum + each.version(), 0)
      if (made?.version !== version) {
        made = { version, objects: { roles: roles.flatMap(all), bindings: bindings.flatMap(all) } }
      }
      return made.objects
    },
  }
}

function all<T>(watched: WatchedObjects<T>): readonly T[] {
  return [...(watched.current()?.values() ?? [])]
}

function usable<T>(parsed: Parsed<T>): T {
  if (parsed.kind === 'parsed') return parsed.object
  throw new Error(parsed.problems.map(({ path, message }) => `${path}: ${message}`).join('; '))
}
