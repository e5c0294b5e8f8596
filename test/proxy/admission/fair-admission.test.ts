import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, test } from 'node:test'
import type { Admission, AdmissionResult, Asker, Permit } from '../../../src/proxy/admission/admission.ts'
import { fairAdmission } from '../../../src/proxy/admission/fair-admission.ts'
import { type AdmissionLimits, DEFAULT_ADMISSION } from '../../../src/proxy/admission/limits.ts'
import { handClock, settled } from './support.ts'

const never: Asker = new AbortController()

const SMALL: AdmissionLimits = {
  requests: 2,
  userRequests: 2,
  userQueue: 100,
  queue: 1000,
  queueWaitMs: 1000,
  streams: 3,
  userStreams: 2,
}

function permitOf(result: AdmissionResult | Promise<AdmissionResult>): Permit {
  assert.ok(!(result instanceof Promise), 'waits')
  assert.equal(result.kind, 'admitted')
  return (result as Extract<AdmissionResult, { kind: 'admitted' }>).permit
}

/** Fills every place with requests of somebody who is otherwise not in the test. */
function fill(admission: Admission, requests: number, user = 'filler'): Permit[] {
  return Array.from({ length: requests }, () => permitOf(admission.admit(user, 'short', never)))
}

/** So many requests that wait, each of a client of its own. */
function crowd(admission: Admission, user: string, requests: number): void {
  for (let i = 0; i < requests; i++) void admission.admit(user, 'short', new AbortController())
}

/** Notes in `order` who was admitted; whoever is admitted ends when the next is let in. */
function line(admission: Admission, order: string[], user: string, label = user): Promise<AdmissionResult> {
  const result = admission.admit(user, 'short', never)
  assert.ok(result instanceof Promise, `${label} need not wait`)
  void result.then((one) => {
    order.push(one.kind === 'admitted' ? label : `${label}: ${one.limit}`)
    if (one.kind === 'admitted') one.permit.release()
  })
  return result
}

async function limitOf(result: AdmissionResult | Promise<AdmissionResult>): Promise<string> {
  const one = await result
  return one.kind === 'refused' ? one.limit : 'admitted'
}

describe('short requests', () => {
  test('are let in at once up to the limit of all, whoever sends them', () => {
    const admission = fairAdmission({ ...SMALL, requests: 3 }, handClock())
    for (const user of ['a', 'b', 'c']) permitOf(admission.admit(user, 'short', never))
    assert.ok(admission.admit('d', 'short', never) instanceof Promise)
    assert.deepEqual(admission.counts(), { requests: 3, streams: 0, waiting: 1, users: 4 })
  })

  test('of one user wait at the limit of one, and others are let in past them', async () => {
    const admission = fairAdmission({ ...SMALL, requests: 4 }, handClock())
    const [first] = fill(admission, 2, 'a')
    const waiting = admission.admit('a', 'short', never)
    assert.ok(waiting instanceof Promise)
    permitOf(admission.admit('b', 'short', never))
    first?.release()
    permitOf(await waiting)
    assert.equal(admission.counts().requests, 3)
  })

  test('are not let in by what another user ends, where it is their own limit that keeps them', async () => {
    const admission = fairAdmission({ ...SMALL, requests: 4 }, handClock())
    fill(admission, 2, 'a')
    void admission.admit('a', 'short', never)
    const other = permitOf(admission.admit('b', 'short', never))
    other.release()
    await settled()
    assert.deepEqual(admission.counts(), { requests: 2, streams: 0, waiting: 1, users: 1 })
  })

  test('that waited for others stop at the limit of one as well, and go on when one of theirs ends', async () => {
    const admission = fairAdmission({ ...SMALL, requests: 4 }, handClock())
    const others = [...fill(admission, 2, 'b'), ...fill(admission, 2, 'c')]
    const asked = Array.from({ length: 4 }, () => Promise.resolve(admission.admit('a', 'short', never)))
    for (const permit of others) permit.release()
    const first = await Promise.all(asked.slice(0, 2))
    await settled()
    assert.deepEqual(admission.counts(), { requests: 2, streams: 0, waiting: 2, users: 1 })
    for (const result of first) permitOf(result).release()
    for (const result of await Promise.all(asked.slice(2))) permitOf(result).release()
    assert.equal(admission.counts().users, 0)
  })

  test('that wait are taken by users in turn, not by how many each has sent', async () => {
    const admission = fairAdmission({ ...SMALL, requests: 1, userRequests: 1 }, handClock())
    const [filler] = fill(admission, 1)
    const order: string[] = []
    for (const label of ['a1', 'a2', 'a3', 'a4']) line(admission, order, 'a', label)
    line(admission, order, 'b', 'b1')
    line(admission, order, 'c', 'c1')
    line(admission, order, 'b', 'b2')
    filler?.release()
    await settled()
    assert.deepEqual(order, ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4'])
  })

  test('S4 a greedy user with thousands waiting keeps another waiting for one turn', async () => {
    const admission = fairAdmission({ ...SMALL, userQueue: 5000, queue: 10_000 }, handClock())
    const [one, two] = fill(admission, 2)
    crowd(admission, 'greedy', 5000)
    const late = admission.admit('late', 'short', never)
    one?.release()
    assert.equal(await Promise.race([late, 'waits']), 'waits')
    two?.release()
    permitOf(await late)
    assert.deepEqual(admission.counts(), { requests: 2, streams: 0, waiting: 4999, users: 2 })
  })

  test('S4 a user who asks while a greedy one has all places has the first that comes free', async () => {
    const admission = fairAdmission({ ...SMALL, userQueue: 5000, queue: 10_000 }, handClock())
    const [one] = fill(admission, 2, 'greedy')
    crowd(admission, 'greedy', 5000)
    const late = admission.admit('late', 'short', never)
    one?.release()
    permitOf(await late)
  })

  test('are refused beyond the queue of one user, with who it was and when to come back', async () => {
    const admission = fairAdmission({ ...SMALL, userQueue: 1 }, handClock())
    fill(admission, 2, 'a')
    void admission.admit('a', 'short', never)
    assert.deepEqual(await admission.admit('a', 'short', never), {
      kind: 'refused',
      limit: 'user-requests',
      message: 'more than 2 requests of this user at once: wait for some to end',
      retryAfter: 1,
    })
    assert.ok(admission.admit('b', 'short', never) instanceof Promise)
  })

  test('are refused without a queue as soon as nobody else may run', async () => {
    const admission = fairAdmission({ ...SMALL, userQueue: 0, queue: 0 }, handClock())
    fill(admission, 2, 'a')
    assert.equal(await limitOf(admission.admit('a', 'short', never)), 'user-requests')
    const wide = fairAdmission({ ...SMALL, queue: 0 }, handClock())
    fill(wide, 2, 'a')
    assert.equal(await limitOf(wide.admit('b', 'short', never)), 'queue')
    assert.equal(wide.counts().users, 1)
  })

  test('S4 of a full queue give up the last of whoever has most in it, for one who has less', async () => {
    const admission = fairAdmission({ ...SMALL, requests: 1, userRequests: 1, queue: 4 }, handClock())
    const [filler] = fill(admission, 1)
    const order: string[] = []
    for (const label of ['a1', 'a2', 'a3', 'a4']) line(admission, order, 'a', label)
    assert.equal(await limitOf(admission.admit('a', 'short', never)), 'queue')
    line(admission, order, 'b', 'b1')
    line(admission, order, 'c', 'c1')
    await settled()
    assert.deepEqual(order, ['a4: queue', 'a3: queue'])
    assert.equal(await limitOf(admission.admit('b', 'short', never)), 'queue', 'b would have as many as a')
    filler?.release()
    await settled()
    assert.deepEqual(order.slice(2), ['a1', 'b1', 'c1', 'a2'])
  })

  test('are refused when they have waited long enough, each at its own time, with one timer for all', async () => {
    const clock = handClock()
    const admission = fairAdmission({ ...SMALL, requests: 1, userRequests: 1 }, clock)
    const [filler] = fill(admission, 1, 'a')
    const order: string[] = []
    line(admission, order, 'a', 'a1')
    clock.advance(400)
    line(admission, order, 'b', 'b1')
    assert.equal(clock.timers(), 1)
    clock.advance(600)
    await settled()
    assert.deepEqual(order, ['a1: user-requests'])
    assert.deepEqual([clock.timers(), admission.counts().waiting], [1, 1])
    clock.advance(400)
    await settled()
    assert.deepEqual(order, ['a1: user-requests', 'b1: queue'])
    filler?.release()
    assert.deepEqual([clock.timers(), admission.counts().users], [0, 0])
  })

  test('give up their place when the client goes, and keep nobody from theirs', async () => {
    const admission = fairAdmission({ ...SMALL, requests: 1 }, handClock())
    const [filler] = fill(admission, 1)
    const leaving = new AbortController()
    const gone = admission.admit('a', 'short', leaving)
    const order: string[] = []
    line(admission, order, 'b')
    leaving.abort()
    assert.equal(await limitOf(gone), 'queue')
    assert.equal(await limitOf(admission.admit('c', 'short', leaving)), 'queue')
    assert.deepEqual(admission.counts(), { requests: 1, streams: 0, waiting: 1, users: 2 })
    filler?.release()
    await settled()
    assert.deepEqual(order, ['b'])
    assert.deepEqual(admission.counts(), { requests: 0, streams: 0, waiting: 0, users: 0 })
  })

  test('leave nothing on the signal of their client once the wait is over', async () => {
    const clock = handClock()
    const admission = fairAdmission({ ...SMALL, requests: 1 }, clock)
    const [filler] = fill(admission, 1)
    const client = new AbortController()
    const asked = [admission.admit('a', 'short', client), admission.admit('b', 'short', client)]
    assert.equal(getEventListeners(client.signal, 'abort').length, 2)
    filler?.release()
    clock.advance(1000)
    assert.deepEqual(await Promise.all(asked.map(limitOf)), ['admitted', 'queue'])
    assert.equal(getEventListeners(client.signal, 'abort').length, 0)
  })
})

describe('long requests', () => {
  test('are counted for one user and for all, and never wait', async () => {
    const admission = fairAdmission(SMALL, handClock())
    const [first] = [permitOf(admission.admit('a', 'long', never)), permitOf(admission.admit('a', 'long', never))]
    assert.deepEqual(await admission.admit('a', 'long', never), {
      kind: 'refused',
      limit: 'user-streams',
      message: 'more than 2 watches and other streams of this user: end some',
      retryAfter: 5,
    })
    permitOf(admission.admit('b', 'long', never))
    const refused = admission.admit('c', 'long', never)
    assert.ok(!(refused instanceof Promise))
    assert.equal(await limitOf(refused), 'streams')
    assert.deepEqual(admission.counts(), { requests: 0, streams: 3, waiting: 0, users: 2 })
    first?.release()
    permitOf(admission.admit('c', 'long', never))
  })

  test('take nothing from short ones, nor short ones from them', () => {
    const admission = fairAdmission(SMALL, handClock())
    for (const user of ['a', 'a', 'b']) permitOf(admission.admit(user, 'long', never))
    fill(admission, 2, 'a')
    assert.deepEqual(admission.counts(), { requests: 2, streams: 3, waiting: 0, users: 2 })
  })
})

describe('a permit', () => {
  test('that is released again gives nothing more', () => {
    const admission = fairAdmission(SMALL, handClock())
    const [short, other] = fill(admission, 2, 'a')
    const long = permitOf(admission.admit('a', 'long', never))
    for (const permit of [short, short, long, long]) permit?.release()
    assert.deepEqual(admission.counts(), { requests: 1, streams: 0, waiting: 0, users: 1 })
    other?.release()
  })

  test('T-S15 leaves nothing behind when it was the last of its user, refused users included', async () => {
    const admission = fairAdmission({ ...SMALL, queue: 0 }, handClock())
    for (let i = 0; i < 10_000; i++) permitOf(admission.admit(`user-${i}`, i % 2 ? 'short' : 'long', never)).release()
    const kept = fill(admission, 2, 'a')
    for (let i = 0; i < 10_000; i++) await admission.admit(`late-${i}`, 'short', never)
    assert.equal(admission.counts().users, 1)
    for (const permit of kept) permit.release()
    assert.equal(admission.counts().users, 0)
  })

  test('T-H13 is had by users of any name', () => {
    const admission = fairAdmission(SMALL, handClock())
    for (const user of ['__proto__', 'constructor', '', '한글'])
      permitOf(admission.admit(user, 'short', never)).release()
    assert.equal(admission.counts().users, 0)
  })
})

test('the defaults let one user have a quarter of what all may have', () => {
  const admission = fairAdmission()
  fill(admission, 100, 'greedy')
  assert.ok(admission.admit('greedy', 'short', never) instanceof Promise)
  for (const user of ['a', 'b', 'c']) fill(admission, 100, user)
  assert.equal(admission.counts().requests, DEFAULT_ADMISSION.requests)
})
