import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { type Attributes, type Decision, toStatus } from '../../src/authz/authorizer.ts'
import { union } from '../../src/authz/union.ts'
import { ArchwayError } from '../../src/errors.ts'
import { userInfo } from '../authn/support.ts'
import { callContext } from '../support/context.ts'
import { type FakeAuthorizer, fakeAuthorizer } from './support.ts'

const attributes: Attributes = {
  kind: 'non-resource',
  user: userInfo(),
  extraPresent: true,
  verb: 'get',
  path: '/healthz',
}
const noOpinion: Decision = { kind: 'no-opinion' }

function answering(...answers: readonly (Decision | Error)[]): FakeAuthorizer[] {
  return answers.map((answer, index) =>
    fakeAuthorizer(
      () => {
        if (answer instanceof Error) throw answer
        return answer
      },
      `member-${index + 1}`,
    ),
  )
}

const Vector = z.object({
  name: z.string(),
  kind: z.literal('authorizers'),
  authorizers: z.array(
    z.object({ decision: z.enum(['Allow', 'Deny', 'NoOpinion']), reason: z.string(), error: z.string() }),
  ),
  expect: z.object({
    asked: z.number(),
    decision: z.enum(['Allow', 'Deny', 'NoOpinion']),
    error: z.boolean(),
    httpStatus: z.number(),
    reason: z.string(),
  }),
})
type Vector = z.infer<typeof Vector>

const KINDS = { Allow: 'allow', Deny: 'deny', NoOpinion: 'no-opinion' } as const

/**
 * Where the contract cannot say what the vector says. In Go an authorizer may allow and report an error beside it; here
 * a decision that was made has no error, so the error (which changes nothing for the user) is nowhere.
 */
const INEXPRESSIBLE: ReadonlySet<string> = new Set(['authz-allow-with-error-still-allows'])

describe('the chains of kube-apiserver', () => {
  const { vectors } = z
    .object({ vectors: z.array(z.unknown()) })
    .parse(JSON.parse(readFileSync(new URL('../vectors/chain-vectors.json', import.meta.url), 'utf8')))
  const chains = vectors.flatMap((vector) => Vector.safeParse(vector).data ?? [])

  test('are all there', () => {
    assert.equal(chains.length, 10)
    for (const name of INEXPRESSIBLE) assert.ok(chains.some((chain) => chain.name === name))
  })

  for (const chain of chains) test(chain.name, () => follow(chain))

  /** The answer travels to kube-apiserver, so the 403 or 500 that the user gets is made there. */
  async function follow({ name, authorizers, expect }: Vector): Promise<void> {
    const members = authorizers.map(({ decision, reason, error }) =>
      fakeAuthorizer((): Decision => {
        if (decision !== 'NoOpinion') return { kind: KINDS[decision], reason }
        if (error !== '') throw new Error(error)
        return reason === '' ? noOpinion : { kind: 'no-opinion', reason }
      }),
    )
    const answer = union(members).authorize(attributes, callContext())
    // What is an error beside "no opinion" in kube-apiserver is, over the wire, the end of the request.
    if (expect.error && !INEXPRESSIBLE.has(name)) {
      await assert.rejects(answer, { code: 'authorizers_failed', status: 503 })
      assert.deepEqual([expect.decision, expect.httpStatus, expect.reason], ['NoOpinion', 500, ''])
      assert.equal(members.filter(({ asked }) => asked.length > 0).length, expect.asked)
      return
    }
    const decision = await answer
    assert.equal(members.filter(({ asked }) => asked.length > 0).length, expect.asked)
    assert.equal(decision.kind, KINDS[expect.decision])
    assert.equal(decision.reason ?? '', expect.reason)
    assert.equal('evaluationError' in decision, false)
    const { allowed, denied } = toStatus(decision)
    assert.equal(allowed, expect.httpStatus === 200)
    assert.equal(denied === true, expect.decision === 'Deny')
  }
})

describe('union', () => {
  test('every member gets attributes and call as they are', async () => {
    const members = answering(noOpinion, noOpinion)
    const ctx = callContext()
    await union(members).authorize(attributes, ctx)
    for (const { asked } of members) assert.deepEqual(asked, [{ attributes, ctx }])
  })

  test('the decision comes out as it is', async () => {
    for (const decision of [
      { kind: 'allow', reason: 'r' },
      { kind: 'deny', reason: '' },
    ] as const) {
      assert.equal(await union(answering(noOpinion, decision)).authorize(attributes, callContext()), decision)
    }
  })

  test('without any member, and with members without reasons, there is no opinion and nothing beside it', async () => {
    for (const members of [[], answering(noOpinion, { kind: 'no-opinion', reason: '' })]) {
      assert.deepEqual(await union(members).authorize(attributes, callContext()), noOpinion)
    }
  })

  test('T-W14 an authorizer that failed does not keep the others from deciding, and is the operator’s to know', async () => {
    const boom = new Error('boom')
    for (const decision of [
      { kind: 'allow', reason: 'second' },
      { kind: 'deny', reason: 'second' },
    ] as const) {
      const ctx = callContext()
      assert.equal(await union(answering(boom, decision)).authorize(attributes, ctx), decision)
      assert.deepEqual(ctx.log.lines, [
        {
          level: 'warn',
          fields: { authorizer: 'member-1', error: boom },
          message: 'an authorizer failed; another one decided',
        },
      ])
    }
  })

  test('an authorizer behind the one that decided is not asked, so its failure is none', async () => {
    const [first, second] = answering({ kind: 'allow', reason: 'first' }, new Error('boom'))
    assert.ok(first !== undefined && second !== undefined)
    assert.equal((await union([first, second]).authorize(attributes, callContext())).kind, 'allow')
    assert.deepEqual(second.asked, [])
  })

  test('T-W3 where one could not tell and nobody decides there is no answer that could be remembered as a no', async () => {
    const said: Decision = { kind: 'no-opinion', reason: 'looked', evaluationError: 'half blind' }
    const boom = new Error('boom')
    for (const members of [[boom], [boom, noOpinion], [noOpinion, boom], [said, boom, noOpinion]]) {
      const fakes = answering(...members)
      const ctx = callContext()
      await assert.rejects(union(fakes).authorize(attributes, ctx), (thrown) => {
        assert.ok(thrown instanceof ArchwayError)
        assert.deepEqual([thrown.code, thrown.status], ['authorizers_failed', 503])
        assert.ok(thrown.cause instanceof AggregateError)
        assert.deepEqual(thrown.cause.errors, [boom])
        assert.equal(thrown.retryAfter, undefined)
        return true
      })
      assert.ok(fakes.every(({ asked }) => asked.length === 1)) // all of them had their say
      assert.deepEqual(ctx.log.lines, []) // whoever ends the request says it, once
    }
  })

  test('of several failures each is named, and the shortest wait is the one to ask again after', async () => {
    const failures = [
      new ArchwayError('keystone_busy', 'busy', { retryAfter: 7 }),
      new Error('boom'),
      new ArchwayError('overloaded', 'too many', { retryAfter: 3 }),
      new ArchwayError('internal', 'fault'),
    ]
    await assert.rejects(union(answering(...failures)).authorize(attributes, callContext()), {
      code: 'authorizers_failed',
      message: 'member-1: busy; member-2: boom; member-3: too many; member-4: fault',
      retryAfter: 3,
    })
    const now = new ArchwayError('keystone_busy', 'busy', { retryAfter: 0 })
    await assert.rejects(union(answering(now)).authorize(attributes, callContext()), { retryAfter: 0 })
  })

  test('T-W5 of a failure the asker reads no more than an asker may', async () => {
    const secret = 'https://keystone.internal:5000 refused'
    const members = answering(new ArchwayError('overloaded', secret), new Error(secret))
    await assert.rejects(union(members).authorize(attributes, callContext()), {
      publicMessage: 'could not decide (authorizers_failed)',
    })
  })

  test('an error that a member says beside its opinion stays what it is: its answer', async () => {
    const members = answering(
      { kind: 'no-opinion', reason: 'looked', evaluationError: 'half blind' },
      { kind: 'no-opinion', reason: 'no', evaluationError: 'no role r' },
    )
    assert.deepEqual(await union(members).authorize(attributes, callContext()), {
      kind: 'no-opinion',
      reason: 'looked\nno',
      evaluationError: 'half blind; no role r',
    })
  })

  test('is one of those that can be asked by a union, which keeps what it threw', async () => {
    const inner = union(answering(new ArchwayError('keystone_busy', 'busy', { retryAfter: 2 })))
    await assert.rejects(union([inner]).authorize(attributes, callContext()), {
      code: 'authorizers_failed',
      message: 'union: member-1: busy',
      retryAfter: 2,
    })
  })
})

describe('toStatus', () => {
  const table: readonly [decision: Decision, status: object][] = [
    [
      { kind: 'allow', reason: 'r' },
      { allowed: true, reason: 'r' },
    ],
    [
      { kind: 'deny', reason: 'r' },
      { allowed: false, denied: true, reason: 'r' },
    ],
    [{ kind: 'no-opinion' }, { allowed: false }],
    [
      { kind: 'no-opinion', reason: 'r' },
      { allowed: false, reason: 'r' },
    ],
    [
      { kind: 'no-opinion', evaluationError: 'e' },
      { allowed: false, evaluationError: 'e' },
    ],
  ]
  for (const [decision, status] of table) {
    test(`${JSON.stringify(decision)} is ${JSON.stringify(status)}`, () => assert.deepEqual(toStatus(decision), status))
  }

  test('only deny denies: behind everything else the next authorizer has its say', () => {
    const denying = table.filter(([decision]) => 'denied' in toStatus(decision)).map(([decision]) => decision.kind)
    assert.deepEqual(denying, ['deny'])
  })

  test('what is no decision is a fault and no answer', () => {
    assert.throws(() => toStatus({ kind: 'maybe' } as unknown as Decision), { message: 'unknown decision' })
  })
})
