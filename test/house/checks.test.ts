/** What `npm run check` finds fails `npm test` as well. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CHECKS, runCheck } from '../../tools/checks.ts'

describe('the repository passes', () => {
  for (const check of CHECKS) {
    it(`${check.name}: ${check.finds}`, async () => {
      const { status, output } = await runCheck(check)
      assert.ok(status === 0, `\n${output}`)
    })
  }
})
