import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseReview } from '../../src/kube/review.ts'
import {
  renderSubjectAccessReview,
  SUBJECT_ACCESS_REVIEW_VERSIONS,
  type SubjectAccessReview,
} from '../../src/kube/subject-access-review.ts'

const V1 = 'authorization.k8s.io/v1'
const V1BETA1 = 'authorization.k8s.io/v1beta1'

function parseText(text: string): SubjectAccessReview {
  const review = parseReview(Buffer.from(text))
  assert.ok(review.kind === 'SubjectAccessReview')
  return review
}

function parse(spec: unknown, apiVersion: string = V1): SubjectAccessReview {
  return parseText(JSON.stringify({ kind: 'SubjectAccessReview', apiVersion, spec }))
}

const path = { nonResourceAttributes: { path: '/healthz' } }

describe('reading', () => {
  test('a request for a resource, whole', () => {
    const resourceAttributes = {
      verb: 'get',
      group: 'apps',
      version: 'v1',
      resource: 'deployments',
      subresource: 'scale',
      namespace: 'default',
      name: 'web',
    }
    const spec = { user: 'jane', uid: 'u-1', groups: ['dev', 'ops'], extra: { k: ['a', 'b'] }, resourceAttributes }
    assert.deepEqual(parse(spec), {
      kind: 'SubjectAccessReview',
      apiVersion: V1,
      user: 'jane',
      uid: 'u-1',
      groups: ['dev', 'ops'],
      extra: new Map([['k', ['a', 'b']]]),
      attributes: { kind: 'resource', ...resourceAttributes },
    })
  })

  test('everything that may be left out is empty', () => {
    for (const spec of [
      { resourceAttributes: {} },
      {
        user: null,
        uid: null,
        groups: null,
        extra: null,
        resourceAttributes: { verb: null, namespace: null, fieldSelector: null, labelSelector: null },
        nonResourceAttributes: null,
      },
    ]) {
      assert.deepEqual(parse(spec), {
        kind: 'SubjectAccessReview',
        apiVersion: V1,
        user: '',
        uid: '',
        groups: [],
        extra: undefined,
        attributes: {
          kind: 'resource',
          verb: '',
          group: '',
          version: '',
          resource: '',
          subresource: '',
          namespace: '',
          name: '',
        },
      })
    }
  })

  test('a request for a path', () => {
    assert.deepEqual(parse({ nonResourceAttributes: { verb: 'get', path: '/healthz' } }).attributes, {
      kind: 'non-resource',
      verb: 'get',
      path: '/healthz',
    })
    assert.deepEqual(parse(path).attributes, { kind: 'non-resource', verb: '', path: '/healthz' })
  })

  test('resource attributes win where a request has both', () => {
    assert.equal(parse({ ...path, resourceAttributes: { verb: 'get' } }).attributes.kind, 'resource')
    assert.equal(parse({ ...path, resourceAttributes: null }).attributes.kind, 'non-resource')
  })

  test('v1 has groups in `groups`, v1beta1 in `group`; the field of the other version is nobody’s', () => {
    const spec = { ...path, groups: ['of v1'], group: ['of v1beta1'] }
    assert.deepEqual(parse(spec, V1).groups, ['of v1'])
    assert.deepEqual(parse(spec, V1BETA1).groups, ['of v1beta1'])
    assert.deepEqual(parse({ ...path, group: ['g'] }, V1).groups, [])
    assert.deepEqual(parse({ ...path, groups: ['g'] }, V1BETA1).groups, [])
    assert.deepEqual(parse({ ...path, group: 'no list' }, V1).groups, [])
  })

  test('no extra and empty extra are told apart, which decides in the Keystone policy', () => {
    assert.equal(parse(path).extra, undefined)
    assert.equal(parse({ ...path, extra: null }).extra, undefined)
    assert.deepEqual(parse({ ...path, extra: {} }).extra, new Map())
    assert.deepEqual(parse({ ...path, extra: { k: [] } }).extra, new Map([['k', []]]))
    assert.deepEqual(parse({ ...path, extra: { k: null } }).extra, new Map([['k', []]]))
  })

  test('selectors are kept as they came and disturb nothing', () => {
    const fieldSelector = { requirements: [{ key: 'spec.nodeName', operator: 'In', values: ['n1'] }] }
    const labelSelector = { rawSelector: 'app=web', future: { a: 1 } }
    const { attributes } = parse({ resourceAttributes: { verb: 'list', fieldSelector, labelSelector, more: [] } })
    assert.ok(attributes.kind === 'resource')
    assert.deepEqual(attributes.fieldSelector, fieldSelector)
    assert.deepEqual(attributes.labelSelector, labelSelector)
    assert.ok(!('more' in attributes))
    const { attributes: without } = parse({ resourceAttributes: { verb: 'list' } })
    assert.ok(!('fieldSelector' in without) && !('labelSelector' in without))
  })

  test('T-H13 __proto__ is a key of extra and a group like any other', () => {
    const review = parseText(
      `{"kind":"SubjectAccessReview","apiVersion":"${V1}","spec":{"user":"__proto__","groups":["__proto__"],"extra":{"__proto__":["a"],"constructor":["b"]},"nonResourceAttributes":{"path":"/"}}}`,
    )
    assert.equal(review.user, '__proto__')
    assert.deepEqual(review.groups, ['__proto__'])
    assert.deepEqual(
      [...(review.extra ?? [])],
      [
        ['__proto__', ['a']],
        ['constructor', ['b']],
      ],
    )
  })

  test('T-H13 attributes that only a prototype has are none', () => {
    const text = `{"kind":"SubjectAccessReview","apiVersion":"${V1}","spec":{"__proto__":{"resourceAttributes":{}}}}`
    assert.throws(() => parseText(text), {
      code: 'body_invalid',
      message: 'spec has neither resourceAttributes nor nonResourceAttributes',
    })
    const inner = `{"kind":"SubjectAccessReview","apiVersion":"${V1}","spec":{"resourceAttributes":{"__proto__":{"verb":"get"}}}}`
    assert.equal(parseText(inner).attributes.verb, '')
  })
})

describe('a wrong type is refused with the name of the field', () => {
  const of = (attributes: object): object => ({ resourceAttributes: attributes })
  const invalid: readonly [spec: unknown, message: string, apiVersion?: string][] = [
    [null, 'spec is missing or not an object'],
    [{}, 'spec has neither resourceAttributes nor nonResourceAttributes'],
    [{ user: 'jane' }, 'spec has neither resourceAttributes nor nonResourceAttributes'],
    [{ ...path, user: 7 }, 'spec.user is not a string'],
    [{ ...path, user: ['jane'] }, 'spec.user is not a string'],
    [{ ...path, uid: false }, 'spec.uid is not a string'],
    [{ ...path, groups: 'dev' }, 'spec.groups is not a list of strings'],
    [{ ...path, groups: [null] }, 'spec.groups is not a list of strings'],
    [{ ...path, group: { a: 1 } }, 'spec.group is not a list of strings', V1BETA1],
    [{ ...path, groups: Array(10_001).fill('g') }, 'spec.groups has more than 10000 items'],
    [{ ...path, extra: [] }, 'spec.extra is missing or not an object'],
    [{ ...path, extra: 'x' }, 'spec.extra is missing or not an object'],
    [{ ...path, extra: { k: 'v' } }, 'spec.extra is not a list of strings'],
    [{ ...path, extra: { k: [1] } }, 'spec.extra is not a list of strings'],
    [{ ...path, extra: { k: Array(10_001).fill('v') } }, 'spec.extra has more than 10000 items'],
    [{ resourceAttributes: [] }, 'spec.resourceAttributes is missing or not an object'],
    [{ resourceAttributes: 'get' }, 'spec.resourceAttributes is missing or not an object'],
    [{ nonResourceAttributes: '/' }, 'spec.nonResourceAttributes is missing or not an object'],
    [{ nonResourceAttributes: {} }, 'spec.nonResourceAttributes.path is missing or not a string'],
    [{ nonResourceAttributes: { path: null } }, 'spec.nonResourceAttributes.path is missing or not a string'],
    [{ nonResourceAttributes: { path: 1 } }, 'spec.nonResourceAttributes.path is missing or not a string'],
    [{ nonResourceAttributes: { path: '/', verb: 1 } }, 'spec.nonResourceAttributes.verb is not a string'],
    [of({ fieldSelector: 'a=b' }), 'spec.resourceAttributes.fieldSelector is missing or not an object'],
    [of({ labelSelector: [] }), 'spec.resourceAttributes.labelSelector is missing or not an object'],
    ...['verb', 'group', 'version', 'resource', 'subresource', 'namespace', 'name'].map((field): [unknown, string] => [
      of({ [field]: 1 }),
      `spec.resourceAttributes.${field} is not a string`,
    ]),
  ]
  for (const [spec, message, apiVersion = V1] of invalid) {
    test(`${JSON.stringify(spec).slice(0, 60)}: ${message}`, () => {
      assert.throws(() => parse(spec, apiVersion), { name: 'ArchwayError', code: 'body_invalid', message })
    })
  }
})

describe('answering', () => {
  for (const version of SUBJECT_ACCESS_REVIEW_VERSIONS) {
    test(`the answer to ${version} comes in ${version}, without the request`, () => {
      assert.equal(
        renderSubjectAccessReview(version, { allowed: false }),
        `{"kind":"SubjectAccessReview","apiVersion":"${version}","metadata":{"creationTimestamp":null},"spec":{},"status":{"allowed":false}}\n`,
      )
    })
  }

  test('reason and evaluationError are escaped', () => {
    const status = { allowed: false, denied: true, reason: 'a"\n\u2028', evaluationError: '}' }
    const answer = JSON.parse(renderSubjectAccessReview(V1, status)) as { status: unknown }
    assert.deepEqual(answer.status, status)
  })
})
