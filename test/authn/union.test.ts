import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { audienceBound } from '../../src/authn/audiences.ts'
import { type AuthnResult, SKIPPED } from '../../src/authn/authenticator.ts'
import { union } from '../../src/authn/union.ts'
import { ArchwayError } from '../../src/errors.ts'
import { callContext } from '../support/context.ts'
import { authenticated, type FakeAuthenticator, fakeAuthenticator, userInfo } from './support.ts'

const rejected: AuthnResult = { kind: 'rejected', code: 'token_unknown', source: 'a' }

function answering(...answers: readonly (AuthnResult | Error)[]): FakeAuthenticator[] {
  return answers.map((answer, index) =>
    fakeAuthenticator(
      () => {
        if (answer instanceof Error) throw answer
        return answer
      },
      `member-${index + 1}`,
    ),
  )
}

async function thrownBy(work: Promise<unknown>): Promise<ArchwayError> {
  const thrown = await work.then(
    () => assert.fail('nothing was thrown'),
    (error: unknown) => error,
  )
  assert.ok(thrown instanceof ArchwayError)
  return thrown
}

const Vector = z.object({
  name: z.string(),
  kind: z.literal('authenticators'),
  authenticators: z.array(
    z.object({
      result: z.enum(['success', 'noOpinion', 'error']),
      user: z.object({ name: z.string(), groups: z.array(z.string()) }).optional(),
      audiences: z.array(z.string()).optional(),
    }),
  ),
  apiAudiences: z.array(z.string()),
  expect: z.object({
    asked: z.number(),
    httpStatus: z.number(),
    user: z.object({ name: z.string(), groups: z.array(z.string()) }).optional(),
  }),
})
type Vector = z.infer<typeof Vector>

describe('the chains of kube-apiserver', () => {
  const { vectors } = z
    .object({ vectors: z.array(z.unknown()) })
    .parse(JSON.parse(readFileSync(new URL('../vectors/chain-vectors.json', import.meta.url), 'utf8')))
  const chains = vectors.flatMap((vector) => Vector.safeParse(vector).data ?? [])

  test('are all there', () => assert.equal(chains.length, 15))

  for (const chain of chains) test(chain.name, () => follow(chain))

  /**
   * What stands behind the union is not the webhook's: the anonymous user takes over where everybody skipped, and
   * `system:authenticated` is added to the groups.
   */
  async function follow({ authenticators, apiAudiences, expect }: Vector): Promise<void> {
    const members = authenticators.map(({ result, user, audiences }) =>
      fakeAuthenticator(() => {
        if (result === 'error') throw new Error('boom')
        if (result === 'noOpinion') return SKIPPED
        const { name: username = '', groups = [] } = user ?? {}
        return authenticated({
          user: userInfo({ username, groups }),
          ...(audiences === undefined ? {} : { audiences }),
        })
      }),
    )
    const chain = audienceBound(union(members), [])
    const outcome = await chain
      .authenticate('t', callContext({ audiences: apiAudiences }))
      .catch(() => 'error' as const)
    assert.equal(members.filter(({ asked }) => asked.length > 0).length, expect.asked)
    const failed = authenticators.slice(0, expect.asked).some(({ result }) => result === 'error')
    if (expect.httpStatus === 401) {
      assert.deepEqual(outcome, failed ? 'error' : SKIPPED)
    } else if (expect.user?.name === 'system:anonymous') {
      assert.equal(outcome, SKIPPED)
    } else {
      assert.ok(outcome !== 'error' && outcome.kind === 'authenticated')
      assert.equal(outcome.user.username, expect.user?.name)
      const withoutAdded = expect.user?.groups.filter((group) => group !== 'system:authenticated')
      assert.deepEqual(
        outcome.user.groups.filter((group) => group !== 'system:authenticated'),
        withoutAdded,
      )
    }
  }
})

describe('union', () => {
  test('the first proof wins, in the order given, and nobody behind it is asked', async () => {
    const second = authenticated({ source: 'second' })
    const members = answering(SKIPPED, second, authenticated({ source: 'third' }))
    const result = await union(members).authenticate('t', callContext())
    assert.equal(result, second)
    assert.deepEqual(
      members.map(({ asked }) => asked.length),
      [1, 1, 0],
    )
  })

  test('every member gets the credential and the call as they are', async () => {
    const members = answering(SKIPPED, rejected)
    const ctx = callContext({ audiences: ['api'] })
    await union(members).authenticate('tok', ctx)
    for (const { asked } of members) {
      assert.equal(asked[0]?.token, 'tok')
      assert.equal(asked[0]?.ctx, ctx)
    }
  })

  test('a proof wins over a refusal before it', async () => {
    const proof = authenticated()
    assert.equal(await union(answering(rejected, proof)).authenticate('t', callContext()), proof)
  })

  test('without a proof the first refusal counts, not a later one and not who skipped', async () => {
    const later: AuthnResult = { kind: 'rejected', code: 'token_expired', source: 'b' }
    assert.equal(await union(answering(SKIPPED, rejected, later, SKIPPED)).authenticate('t', callContext()), rejected)
  })

  test('nobody’s token is skipped, with members and without', async () => {
    assert.equal(await union(answering(SKIPPED, SKIPPED)).authenticate('t', callContext()), SKIPPED)
    assert.equal(await union([]).authenticate('t', callContext()), SKIPPED)
  })

  test('a single member is returned as it is', () => {
    const [member] = answering(SKIPPED)
    assert.ok(member !== undefined)
    assert.equal(union([member]), member)
    assert.equal(union(answering(SKIPPED, SKIPPED)).name, 'union')
  })
})

describe('recall', () => {
  /** Members that recall this; `undefined`: not known, `none`: cannot recall at all. */
  function recalling(...results: readonly (AuthnResult | undefined | 'none')[]): FakeAuthenticator[] {
    return results.map((result) => {
      const member = fakeAuthenticator(() => assert.fail('was asked'))
      return result === 'none' ? member : Object.assign(member, { recall: () => result })
    })
  }
  const recall = (...results: readonly (AuthnResult | undefined | 'none')[]): AuthnResult | undefined =>
    union(recalling(...results)).recall?.('t', callContext())
  const proof = authenticated()

  test('is what asking would come to, where all that would be asked is known', () => {
    const later: AuthnResult = { kind: 'rejected', code: 'token_expired', source: 'b' }
    assert.equal(recall(SKIPPED, proof), proof)
    assert.equal(recall(rejected, proof), proof)
    assert.equal(recall(SKIPPED, rejected, later), rejected)
    assert.equal(recall(SKIPPED, SKIPPED), SKIPPED)
    assert.equal(recall(proof, undefined), proof, 'who stands behind a proof is not asked')
  })

  test('is nothing where somebody has to be asked first', () => {
    assert.equal(recall(undefined, proof), undefined, 'the order of the sources holds')
    assert.equal(recall('none', proof), undefined)
    assert.equal(recall(rejected, undefined), undefined)
    assert.equal(recall(SKIPPED, 'none'), undefined)
  })
})

describe('T-W3 who could not tell does not make a no', () => {
  const outage = new ArchwayError('keystone_unreachable', 'no connection', { retryAfter: 5 })

  for (const [name, answers] of [
    ['before a refusal', [outage, rejected]],
    ['behind a refusal', [rejected, outage]],
    ['beside one that skips', [SKIPPED, outage]],
  ] as const) {
    test(`${name}: the one failure is thrown as it is`, async () => {
      const members = answering(...answers)
      assert.equal(await thrownBy(union(members).authenticate('t', callContext())), outage)
      assert.ok(
        members.every(({ asked }) => asked.length === 1),
        'all are asked',
      )
    })
  }

  test('several failures are one error that keeps them all, and the shortest time to wait', async () => {
    const busy = new ArchwayError('keystone_busy', 'too many', { retryAfter: 2 })
    const fault = new TypeError('x is not a function')
    const thrown = await thrownBy(union(answering(outage, busy, fault)).authenticate('t', callContext()))
    assert.equal(thrown.code, 'sources_failed')
    assert.equal(thrown.status, 503)
    assert.equal(thrown.message, 'member-1: no connection; member-2: too many; member-3: x is not a function')
    assert.equal(thrown.retryAfter, 2)
    assert.ok(thrown.cause instanceof AggregateError)
    assert.deepEqual(thrown.cause.errors, [outage, busy, fault])
    assert.equal(thrown.publicMessage, 'could not decide (sources_failed)')
  })

  test('what is no ArchwayError is wrapped, with its cause', async () => {
    for (const cause of [new TypeError('fault'), new DOMException('gone', 'AbortError')]) {
      const thrown = await thrownBy(union(answering(cause, rejected)).authenticate('t', callContext()))
      assert.equal(thrown.code, 'sources_failed')
      assert.equal(thrown.message, `member-1: ${cause.message}`)
      assert.equal(thrown.retryAfter, undefined)
      assert.deepEqual((thrown.cause as AggregateError).errors, [cause])
    }
  })

  test('a member that throws before it gives a promise is one that could not tell', async () => {
    const broken = {
      name: 'broken',
      authenticate(): never {
        throw outage
      },
    }
    const proof = authenticated()
    assert.equal(await union([broken, ...answering(proof)]).authenticate('t', callContext()), proof)
  })

  test('a failure that a later proof made harmless is warned of, once for each', async () => {
    const ctx = callContext()
    await union(answering(outage, new Error('boom'), authenticated())).authenticate('t', ctx)
    assert.deepEqual(
      ctx.log.lines.map(({ level, message }) => [level, message]),
      Array(2).fill(['warn', 'a source failed; another accepted the credential']),
    )
    assert.deepEqual(ctx.log.lines[0]?.fields, { source: 'member-1', err: outage })
  })

  test('a failure that is thrown is not logged as well: whoever catches it does', async () => {
    const ctx = callContext()
    await assert.rejects(union(answering(outage, rejected)).authenticate('t', ctx))
    assert.deepEqual(ctx.log.lines, [])
  })
})
