/**
 * A policy with small numbers, a clock that is moved by hand, and what is tried against counters.
 *
 * @module
 */
import fc from 'fast-check'
import type { Admission, LoginCounters, LoginKeys, Outcome, Policy } from '../../../src/authn/protection/counters.ts'

export const SMALL: Policy = {
  pair: { free: 2, firstDelayMs: 10, longestDelayMs: 30, lockAfter: 5, lockMs: 100, forgetMs: 200 },
  user: { slowAfter: 6, windowMs: 500, intervalMs: 40 },
  address: { lockAfter: 8, windowMs: 300, lockMs: 150 },
  knownMs: 1000,
}

/** Its limits lie so far apart that each of them has to hold by itself. */
export const STEEP: Policy = {
  pair: { free: 2, firstDelayMs: 4, longestDelayMs: 8, lockAfter: 5, lockMs: 100, forgetMs: 200 },
  user: { slowAfter: 6, windowMs: 500, intervalMs: 100 },
  address: { lockAfter: 8, windowMs: 300, lockMs: 150 },
  knownMs: 1000,
}

/** Keys as digests would be: the pair's tells nothing of the others. */
export function keysOf(user: string, address: string): LoginKeys {
  return { pair: `${user} at ${address}`, user, address }
}

export interface Clock {
  readonly now: () => number
  advance(ms: number): void
}

export function clockAt(start: number): Clock {
  let time = start
  return {
    now: () => time,
    advance(ms) {
      time += ms
    },
  }
}

/** What a guesser, a person and an outage can do: begin an attempt, end the n-th that is under way, fail at once, wait. */
export type Step =
  | { readonly does: 'guess'; readonly user: string; readonly address: string }
  | { readonly does: 'begin'; readonly user: string; readonly address: string }
  | { readonly does: 'end'; readonly nth: number; readonly outcome: Outcome }
  | { readonly does: 'wait'; readonly ms: number }

const who = {
  user: fc.constantFrom('alice', 'bob', 'carol', 'dan', 'eve', 'fay'),
  address: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6'),
}
const someone = fc.record({ does: fc.constant('begin' as const), ...who })
const guessing = fc.record({ does: fc.constant('guess' as const), ...who })
/** Of one user, or from one address. */
const floods = fc.oneof(
  who.user.chain((user) =>
    fc.array(
      guessing.map((step) => ({ ...step, user })),
      { minLength: 20, maxLength: 60 },
    ),
  ),
  who.address.chain((address) =>
    fc.array(
      guessing.map((step) => ({ ...step, address })),
      { minLength: 20, maxLength: 60 },
    ),
  ),
  fc
    .tuple(who.user, who.address)
    .chain(([user, address]) =>
      fc.array(fc.constant({ does: 'guess' as const, user, address }), { minLength: 5, maxLength: 20 }),
    ),
)
const ending = fc.record({
  does: fc.constant('end' as const),
  nth: fc.nat(7),
  outcome: fc.oneof(
    { weight: 8, arbitrary: fc.constant('failed' as const) },
    { weight: 1, arbitrary: fc.constant('passed' as const) },
    { weight: 1, arbitrary: fc.constant('unknown' as const) },
  ),
})
const waiting = fc.record({
  does: fc.constant('wait' as const),
  ms: fc.oneof({ weight: 9, arbitrary: fc.nat(12) }, { weight: 1, arbitrary: fc.nat(200) }),
})
/** A flood goes on whenever it may: between any two guesses a little time passes. */
const patientFloods = floods.chain((flood) =>
  fc
    .array(fc.nat(6), { minLength: flood.length, maxLength: flood.length })
    .map((pauses) => flood.flatMap((step, i): Step[] => [step, { does: 'wait', ms: pauses[i] ?? 0 }])),
)

export const steps: fc.Arbitrary<readonly Step[]> = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: someone.map((step): Step[] => [step]) },
      { weight: 6, arbitrary: ending.map((step): Step[] => [step]) },
      { weight: 2, arbitrary: waiting.map((step): Step[] => [step]) },
      { weight: 1, arbitrary: patientFloods },
    ),
    { maxLength: 60, size: 'max' },
  )
  .map((parts) => parts.flat())

/** An attempt that was allowed to be checked. */
export interface Checked {
  readonly keys: LoginKeys
  readonly known: boolean
  readonly at: number
  outcome?: Outcome
  endedAt?: number
}

/** Takes the steps; tells every answer, and what was checked. */
export async function play(
  counters: LoginCounters,
  clock: Clock,
  todo: readonly Step[],
): Promise<{ readonly answers: readonly unknown[]; readonly checked: readonly Checked[] }> {
  const answers: unknown[] = []
  const checked: Checked[] = []
  const open: { readonly of: Checked; readonly admission: Extract<Admission, { kind: 'go' }> }[] = []
  for (const step of todo) {
    if (step.does === 'wait') clock.advance(step.ms)
    else if (step.does === 'begin' || step.does === 'guess') {
      const keys = keysOf(step.user, step.address)
      const admission = await counters.admit(keys)
      if (admission.kind !== 'go') {
        answers.push(admission)
        continue
      }
      answers.push({ kind: 'go', known: admission.known })
      const one = { keys, known: admission.known, at: clock.now() }
      checked.push(one)
      if (step.does === 'begin') open.push({ of: one, admission })
      else {
        Object.assign(one, { outcome: 'failed', endedAt: clock.now() })
        answers.push(await admission.settle('failed'))
      }
    } else {
      const [one] = open.splice(step.nth % Math.max(1, open.length), 1)
      if (one === undefined) continue
      one.of.outcome = step.outcome
      one.of.endedAt = clock.now()
      answers.push(await one.admission.settle(step.outcome))
    }
  }
  return { answers, checked }
}
