import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseReview } from '../../src/kube/review.ts'
import {
  renderTokenReview,
  TOKEN_REVIEW_VERSIONS,
  type TokenReview,
  type TokenReviewStatus,
} from '../../src/kube/token-review.ts'
import type { UserInfo } from '../../src/user.ts'

function parse(spec: unknown, apiVersion: string = TOKEN_REVIEW_VERSIONS[0]): TokenReview {
  const review = parseReview(Buffer.from(JSON.stringify({ kind: 'TokenReview', apiVersion, spec })))
  assert.ok(review.kind === 'TokenReview')
  return review
}

function render(status: TokenReviewStatus, version = TOKEN_REVIEW_VERSIONS[0] as TokenReview['apiVersion']): unknown {
  return JSON.parse(renderTokenReview(version, status))
}

const jane: UserInfo = {
  username: 'jane',
  uid: 'u-1',
  groups: ['dev', 'ops'],
  extra: new Map([['alpha.kubernetes.io/identity/roles', ['member', 'reader']]]),
}

describe('reading', () => {
  for (const version of TOKEN_REVIEW_VERSIONS) {
    test(`${version}: token and audiences`, () => {
      assert.deepEqual(parse({ token: 'abc', audiences: ['b', 'a'] }, version), {
        kind: 'TokenReview',
        apiVersion: version,
        token: 'abc',
        audiences: ['b', 'a'],
      })
    })
  }

  test('the request kube-apiserver 1.20 sends', () => {
    const body =
      '{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1beta1","metadata":{"creationTimestamp":null},"spec":{"token":"a\\u003cb","audiences":["https://kubernetes.default.svc"]},"status":{"user":{}}}\n'
    assert.deepEqual(parseReview(Buffer.from(body)), {
      kind: 'TokenReview',
      apiVersion: 'authentication.k8s.io/v1beta1',
      token: 'a<b',
      audiences: ['https://kubernetes.default.svc'],
    })
  })

  for (const spec of [{ token: 't' }, { token: 't', audiences: null }, { token: 't', audiences: [] }]) {
    test(`no audiences: ${JSON.stringify(spec)}`, () => assert.deepEqual(parse(spec).audiences, []))
  }

  for (const token of ['', ' ', '\0', '__proto__', 'größe-团队', '\u{1f600}', 'a"\\<&>\u2028', 'x'.repeat(100_000)]) {
    test(`a token is taken as it is: ${JSON.stringify(token.slice(0, 20))}`, () => {
      assert.equal(parse({ token }).token, token)
    })
  }

  const invalid: readonly [spec: unknown, message: string][] = [
    [undefined, 'spec is missing or not an object'],
    [null, 'spec is missing or not an object'],
    [[], 'spec is missing or not an object'],
    ['t', 'spec is missing or not an object'],
    [{}, 'spec.token is missing or not a string'],
    [{ token: null }, 'spec.token is missing or not a string'],
    [{ token: 5 }, 'spec.token is missing or not a string'],
    [{ token: ['t'] }, 'spec.token is missing or not a string'],
    [{ token: 'a\ud800b' }, 'spec.token is not Unicode text'],
    [{ token: '\udc00' }, 'spec.token is not Unicode text'],
    [{ token: 't', audiences: 'a' }, 'spec.audiences is not a list of strings'],
    [{ token: 't', audiences: { 0: 'a' } }, 'spec.audiences is not a list of strings'],
    [{ token: 't', audiences: [1] }, 'spec.audiences is not a list of strings'],
    [{ token: 't', audiences: ['a', null] }, 'spec.audiences is not a list of strings'],
    [{ token: 't', audiences: [['a']] }, 'spec.audiences is not a list of strings'],
    [{ token: 't', audiences: Array(65).fill('a') }, 'spec.audiences has more than 64 items'],
  ]
  for (const [spec, message] of invalid) {
    test(`${JSON.stringify(spec)?.slice(0, 60)} is refused: ${message}`, () => {
      assert.throws(() => parse(spec), { name: 'ArchwayError', code: 'body_invalid', message })
    })
  }

  test('64 audiences pass', () =>
    assert.equal(parse({ token: 't', audiences: Array(64).fill('a') }).audiences.length, 64))

  test('T-H13 a token that only a prototype has is no token', () => {
    const body = '{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"__proto__":{"token":"t"}}}'
    assert.throws(() => parseReview(Buffer.from(body)), { message: 'spec.token is missing or not a string' })
  })
})

describe('answering', () => {
  for (const version of TOKEN_REVIEW_VERSIONS) {
    test(`the answer to ${version} comes in ${version}`, () => {
      assert.deepEqual(render({ authenticated: true, user: jane, audiences: ['api'] }, version), {
        kind: 'TokenReview',
        apiVersion: version,
        metadata: { creationTimestamp: null },
        spec: {},
        status: {
          authenticated: true,
          user: {
            username: 'jane',
            uid: 'u-1',
            groups: ['dev', 'ops'],
            extra: { 'alpha.kubernetes.io/identity/roles': ['member', 'reader'] },
          },
          audiences: ['api'],
        },
      })
    })
  }

  test('uid, groups and extra that are empty are left out, as audiences nobody knows', () => {
    const user: UserInfo = { username: 'jane', uid: '', groups: [], extra: new Map() }
    assert.equal(
      renderTokenReview('authentication.k8s.io/v1', { authenticated: true, user, audiences: undefined }),
      '{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{"creationTimestamp":null},"spec":{},' +
        '"status":{"authenticated":true,"user":{"username":"jane"}}}\n',
    )
  })

  test('a refusal has no user, and no error unless one is to be told', () => {
    const status = (given: TokenReviewStatus): unknown => (render(given) as { status: unknown }).status
    assert.deepEqual(status({ authenticated: false }), { authenticated: false })
    assert.deepEqual(status({ authenticated: false, error: 'token_"expired"' }), {
      authenticated: false,
      error: 'token_"expired"',
    })
  })

  test('T-H13 __proto__ is a group and a key of extra like any other', () => {
    const user: UserInfo = {
      username: 'constructor',
      uid: '__proto__',
      groups: ['__proto__', 'toString'],
      extra: new Map([
        ['__proto__', ['a']],
        ['constructor', ['b']],
      ]),
    }
    const text = renderTokenReview('authentication.k8s.io/v1', { authenticated: true, user, audiences: undefined })
    assert.ok(
      text.includes(
        '"user":{"username":"constructor","uid":"__proto__","groups":["__proto__","toString"],"extra":{"__proto__":["a"],"constructor":["b"]}}',
      ),
    )
  })

  test('an identity that is answered twice is rendered the same, and two identities are kept apart', () => {
    const answer = (user: UserInfo, version: TokenReview['apiVersion']): string =>
      renderTokenReview(version, { authenticated: true, user, audiences: undefined })
    assert.equal(answer(jane, 'authentication.k8s.io/v1'), answer(jane, 'authentication.k8s.io/v1'))
    assert.equal(
      answer(jane, 'authentication.k8s.io/v1beta1'),
      answer({ ...jane }, 'authentication.k8s.io/v1').replace('/v1"', '/v1beta1"'),
    )
    assert.notEqual(
      answer(jane, 'authentication.k8s.io/v1'),
      answer({ ...jane, uid: 'u-2' }, 'authentication.k8s.io/v1'),
    )
  })

  test('whatever the identity holds, the answer is one JSON document that holds just that', () => {
    const text = fc.string({ unit: 'binary' })
    const users = fc.record({
      username: text,
      uid: text,
      groups: fc.array(text),
      extra: fc.uniqueArray(fc.tuple(text, fc.array(text)), { selector: ([key]) => key }),
    })
    fc.assert(
      fc.property(users, fc.option(fc.array(text), { nil: undefined }), ({ extra, ...rest }, audiences) => {
        const user: UserInfo = { ...rest, extra: new Map(extra) }
        const written = renderTokenReview('authentication.k8s.io/v1', { authenticated: true, user, audiences })
        assert.ok(written.endsWith('}\n') && !written.slice(0, -1).includes('\n'))
        const { status } = JSON.parse(written) as { status: { user: Record<string, unknown>; audiences?: unknown } }
        assert.equal(status.user['username'], user.username)
        assert.equal(status.user['uid'] ?? '', user.uid)
        assert.deepEqual(status.user['groups'] ?? [], user.groups)
        assert.deepEqual(new Map(Object.entries(status.user['extra'] ?? {})), new Map(user.extra))
        assert.deepEqual(status.audiences, audiences)
      }),
    )
  })
})
