import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type AuthnResult, SKIPPED } from '../../src/authn/authenticator.ts'
import { type CachedAuthenticator, type CachedOptions, type CacheEvent, cached } from '../../src/authn/cached.ts'
import { keyedDigest } from '../../src/authn/keyed-digest.ts'
import type { CallContext } from '../../src/context.ts'
import { ArchwayError } from '../../src/errors.ts'
import { callContext, type TestContext } from '../support/context.ts'
import { authenticated, type FakeAuthenticator, fakeAuthenticator } from './support.ts'

const START = Date.parse('2030-01-01T00:00:00Z')
const rejected: AuthnResult = { kind: 'rejected', code: 'token_unknown', source: 'fake' }

interface Setup {
  readonly inner: FakeAuthenticator
  readonly cache: CachedAuthenticator
  readonly events: CacheEvent[]
  readonly clock: { now: number }
  ask(token?: string, ctx?: TestContext): Promise<AuthnResult>
}

type Answer = (token: string, ctx: CallContext) => AuthnResult | Promise<AuthnResult>

function setUp(answer: Answer, over: Partial<CachedOptions> = {}): Setup {
  const clock = { now: START }
  const events: CacheEvent[] = []
  const inner = fakeAuthenticator(answer)
  const cache = cached(inner, {
    ttlMs: 30_000,
    negativeTtlMs: 10_000,
    entries: 100,
    lookupTimeoutMs: 60_000,
    now: () => clock.now,
    observe: (event) => events.push(event),
    ...over,
  })
  return { inner, cache, events, clock, ask: (token = 't', ctx = callContext()) => cache.authenticate(token, ctx) }
}

/** Look-ups that end when the test says so. */
function held(): { answer: () => Promise<AuthnResult>; lookups: PromiseWithResolvers<AuthnResult>[] } {
  const lookups: PromiseWithResolvers<AuthnResult>[] = []
  const answer = (): Promise<AuthnResult> => {
    const lookup = Promise.withResolvers<AuthnResult>()
    lookups.push(lookup)
    return lookup.promise
  }
  return { answer, lookups }
}

describe('how long a result is remembered', () => {
  test('an accepted token for its time and not a millisecond longer', async () => {
    const { ask, inner, clock, events } = setUp(() => authenticated())
    const first = await ask()
    clock.now += 29_999
    assert.equal(await ask(), first, 'the same object')
    assert.equal(inner.asked.length, 1)
    clock.now += 1
    assert.notEqual(await ask(), first)
    assert.equal(inner.asked.length, 2)
    assert.deepEqual(events, ['miss', 'hit', 'miss'])
  })

  test('T-W3 a refused token for a time of its own', async () => {
    const { ask, inner, clock, events } = setUp(() => rejected)
    assert.equal(await ask(), rejected)
    clock.now += 9_999
    assert.equal(await ask(), rejected)
    assert.equal(inner.asked.length, 1)
    clock.now += 1
    await ask()
    assert.deepEqual(events, ['miss', 'hit', 'miss'])
  })

  test('T-W3 n bad tokens within the time reach the source once each', async () => {
    const { ask, inner } = setUp(() => rejected)
    for (let i = 0; i < 50; i++) await ask(`bad-${i % 5}`)
    assert.equal(inner.asked.length, 5)
  })

  test('being used does not make it last longer', async () => {
    const { ask, inner, clock } = setUp(() => authenticated())
    for (let i = 0; i < 30; i++) {
      await ask()
      clock.now += 1_000
    }
    assert.equal(inner.asked.length, 1)
    await ask()
    assert.equal(inner.asked.length, 2)
  })

  test('T-W8 the time counts from the beginning of the look-up', async () => {
    const { answer, lookups } = held()
    const { ask, inner, clock } = setUp(answer)
    const first = ask()
    clock.now += 8_000
    lookups[0]?.resolve(authenticated())
    await first
    clock.now += 21_999
    await ask()
    assert.equal(inner.asked.length, 1)
    clock.now += 1
    void ask()
    assert.equal(inner.asked.length, 2)
  })

  test('a look-up that took longer than the time is not remembered', async () => {
    const { answer, lookups } = held()
    const { ask, cache, clock, inner } = setUp(answer)
    const first = ask()
    clock.now += 30_000
    lookups[0]?.resolve(authenticated())
    await first
    void ask()
    assert.equal(inner.asked.length, 2)
    assert.ok(cache.size <= 1)
  })

  test('T-W7 never past the expiry of the token', async () => {
    const expiresAt = new Date(START + 5_000)
    const { ask, inner, clock } = setUp(() => authenticated({ expiresAt }))
    await ask()
    clock.now = START + 4_999
    await ask()
    assert.equal(inner.asked.length, 1)
    clock.now = START + 5_000
    await ask()
    assert.equal(inner.asked.length, 2)
  })

  test('an expiry far away changes nothing', async () => {
    const { ask, inner, clock } = setUp(() => authenticated({ expiresAt: new Date(START + 86_400_000) }))
    await ask()
    clock.now += 30_000
    await ask()
    assert.equal(inner.asked.length, 2)
  })

  test('what is past its expiry, or has an expiry that is no date, is not remembered', async () => {
    for (const expiresAt of [new Date(START), new Date(START - 1), new Date(Number.NaN)]) {
      const { ask, inner, cache } = setUp(() => authenticated({ expiresAt }))
      await ask()
      await ask()
      assert.equal(inner.asked.length, 2)
      assert.equal(cache.size, 0)
    }
  })

  test('skipped is not remembered', async () => {
    const { ask, inner, cache } = setUp(() => SKIPPED)
    assert.equal(await ask(), SKIPPED)
    assert.equal(await ask(), SKIPPED)
    assert.equal(inner.asked.length, 2)
    assert.equal(cache.size, 0)
  })

  test('T-W8 a clock that was set back does not make a result live longer', async () => {
    const { ask, inner, clock } = setUp(() => authenticated())
    await ask()
    clock.now -= 3_600_000
    await ask()
    assert.equal(inner.asked.length, 2)
    clock.now += 30_000
    await ask()
    assert.equal(inner.asked.length, 3)
  })

  test('the time 0 remembers nothing, and each of the two times is its own', async () => {
    for (const [ttlMs, negativeTtlMs, answer, times] of [
      [0, 10_000, authenticated(), 2],
      [0, 10_000, rejected, 1],
      [30_000, 0, authenticated(), 1],
      [30_000, 0, rejected, 2],
    ] as const) {
      const { ask, inner } = setUp(() => answer, { ttlMs, negativeTtlMs })
      await ask()
      await ask()
      assert.equal(inner.asked.length, times, `${ttlMs} ${negativeTtlMs} ${answer.kind}`)
    }
  })
})

describe('T-W3 errors', () => {
  const outage = new ArchwayError('keystone_unreachable', 'down')

  test('are never remembered: the first good answer after an outage counts', async () => {
    let up = false
    const { ask, inner, cache } = setUp(() => {
      if (!up) throw outage
      return authenticated()
    })
    await assert.rejects(ask(), outage)
    await assert.rejects(ask(), outage)
    assert.equal(cache.size, 0)
    up = true
    assert.equal((await ask()).kind, 'authenticated')
    assert.equal(inner.asked.length, 3)
  })

  test('are shared by those who wait, and the next asks again', async () => {
    const { answer, lookups } = held()
    const { ask, inner, events } = setUp(answer)
    const waiting = [ask(), ask(), ask()]
    lookups[0]?.reject(outage)
    for (const outcome of await Promise.allSettled(waiting)) {
      assert.ok(outcome.status === 'rejected')
      assert.equal(outcome.reason, outage)
    }
    assert.equal(inner.asked.length, 1)
    const again = ask()
    assert.equal(inner.asked.length, 2)
    lookups[1]?.resolve(authenticated())
    assert.equal((await again).kind, 'authenticated')
    assert.deepEqual(events, ['miss', 'shared', 'shared', 'miss'])
  })

  test('do not push out what was remembered before', async () => {
    let up = true
    const { ask } = setUp((token) => {
      if (!up) throw outage
      return authenticated({ source: token })
    })
    const good = await ask('good')
    up = false
    await assert.rejects(ask('other'))
    assert.equal(await ask('good'), good)
  })
})

describe('concurrent checks', () => {
  for (const [ttlMs, negativeTtlMs] of [
    [30_000, 10_000],
    [0, 0],
  ] as const) {
    test(`of one token share one look-up and its result (times ${ttlMs} and ${negativeTtlMs})`, async () => {
      const { answer, lookups } = held()
      const { ask, inner } = setUp(answer, { ttlMs, negativeTtlMs })
      const waiting = Array.from({ length: 20 }, () => ask())
      assert.equal(inner.asked.length, 1)
      const result = authenticated()
      lookups[0]?.resolve(result)
      assert.ok((await Promise.all(waiting)).every((each) => each === result))
    })
  }

  test('of different tokens do not wait for each other', async () => {
    const { answer, lookups } = held()
    const { ask } = setUp(answer)
    const slow = ask('slow')
    const fast = ask('fast')
    lookups[1]?.resolve(rejected)
    assert.equal(await fast, rejected)
    lookups[0]?.resolve(authenticated())
    assert.equal((await slow).kind, 'authenticated')
  })

  test('a shared look-up lives on when who asked first has gone', async () => {
    const { answer, lookups } = held()
    const { ask, inner } = setUp(answer)
    const gone = new AbortController()
    const first = ask('t', callContext({ signal: gone.signal }))
    const second = ask('t')
    gone.abort()
    const { signal } = inner.asked[0]?.ctx ?? {}
    assert.ok(signal !== undefined && signal !== gone.signal && !signal.aborted)
    lookups[0]?.resolve(rejected)
    assert.deepEqual(await Promise.all([first, second]), [rejected, rejected])
  })

  test('a look-up has a deadline of its own, though the call has none', { timeout: 20_000 }, async (t) => {
    // The timer behind a signal does not keep a process alive; this does until it fires.
    const alive = setInterval(() => {}, 60_000)
    t.after(() => clearInterval(alive))
    const { ask } = setUp(
      (_, { signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
      { lookupTimeoutMs: 1 },
    )
    await assert.rejects(ask(), { name: 'TimeoutError' })
  })

  test('a look-up is made for the call: id, log and audiences', async () => {
    const { ask, inner } = setUp(() => rejected)
    const ctx = callContext({ requestId: 'r-9', audiences: ['api'] })
    await ask('tok', ctx)
    const [asked] = inner.asked
    assert.equal(asked?.token, 'tok')
    assert.equal(asked?.ctx.requestId, 'r-9')
    assert.equal(asked?.ctx.log, ctx.log)
    assert.deepEqual(asked?.ctx.audiences, ['api'])
  })
})

describe('flush', () => {
  test('forgets everything', async () => {
    const { ask, inner, cache } = setUp((token) => (token === 'bad' ? rejected : authenticated()))
    await ask('good')
    await ask('bad')
    assert.equal(cache.size, 2)
    cache.flush()
    assert.equal(cache.size, 0)
    await ask('good')
    await ask('bad')
    assert.equal(inner.asked.length, 4)
  })

  test('a look-up from before it is answered, but not remembered and not shared any more', async () => {
    const { answer, lookups } = held()
    const { ask, inner, cache } = setUp(answer)
    const old = authenticated({ source: 'old' })
    const fresh = authenticated({ source: 'fresh' })
    const before = ask()
    cache.flush()
    const behind = ask()
    assert.equal(inner.asked.length, 2, 'who asks afterwards starts anew')
    lookups[1]?.resolve(fresh)
    assert.equal(await behind, fresh)
    lookups[0]?.resolve(old)
    assert.equal(await before, old)
    assert.equal(await ask(), fresh, 'the old result has not replaced the new one')
    assert.equal(inner.asked.length, 2)
  })

  test('the end of an old look-up does not make a new one unshared', async () => {
    const { answer, lookups } = held()
    const { ask, inner, cache } = setUp(answer)
    const before = ask()
    cache.flush()
    const behind = ask()
    lookups[0]?.resolve(rejected)
    await before
    const shared = ask()
    assert.equal(inner.asked.length, 2)
    lookups[1]?.resolve(authenticated())
    assert.equal(await shared, await behind)
  })
})

describe('T-W7 what is remembered is bounded and kept apart', () => {
  test('100,000 tokens leave no more entries than allowed, at any moment', async () => {
    const { ask, cache } = setUp(() => rejected, { entries: 500 })
    const ctx = callContext()
    let most = 0
    for (let i = 0; i < 100_000; i++) {
      await ask(`token-${i}`, ctx)
      if (cache.size > most) most = cache.size
    }
    assert.equal(most, 500)
    assert.equal(cache.size, 500)
  })

  test('the least recently used goes first', async () => {
    const { ask, inner } = setUp(() => authenticated(), { entries: 2 })
    await ask('a')
    await ask('b')
    await ask('a')
    await ask('c')
    await ask('a')
    assert.deepEqual(
      inner.asked.map(({ token }) => token),
      ['a', 'b', 'c'],
    )
    await ask('b')
    assert.equal(inner.asked.length, 4)
  })

  test('T-W1 an answer for some audiences is none for others', async () => {
    const { ask, inner } = setUp(() => authenticated())
    const lists = [[], ['a'], ['b'], ['a', 'b'], ['b', 'a'], ['a","b'], [''], ['a', ''], ['[]']]
    for (const audiences of lists) await ask('t', callContext({ audiences }))
    assert.equal(inner.asked.length, lists.length)
    for (const audiences of lists) await ask('t', callContext({ audiences }))
    assert.equal(inner.asked.length, lists.length)
  })

  test('audiences cannot be written into a token', async () => {
    const { ask, inner } = setUp(() => authenticated())
    await ask('t', callContext({ audiences: ['a'] }))
    for (const token of ['fake ["a"]\0t', ' ["a"]\0t', '["a"]\0t', 't["a"]', '\0t']) {
      const before = inner.asked.length
      await ask(token)
      assert.equal(inner.asked.length, before + 1, JSON.stringify(token))
    }
  })

  test('two sources share nothing, though they share a key', async () => {
    const digest = keyedDigest(Buffer.alloc(32, 7))
    const one = setUp(() => authenticated({ source: 'one' }), { digest })
    const two = setUp(() => authenticated({ source: 'two' }), { digest })
    await one.ask()
    const result = await two.ask()
    assert.ok(result.kind === 'authenticated' && result.source === 'two')
  })

  test('a token with half a character is not taken for one with the replacement character', async () => {
    const { ask, inner, cache } = setUp((token) => (token === 't\ufffd' ? authenticated() : rejected))
    assert.equal((await ask('t\ufffd')).kind, 'authenticated')
    for (const token of ['t\ud800', 't\udfff', 't\ud801']) assert.equal((await ask(token)).kind, 'rejected')
    assert.equal(inner.asked.length, 4)
    assert.equal(cache.size, 1)
  })
})

describe('recall', () => {
  test('gives what is remembered, at once and by identity, and asks nobody for the rest', async () => {
    const { ask, cache, inner, events, clock } = setUp((token) => (token === 'bad' ? rejected : authenticated()))
    const recall = (token: string, ctx = callContext()): AuthnResult | undefined => cache.recall?.(token, ctx)
    assert.equal(recall('t'), undefined)
    const good = await ask('t')
    const bad = await ask('bad')
    assert.equal(recall('t'), good)
    assert.equal(recall('bad'), bad)
    assert.equal(recall('t', callContext({ audiences: ['a'] })), undefined, 'T-W1 for other audiences nothing is known')
    assert.deepEqual(events, ['miss', 'miss', 'hit', 'hit'])
    clock.now += 10_000
    assert.equal(recall('bad'), undefined, 'its time is over')
    assert.equal(recall('t'), good)
    clock.now -= 60_000
    assert.equal(recall('t'), undefined, 'T-W8 the clock was set back')
    assert.equal(inner.asked.length, 2)
  })

  test('gives nothing of a look-up that is under way, and nothing after a flush', async () => {
    const { answer, lookups } = held()
    const { ask, cache } = setUp(answer)
    const first = ask()
    assert.equal(cache.recall?.('t', callContext()), undefined)
    lookups[0]?.resolve(authenticated())
    assert.equal(cache.recall?.('t', callContext()), undefined)
    const result = await first
    assert.equal(cache.recall?.('t', callContext()), result)
    cache.flush()
    assert.equal(cache.recall?.('t', callContext()), undefined)
  })

  test('does not take half a character for the replacement character', async () => {
    const { ask, cache } = setUp(() => authenticated())
    await ask('t\ufffd')
    assert.equal(cache.recall?.('t\ud800', callContext()), undefined)
  })
})

test('the wrapper has the name of what it wraps', () => {
  assert.equal(setUp(() => SKIPPED).cache.name, 'fake')
})
