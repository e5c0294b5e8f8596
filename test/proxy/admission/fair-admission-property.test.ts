/** Whatever comes in whatever order: no limit is passed, no permit is lost, and nobody waits who could run. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AdmissionResult, Asker, Permit } from '../../../src/proxy/admission/admission.ts'
import { fairAdmission } from '../../../src/proxy/admission/fair-admission.ts'
import { type HandClock, handClock, settled } from './support.ts'

interface Asked {
  readonly user: string
  readonly long: boolean
  readonly leave: AbortController
  /** Undefined while it waits. */
  result: AdmissionResult | undefined
  released: boolean
}

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('ask' as const), user: fc.nat(2), long: fc.nat(4) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 150 }) }) },
)

const limits = fc.record({
  requests: fc.integer({ min: 1, max: 5 }),
  userRequests: fc.integer({ min: 1, max: 4 }),
  userQueue: fc.nat(6),
  queue: fc.nat(15),
  queueWaitMs: fc.constant(100),
  streams: fc.integer({ min: 1, max: 4 }),
  userStreams: fc.integer({ min: 1, max: 3 }),
})

const isRunning = (one: Asked): boolean => one.result?.kind === 'admitted' && !one.released

function permitOf({ result }: Asked): Permit | undefined {
  return result?.kind === 'admitted' ? result.permit : undefined
}

function count(asked: readonly Asked[], fits: (one: Asked) => boolean): number {
  return asked.filter(fits).length
}

test('S4 T-S15 admission holds its limits, loses nothing and lets nobody wait for nothing', async () => {
  await fc.assert(
    fc.asyncProperty(limits, fc.array(step, { maxLength: 60 }), async (limit, steps) => {
      const clock: HandClock = handClock()
      const admission = fairAdmission(limit, clock)
      const asked: Asked[] = []

      const ask = (user: string, long: boolean): void => {
        const one: Asked = { user, long, leave: new AbortController(), result: undefined, released: false }
        const result = admission.admit(user, long ? 'long' : 'short', one.leave)
        if (!(result instanceof Promise)) one.result = result
        else void result.then((later) => Object.assign(one, { result: later }))
        asked.push(one)
      }
      const release = (one: Asked | undefined): void => {
        if (one === undefined) return
        permitOf(one)?.release()
        one.released = true
      }
      const pick = (fits: (one: Asked) => boolean, which: number): Asked | undefined => {
        const those = asked.filter(fits)
        return those[which % Math.max(1, those.length)]
      }
      const check = (): void => {
        const counts = admission.counts()
        const running = asked.filter(isRunning)
        const waiting = asked.filter(({ result }) => result === undefined)
        assert.ok(counts.requests <= limit.requests && counts.streams <= limit.streams)
        assert.ok(waiting.length <= limit.queue)
        assert.deepEqual(counts, {
          requests: count(running, ({ long }) => !long),
          streams: count(running, ({ long }) => long),
          waiting: waiting.length,
          users: new Set([...running, ...waiting].map(({ user }) => user)).size,
        })
        for (const user of new Set(asked.map((one) => one.user))) {
          const ofUser = (one: Asked): boolean => one.user === user
          const requests = count(running, (one) => ofUser(one) && !one.long)
          assert.ok(requests <= limit.userRequests)
          assert.ok(count(running, (one) => ofUser(one) && one.long) <= limit.userStreams)
          assert.ok(count(waiting, ofUser) <= limit.userQueue)
          const held = requests === limit.userRequests || counts.requests === limit.requests
          assert.ok(held || count(waiting, ofUser) === 0, 'waits although it could run')
        }
      }

      for (const one of steps) {
        if (one.do === 'ask') ask(`user-${one.user}`, one.long === 0)
        else if (one.do === 'release') release(pick(isRunning, one.which))
        else if (one.do === 'leave') pick(({ result }) => result === undefined, one.which)?.leave.abort()
        else clock.advance(one.ms)
        await settled()
        check()
      }
      while (asked.some(isRunning)) {
        for (const one of asked.filter(isRunning)) release(one)
        await settled()
        check()
      }
      assert.ok(asked.every(({ result }) => result !== undefined))
      assert.deepEqual(admission.counts(), { requests: 0, streams: 0, waiting: 0, users: 0 })
    }),
    { numRuns: 300 },
  )
})

test('S4 while users wait, none is let in twice before each of the others that could run was let in once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(5), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 4 }),
      async (users, requests) => {
        const clock = handClock()
        const admission = fairAdmission(
          {
            requests,
            userRequests: requests,
            userQueue: 100,
            queue: 1000,
            queueWaitMs: 1e6,
            streams: 1,
            userStreams: 1,
          },
          clock,
        )
        const never: Asker = new AbortController()
        const running: Permit[] = []
        const letIn: number[] = []
        for (let i = 0; i < requests; i++) {
          const result = admission.admit('filler', 'short', never)
          if (!(result instanceof Promise) && result.kind === 'admitted') running.push(result.permit)
        }
        for (const user of users) {
          void Promise.resolve(admission.admit(String(user), 'short', never)).then((result) => {
            if (result.kind !== 'admitted') return
            letIn.push(user)
            running.push(result.permit)
          })
        }
        for (let permit = running.shift(); permit !== undefined; permit = running.shift()) {
          permit.release()
          await settled()
        }
        // Taken in turns means: the n-th of a user comes before the n+1-th of any other.
        const seen = new Map<number, number>()
        const rounds = letIn.map((user) => {
          const round = (seen.get(user) ?? 0) + 1
          seen.set(user, round)
          return round
        })
        assert.equal(letIn.length, users.length)
        assert.deepEqual(
          rounds,
          rounds.toSorted((a, b) => a - b),
        )
      },
    ),
  )
})
