import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { z } from 'zod'
import {
  reviewToken,
  type TokenReviewClientOptions,
  type TokenReviewReply,
} from '../../src/kube/token-review-client.ts'
import { Secret } from '../../src/secret.ts'
import { type ScriptedAnswer, type ScriptedWebhook, scriptedWebhook } from './scripted-webhook.ts'

let webhook: ScriptedWebhook
before(async () => {
  webhook = await scriptedWebhook()
})
after(() => webhook[Symbol.asyncDispose]())

interface Asked extends Partial<Omit<TokenReviewClientOptions, 'token'>> {
  readonly token?: string
}

async function ask(answer: ScriptedAnswer | undefined, over: Asked = {}): Promise<TokenReviewReply> {
  webhook.answer = answer
  webhook.seen.length = 0
  const { token = 'abc', ...options } = over
  return reviewToken({
    url: webhook.url,
    apiVersion: 'authentication.k8s.io/v1',
    token: new Secret(token),
    audiences: [],
    tls: { ca: webhook.ca },
    timeoutMs: 10_000,
    ...options,
  })
}

/** An answer of status 200 with a TokenReview of v1 in it. */
function answering(status: object | null, headers: Record<string, string> = {}): ScriptedAnswer {
  const body = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', status })
  return { status: 200, headers: { 'Content-Type': 'application/json', ...headers }, body }
}

const Vector = z.object({
  name: z.string(),
  version: z.enum(['v1', 'v1beta1']),
  token: z.string(),
  apiAudiences: z.array(z.string()),
  respond: z.object({ status: z.number(), headers: z.record(z.string(), z.string()), body: z.string() }),
  expect: z.object({
    outcome: z.enum(['authenticated', 'rejected', 'error']),
    user: z
      .object({
        name: z.string(),
        uid: z.string(),
        groups: z.array(z.string()),
        extra: z.record(z.string(), z.array(z.string()).nullable()).default({}),
      })
      .optional(),
    audiences: z.array(z.string()).optional(),
    sent: z.unknown().optional(),
  }),
})
type Vector = z.infer<typeof Vector>

describe('the client concludes what kube-apiserver 1.20 concludes', () => {
  const text = readFileSync(new URL('../vectors/webhook-authn-vectors.json', import.meta.url), 'utf8')
  const { count, vectors } = z.object({ count: z.number(), vectors: z.array(Vector) }).parse(JSON.parse(text))

  test('the vectors are all there', () => assert.equal(vectors.length, count))

  // Vectors that are about repeating or remembering count for their outcome: this client asks once.
  for (const vector of vectors) test(vector.name, () => follow(vector))

  async function follow({ version, token, apiAudiences: audiences, respond, expect }: Vector): Promise<void> {
    const apiVersion = `authentication.k8s.io/${version}` as const
    const { verdict, httpStatus } = await ask(respond, { apiVersion, token, audiences })
    assert.equal(webhook.seen.length, 1)
    assert.equal(httpStatus, respond.status)
    const sent: unknown = JSON.parse(webhook.seen[0]?.body ?? '')
    if (expect.sent !== undefined) assert.deepEqual(sent, expect.sent)
    assert.equal(verdict.kind, expect.outcome === 'error' ? 'undecided' : expect.outcome)
    if (verdict.kind === 'undecided') assert.notEqual(verdict.cause, '')
    if (verdict.kind !== 'authenticated') return
    const { name: username = '', uid = '', groups = [], extra = {} } = expect.user ?? {}
    assert.deepEqual(verdict.user, {
      username,
      uid,
      groups,
      extra: new Map(Object.entries(extra).map(([key, values]) => [key, values ?? []])),
    })
    assert.deepEqual(verdict.audiences, expect.audiences ?? [])
  }
})

describe('the client is stricter than kube-apiserver', () => {
  const refused: readonly [name: string, body: string, cause: RegExp][] = [
    [
      'T-W11 a key that stands twice, of which Go takes the last',
      '{"kind":"TokenReview","status":{"authenticated":false,"authenticated":true}}',
      /^a key stands twice/,
    ],
    ['bytes that are not UTF-8, which Go replaces', '{"status":{"authenticated":true,"error":"\xff"}}', /not UTF-8$/],
    [
      'more than 256 keys in one object',
      JSON.stringify({
        status: { authenticated: true, user: { extra: Object.fromEntries(Array(257).fill([]).entries()) } },
      }),
      /more than 256 keys$/,
    ],
    [
      'null in a list of groups, which Go reads as an empty name',
      '{"status":{"user":{"groups":[null]}}}',
      /groups is not/,
    ],
  ]
  for (const [name, body, cause] of refused) {
    test(name, async () => {
      const { verdict } = await ask({ status: 200, headers: {}, body: Buffer.from(body, 'latin1') })
      assert.ok(verdict.kind === 'undecided')
      assert.match(verdict.cause, cause)
    })
  }
})

describe('a wrong type anywhere in the status makes the answer none, whatever else it says', () => {
  const wrong: readonly object[] = [
    { authenticated: 'true' },
    { authenticated: 1 },
    { authenticated: [] },
    { authenticated: false, error: {} },
    { authenticated: false, audiences: 'api' },
    { authenticated: false, user: [] },
    { authenticated: false, user: { username: 7 } },
    { authenticated: false, user: { groups: {} } },
    { authenticated: true, user: { extra: [] } },
    { authenticated: true, user: { extra: { k: 'v' } } },
    { authenticated: true, audiences: [1] },
    { authenticated: true, error: 1 },
  ]
  for (const status of wrong) {
    test(JSON.stringify(status), async () => assert.equal((await ask(answering(status))).verdict.kind, 'undecided'))
  }
})

test('null is absent everywhere', async () => {
  for (const [status, kind] of [
    [null, 'rejected'],
    [{ authenticated: null, error: null, user: null, audiences: null }, 'rejected'],
    [{ authenticated: true, error: null, user: { extra: null, uid: null }, audiences: null }, 'authenticated'],
  ] as const) {
    assert.equal((await ask(answering(status))).verdict.kind, kind, JSON.stringify(status))
  }
})

test('200 to 206 are answers, and no other status is', async () => {
  const good = answering({ authenticated: true, user: { username: 'u' } })
  for (const [status, kind] of [
    [200, 'authenticated'],
    [206, 'authenticated'],
    [207, 'undecided'],
    [226, 'undecided'],
    [300, 'undecided'],
    [401, 'undecided'],
    [503, 'undecided'],
  ] as const) {
    assert.equal((await ask({ ...good, status })).verdict.kind, kind, `${status}`)
  }
})

test('T-W2 nobody is authenticated by a user, an audience or a name alone', async () => {
  for (const status of [
    { user: { username: 'admin', groups: ['system:masters'] } },
    { authenticated: false, user: { username: 'admin' }, audiences: ['api'] },
    { Authenticated: true, user: { username: 'admin' } },
  ]) {
    assert.deepEqual((await ask(answering(status), { audiences: ['api'] })).verdict, { kind: 'rejected' })
  }
})

test('T-W1 an answer for other audiences only is a refusal, one for none is for those asked', async () => {
  const audiences = ['a', 'b']
  const accepted = { authenticated: true, user: { username: 'u' } }
  const given = async (answered?: readonly string[]): Promise<unknown> => {
    const { verdict } = await ask(answering({ ...accepted, audiences: answered }), { audiences })
    return verdict.kind === 'authenticated' ? verdict.audiences : verdict.kind
  }
  assert.deepEqual(await given(['b', 'x', 'a']), ['b', 'a'])
  assert.deepEqual(await given(['x']), 'rejected')
  assert.deepEqual(await given(['A']), 'rejected')
  assert.deepEqual(await given([]), audiences)
  assert.deepEqual(await given(), audiences)
})

test('T-H13 __proto__ in the answer is a key of extra and nothing else', async () => {
  const body = '{"status":{"authenticated":true,"user":{"__proto__":{"username":"x"},"extra":{"__proto__":["a"]}}}}'
  const { verdict } = await ask({ status: 200, headers: {}, body })
  assert.ok(verdict.kind === 'authenticated')
  assert.equal(verdict.user.username, '')
  assert.deepEqual([...verdict.user.extra], [['__proto__', ['a']]])
})

test('the request is the one of kube-apiserver: path as configured, JSON both ways', async () => {
  await ask(answering({}), { url: `${webhook.url}?timeout=30s` })
  const [seen] = webhook.seen
  assert.equal(seen?.method, 'POST')
  assert.equal(seen?.url, '/k8s/authenticate?timeout=30s')
  assert.equal(seen?.headers['content-type'], 'application/json')
  assert.equal(seen?.headers['accept'], 'application/json, */*')
})

test('status, request id and body of the answer are told', async () => {
  const answer = answering({ authenticated: false }, { 'X-Request-Id': 'r-7' })
  const reply = await ask({ ...answer, status: 201 })
  assert.equal(reply.httpStatus, 201)
  assert.equal(reply.requestId, 'r-7')
  assert.equal(reply.body, answer.body)
  assert.ok(reply.milliseconds >= 0)
  assert.ok(!('requestId' in (await ask(answering({})))))
})

describe('what went wrong is told in words', () => {
  const status = JSON.stringify({ kind: 'Status', apiVersion: 'v1', message: 'no such path', code: 404 })
  const causes: readonly [name: string, answer: ScriptedAnswer, cause: string][] = [
    ['the message of a Status object', { status: 404, headers: {}, body: status }, 'HTTP 404: no such path'],
    ['a short text', { status: 500, headers: {}, body: 'EOF\n\n  x' }, 'HTTP 500: EOF x'],
    [
      'the beginning of a long text',
      { status: 502, headers: {}, body: 'x'.repeat(999) },
      `HTTP 502: ${'x'.repeat(200)}`,
    ],
    ['the status alone', { status: 503, headers: {}, body: '' }, 'HTTP 503'],
    ['the status alone where an object says nothing', { status: 403, headers: {}, body: '{}' }, 'HTTP 403'],
    ['the refusal’s own error', answering({ error: 'expired' }), 'refused with status.error: expired'],
  ]
  for (const [name, answer, cause] of causes) {
    test(name, async () => assert.partialDeepStrictEqual((await ask(answer)).verdict, { kind: 'undecided', cause }))
  }

  test('a connection that is cut', async () => {
    const reply = await ask(undefined)
    assert.ok(reply.verdict.kind === 'undecided')
    assert.notEqual(reply.verdict.cause, '')
    assert.equal(reply.body, '')
    assert.ok(!('httpStatus' in reply))
  })

  test('a certificate of an unknown CA', async () => {
    const { verdict } = await ask(answering({ authenticated: true }), { tls: {} })
    assert.ok(verdict.kind === 'undecided')
    assert.match(verdict.cause, /certificate/)
    assert.equal(webhook.seen.length, 0, 'the token is not sent')
  })

  test('a name that is not in the certificate', async () => {
    const url = webhook.url.replace('127.0.0.1', 'localhost')
    const { verdict } = await ask(answering({ authenticated: true }), { url })
    assert.ok(verdict.kind === 'undecided')
    assert.match(verdict.cause, /altnames/)
    assert.equal(webhook.seen.length, 0)
  })

  test('nobody at the address', async () => {
    const { verdict } = await ask(undefined, { url: 'https://127.0.0.1:1/' })
    assert.ok(verdict.kind === 'undecided')
    assert.match(verdict.cause, /ECONNREFUSED/)
  })

  test('an answer longer than 1 MiB', async () => {
    const { verdict } = await ask({ status: 200, headers: {}, body: ' '.repeat(1024 * 1024 + 1) })
    assert.deepEqual(verdict, { kind: 'undecided', cause: 'the answer is longer than 1 MiB' })
  })
})

test('any certificate is accepted only where that is asked for', async () => {
  const { verdict } = await ask(answering({ authenticated: true }), { tls: { insecure: true } })
  assert.equal(verdict.kind, 'authenticated')
})

test('T-H10 a redirect is not followed', async () => {
  const { verdict } = await ask({ status: 307, headers: { Location: webhook.url }, body: '' })
  assert.deepEqual(verdict, { kind: 'undecided', cause: 'HTTP 307' })
  assert.equal(webhook.seen.length, 1)
})

test('HTTP/2 is spoken where the webhook offers it', async () => {
  await using other = await scriptedWebhook({ http2: true })
  other.answer = answering({ authenticated: true, user: { username: 'jane' } })
  const { verdict } = await ask(undefined, { url: other.url, tls: { ca: other.ca } })
  assert.equal(verdict.kind, 'authenticated')
  assert.equal(other.seen[0]?.httpVersion, '2.0')
})

describe('T-S1 a token that the webhook echoes is shown to nobody', () => {
  for (const token of ['canary-5ca1ab1e', 'canary"5ca1\\ab1e']) {
    const echoes: readonly ScriptedAnswer[] = [
      answering({ authenticated: false, error: `cannot check ${token}` }),
      { status: 200, headers: {}, body: JSON.stringify({ spec: { token }, status: { authenticated: true } }) },
      { status: 401, headers: {}, body: `unknown token ${token}` },
      { status: 500, headers: {}, body: JSON.stringify({ message: `failed: ${token}` }) },
      { status: 200, headers: {}, body: JSON.stringify({ kind: token }) },
    ]
    for (const [index, answer] of echoes.entries()) {
      test(`${JSON.stringify(token)}, answer ${index + 1}`, async () => {
        const reply = JSON.stringify(await ask(answer, { token }))
        assert.ok(!reply.includes('5ca1'), reply)
        assert.ok(reply.includes('[redacted]'), reply)
      })
    }
  }

  test('a token of a few characters is no secret, and may be part of any word', async () => {
    const answer = answering({ authenticated: true, user: { username: 'abc' } })
    assert.equal((await ask(answer, { token: 'abc' })).body, answer.body)
  })
})
