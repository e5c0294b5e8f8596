import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { accessReview, bodyOf, tokenReview, webhookSetup } from './support.ts'

/** Whatever is sent: an answer that is one JSON object, a review or the asker's mistake, one line, one observation. */
async function send(body: Buffer): Promise<number> {
  const { ask, lines, observations, authenticator, authorizer } = webhookSetup()
  const answer = await ask(body)
  assert.ok(answer.status === 200 || answer.status === 400, `${answer.status}`)
  assert.equal(bodyOf(answer)['kind'] === 'Status', answer.status === 400)
  assert.equal(lines.length, 1)
  assert.equal(observations.length, 1)
  if (answer.status === 400) assert.equal(authenticator.asked.length + authorizer.asked.length, 0)
  return answer.status
}

const reviews: readonly object[] = [
  tokenReview('tok', { audiences: ['api', 'other'] }),
  { ...tokenReview('tok'), apiVersion: 'authentication.k8s.io/v1beta1', metadata: { creationTimestamp: null } },
  accessReview({ extra: { k: ['a', 'b'] }, uid: 'u' }),
  {
    ...accessReview({ group: ['g'], resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'n' } }),
    apiVersion: 'authorization.k8s.io/v1beta1',
  },
]

test('T-W15 any bytes are answered, and with no 5xx', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }).map(Buffer.from),
        fc.json().map((text) => Buffer.from(text)),
      ),
      async (body) => void (await send(body)),
    ),
    { numRuns: 1000 },
  )
})

test('T-W15 a review with some of its bytes changed is answered, and with no 5xx', async () => {
  const change = fc.record({ at: fc.nat(), cut: fc.nat({ max: 3 }), put: fc.uint8Array({ maxLength: 3 }) })
  const syntax = fc.constantFrom(...[...'{}[]",:\\0ntf'].map((char) => Uint8Array.of(char.charCodeAt(0))))
  const edit = fc.oneof(change, fc.record({ at: fc.nat(), cut: fc.nat({ max: 1 }), put: syntax }))
  const statuses = new Set<number>()
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...reviews), fc.array(edit, { maxLength: 4 }), async (review, edits) => {
      let body = Buffer.from(JSON.stringify(review))
      for (const { at, cut, put } of edits) {
        const start = at % (body.length + 1)
        body = Buffer.concat([body.subarray(0, start), put, body.subarray(start + cut)])
      }
      statuses.add(await send(body))
    }),
    { numRuns: 2000 },
  )
  assert.deepEqual([...statuses].sort(), [200, 400], 'both ways are walked')
})

test('T-W15 a review with any value in any place is answered, and with no 5xx', async () => {
  const statuses = new Set<number>()
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(null, '', '__proto__', {}, [], [null], 1e308))
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...reviews), fc.nat(), value, fc.boolean(), async (review, pick, put, drop) => {
      const copy = structuredClone(review)
      const places = [...placesOf(copy)]
      const place = places[pick % places.length]
      if (place !== undefined) {
        if (drop) Reflect.deleteProperty(place.parent, place.key)
        else Reflect.set(place.parent, place.key, put)
      }
      statuses.add(await send(Buffer.from(JSON.stringify(copy))))
    }),
    { numRuns: 2000 },
  )
  assert.deepEqual([...statuses].sort(), [200, 400], 'both ways are walked')
})

function* placesOf(parent: object): Generator<{ parent: object; key: string }> {
  for (const [key, value] of Object.entries(parent) as [string, unknown][]) {
    yield { parent, key }
    if (typeof value === 'object' && value !== null) yield* placesOf(value)
  }
}

test('T-W15 bombs are answered in bounded time', async () => {
  const bombs: readonly string[] = [
    '['.repeat(500_000) + ']'.repeat(500_000),
    `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
    JSON.stringify(Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i]))),
    JSON.stringify(tokenReview('t', { audiences: Array(100_000).fill('a') })),
    JSON.stringify(accessReview({ groups: Array(200_000).fill('g') })),
    JSON.stringify({ ...tokenReview(), metadata: { annotations: '"\\'.repeat(400_000) } }),
    `{"kind":"TokenReview","spec":${'9'.repeat(1_000_000)}}`,
  ]
  const startedAt = performance.now()
  for (const bomb of bombs) await send(Buffer.from(bomb))
  // Some tens of milliseconds each; what is not linear takes minutes.
  assert.ok(performance.now() - startedAt < 10_000)
})
