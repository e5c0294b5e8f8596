/** `npm run check`: every check in turn, each with its time; what one finds does not keep the next from running. */

import { CHECKS, runCheck } from './checks.ts'

let failed = 0
for (const check of CHECKS) {
  const { status, output, ms } = await runCheck(check)
  const seconds = `${(ms / 1000).toFixed(1)} s`
  if (status === 0) {
    console.log(`✓ ${check.name} (${seconds})`)
    continue
  }
  failed++
  console.log(`✗ ${check.name}: ${check.finds} (${seconds})\n${output}\n`)
}
console.log(failed === 0 ? 'all checks passed' : `${failed} of ${CHECKS.length} checks failed`)
process.exitCode = failed === 0 ? 0 : 1
