/**
 * Readiness of sources that are not alone.
 *
 * @module
 */
import { messageOf } from '../../errors.ts'
import type { CheckResult, ReadinessCheck } from '../../server/admin.ts'

/** Shorter than the admin listener waits for a check: the verdict has to be this one. */
const PATIENCE_MS = 1500

/**
 * A source that is down makes nobody unready while there are others: a service that is taken out of its endpoints hides
 * them all. It is said here, and credentials of that source are answered with an error.
 */
export function oneOfSeveral({ name, check }: ReadinessCheck): ReadinessCheck {
  return {
    name,
    async check() {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<CheckResult>((resolve) => {
        timer = setTimeout(() => resolve({ ok: false, detail: 'no answer yet' }), PATIENCE_MS)
      })
      const asked = Promise.resolve()
        .then(check)
        .catch((thrown: unknown): CheckResult => ({ ok: false, detail: messageOf(thrown) }))
      const { ok, detail = '' } = await Promise.race([asked, late])
      clearTimeout(timer)
      return { ok: true, detail: ok ? detail : `away: ${detail}` }
    },
  }
}
