/** A second authorizer beside the one in force: seen, never felt. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Authorizer, Decision } from '../../../src/authz/authorizer.ts'
import { type ShadowOptions, type ShadowOutcome, shadowed } from '../../../src/authz/recording/shadowed.ts'
import { callContext, recordingLog } from '../../support/context.ts'
import { ALLOW, authorizer, NO_OPINION, review } from './support.ts'

const DENY: Decision = { kind: 'deny', reason: 'no' }

/** Decides `count` times and waits for as many comparisons. */
async function compare(inForce: Decision, candidate: Authorizer, over: Partial<ShadowOptions> = {}, count = 1) {
  const log = recordingLog()
  const outcomes: ShadowOutcome[] = []
  await new Promise<void>((resolve) => {
    const observe = (outcome: ShadowOutcome): void => {
      outcomes.push(outcome)
      if (outcomes.length === count) resolve()
    }
    const subject = shadowed(
      authorizer(() => inForce),
      candidate,
      { observe, log, ...over },
    )
    void (async () => {
      for (let i = 0; i < count; i++) assert.equal(await subject.authorize(review(), callContext()), inForce)
    })()
  })
  return { outcomes, log }
}

describe('shadowed', () => {
  test('says what the candidate would change, and changes nothing', async () => {
    const cases: readonly (readonly [Decision, Decision, ShadowOutcome])[] = [
      [ALLOW, { kind: 'allow', reason: 'another rule' }, 'same'],
      [NO_OPINION, NO_OPINION, 'same'],
      [NO_OPINION, ALLOW, 'would-allow'],
      [DENY, ALLOW, 'would-allow'],
      [ALLOW, NO_OPINION, 'would-not-allow'],
      [ALLOW, DENY, 'would-not-allow'],
      [DENY, NO_OPINION, 'would-differ'],
      [NO_OPINION, { kind: 'no-opinion', evaluationError: 'not there' }, 'failed'],
    ]
    for (const [inForce, wouldBe, outcome] of cases) {
      const { outcomes } = await compare(
        inForce,
        authorizer(() => wouldBe),
      )
      assert.deepEqual(outcomes, [outcome], `${inForce.kind} ${wouldBe.kind}`)
    }
  })

  test('a candidate that throws or never answers fails no decision', async () => {
    const { outcomes, log } = await compare(
      ALLOW,
      authorizer(() => Promise.reject(new Error('broken'))),
    )
    assert.deepEqual(outcomes, ['failed'])
    assert.equal(log.lines[0]?.level, 'warn')
    const subject = shadowed(
      authorizer(() => ALLOW),
      authorizer(() => new Promise(() => {})),
      { observe: () => assert.fail('nothing to observe'), log },
    )
    assert.equal(await subject.authorize(review(), callContext()), ALLOW)
  })

  test('asks the candidate after the decision was given', async () => {
    const order: string[] = []
    await new Promise<void>((resolve) => {
      const candidate = authorizer(() => {
        order.push('candidate')
        return ALLOW
      })
      const options = { observe: () => resolve(), log: recordingLog() }
      const subject = shadowed(
        authorizer(() => ALLOW),
        candidate,
        options,
      )
      void subject.authorize(review(), callContext()).then(() => order.push('answer'))
    })
    assert.deepEqual(order, ['answer', 'candidate'])
  })

  test('the candidate has a deadline of its own: that of the request is over', async () => {
    const aborted = new AbortController()
    const seen: AbortSignal[] = []
    await new Promise<void>((resolve) => {
      const candidate: Authorizer = {
        name: 'candidate',
        async authorize(_, ctx) {
          seen.push(ctx.signal, ctx.signal)
          return ALLOW
        },
      }
      const options = { observe: () => resolve(), log: recordingLog() }
      const subject = shadowed(
        authorizer(() => ALLOW),
        candidate,
        options,
      )
      void subject.authorize(review(), callContext({ signal: aborted.signal })).then(() => aborted.abort())
    })
    assert.equal(seen[0], seen[1])
    assert.equal(seen[0]?.aborted, false)
  })

  test('logs the first differences, then now and then; counts all', async () => {
    const { outcomes, log } = await compare(
      ALLOW,
      authorizer(() => NO_OPINION),
      { logFirst: 3, logEvery: 10 },
      25,
    )
    assert.equal(outcomes.length, 25)
    assert.deepEqual(
      log.lines.map(({ fields }) => ('differences' in fields ? fields.differences : 0)),
      [1, 2, 3, 10, 20],
    )
    const { fields, message, level } = log.lines[0] ?? assert.fail()
    assert.equal(level, 'info')
    assert.match(message, /would decide otherwise/)
    assert.deepEqual(
      { ...fields },
      {
        requestId: 'r1',
        candidate: 'fake',
        user: 'jane',
        verb: 'get',
        group: 'apps',
        resource: 'deployments',
        subresource: 'scale',
        namespace: 'default',
        name: '',
        inForce: 'allow',
        reason: ALLOW.reason,
        wouldBe: 'no-opinion',
        wouldReason: NO_OPINION.reason,
        differences: 1,
      },
    )
  })

  test('skips comparisons where too many wait', async () => {
    const outcomes: ShadowOutcome[] = []
    const options = { observe: (outcome: ShadowOutcome) => void outcomes.push(outcome), log: recordingLog() }
    const subject = shadowed(
      authorizer(() => ALLOW),
      authorizer(() => new Promise(() => {})),
      options,
    )
    await Promise.all(Array.from({ length: 1030 }, () => subject.authorize(review(), callContext())))
    assert.deepEqual(
      outcomes,
      Array.from({ length: 6 }, () => 'skipped'),
    )
  })
})
