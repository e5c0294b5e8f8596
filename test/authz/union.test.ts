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
    const decision = await union(members).authorize(attributes, callContext())
    assert.equal(members.filter(({ asked }) => asked.length > 0).length, expect.asked)
    assert.equal(decision.kind, KINDS[expect.decision])
    assert.equal(decision.reason ?? '', expect.reason)
    const failed = decision.kind === 'no-opinion' && decision.evaluationError !== undefined
    assert.equal(failed, expect.error && !INEXPRESSIBLE.has(name))
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

  test('W14 an authorizer that failed does not keep the others from deciding, and is the operator’s to know', async () => {
    const ctx = callContext()
    const boom = new Error('boom')
    const allow: Decision = { kind: 'allow', reason: 'second' }
    assert.equal(await union(answering(boom, allow)).authorize(attributes, ctx), allow)
    assert.deepEqual(ctx.log.lines, [
      { level: 'error', fields: { authorizer: 'member-1', error: boom }, message: 'an authorizer could not decide' },
    ])
  })

  test('failures are told beside the reasons, those that were thrown and those that were said', async () => {
    const said: Decision = { kind: 'no-opinion', reason: 'looked', evaluationError: 'half blind' }
    const members = answering(new ArchwayError('overloaded', 'too many'), said, { kind: 'no-opinion', reason: 'no' })
    assert.deepEqual(await union(members).authorize(attributes, callContext()), {
      kind: 'no-opinion',
      reason: 'looked\nno',
      evaluationError: 'member-1: too many; half blind',
    })
  })

  test('T-W5 of a failure the asker reads no more than an asker may', async () => {
    const secret = 'https://keystone.internal:5000 refused'
    const members = answering(
      new ArchwayError('keystone_unreachable', secret),
      new Error(secret),
      new ArchwayError('file_invalid', `/etc/policy.json: ${secret}`),
    )
    const ctx = callContext()
    assert.deepEqual(await union(members).authorize(attributes, ctx), {
      kind: 'no-opinion',
      evaluationError:
        'member-1: could not decide (keystone_unreachable); member-2: could not decide (internal); ' +
        'member-3: could not decide (file_invalid)',
    })
    assert.equal(ctx.log.lines.length, 3)
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
