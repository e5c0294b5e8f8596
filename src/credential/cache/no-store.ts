/**
 * Keeps nothing: what was asked for, or what is left where nothing can be kept.
 *
 * @module
 */
import { passingNaming } from './naming.ts'
import type { CredentialStore } from './store.ts'

/** @param problem why nothing is kept, unless that is what was asked for */
export function openNoStore(kind: CredentialStore['kind'] = 'none', problem?: string): CredentialStore {
  const naming = passingNaming()
  return {
    kind,
    keyOf: naming.keyOf,
    digest: naming.digest,
    async read() {
      return undefined
    },
    async write() {},
    async remove() {},
    async list() {
      return []
    },
    async lock(_key, _waitMs, signal) {
      signal?.throwIfAborted()
      return { async release() {} } // there is no place to meet the others at
    },
    async wasServed() {
      return false
    },
    async served() {},
    problem: () => problem,
  }
}
