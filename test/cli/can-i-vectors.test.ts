/** The vectors of the predecessor's policies, through the command line. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { archwayWith, file } from './policy-support.ts'

interface Vector {
  readonly name: string
  readonly policy: unknown
  readonly request: { readonly groups?: unknown; readonly [field: string]: unknown }
  readonly expect: 'allow' | 'deny'
}

const path = new URL('../vectors/policy-vectors.json', import.meta.url)
const vectors: readonly Vector[] = JSON.parse(readFileSync(path, 'utf8'))

test('can-i --reviews decides in compat as the predecessor, both versions', async () => {
  // Requests of one policy are asked together, as a stream of reviews.
  const byPolicy = Map.groupBy(vectors, ({ policy }) => JSON.stringify(policy))
  for (const [policy, asked] of byPolicy) {
    const reviews = asked.flatMap(({ request: { groups, ...rest } }) => [
      { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec: { ...rest, groups } },
      { apiVersion: 'authorization.k8s.io/v1beta1', kind: 'SubjectAccessReview', spec: { ...rest, group: groups } },
    ])
    const { status, out } = await archwayWith(
      reviews.map((review) => JSON.stringify(review)).join('\n'),
      ['can-i', '--reviews', '-', '--policy-subresources', 'compat'],
      ['--keystone-policy-file', await file('vector.json', policy)],
    )
    assert.equal(status, 0, out)
    const expected = asked.flatMap(({ name, expect }) => {
      const line = `${name}: ${expect === 'allow' ? 'allow' : 'no-opinion'}`
      return [line, line]
    })
    const answers = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).decision)
    assert.deepEqual(
      answers.map((decision, i) => `${asked[Math.floor(i / 2)]?.name}: ${decision}`),
      expected,
    )
  }
})
