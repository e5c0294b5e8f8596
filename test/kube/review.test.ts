import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ArchwayError } from '../../src/errors.ts'
import { parseReview } from '../../src/kube/review.ts'

const parse = (document: unknown): ReturnType<typeof parseReview> =>
  parseReview(Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)))

test('kind and apiVersion together say what a body is', () => {
  const token = { token: 't' }
  const access = { user: 'jane', nonResourceAttributes: { path: '/' } }
  for (const version of ['v1', 'v1beta1']) {
    const review = parse({ kind: 'TokenReview', apiVersion: `authentication.k8s.io/${version}`, spec: token })
    assert.deepEqual([review.kind, review.apiVersion], ['TokenReview', `authentication.k8s.io/${version}`])
    const other = parse({ kind: 'SubjectAccessReview', apiVersion: `authorization.k8s.io/${version}`, spec: access })
    assert.deepEqual([other.kind, other.apiVersion], ['SubjectAccessReview', `authorization.k8s.io/${version}`])
  }
})

describe('a kind or version that is not served is refused by name', () => {
  const unknown: readonly [kind: string, apiVersion: string, message: RegExp][] = [
    ['TokenReview', 'authentication.k8s.io/v2', /^unknown apiVersion "authentication.k8s.io\/v2" for TokenReview: /],
    ['TokenReview', 'authentication.k8s.io/v1alpha1', /^unknown apiVersion /],
    ['TokenReview', 'authentication.k8s.io/V1', /^unknown apiVersion /],
    ['TokenReview', 'authentication.k8s.io', /^unknown apiVersion /],
    ['TokenReview', 'v1', /^unknown apiVersion "v1" for TokenReview/],
    ['TokenReview', '', /^unknown apiVersion "" for TokenReview/],
    ['TokenReview', 'authorization.k8s.io/v1', /^unknown apiVersion "authorization.k8s.io\/v1" for TokenReview/],
    ['SubjectAccessReview', 'authentication.k8s.io/v1', /^unknown apiVersion .* for SubjectAccessReview: /],
    ['SubjectAccessReview', 'authorization.k8s.io/v2', /^unknown apiVersion .* for SubjectAccessReview: /],
    ['SelfSubjectAccessReview', 'authorization.k8s.io/v1', /^unknown kind\/apiVersion "SelfSubjectAccessReview" /],
    ['LocalSubjectAccessReview', 'authorization.k8s.io/v1', /^unknown kind\/apiVersion /],
    [
      'tokenreview',
      'authentication.k8s.io/v1',
      /^unknown kind\/apiVersion "tokenreview" "authentication.k8s.io\/v1": /,
    ],
    ['', '', /^unknown kind\/apiVersion "" ""/],
    ['__proto__', 'constructor', /^unknown kind\/apiVersion "__proto__" "constructor"/],
  ]
  for (const [kind, apiVersion, message] of unknown) {
    test(`${kind || '(empty)'} of ${apiVersion || '(empty)'}`, () => {
      assert.throws(() => parse({ kind, apiVersion, spec: {} }), {
        name: 'ArchwayError',
        code: 'kind_unknown',
        message,
      })
    })
  }

  test('a long name is cut in the message', () => {
    assert.throws(
      () => parse({ kind: 'K'.repeat(5000), apiVersion: 'V'.repeat(5000) }),
      (thrown) => thrown instanceof ArchwayError && thrown.code === 'kind_unknown' && thrown.message.length < 300,
    )
  })
})

describe('a body that is no review is refused with the field that is wrong', () => {
  const invalid: readonly [document: unknown, message: string][] = [
    ['', 'the body is empty; send one JSON object'],
    ['null', 'the body is missing or not an object'],
    [[], 'the body is missing or not an object'],
    [[{ kind: 'TokenReview' }], 'the body is missing or not an object'],
    ['"TokenReview"', 'the body is missing or not an object'],
    ['1', 'the body is missing or not an object'],
    [{}, 'apiVersion is missing or not a string'],
    [{ kind: 'TokenReview' }, 'apiVersion is missing or not a string'],
    [{ kind: 'TokenReview', apiVersion: null }, 'apiVersion is missing or not a string'],
    [{ kind: 'TokenReview', apiVersion: 1 }, 'apiVersion is missing or not a string'],
    [{ apiVersion: 'authentication.k8s.io/v1' }, 'kind is missing or not a string'],
    [{ apiVersion: 'authentication.k8s.io/v1', kind: ['TokenReview'] }, 'kind is missing or not a string'],
    [
      '{"__proto__":{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1"}}',
      'apiVersion is missing or not a string',
    ],
    [
      '{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","kind":"SubjectAccessReview"}',
      'a key stands twice in one object, at character 63',
    ],
  ]
  for (const [document, message] of invalid) {
    const title = typeof document === 'string' ? document : JSON.stringify(document)
    test(title.slice(0, 80) || '(nothing)', () => {
      assert.throws(() => parse(document), { name: 'ArchwayError', code: 'body_invalid', message })
    })
  }
})

test('fields nobody knows are let pass, in the review and in its spec', () => {
  const review = parse({
    kind: 'TokenReview',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { creationTimestamp: null, name: 7 },
    spec: { token: 't', future: { a: [1] } },
    status: 'anything',
    more: true,
  })
  assert.deepEqual(review, {
    kind: 'TokenReview',
    apiVersion: 'authentication.k8s.io/v1',
    token: 't',
    audiences: [],
  })
})

test('T-W15 any JSON in any place of a review gives a review or an error of the asker', () => {
  const anything = fc.jsonValue({ maxDepth: 3 })
  const kinds = fc.constantFrom('TokenReview', 'SubjectAccessReview')
  const versions = fc.constantFrom(
    'authentication.k8s.io/v1',
    'authorization.k8s.io/v1',
    'authorization.k8s.io/v1beta1',
  )
  const attributes = fc.oneof(
    anything,
    fc.record(
      { verb: anything, path: anything, group: anything, fieldSelector: anything, name: fc.string() },
      { requiredKeys: [] },
    ),
  )
  const spec = fc.oneof(
    anything,
    fc.record(
      {
        token: fc.oneof(fc.string(), anything),
        audiences: fc.oneof(fc.array(fc.string()), anything),
        user: fc.oneof(fc.string(), anything),
        group: anything,
        groups: anything,
        extra: fc.oneof(anything, fc.dictionary(fc.string(), anything)),
        resourceAttributes: attributes,
        nonResourceAttributes: attributes,
      },
      { requiredKeys: [] },
    ),
  )
  let parsed = 0
  fc.assert(
    fc.property(kinds, versions, spec, (kind, apiVersion, body) => {
      try {
        parse({ kind, apiVersion, spec: body })
        parsed += 1
      } catch (thrown) {
        assert.ok(thrown instanceof ArchwayError, String(thrown))
        assert.equal(thrown.status, 400)
      }
    }),
    { numRuns: 2000 },
  )
  assert.ok(parsed > 0, 'some of them are reviews')
})
