import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Slots, slots } from '../../../src/authn/protection/slots.ts'
import { ArchwayError } from '../../../src/errors.ts'

const never = new AbortController().signal

interface Asked {
  readonly done: Promise<string>
  readonly finish: () => void
}

/** Asks for a slot; `order` has the names of those that got one. */
function ask(of: Slots, order: string[], name: string, group = name, known = false, signal = never): Asked {
  const { promise, resolve } = Promise.withResolvers<string>()
  const done = of.run({ group, known, signal }, () => {
    order.push(name)
    return promise
  })
  done.catch(() => undefined)
  return { done, finish: () => resolve(name) }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function isBusy(error: unknown): boolean {
  return error instanceof ArchwayError && error.code === 'login_busy' && error.retryAfter === 1
}

describe('slots', () => {
  test('T-S4 let no more than their number be checked at once, whatever comes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.record({ group: fc.nat(3), known: fc.boolean(), ends: fc.nat(5), fails: fc.boolean() })),
        async (count, queue, requests) => {
          const of = slots({ slots: count, queue })
          let now = 0
          let most = 0
          const results = await Promise.allSettled(
            requests.map(({ group, known, ends, fails }) =>
              of.run({ group: String(group), known, signal: never }, async () => {
                now++
                most = Math.max(most, now)
                for (let i = 0; i < ends; i++) await settled()
                now--
                if (fails) throw new Error('outage')
              }),
            ),
          )
          const displaced = results.filter((one) => one.status === 'rejected' && isBusy(one.reason)).length
          assert.ok(most <= count)
          assert.equal(displaced, Math.max(0, requests.length - count - queue))
          assert.equal(of.active, 0)
          assert.equal(of.waiting, 0)
        },
      ),
    )
  })

  test('go from address to address, not by how many each sent', async () => {
    const of = slots({ slots: 1, queue: 100 })
    const order: string[] = []
    const all = [
      ask(of, order, 'first'),
      ...['a1', 'a2', 'a3', 'a4'].map((name) => ask(of, order, name, 'a')),
      ask(of, order, 'b1', 'b'),
      ask(of, order, 'c1', 'c'),
      ask(of, order, 'b2', 'b'),
    ]
    for (const one of all) one.finish()
    await Promise.all(all.map(({ done }) => done))
    assert.deepEqual(order, ['first', 'a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4'])
  })

  test('go to known pairs first, and to the others one time in four', async () => {
    const of = slots({ slots: 1, queue: 100 })
    const order: string[] = []
    const all = [
      ask(of, order, 'first'),
      ...['x1', 'x2'].map((name) => ask(of, order, name)),
      ...['k1', 'k2', 'k3', 'k4', 'k5'].map((name) => ask(of, order, name, name, true)),
    ]
    for (const one of all) one.finish()
    await Promise.all(all.map(({ done }) => done))
    assert.deepEqual(order, ['first', 'k1', 'k2', 'k3', 'x1', 'k4', 'k5', 'x2'])
  })

  test('T-S4 of a full queue give up the last of the address with most in it, and known pairs last', async () => {
    const of = slots({ slots: 1, queue: 4 })
    const order: string[] = []
    const first = ask(of, order, 'first')
    const flood = ['f1', 'f2', 'f3', 'f4', 'f5'].map((name) => ask(of, order, name, 'flood'))
    await assert.rejects(flood[4]?.done ?? Promise.resolve(), isBusy)
    const stranger = ask(of, order, 'stranger')
    await assert.rejects(flood[3]?.done ?? Promise.resolve(), isBusy)
    const known = ask(of, order, 'known', 'flood', true)
    await assert.rejects(flood[2]?.done ?? Promise.resolve(), isBusy)
    for (const one of [first, ...flood, stranger, known]) one.finish()
    await Promise.all([first.done, stranger.done, known.done])
    assert.deepEqual(order, ['first', 'known', 'f1', 'stranger', 'f2'])
  })

  test('are not taken by who has gone while waiting', async () => {
    const of = slots({ slots: 1, queue: 4 })
    const order: string[] = []
    const first = ask(of, order, 'first')
    const leaving = new AbortController()
    const gone = ask(of, order, 'gone', 'gone', false, leaving.signal)
    const next = ask(of, order, 'next')
    leaving.abort()
    await assert.rejects(gone.done, isBusy)
    await assert.rejects(ask(of, order, 'late', 'late', false, leaving.signal).done, isBusy)
    assert.equal(of.waiting, 1)
    first.finish()
    next.finish()
    await next.done
    assert.deepEqual(order, ['first', 'next'])
  })

  test('come free when a check throws', async () => {
    const of = slots({ slots: 1, queue: 1 })
    const outage = of.run({ group: 'a', known: false, signal: never }, () => Promise.reject(new Error('outage')))
    await assert.rejects(outage, /outage/)
    assert.equal(await of.run({ group: 'a', known: false, signal: never }, async () => 'ran'), 'ran')
  })
})
