/**
 * What the parts of a running service have in common: files they follow, checks of their readiness, an end.
 *
 * @module
 */
import type { CallLog } from '../context.ts'
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

/** What ends a part. */
export type Closer = () => Promise<void> | void

/** Ends what was begun, the last first. One that fails keeps none of the others open. The list is empty afterwards. */
export async function closeAll(closers: Closer[], log: CallLog): Promise<void> {
  for (const close of closers.splice(0).reverse()) {
    try {
      await close()
    } catch (error) {
      log.error({ error }, 'a part could not be closed')
    }
  }
}
