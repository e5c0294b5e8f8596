import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { apiserverToken } from '../../src/authn/apiserver-token.ts'
import { KubeApiError } from '../../src/kube/api-client/error.ts'
import { authenticatorContract } from '../contract/authenticator.ts'
import { callContext } from '../support/context.ts'

const jwt = (claims: object): string => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2ln`
}
const BUILD = jwt({ sub: 'build' })
const DEPLOY = jwt({ sub: 'deploy' })
const ALICE = jwt({ sub: 'alice' })

const status = (username: string, more: object = {}): object => ({
  authenticated: true,
  user: { username, uid: 'u', groups: ['system:serviceaccounts'], extra: { 'a.example/k': ['v'] } },
  audiences: ['archway'],
  ...more,
})
const KNOWN: ReadonlyMap<string, object> = new Map([
  [BUILD, status('system:serviceaccount:ci:build')],
  [DEPLOY, status('system:serviceaccount:ci:deploy')],
  [ALICE, status('alice')],
])

function setUp(
  answer: (token: string) => object = (token) =>
    KNOWN.get(token) ?? { error: '[invalid bearer token, invalid bearer token]' },
  serviceAccountsOnly = true,
) {
  const sent: { path: string; review: { spec: { token: string; audiences: string[] } } }[] = []
  const authenticator = apiserverToken({
    name: 'cluster',
    audiences: ['archway', 'proxy'],
    serviceAccountsOnly,
    client: {
      async create(path, object) {
        const review = object as (typeof sent)[number]['review']
        sent.push({ path, review })
        return {
          kind: 'TokenReview',
          apiVersion: 'authentication.k8s.io/v1',
          status: answer(review.spec.token),
        } as never
      },
    },
  })
  return { authenticator, sent, ask: (token: string) => authenticator.authenticate(token, callContext()) }
}

authenticatorContract('apiserver-token', () => {
  let broken = false
  const { authenticator } = setUp((token) => {
    if (broken) throw new KubeApiError('unreachable', 'connect ECONNREFUSED')
    return KNOWN.get(token) ?? { error: 'invalid bearer token' }
  })
  return {
    authenticator,
    good: new Map([
      [BUILD, 'system:serviceaccount:ci:build'],
      [DEPLOY, 'system:serviceaccount:ci:deploy'],
    ]),
    unknown: ALICE,
    breakDown: () => {
      broken = true
    },
  }
})

describe('a token of the API server', () => {
  test('is asked about with our own audiences, and its identity is handed on whole', async () => {
    const { ask, sent } = setUp()
    const result = await ask(BUILD)
    assert.deepEqual(
      sent.map(({ path, review }) => [path, review.spec]),
      [['/apis/authentication.k8s.io/v1/tokenreviews', { token: BUILD, audiences: ['archway', 'proxy'] }]],
    )
    assert.deepEqual(result, {
      kind: 'authenticated',
      source: 'cluster',
      audiences: ['archway'],
      user: {
        username: 'system:serviceaccount:ci:build',
        uid: 'u',
        groups: ['system:serviceaccounts'],
        extra: new Map([['a.example/k', ['v']]]),
      },
    })
  })

  const refused: readonly [string, object, string][] = [
    ['a clean no', {}, 'token_unknown'],
    ...[
      'invalid bearer token',
      '[invalid bearer token, Token has been invalidated]',
      '[invalid bearer token, Token has expired.]',
      '[invalid bearer token, Token could not be validated.]',
      '[invalid bearer token, square/go-jose: error in cryptographic primitive]',
      '[invalid bearer token, token audiences ["other" "x"] is invalid for the target audiences ["archway"]]',
      '[invalid bearer token, serviceaccounts "robot" not found]',
      '[invalid bearer token, ServiceAccount UID (aa3a66d2-0d96) does not match claim (8876a65b-336d)]',
      '[invalid bearer token, resource name may not be empty]',
      '[invalid bearer token, service account token is not valid yet]',
      '[invalid bearer token, service account ci/build has been deleted]',
      '[invalid bearer token, secret UID (a-1) does not match service account secret ref claim (b-2)]',
    ].map((error): [string, object, string] => [error, { error }, 'token_unknown']),
    [
      'T-W1 an answer for other audiences',
      status('system:serviceaccount:ci:build', { audiences: ['vault'] }),
      'token_unknown',
    ],
    [
      'T-W1 an answer that names no audiences',
      status('system:serviceaccount:ci:build', { audiences: [] }),
      'audience_mismatch',
    ],
    ['T-W6 somebody who is no service account', status('system:admin'), 'token_unknown'],
    ['T-W6 a name that only looks like one', status('system:serviceaccount:ci:build:x'), 'token_unknown'],
  ]
  for (const [name, answer, code] of refused) {
    test(`${name} is a refusal`, async () => {
      assert.deepEqual(await setUp(() => answer).ask(BUILD), { kind: 'rejected', code, source: 'cluster' })
    })
  }

  test('anybody the API server knows may come, where that is allowed', async () => {
    assert.equal((await setUp(undefined, false).ask(ALICE)).kind, 'authenticated')
  })

  const unclear: readonly [string, object][] = [
    ['an error of something else', { error: 'Post "https://webhook": context deadline exceeded' }],
    [
      'a webhook of the API server that is down, though `invalid bearer token` stands before it,',
      {
        error:
          '[invalid bearer token, Post "https://127.0.0.1:1/webhook": dial tcp 127.0.0.1:1: connect: connection refused]',
      },
    ],
    ['a store that is away', { error: '[invalid bearer token, etcdserver: request timed out]' }],
    ['an outage behind a known fault', { error: '[invalid bearer token, Token has expired., Post "https://x": EOF]' }],
    ['a wrong type', { authenticated: 'yes' }],
  ]
  for (const [name, answer] of unclear) {
    test(`T-W3 ${name} is no answer, and never a no`, async () => {
      await assert.rejects(setUp(() => answer).ask(BUILD), { code: 'apiserver_answer_invalid' })
    })
  }

  test('T-W3 an API server that forbids the question is said to, with the remedy', async () => {
    const { ask } = setUp(() => {
      throw new KubeApiError('status', 'POST …: 403 Forbidden', { status: 403 })
    })
    await assert.rejects(ask(BUILD), { code: 'apiserver_answer_invalid', message: /system:auth-delegator/ })
  })

  test('what is no JWT is left to others, unasked', async () => {
    const { ask, sent } = setUp()
    for (const token of [
      '',
      'opaque',
      'abcdef.0123456789abcdef',
      'a.b.c',
      `${BUILD} x`,
      `eyJ.${'x'.repeat(20_000)}.y`,
    ]) {
      assert.equal((await ask(token)).kind, 'skipped')
    }
    assert.equal(sent.length, 0)
  })
})
