import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { memoryCounters } from '../../../src/authn/protection/memory-counters.ts'
import { countersContract } from './counters-contract.ts'
import { type Checked, clockAt, keysOf, play, SMALL, STEEP, steps } from './support.ts'

describe('login counters in memory', () => {
  countersContract((policy) => {
    const clock = clockAt(5000)
    return { counters: memoryCounters({ policy, entries: 1000, now: clock.now }), clock }
  })

  test('T-S4 however attempts interleave, no more are checked in any stretch of time than the policy says', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (todo) => {
        const clock = clockAt(0)
        const { checked } = await play(memoryCounters({ policy: STEEP, entries: 1000, now: clock.now }), clock, todo)
        const { pair, user, address } = STEEP
        // Attempts under way count: whether they fail is not known when the next one comes.
        const guesses = checked.filter(({ outcome }) => outcome !== 'passed' && outcome !== 'unknown')
        for (const own of groups(guesses, ({ keys }) => keys.pair)) {
          const sinceSuccess = split(own, successes(checked, own))
          for (const run of sinceSuccess) {
            assert.ok(most(run, pair.firstDelayMs) <= pair.free, 'free guesses of a pair')
            assert.ok(most(run, pair.lockMs) <= pair.lockAfter, 'guesses of a pair before the lock')
          }
        }
        const strange = guesses.filter(({ known }) => !known)
        for (const own of groups(strange, ({ keys }) => keys.user)) {
          // A stretch may reach over two windows.
          const limit = 2 * user.slowAfter + user.windowMs / user.intervalMs + 1
          assert.ok(most(own, user.windowMs) <= limit, 'guesses at a user')
        }
        for (const own of groups(strange, ({ keys }) => keys.address)) {
          assert.ok(most(own, address.lockMs) <= 2 * address.lockAfter, 'guesses from an address')
        }
      }),
      { numRuns: 100 },
    )
  })

  test('T-S15 T-W7 a million distinct users and addresses take no more room than the first ones', async () => {
    const entries = 2000
    const counters = memoryCounters({ policy: SMALL, entries, now: () => 0 })
    const fill = async (from: number, to: number): Promise<number> => {
      for (let i = from; i < to; i++) {
        const keys = keysOf(`user-${i}`, `address-${i}`)
        const outcome = i % 3 === 0 ? 'passed' : 'failed'
        const admission = i % 10 === 0 ? await counters.admit(keys) : undefined // the slower half of an attempt
        if (admission?.kind === 'go') await admission.settle(outcome)
        else counters.count(keys, outcome)
      }
      gc()
      return process.memoryUsage().heapUsed
    }
    const before = await fill(0, 20_000)
    const after = await fill(20_000, 1_000_000)
    assert.ok(counters.size <= 4 * entries)
    assert.ok(after - before < 4_000_000, `${before} → ${after}`)
  })
})

/** Collects what can be collected. */
function gc(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}

function groups(all: readonly Checked[], key: (one: Checked) => string): readonly (readonly Checked[])[] {
  return [...Map.groupBy(all, key).values()]
}

/** When the pair of these attempts got in. */
function successes(all: readonly Checked[], [own]: readonly Checked[]): readonly number[] {
  const passed = all.filter(({ keys, outcome }) => keys.pair === own?.keys.pair && outcome === 'passed')
  return passed.map(({ endedAt = 0 }) => endedAt)
}

/** Attempts between which there was no success. One at the very moment of it may be of either side: it is left out. */
function split(own: readonly Checked[], at: readonly number[]): readonly (readonly Checked[])[] {
  const clear = own.filter((one) => !at.includes(one.at))
  return [...Map.groupBy(clear, (one) => at.filter((time) => time < one.at).length).values()]
}

/** Most attempts that began within any stretch of so many milliseconds; they are in the order of time. */
function most(all: readonly Checked[], ms: number): number {
  let [first, highest] = [0, 0]
  for (const [last, { at }] of all.entries()) {
    while (at - (all[first]?.at ?? at) >= ms) first++
    highest = Math.max(highest, last - first + 1)
  }
  return highest
}
