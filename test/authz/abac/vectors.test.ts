/** ABAC decides as Kubernetes 1.20.2 did when the vectors were made by running it. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type AbacFile, parseAbacFile } from '../../../src/authz/abac/policy-file.ts'
import { abacIndex, policyAllows } from '../../../src/authz/abac/policy-index.ts'
import { InvalidDocumentError } from '../../../src/errors.ts'
import { attributes, compact, userInfo, type VectorRequest, type VectorUser, vectors } from '../rbac/support.ts'

type Vector = { readonly name: string; readonly file?: string; readonly lines?: readonly string[] } & (
  | { readonly kind: 'authorize'; readonly request: VectorRequest; readonly expect: { readonly decision: string } }
  | { readonly kind: 'load'; readonly expect: { readonly load: 'ok' | 'error' } }
  | {
      readonly kind: 'rulesFor'
      readonly user: VectorUser
      readonly namespace: string
      readonly expect: { readonly resourceRules: readonly object[]; readonly nonResourceRules: readonly object[] }
    }
)

const all = vectors<{
  readonly count: number
  readonly fixtures: Readonly<Record<string, readonly string[]>>
  readonly vectors: readonly Vector[]
}>('abac-vectors')

function load({ file, lines }: Vector): AbacFile {
  const text = lines ?? all.fixtures[file ?? '']
  assert.ok(text)
  return parseAbacFile(Buffer.from(text.join('\n')), 'policy.jsonl')
}

function check(vector: Vector): void {
  switch (vector.kind) {
    case 'authorize': {
      const { policies } = load(vector)
      const request = attributes(vector.request)
      const direct = policies.find((policy) => policyAllows(policy, request))
      assert.equal(direct === undefined ? 'NoOpinion' : 'Allow', vector.expect.decision)
      assert.equal(abacIndex(policies).find(request), direct, 'the index finds the same line')
      return
    }
    case 'load':
      if (vector.expect.load === 'ok') load(vector)
      else assert.throws(() => load(vector), InvalidDocumentError)
      return
    case 'rulesFor': {
      const { rules } = abacIndex(load(vector).policies).rulesFor(userInfo(vector.user), vector.namespace)
      const [resource, nonResource] = [true, false].map((aboutResources) =>
        compact(rules.map(({ rule }) => rule).filter((rule) => rule.resources.length > 0 === aboutResources)),
      )
      assert.deepEqual({ resourceRules: resource, nonResourceRules: nonResource }, vector.expect)
      return
    }
    default:
      vector satisfies never
      assert.fail('a vector of no known kind')
  }
}

describe('ABAC vectors', () => {
  assert.equal(all.vectors.length, all.count)
  for (const vector of all.vectors) test(`${vector.kind}: ${vector.name}`, () => check(vector))
})
