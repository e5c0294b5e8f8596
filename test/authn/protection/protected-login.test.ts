import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import type { AuthnResult, PasswordAuthenticator } from '../../../src/authn/authenticator.ts'
import { keyedDigest } from '../../../src/authn/keyed-digest.ts'
import { DEFAULT_POLICY } from '../../../src/authn/protection/counters.ts'
import { type MemoryCounters, memoryCounters } from '../../../src/authn/protection/memory-counters.ts'
import {
  type ProtectedLoginOptions,
  type ProtectionEvent,
  protectedLogin,
} from '../../../src/authn/protection/protected-login.ts'
import { slots } from '../../../src/authn/protection/slots.ts'
import { ArchwayError } from '../../../src/errors.ts'
import { callContext, type TestContext } from '../../support/context.ts'
import { timesInHeap } from '../support.ts'
import { clockAt } from './support.ts'

const HOME = '203.0.113.7'
const RIGHT: AuthnResult = {
  kind: 'authenticated',
  source: 'files',
  user: { username: 'alice', uid: '', groups: [], extra: new Map() },
}
const WRONG: AuthnResult = { kind: 'rejected', code: 'login_failed', source: 'files' }

type Check = PasswordAuthenticator['authenticate']

/** Knows alice, and nobody else. */
const onlyAlice: Check = async ({ username, password }) =>
  username === 'alice' && password === 'right' ? RIGHT : WRONG

function setUp(check: Check = onlyAlice, over: Partial<ProtectedLoginOptions> = {}) {
  const clock = clockAt(0)
  const events: ProtectionEvent[] = []
  const counters: MemoryCounters = memoryCounters({ policy: DEFAULT_POLICY, entries: 10_000, now: clock.now })
  let checked = 0
  const login = protectedLogin(
    {
      name: 'files',
      authenticate(credential, ctx) {
        checked++
        return check(credential, ctx)
      },
    },
    {
      counters,
      slots: slots({ slots: 4, queue: 100 }),
      digest: keyedDigest(),
      checkMs: 60_000,
      now: clock.now,
      observe: ({ event, source }) => {
        assert.equal(source, 'files')
        events.push(event)
      },
      ...over,
    },
  )
  const ctx = callContext()
  return {
    clock,
    events,
    counters,
    ctx,
    login,
    checked: () => checked,
    attempt: (username: string, password: string, address?: string, as: TestContext = ctx) =>
      login.authenticate({ username, password, ...(address === undefined ? {} : { address }) }, as),
  }
}

const code = (result: AuthnResult): string => (result.kind === 'rejected' ? result.code : result.kind)
const count = (events: readonly string[], which: string): number => events.filter((event) => event === which).length

describe('a protected login', () => {
  test('lets in who has the password, as what is wrapped says', async () => {
    const { attempt, login, events } = setUp()
    assert.equal(login.name, 'files')
    assert.equal(await attempt('alice', 'right', HOME), RIGHT)
    assert.equal(await attempt('alice', 'wrong', HOME), WRONG)
    assert.deepEqual(events, ['failed'])
  })

  test('T-S4 after five failures refuses unseen, even the right password, and looks like a wrong one', async () => {
    const { attempt, checked, clock, events } = setUp()
    for (let i = 0; i < 5; i++) assert.equal(await attempt('alice', `wrong-${i}`, HOME), WRONG)
    assert.deepEqual(await attempt('alice', 'right', HOME), {
      kind: 'rejected',
      code: 'login_locked',
      source: 'files',
    })
    assert.equal(checked(), 5)
    clock.advance(1000)
    assert.equal(await attempt('alice', 'right', HOME), RIGHT)
    assert.deepEqual(events, [...Array.from({ length: 5 }, () => 'failed'), 'delayed', 'unlocked'])
  })

  test('says when to come back where that is wanted', async () => {
    const { attempt, clock } = setUp(onlyAlice, { tell: true })
    for (let i = 0; i < 6; i++) {
      await attempt('alice', `wrong-${i}`, HOME)
      clock.advance(1000)
    }
    const refused = await attempt('alice', 'right', HOME)
    assert.deepEqual(refused, { kind: 'rejected', code: 'login_locked', source: 'files', retryAfter: 1 })
  })

  test('T-S3 T-S4 counts a name that nobody has like any other', async () => {
    const answers = async (username: string): Promise<readonly string[]> => {
      const { attempt, clock } = setUp()
      const codes: string[] = []
      for (let i = 0; i < 200; i++) {
        codes.push(code(await attempt(username, `wrong-${i}`, HOME)))
        clock.advance(20_000)
      }
      return codes
    }
    assert.deepEqual(await answers('nobody'), await answers('alice'))
  })

  test('T-S4 counts whatever lets nobody in, a name that no source takes included', async () => {
    const { attempt, checked } = setUp(async () => ({ kind: 'skipped' }))
    for (let i = 0; i < 5; i++) assert.equal((await attempt('alice', `wrong-${i}`, HOME)).kind, 'skipped')
    assert.equal(code(await attempt('alice', 'wrong', HOME)), 'login_locked')
    assert.equal(checked(), 5)
  })

  test('T-S4 takes names that look alike for one', async () => {
    const { attempt, checked } = setUp()
    for (const name of ['alice', 'ALICE', 'ａｌｉｃｅ', 'al\u200bice', ' alice ', '𝓪𝓵𝓲𝓬𝓮', 'ali\u00adce']) {
      await attempt(name, 'wrong', HOME)
    }
    assert.equal(checked(), 5)
  })

  test('T-S4 takes the addresses of an IPv6 network for one, and a mapped IPv4 address for itself', async () => {
    const { attempt, checked } = setUp()
    for (let i = 0; i < 1000; i++) await attempt('alice', `wrong-${i}`, `2001:db8:1:2::${i.toString(16)}`)
    assert.equal(checked(), 5)
    for (let i = 0; i < 10; i++) await attempt('bob', `wrong-${i}`, i % 2 === 0 ? HOME : `::ffff:${HOME}`)
    assert.equal(checked(), 10)
  })

  test('T-S4 checks no more of a thousand guesses at once than of as many one by one', async () => {
    const { attempt, checked, events } = setUp()
    const all = await Promise.allSettled(
      Array.from({ length: 1000 }, (_, i) => attempt('alice', i === 999 ? 'right' : `wrong-${i}`, HOME)),
    )
    assert.equal(checked(), 5)
    assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 5)
    for (const one of all) {
      if (one.status === 'fulfilled') continue
      assert.ok(one.reason instanceof ArchwayError)
      assert.equal(one.reason.code, 'login_busy', 'the others could not be told, which is no refusal')
      assert.equal(one.reason.retryAfter, 1)
    }
    assert.equal(count(events, 'overloaded'), 995)
  })

  test('makes one check of the same login many times at once, and counts it once', async () => {
    const { attempt, checked } = setUp()
    const same = await Promise.all(Array.from({ length: 50 }, () => attempt('alice', 'right', HOME)))
    assert.ok(same.every((result) => result === RIGHT))
    assert.equal(checked(), 1)
    await Promise.all(Array.from({ length: 50 }, () => attempt('alice', 'wrong', HOME)))
    assert.equal(checked(), 2)
    for (let i = 0; i < 4; i++) await attempt('alice', `wrong-${i}`, HOME)
    assert.equal(checked(), 6)
  })

  test('shares no check between passwords, addresses or audiences', async () => {
    const { attempt, checked } = setUp()
    const results = await Promise.all([
      attempt('alice', 'right', HOME),
      attempt('alice', 'wrong', HOME),
      attempt('alice', 'right', '203.0.113.8'),
      attempt('alice', 'right', HOME, callContext({ audiences: ['other'] })),
      attempt('alice', 'right\ud800', HOME),
      attempt('alice', 'right\ufffd', '203.0.113.8'),
    ])
    assert.deepEqual(results.map(code), [
      'authenticated',
      'login_failed',
      'authenticated',
      'authenticated',
      'login_failed',
      'login_failed',
    ])
    assert.equal(checked(), 6)
  })

  test('an outage is thrown on, and counts as nothing', async () => {
    const outage = new ArchwayError('ldap_unreachable', 'no directory')
    let down = true
    const { attempt, events } = setUp(async (...given) => {
      if (down) throw outage
      return onlyAlice(...given)
    })
    for (let i = 0; i < 100; i++) await assert.rejects(attempt('alice', `wrong-${i}`, HOME), outage)
    down = false
    assert.equal(await attempt('alice', 'right', HOME), RIGHT)
    assert.deepEqual(events, [])
  })

  test('T-S4 hanging up does not take a guess back', async () => {
    const hold = Promise.withResolvers<AuthnResult>()
    const started = Promise.withResolvers<void>()
    let signal: AbortSignal | undefined
    const { attempt, checked, events } = setUp((_, ctx) => {
      signal = ctx.signal
      started.resolve()
      return hold.promise
    })
    const leaving = new AbortController()
    const guess = attempt('alice', 'wrong', HOME, callContext({ signal: leaving.signal }))
    await started.promise
    leaving.abort()
    assert.equal(signal?.aborted, false)
    hold.resolve(WRONG)
    await guess
    assert.deepEqual(events, ['failed'])
    for (let i = 0; i < 10; i++) await attempt('alice', `wrong-${i}`, HOME)
    assert.equal(checked(), 5)
  })

  test('whoever hangs up while waiting for a slot is not checked', async () => {
    const hold = Promise.withResolvers<AuthnResult>()
    const { attempt, checked } = setUp(() => hold.promise, { slots: slots({ slots: 1, queue: 10 }) })
    const first = attempt('bob', 'wrong', '203.0.113.8')
    const leaving = new AbortController()
    const gone = attempt('alice', 'wrong', HOME, callContext({ signal: leaving.signal }))
    const stays = attempt('carol', 'wrong', HOME)
    setImmediate(() => leaving.abort())
    await assert.rejects(gone, /gone/)
    hold.resolve(WRONG)
    await Promise.all([first, stays])
    assert.equal(checked(), 2)
  })

  test('T-S4 nobody is shut out where he gets in, by ten thousand guesses from elsewhere or from next door', async () => {
    const { attempt, checked, clock } = setUp()
    assert.equal(await attempt('alice', 'right', HOME), RIGHT)
    const before = checked()
    for (let i = 0; i < 10_000; i++) {
      const wide = `198.51.${i % 100}.${(i >> 7) % 256}`
      const result = await attempt('alice', `wrong-${i}`, wide)
      assert.notEqual(result.kind, 'authenticated')
      await attempt(`user-${i}`, 'Summer2026!', HOME)
      clock.advance(10)
      if (i % 100 === 0) assert.equal(await attempt('alice', 'right', HOME), RIGHT, `after ${i} guesses`)
    }
    const guesses = checked() - before - 100
    // At alice: 50, then one in 30 s, for 100 s. From next door: 100, then a lock longer than that.
    assert.ok(guesses <= 50 + 4 + 100, String(guesses))
  })

  test('T-S4 T-S1 log lines have no password and no name, and a flood of guesses is a few of them', async () => {
    const { attempt, ctx, clock } = setUp()
    for (let i = 0; i < 2000; i++) {
      await attempt('canary-name', `canary-password-${i}`, HOME)
      clock.advance(100)
    }
    const text = JSON.stringify(ctx.log.lines)
    assert.doesNotMatch(text, /canary/)
    assert.ok(ctx.log.lines.length < 12, text)
    const delayed = ctx.log.lines.filter(({ message }) => message === 'login refused unseen: too early')
    assert.ok(delayed.length >= 3)
    const [first, second] = delayed
    assert.ok(first !== undefined && !('leftOut' in first.fields))
    assert.ok(second !== undefined && 'leftOut' in second.fields && Number(second.fields.leftOut) > 100)
    assert.ok(first !== undefined && 'address' in first.fields && first.fields.address === HOME)
  })

  test('a lock is a warning that says what is locked', async () => {
    const { attempt, ctx, clock, events } = setUp()
    for (let i = 0; i < 20; i++) {
      await attempt('alice', `wrong-${i}`, HOME)
      clock.advance(i < 4 ? 0 : 300_000)
    }
    const [warning] = ctx.log.lines.filter(({ level }) => level === 'warn')
    assert.equal(warning?.message, 'login locked: too many failures of a user at an address')
    assert.ok(warning !== undefined && 'scope' in warning.fields && warning.fields.scope === 'pair')
    assert.equal(code(await attempt('alice', 'right', HOME)), 'login_locked')
    assert.equal(count(events, 'locked'), 1)
    clock.advance(900_000)
    assert.equal(await attempt('alice', 'right', HOME), RIGHT)
    assert.equal(count(events, 'unlocked'), 1)
  })

  test('T-S15 refusals leave nothing behind', async () => {
    const { attempt, counters } = setUp()
    for (let i = 0; i < 100; i++) await attempt(`user-${i}`, 'wrong', HOME)
    const { size } = counters
    for (let i = 0; i < 1000; i++) assert.equal(code(await attempt(`other-${i}`, 'wrong', HOME)), 'login_locked')
    assert.equal(counters.size, size)
  })

  test('T-S4 T-W7 neither name nor password stays in memory as text', async () => {
    // Never strings of ours, which would be found as well.
    const letters = (): Buffer => Buffer.from(randomBytes(24).map((byte) => 0x61 + (byte % 26)))
    const [name, password] = [letters(), letters()]
    const { attempt, counters } = setUp(async () => WRONG)
    await attempt(name.toString(), password.toString(), HOME)
    assert.equal(counters.size, 3)
    assert.equal(await timesInHeap(name), 0)
    assert.equal(await timesInHeap(password), 0)
    assert.equal(await attempt('still', 'alive', HOME), WRONG)
  })
})
