import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type AuthnResult, REJECTION_CODES, SKIPPED } from '../../src/authn/authenticator.ts'
import type { Decision } from '../../src/authz/authorizer.ts'
import { ArchwayError, ERROR_CODES, type ErrorCode } from '../../src/errors.ts'
import type { HttpAnswer, HttpRequest } from '../../src/http.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { REVIEW_PATHS } from '../../src/webhook/webhook.ts'
import { authenticated, userInfo } from '../authn/support.ts'
import { accessReview, bodyOf, tokenReview, type WebhookFakes, webhookSetup } from './support.ts'

function retryAfter({ headers = [] }: HttpAnswer): string | undefined {
  return headers.find(([name]) => name === 'Retry-After')?.[1]
}

describe('routes', () => {
  for (const path of REVIEW_PATHS) {
    test(`${path} takes reviews of both kinds`, async () => {
      const { ask } = webhookSetup()
      for (const review of [tokenReview(), accessReview()]) assert.equal((await ask(review, { path })).status, 200)
    })
  }

  const unknown = [
    '/',
    '',
    '/webhook/',
    '/Webhook',
    '//webhook',
    '/webhook/x',
    '/%77ebhook',
    '/webhook;x',
    'webhook',
    '/metrics',
    '/healthz',
    '/authenticate/',
    '*',
  ]
  for (const path of unknown) {
    test(`T-H5 ${path || '(empty)'} is no path, whatever the method`, async () => {
      const { ask, authenticator } = webhookSetup()
      for (const method of ['POST', 'GET']) {
        const answer = await ask(tokenReview(), { path, method })
        assert.equal(answer.status, 404)
        assert.equal(bodyOf(answer)['message'], 'no such path: reviews go to /webhook')
      }
      assert.equal(authenticator.asked.length, 0)
    })
  }

  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'post', 'Post', '']) {
    test(`${method || '(no method)'} is not the method of a review`, async () => {
      const { ask, authenticator } = webhookSetup()
      const answer = await ask(tokenReview(), { method, contentType: 'text/plain' })
      assert.equal(answer.status, 405)
      assert.deepEqual(answer.headers, [['Allow', 'POST']])
      assert.equal(bodyOf(answer)['message'], 'reviews are sent with POST')
      assert.equal(authenticator.asked.length, 0)
    })
  }
})

describe('content types', () => {
  const taken = [
    undefined,
    'application/json',
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'application/json; charset="utf-8"',
    'application/json; charset=utf8',
    'Application/JSON',
    ' application/json ; ',
    'application/json; profile=x',
    'application/x-www-form-urlencoded',
  ]
  for (const contentType of taken) {
    test(`${contentType ?? '(none)'} is taken`, async () => {
      assert.equal((await webhookSetup().ask(tokenReview(), { contentType })).status, 200)
    })
  }

  const refused = [
    '',
    'text/plain',
    'text/json',
    'application/yaml',
    'application/jsonx',
    'application/json-patch+json',
    'application/vnd.kubernetes.protobuf',
    'multipart/form-data; boundary=x',
    'application/json; charset=latin1',
    'application/json; charset=utf-16',
    'application/json; charset',
    'application/json, text/plain',
  ]
  for (const contentType of refused) {
    test(`${contentType || '(empty)'} is refused`, async () => {
      const { ask, authenticator } = webhookSetup()
      const answer = await ask(tokenReview(), { contentType })
      assert.equal(answer.status, 415)
      assert.equal(bodyOf(answer)['reason'], 'UnsupportedMediaType')
      assert.equal(bodyOf(answer)['message'], 'send the review as application/json in UTF-8')
      assert.equal(authenticator.asked.length, 0)
    })
  }
})

describe('T-W15 what is no review is the asker’s mistake', () => {
  const bodies: readonly [body: string, message: RegExp][] = [
    ['', /^the body is empty/],
    ['EOF', /^the body is not valid JSON$/],
    ['null', /^the body is missing or not an object$/],
    ['[]', /^the body is missing or not an object$/],
    ['{}', /^apiVersion is missing/],
    ['{"apiVersion":"authentication.k8s.io/v1"}', /^kind is missing/],
    ['{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview"}', /^spec is missing/],
    [
      '{"apiVersion":"authentication.k8s.io/v3","kind":"TokenReview"}',
      /^unknown apiVersion "authentication.k8s.io\/v3"/,
    ],
    ['{"apiVersion":"v1","kind":"Pod"}', /^unknown kind\/apiVersion "Pod" "v1"/],
    ['{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{}}', /^spec has neither/],
    ['{"kind":"TokenReview","kind":"TokenReview"}', /^a key stands twice/],
  ]
  for (const [body, message] of bodies) {
    test(body || '(nothing)', async () => {
      const { ask, authenticator, authorizer, lines, observations } = webhookSetup()
      const answer = await ask(body)
      assert.equal(answer.status, 400)
      assert.equal(bodyOf(answer)['kind'], 'Status')
      assert.match(String(bodyOf(answer)['message']), message)
      assert.equal(authenticator.asked.length + authorizer.asked.length, 0)
      assert.equal(lines[0]?.level, 'warn')
      assert.equal(observations[0]?.outcome, 'invalid')
      assert.equal(observations[0]?.kind, 'none')
    })
  }
})

describe('TokenReview', () => {
  test('a proof is answered in the version that was asked, with identity and audiences', async () => {
    const user = userInfo({ extra: new Map([['k', ['v']]]) })
    for (const apiVersion of ['authentication.k8s.io/v1', 'authentication.k8s.io/v1beta1']) {
      const { ask } = webhookSetup({ authenticate: () => authenticated({ user, audiences: ['api'] }) })
      const answer = await ask({ ...tokenReview('t', { audiences: ['api', 'x'] }), apiVersion })
      assert.equal(answer.status, 200)
      assert.deepEqual(bodyOf(answer), {
        kind: 'TokenReview',
        apiVersion,
        metadata: { creationTimestamp: null },
        spec: {},
        status: {
          authenticated: true,
          user: { username: 'jane', uid: 'u-1', groups: ['dev'], extra: { k: ['v'] } },
          audiences: ['api'],
        },
      })
    }
  })

  test('the authenticator gets token, audiences, request id and the signal of the request', async () => {
    const { ask, authenticator } = webhookSetup()
    const { signal } = new AbortController()
    await ask(tokenReview('tok', { audiences: ['b', 'a'] }), { requestId: 'r-9', signal })
    const [asked] = authenticator.asked
    assert.equal(asked?.token, 'tok')
    assert.deepEqual(asked?.ctx.audiences, ['b', 'a'])
    assert.equal(asked?.ctx.requestId, 'r-9')
    assert.equal(asked?.ctx.signal, signal)
  })

  test('what an authenticator logs carries the request id', async () => {
    const { ask, lines } = webhookSetup({
      authenticate(_, { log }) {
        for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level]({ a: 1 }, `${level} said`)
        return SKIPPED
      },
    })
    await ask(tokenReview())
    assert.deepEqual(
      lines.slice(0, 4),
      (['debug', 'info', 'warn', 'error'] as const).map((level) => ({
        level,
        fields: { requestId: 'r-1', a: 1 },
        message: `${level} said`,
      })),
    )
    assert.equal(lines.length, 5)
  })

  describe('T-W3 a refusal is HTTP 200 without an error, which kube-apiserver remembers', () => {
    const refusals: readonly AuthnResult[] = [
      SKIPPED,
      ...REJECTION_CODES.map((code) => ({ kind: 'rejected', code, source: 'keystone' }) as const),
    ]
    for (const result of refusals) {
      const code = result.kind === 'rejected' ? result.code : 'unrecognized'
      test(result.kind === 'rejected' ? result.code : result.kind, async () => {
        const plain = await webhookSetup({ authenticate: () => result }).ask(tokenReview())
        assert.equal(plain.status, 200)
        assert.deepEqual(bodyOf(plain)['status'], { authenticated: false })
        const explained = await webhookSetup({ authenticate: () => result, explainRefusals: true }).ask(tokenReview())
        assert.equal(explained.status, 200)
        assert.deepEqual(bodyOf(explained)['status'], { authenticated: false, error: code })
      })
    }
  })

  test('T-W2 an empty or too long token is refused before anybody is asked', async () => {
    for (const [token, code] of [
      ['', 'credential_empty'],
      ['x'.repeat(1001), 'credential_too_large'],
      ['x'.repeat(100_000), 'credential_too_large'],
    ] as const) {
      const { ask, authenticator, lines, observations } = webhookSetup({ authenticate: () => authenticated() })
      const answer = await ask(tokenReview(token))
      assert.equal(answer.status, 200)
      assert.deepEqual(bodyOf(answer)['status'], { authenticated: false })
      assert.equal(authenticator.asked.length, 0)
      assert.equal(lines[0]?.fields['code'], code)
      assert.equal(observations[0]?.source, 'none')
    }
    const { ask, authenticator } = webhookSetup({ authenticate: () => authenticated() })
    await ask(tokenReview('x'.repeat(1000)))
    assert.equal(authenticator.asked.length, 1, 'one of just that length is looked at')
  })
})

describe('what is recalled', () => {
  const results: readonly AuthnResult[] = [
    authenticated({ source: 'keystone', audiences: ['api'] }),
    { kind: 'rejected', code: 'token_expired', source: 'keystone' },
    SKIPPED,
  ]
  for (const result of results) {
    test(`is answered, told and counted as what is asked: ${result.kind}`, async () => {
      const clock = (): number => 0
      const known = webhookSetup({ recall: () => result, clock })
      const asked = webhookSetup({ authenticate: () => result, recall: () => undefined, clock })
      assert.deepEqual(await known.ask(tokenReview()), await asked.ask(tokenReview()))
      assert.deepEqual(known.lines, asked.lines)
      assert.deepEqual(known.observations, asked.observations)
      assert.deepEqual([known.authenticator.asked.length, asked.authenticator.asked.length], [0, 1])
    })
  }

  test('is so for the token and the call of the request', async () => {
    const seen: unknown[] = []
    const { ask, authenticator } = webhookSetup({
      recall(token, { requestId, audiences }) {
        seen.push(token, requestId, audiences)
        return undefined
      },
    })
    await ask(tokenReview('tok', { audiences: ['a'] }))
    assert.deepEqual(seen, ['tok', 'r-1', ['a']])
    assert.equal(authenticator.asked[0]?.token, 'tok')
  })

  test('T-W2 is not even looked for with an empty or too long token', async () => {
    const { ask, lines } = webhookSetup({ recall: () => assert.fail('was looked for'), tokenLength: 3 })
    for (const token of ['', 'four'])
      assert.deepEqual(bodyOf(await ask(tokenReview(token)))['status'], { authenticated: false })
    assert.ok(lines.every(({ level }) => level === 'decision'))
  })

  test('T-W5 is a 500 that says nothing where recalling fails', async () => {
    const { ask, lines, observations } = webhookSetup({
      recall() {
        throw new TypeError('cannot read /etc/secret')
      },
    })
    const answer = await ask(tokenReview())
    assert.equal(answer.status, 500)
    assert.ok(!answer.body.includes('secret'))
    assert.deepEqual([lines.length, observations.length, observations[0]?.kind], [1, 1, 'TokenReview'])
  })
})

describe('T-W3 an outage is an error and never a no', () => {
  const unavailable = (Object.keys(ERROR_CODES) as ErrorCode[]).filter(
    (code) => new ArchwayError(code, '').status === 503,
  )
  assert.ok(unavailable.length > 3)
  for (const code of unavailable) {
    test(code, async () => {
      const secret = 'https://keystone.internal:5000'
      for (const wait of [undefined, 7]) {
        const fail = (): never => {
          throw new ArchwayError(code, secret, wait === undefined ? {} : { retryAfter: wait })
        }
        const { ask, lines, observations } = webhookSetup({ authenticate: fail, authorize: fail })
        for (const review of [tokenReview(), accessReview()]) {
          const answer = await ask(review)
          assert.equal(answer.status, 503)
          assert.equal(retryAfter(answer), String(wait ?? 1))
          const body = bodyOf(answer)
          assert.equal(body['kind'], 'Status')
          assert.equal(body['reason'], 'ServiceUnavailable')
          assert.ok(!('spec' in body))
          if (!ERROR_CODES[code].exposed) assert.equal(body['message'], `could not decide (${code})`)
        }
        assert.deepEqual(
          lines.map(({ level, fields }) => [level, fields['outcome'], fields['code']]),
          Array(2).fill(['error', 'error', code]),
        )
        assert.deepEqual(
          observations.map(({ kind, outcome }) => [kind, outcome]),
          [
            ['TokenReview', 'error'],
            ['SubjectAccessReview', 'error'],
          ],
        )
      }
    })
  }
})

describe('T-W5 a fault of ours is a 500 that says nothing', () => {
  const faults: readonly [name: string, thrown: unknown][] = [
    ['an error', new TypeError('cannot read /etc/secret')],
    ['an error with a code', Object.assign(new Error('/etc/secret'), { code: 'ENOENT' })],
    ['an abort', new DOMException('/etc/secret', 'AbortError')],
    ['a text', '/etc/secret'],
    ['nothing', undefined],
    ['null', null],
    ['an object', { message: '/etc/secret' }],
    ['internal', new ArchwayError('internal', '/etc/secret')],
    ['a mistake in a file, which no request should meet', new ArchwayError('file_invalid', '/etc/secret: line 3')],
    ['a mistake in the configuration', new ArchwayError('config_invalid', '/etc/secret: line 3')],
    ['what would be the asker’s mistake, had the asker sent it', new ArchwayError('body_invalid', '/etc/secret')],
    ['a path nobody has, of somebody behind us', new ArchwayError('not_found', '/etc/secret')],
  ]
  for (const [name, thrown] of faults) {
    test(name, async () => {
      const fail = (): never => {
        throw thrown
      }
      const { ask, lines, observations } = webhookSetup({ authenticate: fail, authorize: fail })
      for (const review of [tokenReview(), accessReview()]) {
        const answer = await ask(review)
        assert.equal(answer.status, 500)
        assert.equal(retryAfter(answer), undefined)
        assert.equal(bodyOf(answer)['reason'], 'InternalError')
        assert.match(String(bodyOf(answer)['message']), /^could not decide \((internal|file_invalid|config_invalid)\)$/)
        assert.ok(!answer.body.includes('secret'))
      }
      assert.equal(lines.length, 2)
      for (const { level, fields } of lines) {
        assert.equal(level, 'error')
        const { error } = fields
        assert.ok(error instanceof ArchwayError)
        assert.ok(error === thrown || error.cause === thrown, 'the log has what was thrown')
      }
      assert.ok(observations.every(({ outcome }) => outcome === 'error'))
    })
  }
})

describe('SubjectAccessReview', () => {
  const decisions: readonly [decision: Decision, status: object, outcome: string][] = [
    [{ kind: 'allow', reason: 'r' }, { allowed: true, reason: 'r' }, 'allowed'],
    [{ kind: 'deny', reason: 'r' }, { allowed: false, denied: true, reason: 'r' }, 'denied'],
    [{ kind: 'no-opinion' }, { allowed: false }, 'no-opinion'],
    [{ kind: 'no-opinion', reason: 'r' }, { allowed: false, reason: 'r' }, 'no-opinion'],
  ]
  test('T-W3 having no opinion for want of knowledge is an error, which kube-apiserver does not remember', async () => {
    const authorize = (): Decision => ({ kind: 'no-opinion', evaluationError: 'secret cause' })
    const { ask, observations } = webhookSetup({ authorize })
    const answer = await ask(accessReview())
    assert.equal(answer.status, 503)
    assert.ok(answer.headers?.some(([name, value]) => name === 'Retry-After' && value === '1'))
    assert.equal(answer.body.includes('secret cause'), false)
    assert.deepEqual(
      observations.map(({ kind, outcome }) => [kind, outcome]),
      [['SubjectAccessReview', 'error']],
    )
  })

  for (const [decision, status, outcome] of decisions) {
    test(`${JSON.stringify(decision)} is told as ${JSON.stringify(status)}`, async () => {
      for (const apiVersion of ['authorization.k8s.io/v1', 'authorization.k8s.io/v1beta1']) {
        const { ask, observations } = webhookSetup({ authorize: () => decision })
        const answer = await ask({ ...accessReview(), apiVersion })
        assert.equal(answer.status, 200)
        assert.deepEqual(bodyOf(answer), {
          kind: 'SubjectAccessReview',
          apiVersion,
          metadata: { creationTimestamp: null },
          spec: {},
          status,
        })
        assert.equal(observations[0]?.outcome, outcome)
      }
    })
  }

  test('the authorizer gets who, what, and whether there was extra', async () => {
    const { ask, authorizer, authenticator } = webhookSetup()
    const resourceAttributes = {
      verb: 'create',
      group: '',
      version: 'v1',
      resource: 'pods',
      subresource: 'exec',
      namespace: 'default',
      name: 'p',
    }
    const { signal } = new AbortController()
    await ask(accessReview({ uid: 'u', extra: { k: ['v'] }, resourceAttributes }), { requestId: 'r-9', signal })
    await ask(accessReview({ groups: null, extra: {} }))
    await ask(accessReview())
    assert.deepEqual(
      authorizer.asked.map(({ attributes }) => attributes),
      [
        {
          kind: 'resource',
          user: { username: 'jane', uid: 'u', groups: ['dev'], extra: new Map([['k', ['v']]]) },
          extraPresent: true,
          ...resourceAttributes,
        },
        {
          kind: 'non-resource',
          user: { username: 'jane', uid: '', groups: [], extra: new Map() },
          extraPresent: true,
          verb: 'get',
          path: '/healthz',
        },
        {
          kind: 'non-resource',
          user: { username: 'jane', uid: '', groups: ['dev'], extra: new Map() },
          extraPresent: false,
          verb: 'get',
          path: '/healthz',
        },
      ],
    )
    assert.equal(authorizer.asked[0]?.ctx.requestId, 'r-9')
    assert.equal(authorizer.asked[0]?.ctx.signal, signal)
    assert.deepEqual(authorizer.asked[0]?.ctx.audiences, [])
    assert.equal(authenticator.asked.length, 0)
  })
})

describe('every request is one line and one observation', () => {
  const outage = (): never => {
    throw new ArchwayError('keystone_timeout', 'slow')
  }
  const fault = (): never => {
    throw new TypeError('fault')
  }
  const rejected: AuthnResult = { kind: 'rejected', code: 'token_expired', source: 'keystone' }
  const cases: readonly {
    readonly name: string
    readonly fakes?: WebhookFakes
    readonly body?: unknown
    readonly over?: Partial<HttpRequest>
    readonly level: string
    readonly message: string
    readonly observed: readonly [kind: string, outcome: string, source?: string]
    readonly fields?: object
  }[] = [
    {
      name: 'a proof',
      fakes: { authenticate: () => authenticated({ source: 'keystone' }) },
      level: 'decision',
      message: 'review',
      observed: ['TokenReview', 'authenticated', 'keystone'],
      fields: { source: 'keystone', user: 'jane', uid: 'u-1', groups: 1 },
    },
    {
      name: 'a refusal',
      fakes: { authenticate: () => rejected },
      level: 'decision',
      message: 'review',
      observed: ['TokenReview', 'rejected', 'keystone'],
      fields: { source: 'keystone', code: 'token_expired' },
    },
    {
      name: 'a token nobody knows',
      level: 'decision',
      message: 'review',
      observed: ['TokenReview', 'rejected', 'none'],
      fields: { source: 'none', code: 'unrecognized' },
    },
    {
      name: 'an empty token',
      body: tokenReview(''),
      level: 'decision',
      message: 'review',
      observed: ['TokenReview', 'rejected', 'none'],
      fields: { source: 'none', code: 'credential_empty' },
    },
    {
      name: 'an outage',
      fakes: { authenticate: outage },
      level: 'error',
      message: 'review could not be decided',
      observed: ['TokenReview', 'error'],
      fields: { code: 'keystone_timeout', remote: '192.0.2.7' },
    },
    {
      name: 'a fault',
      fakes: { authenticate: fault },
      level: 'error',
      message: 'review could not be decided',
      observed: ['TokenReview', 'error'],
      fields: { code: 'internal', remote: '192.0.2.7' },
    },
    {
      name: 'an access review of a path',
      body: accessReview(),
      level: 'decision',
      message: 'review',
      observed: ['SubjectAccessReview', 'no-opinion'],
      fields: { user: 'jane', verb: 'get', path: '/healthz', reason: undefined },
    },
    {
      name: 'an access review of a resource, whose own kind and selectors stay out of the line',
      fakes: { authorize: () => ({ kind: 'allow', reason: 'because' }) },
      body: accessReview({
        resourceAttributes: {
          verb: 'list',
          group: 'apps',
          version: 'v1',
          resource: 'deployments',
          namespace: 'default',
          fieldSelector: { rawSelector: 'x'.repeat(10_000) },
          labelSelector: { rawSelector: 'y'.repeat(10_000) },
        },
      }),
      level: 'decision',
      message: 'review',
      observed: ['SubjectAccessReview', 'allowed'],
      fields: {
        user: 'jane',
        verb: 'list',
        group: 'apps',
        version: 'v1',
        resource: 'deployments',
        subresource: '',
        namespace: 'default',
        name: '',
        reason: 'because',
      },
    },
    {
      name: 'a failing authorizer',
      fakes: { authorize: fault },
      body: accessReview(),
      level: 'error',
      message: 'review could not be decided',
      observed: ['SubjectAccessReview', 'error'],
      fields: { code: 'internal', remote: '192.0.2.7' },
    },
    ...(
      [
        ['a wrong path', { path: '/' }, 'not_found'],
        ['a wrong method', { method: 'GET' }, 'method_not_allowed'],
        ['a wrong type', { contentType: 'text/plain' }, 'media_type_unsupported'],
        ['an empty body', { body: Buffer.alloc(0) }, 'body_invalid'],
        ['an unknown kind', { body: Buffer.from('{"kind":"Pod","apiVersion":"v1"}') }, 'kind_unknown'],
      ] as const
    ).map(([name, over, code]) => ({
      name,
      over,
      level: 'warn',
      message: 'request refused',
      observed: ['none', 'invalid'] as const,
      fields: { code, remote: '192.0.2.7' },
    })),
  ]
  for (const { name, fakes = {}, body = tokenReview(), over = {}, level, message, observed, fields = {} } of cases) {
    test(name, async () => {
      let time = 1000
      const clock = (): number => (time += 12.3456)
      const { ask, lines, observations } = webhookSetup({ ...fakes, clock })
      await ask(body, over)
      const [kind, outcome, source] = observed
      assert.equal(observations.length, 1)
      const { seconds, ...rest } = observations[0] ?? { seconds: 0 }
      assert.ok(Math.abs(seconds - 0.0123456) < 1e-9)
      assert.deepEqual(rest, source === undefined ? { kind, outcome } : { kind, outcome, source })
      assert.equal(lines.length, 1)
      const { error, ...told } = lines[0]?.fields ?? {}
      assert.deepEqual(told, { requestId: 'r-1', kind, outcome, ms: 12.346, ...fields })
      assert.equal(error !== undefined, level !== 'decision')
      assert.deepEqual([lines[0]?.level, lines[0]?.message], [level, message])
    })
  }
})

describe('T-S1 no token is in any line or answer, at the highest level', () => {
  const canary = 'canary-5ca1ab1e-not-a-shape-that-is-redacted'
  const fail = (thrown: unknown) => (): never => {
    throw thrown
  }
  const logging: WebhookFakes['authenticate'] = (_, { log }) => {
    for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level]({ source: 's' }, 'on the way')
    return SKIPPED
  }
  const cases: readonly [name: string, fakes: WebhookFakes, body: string | object, over?: Partial<HttpRequest>][] = [
    ['accepted', { authenticate: () => authenticated() }, tokenReview(canary)],
    [
      'refused',
      { authenticate: () => ({ kind: 'rejected', code: 'token_unknown', source: 'x' }) },
      tokenReview(canary),
    ],
    ['refused and explained', { explainRefusals: true }, tokenReview(canary)],
    ['nobody’s', { authenticate: logging }, tokenReview(canary)],
    ['too long', {}, tokenReview(canary.repeat(100))],
    ['an outage', { authenticate: fail(new ArchwayError('keystone_timeout', 'slow')) }, tokenReview(canary)],
    ['a fault', { authenticate: fail(new TypeError('fault')) }, tokenReview(canary)],
    ['with a wrong audience', {}, tokenReview(canary, { audiences: 5 })],
    ['no text', {}, JSON.stringify(tokenReview(`${canary}\ud800`))],
    ['in a list', {}, tokenReview([canary])],
    ['as a key', {}, `{"${canary}":1,"${canary}":2}`],
    ['as a key of the spec', {}, tokenReview(undefined, { [canary]: canary })],
    ['as the whole body', {}, canary],
    ['in half a body', {}, `{"kind":"TokenReview","spec":{"token":"${canary}"`],
    ['in a body of no version', {}, { ...tokenReview(canary), apiVersion: 'v9' }],
    ['in a body of no kind', {}, { ...tokenReview(canary), kind: 'Secret' }],
    ['to a wrong path', {}, tokenReview(canary), { path: '/' }],
    ['with a wrong method', {}, tokenReview(canary), { method: 'PUT' }],
    ['as a wrong type', {}, tokenReview(canary), { contentType: 'text/plain' }],
    ['in an access review', {}, accessReview({ extra: { [canary]: [canary] } })],
  ]
  for (const format of ['json', 'human'] as const) {
    for (const [name, fakes, body, over] of cases) {
      test(`${name} (${format})`, async () => {
        const written: string[] = []
        const log = await createLogger({ level: 'debug', format, write: (line) => written.push(line) })
        const answer = await webhookSetup({ ...fakes, log }).ask(body, over)
        log.flush()
        const text = written.join('')
        assert.ok(text.length > 0)
        for (const seen of [text, answer.body, JSON.stringify(answer.headers ?? [])]) {
          assert.ok(!seen.includes('5ca1ab1e'), seen)
        }
      })
    }
  }
})
