import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { decide } from '../../../src/authz/keystone-policy/decide.ts'
import { attributesOf, compiled } from './support.ts'

const VECTOR = z.object({
  name: z.string(),
  policy: z.unknown(),
  request: z.record(z.string(), z.unknown()),
  expect: z.enum(['allow', 'deny']),
})
const path = new URL('../../vectors/policy-vectors.json', import.meta.url)
const vectors = z.array(VECTOR).parse(JSON.parse(readFileSync(path, 'utf8')))

/** Both versions of the review, which differ in the name of one field. */
function reviews(request: Readonly<Record<string, unknown>>): readonly unknown[] {
  const { groups, ...rest } = request
  const review = (version: string, spec: object): object => ({
    apiVersion: `authorization.k8s.io/${version}`,
    kind: 'SubjectAccessReview',
    spec,
  })
  return [review('v1', { ...rest, groups }), review('v1beta1', { ...rest, group: groups })]
}

describe('compat decides as the predecessor', () => {
  for (const { name, policy, request, expect } of vectors) {
    test(name, () => {
      const ready = compiled(policy, { subresources: 'compat' })
      for (const review of reviews(request)) {
        assert.equal(decide(ready, attributesOf(review)).kind, expect === 'allow' ? 'allow' : 'no-opinion')
      }
    })
  }
})

describe('what guarded and strict change about the vectors', () => {
  const decisions = (mode: 'guarded' | 'strict'): string[] =>
    vectors.flatMap(({ name, policy, request, expect }) => {
      const [review] = reviews(request)
      const { kind } = decide(compiled(policy, { subresources: mode, failOpenKeys: 'allow' }), attributesOf(review))
      return kind === (expect === 'allow' ? 'allow' : 'no-opinion') ? [] : [`${name}: ${expect} → ${kind}`]
    })
  // The vectors ask for no subresource of a version 2 key; the table of `modes.test.ts` does.
  test('guarded: nothing', () => assert.deepEqual(decisions('guarded'), []))
  test('strict: nothing', () => assert.deepEqual(decisions('strict'), []))
})
