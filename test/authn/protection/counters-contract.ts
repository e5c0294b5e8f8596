/**
 * The rules of login counters, for every place that keeps them.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Admission, Consequence, LoginCounters, Outcome, Policy } from '../../../src/authn/protection/counters.ts'
import { type Clock, keysOf, SMALL } from './support.ts'

export interface Made {
  readonly counters: LoginCounters
  readonly clock: Clock
}

/** `make` gives empty counters each time. */
export function countersContract(make: (policy: Policy) => Made): void {
  const HOME = '10.0.0.1'

  async function attempt({ counters }: Made, user: string, address: string, outcome: Outcome): Promise<Consequence> {
    const admission = await counters.admit(keysOf(user, address))
    assert.equal(admission.kind, 'go', `${user} at ${address}: ${JSON.stringify(admission)}`)
    assert.ok(admission.kind === 'go')
    return admission.settle(outcome)
  }
  async function begin({ counters }: Made, user: string, address: string): Promise<Extract<Admission, { kind: 'go' }>> {
    const admission = await counters.admit(keysOf(user, address))
    assert.ok(admission.kind === 'go', JSON.stringify(admission))
    return admission
  }
  const ask = ({ counters }: Made, user: string, address: string): Promise<Admission> =>
    counters.admit(keysOf(user, address))
  /** Fails as often as that, waiting as long as is asked for. */
  async function fail(made: Made, times: number, user: string, address: string): Promise<Consequence | undefined> {
    let last: Consequence | undefined
    for (let i = 0; i < times; i++) {
      let admission = await ask(made, user, address)
      if (admission.kind === 'refused') {
        made.clock.advance(admission.waitMs)
        admission = await ask(made, user, address)
      }
      assert.ok(admission.kind === 'go', JSON.stringify(admission))
      last = await admission.settle('failed')
    }
    return last
  }

  test('T-S4 some failures are free, then waits double up to the longest, then the pair is locked', async () => {
    const made = make(SMALL)
    await attempt(made, 'alice', HOME, 'failed')
    await attempt(made, 'alice', HOME, 'failed')
    for (const waitMs of [10, 20, 30]) {
      assert.deepEqual(await ask(made, 'alice', HOME), { kind: 'refused', scope: 'pair', locked: false, waitMs })
      made.clock.advance(waitMs - 1)
      const early = { kind: 'refused', scope: 'pair', locked: false, waitMs: 1 }
      assert.deepEqual(await ask(made, 'alice', HOME), early, 'coming too early has not made it longer')
      made.clock.advance(1)
      const { locked } = await attempt(made, 'alice', HOME, 'failed')
      assert.deepEqual(locked, waitMs === 30 ? ['pair'] : [])
    }
    const lock = { kind: 'refused', scope: 'pair', locked: true, waitMs: 100 }
    assert.deepEqual(await ask(made, 'alice', HOME), lock)
    assert.deepEqual(await ask(made, 'alice', HOME), lock)
    await attempt(made, 'alice', '10.0.0.2', 'failed')
    await attempt(made, 'bob', HOME, 'failed')
  })

  test('T-S4 a lock ends, however often somebody knocked, and the count begins anew', async () => {
    const made = make({ ...SMALL, user: { ...SMALL.user, slowAfter: 50 } })
    await fail(made, 5, 'alice', HOME)
    for (let i = 0; i < 99; i++) {
      assert.equal((await ask(made, 'alice', HOME)).kind, 'refused')
      made.clock.advance(1)
    }
    made.clock.advance(1)
    await attempt(made, 'alice', HOME, 'failed')
    await attempt(made, 'alice', HOME, 'failed')
    assert.equal((await ask(made, 'alice', HOME)).kind, 'refused')
  })

  test('failures are forgotten some time after the last one', async () => {
    const made = make(SMALL)
    await fail(made, 4, 'alice', HOME)
    made.clock.advance(200)
    await attempt(made, 'alice', HOME, 'failed')
    await attempt(made, 'alice', HOME, 'failed')
  })

  test('success clears the pair, says so where there was a wait, and nothing else', async () => {
    const made = make(SMALL)
    assert.equal((await attempt(made, 'alice', HOME, 'failed')).unlocked, false)
    assert.equal((await attempt(made, 'alice', HOME, 'passed')).unlocked, false)
    await fail(made, 2, 'alice', HOME)
    made.clock.advance(10)
    assert.equal((await attempt(made, 'alice', HOME, 'passed')).unlocked, true)
    await fail(made, 2, 'alice', HOME)
    await fail(made, 2, 'bob', HOME)
    // Seven failures at the address: the successes have taken none away.
    assert.deepEqual((await attempt(made, 'carol', HOME, 'failed')).locked, ['address'])
  })

  test('T-S4 success after a lock is told as one', async () => {
    const made = make(SMALL)
    await fail(made, 5, 'alice', HOME)
    made.clock.advance(100)
    assert.equal((await attempt(made, 'alice', HOME, 'passed')).unlocked, true)
  })

  test('T-S4 attempts at once are no more than the free ones; what could not be told gives its place back', async () => {
    const made = make(SMALL)
    const first = await begin(made, 'alice', HOME)
    const second = await begin(made, 'alice', HOME)
    for (let i = 0; i < 20; i++) assert.deepEqual(await ask(made, 'alice', HOME), { kind: 'busy' })
    await first.settle('unknown')
    const third = await begin(made, 'alice', HOME)
    await second.settle('failed')
    await third.settle('failed')
    assert.equal((await ask(made, 'alice', HOME)).kind, 'refused')
    made.clock.advance(10)
    await begin(made, 'alice', HOME)
    assert.deepEqual(await ask(made, 'alice', HOME), { kind: 'busy' }, 'past the free ones it is one at a time')
  })

  test('T-S4 nor are attempts at once of a user from many addresses, or from an address at many users', async () => {
    const made = make(SMALL)
    const wide = await Promise.all(Array.from({ length: 6 }, (_, i) => begin(made, 'alice', `10.0.1.${i}`)))
    assert.deepEqual(await ask(made, 'alice', '10.0.1.99'), { kind: 'busy' })
    for (const one of wide) await one.settle('unknown')
    const spray = await Promise.all(Array.from({ length: 8 }, (_, i) => begin(made, `user-${i}`, HOME)))
    assert.deepEqual(await ask(made, 'user-99', HOME), { kind: 'busy' })
    for (const one of spray) await one.settle('passed')
    await attempt(made, 'user-99', HOME, 'passed')
  })

  test('an outage counts as nothing', async () => {
    const made = make(SMALL)
    for (let i = 0; i < 50; i++) {
      assert.deepEqual(await attempt(made, 'alice', HOME, 'unknown'), { locked: [], unlocked: false })
    }
    assert.equal((await begin(made, 'alice', HOME)).known, false)
  })

  test('T-S4 a user guessed at from many addresses is slowed down, never locked', async () => {
    const made = make(SMALL)
    for (let i = 1; i <= 6; i++) {
      const { locked } = await attempt(made, 'alice', `10.0.1.${i}`, 'failed')
      assert.deepEqual(locked, i === 6 ? ['user'] : [])
    }
    let checked = 0
    for (let ms = 0; ms < 400; ms++) {
      const admission = await ask(made, 'alice', `10.0.2.${ms % 256}`)
      if (admission.kind === 'go') {
        checked++
        await admission.settle('failed')
      } else assert.deepEqual({ ...admission, waitMs: 0 }, { kind: 'refused', scope: 'user', locked: false, waitMs: 0 })
      made.clock.advance(1)
    }
    assert.equal(checked, 9, 'one in 40 ms')
  })

  test('while a user is slowed down an attempt that could not be told gives its turn back', async () => {
    const made = make(SMALL)
    for (let i = 1; i <= 6; i++) await attempt(made, 'alice', `10.0.1.${i}`, 'failed')
    made.clock.advance(40)
    const turn = await begin(made, 'alice', '10.0.3.1')
    assert.equal((await ask(made, 'alice', '10.0.3.2')).kind, 'refused')
    await turn.settle('unknown')
    await attempt(made, 'alice', '10.0.3.2', 'passed')
    assert.equal((await ask(made, 'alice', '10.0.3.3')).kind, 'refused')
  })

  test('T-S4 a user is not held where he has got in before, whatever others do elsewhere', async () => {
    const made = make(SMALL)
    await attempt(made, 'alice', HOME, 'passed')
    for (let i = 1; i <= 6; i++) await attempt(made, 'alice', `10.0.1.${i}`, 'failed')
    for (let i = 0; i < 20; i++) {
      assert.equal((await ask(made, 'alice', `10.0.2.${i}`)).kind, 'refused')
      assert.equal((await attempt(made, 'alice', HOME, 'passed')).unlocked, false)
    }
  })

  test('T-S4 whoever tries many names from one address locks it; those who got in there before still get in', async () => {
    const made = make(SMALL)
    await attempt(made, 'alice', HOME, 'passed')
    for (let i = 1; i <= 8; i++) {
      const { locked } = await attempt(made, `user-${i}`, HOME, 'failed')
      assert.deepEqual(locked, i === 8 ? ['address'] : [])
    }
    const lock = { kind: 'refused', scope: 'address', locked: true, waitMs: 150 }
    assert.deepEqual(await ask(made, 'user-9', HOME), lock)
    await attempt(made, 'alice', HOME, 'passed')
    // A guess at somebody known is checked, as long as it is a free one, and does not move the lock.
    await attempt(made, 'alice', HOME, 'failed')
    await attempt(made, 'alice', HOME, 'failed')
    made.clock.advance(10)
    assert.deepEqual(await ask(made, 'alice', HOME), { ...lock, waitMs: 140 })
    assert.deepEqual(await ask(made, 'user-9', HOME), { ...lock, waitMs: 140 })
    await attempt(made, 'user-9', '10.0.0.2', 'failed')
    made.clock.advance(140)
    await attempt(made, 'user-9', HOME, 'failed')
  })

  test('an address that fails now and then is not locked: its window ends', async () => {
    const made = make(SMALL)
    for (let i = 0; i < 60; i++) {
      await attempt(made, `user-${i}`, HOME, 'failed')
      made.clock.advance(43) // seven in a window of 300
    }
  })

  test('a pair is known for its time, and no longer', async () => {
    const made = make(SMALL)
    assert.equal((await begin(made, 'alice', HOME)).known, false)
    await attempt(made, 'bob', HOME, 'passed')
    assert.equal((await begin(made, 'bob', HOME)).known, true)
    assert.equal((await begin(made, 'bob', '10.0.0.2')).known, false)
    made.clock.advance(1000)
    assert.equal((await begin(made, 'bob', '10.0.0.3')).known, false)
  })
}
