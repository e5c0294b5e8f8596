/** When an API server is asked and when not: checks, ejection, back-off, doubt. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Health, LONGEST_BACKOFF_MS, serverHealth } from '../../../src/proxy/upstreams/health.ts'
import type { Readiness } from '../../../src/proxy/upstreams/readiness.ts'
import { type HandClock, handClock, recordingLog } from './support.ts'

const READY: Readiness = { kind: 'ready' }
const DOWN: Readiness = { kind: 'unready', reason: 'nothing listens there' }

interface Patient {
  readonly health: Health
  readonly clock: HandClock
  /** What the next checks find; a promise is a check that takes its time. */
  finding: Readiness | Promise<Readiness>
  checks: number
  readonly events: string[]
  ejections: number
  readonly log: ReturnType<typeof recordingLog>
}

/** With the middle of every spread, so that times are those of the settings. */
async function patient(finding: Readiness | Promise<Readiness> = READY, random = () => 0.5): Promise<Patient> {
  const clock = handClock()
  const log = recordingLog()
  const found: Omit<Patient, 'health'> & { health?: Health } = {
    clock,
    finding,
    checks: 0,
    events: [],
    ejections: 0,
    log,
  }
  const health = serverHealth({
    name: 'one:6443',
    clock,
    random,
    log,
    async check(signal) {
      found.checks++
      const timedOut = new Promise<Readiness>((resolve) => {
        signal.addEventListener('abort', () => resolve({ kind: 'unready', reason: String(signal.reason) }))
      })
      return Promise.race([found.finding, timedOut])
    },
    observe: (event) => void found.events.push(event),
    onEjected: () => void found.ejections++,
  })
  const whole = Object.assign(found, { health })
  await clock.pass(0)
  return whole
}

/** Long enough to count as steady. */
async function steady(): Promise<Patient> {
  const one = await patient()
  await one.clock.pass(LONGEST_BACKOFF_MS * 2)
  one.checks = 0
  return one
}

describe('a server', () => {
  test('is not asked before a check has passed', async () => {
    const { promise, resolve: pass } = Promise.withResolvers<Readiness>()
    const one = await patient(promise)
    assert.deepEqual([one.health.ready, one.health.reason], [false, 'it was not checked yet'])
    pass(READY)
    await one.health.checked
    assert.deepEqual([one.health.ready, one.health.reason], [true, undefined])
    assert.deepEqual(one.events, [])
  })

  test('that is down at the start is known to be, and the first check is over', async () => {
    const one = await patient(DOWN)
    await one.health.checked
    assert.deepEqual([one.health.ready, one.health.reason], [false, 'nothing listens there'])
    assert.deepEqual(one.events, ['check_failed'])
    assert.equal(one.ejections, 0, 'there was nothing to eject')
  })

  test('is checked every five seconds, one at a time', async () => {
    const one = await steady()
    await one.clock.pass(20_000)
    assert.equal(one.checks, 4)
    assert.equal(one.clock.due().length, 1)
  })

  test('is checked a tenth sooner or later, as chance has it', async () => {
    for (const [chance, ms] of [
      [0, 4500],
      [1, 5500],
    ] as const) {
      const { clock } = await patient(READY, () => chance)
      assert.deepEqual(clock.due(), [ms])
    }
  })

  test('whose checks are late is asked where there is no other, and ejected by the third in a row', async () => {
    const one = await steady()
    one.finding = new Promise(() => {})
    await one.clock.pass(5000 + 2999)
    assert.deepEqual([one.health.ready, one.health.doubtful], [true, false])
    await one.clock.pass(1)
    assert.deepEqual([one.health.ready, one.health.doubtful], [true, true])
    await one.clock.pass(1000 + 3000)
    assert.equal(one.health.ready, true)
    await one.clock.pass(1000 + 3000)
    assert.equal(one.health.ready, false)
    assert.match(one.health.reason ?? '', /no answer to a check within 3000 ms/)
    assert.deepEqual(one.events, ['check_failed', 'check_failed', 'check_failed', 'ejected'])
  })

  test('that is slow for a while, as all of them may be, is never ejected, and asked like any other afterwards', async () => {
    const one = await steady()
    one.finding = new Promise(() => {})
    await one.clock.pass(5000 + 3000 + 1000 + 3000)
    one.finding = READY
    await one.clock.pass(1000)
    assert.deepEqual([one.health.ready, one.health.doubtful], [true, false])
    one.finding = new Promise(() => {})
    await one.clock.pass(5500 + 3000 + 1000 + 3000)
    assert.equal(one.health.ready, true, 'the count begins again')
    assert.ok(!one.events.includes('ejected'))
  })
})

describe('ejection', () => {
  test('follows the first check that fails, and lets kept connections go', async () => {
    const one = await steady()
    one.finding = DOWN
    await one.clock.pass(5000)
    assert.deepEqual([one.health.ready, one.health.reason, one.ejections], [false, 'nothing listens there', 1])
    assert.deepEqual(one.events, ['check_failed', 'ejected'])
  })

  test('follows a connection that could not be made, at once', async () => {
    const one = await steady()
    one.health.unreachable('nothing listens there', one.health.epoch)
    assert.deepEqual([one.health.ready, one.ejections, one.events], [false, 1, ['ejected']])
  })

  test('is not repeated by what began before it', async () => {
    const one = await steady()
    const { epoch } = one.health
    one.health.unreachable('down', epoch)
    await one.clock.pass(1000)
    assert.equal(one.health.ready, true)
    one.health.unreachable('down', epoch) // a connection that took until now to fail
    assert.equal(one.health.ready, true)
  })

  test('makes void a check that is under way', async () => {
    const one = await steady()
    const { promise, resolve: pass } = Promise.withResolvers<Readiness>()
    one.finding = promise
    await one.clock.pass(5000)
    pass(READY)
    one.health.unreachable('down', one.health.epoch)
    one.finding = DOWN
    await one.clock.pass(0)
    assert.equal(one.health.ready, false)
  })

  test('ends by a check only: after 1 s, 2 s, 4 s … 30 s', async () => {
    const one = await steady()
    one.finding = DOWN
    await one.clock.pass(5000)
    for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
      const before = one.checks
      await one.clock.pass(seconds * 1000 - 1)
      assert.equal(one.checks, before, `${seconds} s`)
      await one.clock.pass(1)
      assert.equal(one.checks, before + 1, `${seconds} s`)
    }
    assert.equal(one.health.ready, false)
    one.finding = READY
    await one.clock.pass(30_000)
    assert.equal(one.health.ready, true)
    assert.equal(one.events.at(-1), 'readmitted')
  })

  test('lasts longer each time for one that comes and goes, and begins anew after a steady while', async () => {
    const one = await steady()
    const outage = async (): Promise<number> => {
      one.health.unreachable('down', one.health.epoch)
      const wait = one.health.nextCheckAt - one.clock.now()
      await one.clock.pass(wait)
      assert.equal(one.health.ready, true)
      return wait
    }
    assert.deepEqual([await outage(), await outage(), await outage()], [1000, 2000, 4000])
    await one.clock.pass(LONGEST_BACKOFF_MS)
    assert.equal(await outage(), 1000)
  })

  test('that lasted long is still one: what follows soon after is the second', async () => {
    const one = await steady()
    one.finding = DOWN
    await one.clock.pass(200_000)
    one.finding = READY
    await one.clock.pass(30_000)
    one.health.unreachable('down', one.health.epoch)
    assert.equal(one.health.nextCheckAt - one.clock.now(), 2000)
  })

  test('is said once for each cause, not with every check', async () => {
    const one = await steady()
    one.finding = DOWN
    await one.clock.pass(60_000)
    one.finding = { kind: 'unready', reason: 'its certificate has expired' }
    await one.clock.pass(60_000)
    const warnings = one.log.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields)
    assert.deepEqual(warnings, [
      { upstream: 'one:6443', reason: 'nothing listens there' },
      { upstream: 'one:6443', reason: 'its certificate has expired' },
    ])
  })

  test('is looked into at once where something changed here', async () => {
    const one = await steady()
    one.finding = DOWN
    await one.clock.pass(60_000)
    one.finding = READY
    one.health.checkNow()
    await one.clock.pass(0)
    assert.equal(one.health.ready, true)
  })
})

describe('doubt', () => {
  test('has the server checked at once, and ends with the check', async () => {
    const one = await steady()
    await one.clock.pass(300)
    one.checks = 0
    one.health.doubt()
    assert.deepEqual([one.health.ready, one.health.doubtful], [true, true])
    await one.clock.pass(0)
    assert.deepEqual([one.checks, one.health.ready, one.health.doubtful], [1, true, false])
    assert.deepEqual(one.events, [])
  })

  test('ejects one that is dead', async () => {
    const one = await steady()
    await one.clock.pass(300)
    one.finding = DOWN
    one.health.doubt()
    await one.clock.pass(0)
    assert.deepEqual([one.health.ready, one.health.doubtful], [false, false])
  })

  test('that a client makes again and again ejects nobody, and costs four checks a second at most', async () => {
    const one = await steady()
    for (let ms = 0; ms < 2000; ms += 10) {
      one.health.doubt()
      await one.clock.pass(10)
      assert.equal(one.health.ready, true)
    }
    assert(one.checks <= 9, `${one.checks} checks`)
    assert.deepEqual(one.events, [])
  })

  test('of a server that is being checked is not ended by that check', async () => {
    const one = await steady()
    const { promise, resolve: pass } = Promise.withResolvers<Readiness>()
    one.finding = promise
    await one.clock.pass(5000)
    one.health.doubt()
    one.finding = DOWN
    pass(READY)
    await one.clock.pass(0)
    assert.deepEqual([one.health.ready, one.health.doubtful], [true, true])
    await one.clock.pass(250)
    assert.equal(one.health.ready, false)
  })
})

describe('a server that does not tell (403)', () => {
  const SILENT: Readiness = { kind: 'silent' }

  test('is ready where it never told, and that is said once', async () => {
    const one = await patient(SILENT)
    await one.clock.pass(60_000)
    assert.equal(one.health.ready, true)
    assert.equal(one.log.lines.filter(({ message }) => /does not tell whether it is ready/.test(message)).length, 1)
  })

  test('is not where it told before: it is starting', async () => {
    const one = await steady()
    one.health.unreachable('down', one.health.epoch)
    one.finding = SILENT
    await one.clock.pass(10_000)
    assert.deepEqual([one.health.ready, /it may be starting/.test(one.health.reason ?? '')], [false, true])
    one.finding = READY
    await one.clock.pass(30_000)
    assert.equal(one.health.ready, true)
  })

  test('is again after a minute: somebody took the right away', async () => {
    const one = await steady()
    one.finding = SILENT
    await one.clock.pass(5000)
    assert.equal(one.health.ready, false)
    await one.clock.pass(100_000)
    assert.equal(one.health.ready, true)
  })
})

describe('a fault on this side', () => {
  const OURS: Readiness = { kind: 'unknown', reason: 'no more descriptors' }

  test('says nothing of a server that is ready', async () => {
    const one = await steady()
    one.finding = OURS
    await one.clock.pass(20_000)
    assert.deepEqual([one.health.ready, one.events], [true, []])
  })

  test('makes none ready either', async () => {
    const one = await patient(OURS)
    await one.health.checked
    assert.deepEqual([one.health.ready, one.health.reason], [false, 'no more descriptors'])
  })
})

describe('closing', () => {
  test('ends the checks, and whoever waits for the first', async () => {
    const one = await patient(new Promise(() => {}))
    one.health.close()
    await one.health.checked
    await one.clock.pass(100_000)
    assert.deepEqual([one.checks, one.clock.due().length], [1, 0])
  })
})

test('whatever happens, there is one check to come, never two at a time, and ready follows only a pass', async () => {
  const step = fc.constantFrom('ready', 'down', 'ours', 'silent', 'hang', 'unreachable', 'doubt', 'now', 'wait', 'tick')
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const one = await patient()
      let wasReady = one.health.ready
      for (const what of steps) {
        const checks = one.checks
        if (what === 'ready') one.finding = READY
        else if (what === 'down') one.finding = DOWN
        else if (what === 'ours') one.finding = { kind: 'unknown', reason: 'ours' }
        else if (what === 'silent') one.finding = { kind: 'silent' }
        else if (what === 'hang') one.finding = new Promise(() => {})
        else if (what === 'unreachable') one.health.unreachable('down', one.health.epoch)
        else if (what === 'doubt') one.health.doubt()
        else if (what === 'now') one.health.checkNow()
        await one.clock.pass(what === 'wait' ? 31_000 : what === 'tick' ? 700 : 0)
        assert(one.clock.due().length === 1, `${one.clock.due().length} orders after ${what}`)
        if (!wasReady && one.health.ready) assert(one.checks > checks, 'taken back without a check')
        if (one.health.ready) assert.equal(one.health.reason, undefined)
        wasReady = one.health.ready
      }
      one.health.close()
    }),
    { numRuns: 60 },
  )
})
