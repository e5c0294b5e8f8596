import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Attributes } from '../../../src/authz/authorizer.ts'
import { decide } from '../../../src/authz/keystone-policy/decide.ts'
import { pathPolicies, pathRequest, policies, request } from './arbitraries.ts'
import { allowedBy, type RawPolicy } from './reference.ts'
import { compiled } from './support.ts'

const modes = fc.constantFrom('compat', 'guarded', 'strict')

/** Holds the program against the reference; returns how much of what was asked was allowed. */
function compare(list: fc.Arbitrary<(RawPolicy | null)[]>, asked: fc.Arbitrary<Attributes>): number {
  const counts = { allowed: 0, asked: 0 }
  const requests = fc.array(asked, { minLength: 10, maxLength: 30 })
  const property = fc.property(
    list,
    requests,
    modes,
    fc.boolean(),
    fc.boolean(),
    (policies, some, mode, identity, match) => {
      const options = { mode, requireKeystoneIdentity: identity, matchGuardsVersion2: match }
      const ready = compiled(policies, { ...options, subresources: mode, failOpenKeys: 'allow' })
      for (const attributes of some) {
        const expected = allowedBy(policies, attributes, options)
        const decision = decide(ready, attributes)
        assert.equal(decision.kind, expected.length > 0 ? 'allow' : 'no-opinion')
        counts.asked += 1
        if (decision.kind !== 'allow') continue
        counts.allowed += 1
        const index = Number(/policy\.json\[(\d+)\]/.exec(decision.reason)?.[1])
        assert.ok(expected.includes(index), `${decision.reason} is not a rule that allows`)
      }
    },
  )
  fc.assert(property, { numRuns: Number(process.env['RUNS'] ?? 200) })
  return counts.allowed / counts.asked
}

test('the compiled policy decides as a slow reading of the rules, in every mode', () => {
  assert.ok(compare(policies, request) > 0.1)
})

test('so do its version 1 paths', () => {
  assert.ok(compare(pathPolicies, pathRequest) > 0.1)
})
