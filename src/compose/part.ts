/**
 * What the parts of a running service have in common: files they follow, checks of their readiness, an end.
 *
 * @module
 */
import type { ReloadStatus } from '../reload/reloading.ts'
import type { ReadinessCheck } from '../server/admin.ts'

/** Content that is followed while we run: a file, a ConfigMap. */
export interface Followed {
  status(): ReloadStatus | undefined
  /** Looks now, where looking makes sense. */
  check(): Promise<unknown>
}

/** Something the service is made of. */
export interface Part {
  readonly files: readonly Followed[]
  readonly checks: readonly ReadinessCheck[]
  close(): Promise<void> | void
}
