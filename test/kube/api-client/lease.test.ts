import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { KubeClient } from '../../../src/kube/api-client/client.ts'
import { KubeApiError } from '../../../src/kube/api-client/error.ts'
import { type LeaseHolding, leadWhileHeld } from '../../../src/kube/api-client/lease.ts'
import type { Fields } from '../../../src/kube/fields.ts'
import { recordingLog } from '../../reload/support.ts'

/** One clock for all replicas; it stands still until it is moved. */
function testClock() {
  let now = 0
  const sleepers = new Set<{ readonly until: number; readonly wake: () => void }>()
  return {
    now: () => now,
    random: () => 0,
    sleep: (ms: number, signal: AbortSignal): Promise<void> =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve()
        const wake = (): void => {
          sleepers.delete(sleeper)
          resolve()
        }
        const sleeper = { until: now + ms, wake }
        sleepers.add(sleeper)
        signal.addEventListener('abort', sleeper.wake, { once: true })
      }),
    /** Everybody whose time has come goes on, in order, and does all that follows before the next. */
    async pass(ms: number): Promise<void> {
      const end = now + ms
      for (;;) {
        await settled()
        const [next] = [...sleepers].sort((one, other) => one.until - other.until)
        if (next === undefined || next.until > end) break
        now = Math.max(now, next.until)
        next.wake()
      }
      now = end
      await settled()
    },
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await setImmediate()
}

/** One Lease, with the server's rules about `resourceVersion`. */
function fakeLeases() {
  let lease: Fields | undefined
  let version = 0
  const state = {
    /** Makes every call of this replica fail. */
    cut: new Set<string>(),
    writes: 0,
    holder: (): unknown => (lease?.['spec'] as Fields | undefined)?.['holderIdentity'],
    transitions: (): unknown => (lease?.['spec'] as Fields | undefined)?.['leaseTransitions'],
    put: (spec: object) => {
      version++
      lease = { metadata: { name: 'work', uid: 'u', resourceVersion: String(version) }, spec }
    },
    client(identity: string): Pick<KubeClient, 'get' | 'create' | 'replace'> {
      const reach = (): void => {
        if (state.cut.has(identity)) throw new KubeApiError('unreachable', 'no way')
      }
      const refuse = (status: number): never => {
        throw new KubeApiError('status', `HTTP ${status}`, { status })
      }
      const store = (object: object): Fields => {
        version++
        state.writes++
        const metadata = { name: 'work', uid: 'u', resourceVersion: String(version) }
        lease = { ...object, metadata }
        return lease
      }
      return {
        async get() {
          reach()
          return lease ?? refuse(404)
        },
        async create(_, object) {
          reach()
          return lease === undefined ? store(object) : refuse(409)
        },
        async replace(_, object) {
          reach()
          const { metadata } = object as { readonly metadata: Fields }
          const current = lease?.['metadata'] as Fields | undefined
          return metadata['resourceVersion'] === current?.['resourceVersion'] ? store(object) : refuse(409)
        },
      }
    },
  }
  return state
}

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

function site() {
  const clock = testClock()
  const leases = fakeLeases()
  /** Who works now; never more than one. */
  const working = new Set<string>()
  const overlaps: string[] = []

  function replica(identity: string) {
    const end = new AbortController()
    const holding: LeaseHolding = leadWhileHeld({
      client: leases.client(identity),
      namespace: 'archway',
      name: 'work',
      identity,
      log: recordingLog(),
      signal: end.signal,
      timing: clock,
      async lead(signal) {
        working.add(identity)
        if (working.size > 1) overlaps.push([...working].join())
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        working.delete(identity)
      },
    })
    const stop = async (): Promise<void> => {
      end.abort()
      await holding.done
    }
    stops.push(stop)
    return { holding, stop }
  }
  return { clock, leases, working, overlaps, replica }
}

describe('a Lease', () => {
  test('is taken by the first, and the second waits', async () => {
    const { clock, leases, working, replica } = site()
    replica('a')
    await settled()
    const { holding } = replica('b')
    await clock.pass(60_000)
    assert.deepEqual([...working], ['a'])
    assert.equal(leases.holder(), 'a')
    assert.deepEqual(holding.status(), { leading: false, holder: 'a' })
  })

  test('is renewed well within its time', async () => {
    const { clock, leases, replica } = site()
    replica('a')
    await clock.pass(60_000)
    assert.ok(leases.writes >= 60_000 / 10_000, `${leases.writes}`)
    assert.equal(leases.transitions(), 0)
  })

  test('is given back by one who ends, and the next takes it at its next try', async () => {
    const { clock, leases, working, replica } = site()
    const { stop } = replica('a')
    await settled()
    replica('b')
    await clock.pass(5_000)
    await stop()
    assert.equal(leases.holder(), '')
    await clock.pass(2_400)
    assert.deepEqual([...working], ['b'])
  })

  test('runs out when its holder is silent: then another takes it, and not before', async () => {
    const { clock, leases, working, replica } = site()
    leases.put({ holderIdentity: 'dead', leaseDurationSeconds: 15, leaseTransitions: 3 })
    replica('b')
    await clock.pass(14_900)
    assert.deepEqual([...working], [])
    await clock.pass(2_500)
    assert.deepEqual([...working], ['b'])
    assert.equal(leases.transitions(), 4)
  })

  test('of a holder who cannot reach the server: it stops before another begins, and leads again later', async () => {
    const { clock, leases, working, overlaps, replica } = site()
    replica('a')
    await settled()
    replica('b')
    await clock.pass(4_000)
    leases.cut.add('a')
    await clock.pass(10_100)
    assert.deepEqual([...working], [], 'the first has stopped, the second has not begun')
    await clock.pass(20_000)
    assert.deepEqual([...working], ['b'])
    leases.cut.add('b')
    leases.cut.delete('a')
    await clock.pass(40_000)
    assert.deepEqual([...working], ['a'])
    assert.deepEqual(overlaps, [])
  })

  test('a short failure to renew is no reason to stop', async () => {
    const { clock, leases, working, replica } = site()
    const { holding } = replica('a')
    await settled()
    leases.cut.add('a')
    await clock.pass(6_000)
    leases.cut.delete('a')
    await clock.pass(30_000)
    assert.deepEqual([...working], ['a'])
    assert.equal(holding.status().leading, true)
    assert.equal(leases.transitions(), 0)
  })

  test('that somebody else has written is not ours any more, at once', async () => {
    const { clock, leases, working, replica } = site()
    replica('a')
    await settled()
    leases.put({ holderIdentity: 'thief', leaseDurationSeconds: 15 })
    await clock.pass(2_100)
    assert.deepEqual([...working], [])
    assert.equal(leases.holder(), 'thief')
  })

  test('what the work throws ends everything, and the Lease is given back', async () => {
    const { clock, leases } = site()
    const { done } = leadWhileHeld({
      client: leases.client('a'),
      namespace: 'archway',
      name: 'work',
      identity: 'a',
      log: recordingLog(),
      signal: new AbortController().signal,
      timing: clock,
      lead: async () => {
        throw new Error('a fault')
      },
    })
    await assert.rejects(done, /a fault/)
    assert.equal(leases.holder(), '')
  })
})
