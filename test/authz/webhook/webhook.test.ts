import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { Attributes, Decision } from '../../../src/authz/authorizer.ts'
import { breaker } from '../../../src/authz/webhook/breaker.ts'
import { decisionCache } from '../../../src/authz/webhook/decision-cache.ts'
import {
  type WebhookAuthorizerOptions,
  type WebhookEvent,
  webhookAuthorizer,
} from '../../../src/authz/webhook/webhook.ts'
import type { CallContext } from '../../../src/context.ts'
import { type Transport, transport } from '../../../src/kube/api-client/transport.ts'
import {
  accessTo,
  json,
  type ScriptedServer,
  startServer,
  type TestTiming,
  testTiming,
} from '../../kube/api-client/support.ts'
import { type RecordingLog, recordingLog } from '../../reload/support.ts'
import { attributes, type VectorRequest, type VectorUser, vectors } from '../rbac/support.ts'

const V1 = 'authorization.k8s.io/v1'

let server: ScriptedServer
let wire: Transport
let log: RecordingLog
let timing: TestTiming
let events: WebhookEvent[]
before(async () => {
  server = await startServer()
  wire = transport({ access: accessTo(server, recordingLog(), { server: `${server.url}/authorize` }) })
})
after(async () => {
  await wire.close()
  await server.close()
})
beforeEach(() => {
  log = recordingLog()
  timing = testTiming()
  events = []
  server.seen.splice(0)
})

const context = (signal = new AbortController().signal): CallContext => ({ requestId: 'r', signal, log, audiences: [] })
const asked = (name: string, more: Partial<VectorRequest> = {}) =>
  attributes({ user: { name }, verb: 'get', isResourceRequest: true, resource: 'pods', namespace: 'team', ...more })
const open = (options: Partial<WebhookAuthorizerOptions> = {}) =>
  webhookAuthorizer({
    transport: wire,
    apiVersion: V1,
    timeoutMs: 30_000,
    failurePolicy: 'no-opinion',
    timing,
    observe: (event) => events.push(event),
    ...options,
  })
const answering = (status: object) => {
  server.script = (_, response) => json(response, { apiVersion: V1, kind: 'SubjectAccessReview', status })
}
const failing = (code = 400) => {
  server.script = (_, response) => response.writeHead(code).end('no')
}

describe('webhook authorizer vectors: what kube-apiserver makes of each answer', () => {
  interface Vector {
    readonly name: string
    readonly version: 'v1' | 'v1beta1'
    readonly repeat?: number
    readonly request: VectorRequest & {
      readonly user: (VectorUser & { readonly uid?: string; readonly extra?: Record<string, string[]> }) | null
    }
    readonly respond: { readonly status: number; readonly headers: Record<string, string>; readonly body: string }
    readonly expect: {
      readonly calls: number
      readonly decision: string
      readonly error: boolean
      readonly reason?: string
      readonly sent?: object
    }
  }
  const all = vectors<{ readonly count: number; readonly vectors: readonly Vector[] }>('webhook-authz-vectors')
  const NAMES: Readonly<Record<Decision['kind'], string>> = { allow: 'Allow', deny: 'Deny', 'no-opinion': 'NoOpinion' }

  function attributesOf({ user, ...request }: Vector['request']): Attributes {
    const base = attributes({ ...request, user })
    const extra = new Map(Object.entries(user?.extra ?? {}))
    return { ...base, user: { ...base.user, uid: user?.uid ?? '', extra } }
  }

  assert.equal(all.vectors.length, all.count)
  for (const { name, version, request, respond, repeat = 1, expect } of all.vectors) {
    test(name, async () => {
      server.script = (_, response) => response.writeHead(respond.status, respond.headers).end(respond.body)
      const webhook = open({ apiVersion: `authorization.k8s.io/${version}`, breaker: { failures: 100, openMs: 1 } })
      for (let time = 0; time < repeat; time++) {
        const decision = await webhook.authorize(attributesOf(request), context())
        assert.equal(NAMES[decision.kind], expect.decision)
        // A decision that is one carries no error: of a conflicting answer the log has it.
        const error =
          (decision.kind === 'no-opinion' && decision.evaluationError !== undefined) ||
          log.lines.some(({ level }) => level === 'error')
        assert.equal(error, expect.error)
        if (expect.reason !== undefined) assert.equal(decision.reason, expect.reason)
      }
      assert.equal(server.seen.length, expect.calls)
      const [seen] = server.seen
      assert.equal(`${seen?.method} ${seen?.path}`, 'POST /authorize')
      assert.equal(seen?.headers['content-type'], 'application/json')
      if (expect.sent !== undefined) assert.deepEqual(JSON.parse(seen?.body ?? ''), expect.sent)
    })
  }
})

describe('a question', () => {
  test('carries the selectors of the request', async () => {
    answering({ allowed: true })
    const fieldSelector = { requirements: [{ key: 'spec.nodeName', operator: 'In', values: ['n'] }] }
    const labelSelector = { rawSelector: 'a=b' }
    await open().authorize({ ...asked('ann', { verb: 'list' }), fieldSelector, labelSelector } as Attributes, context())
    const { resourceAttributes } = JSON.parse(server.seen[0]?.body ?? '').spec
    assert.deepEqual(
      [resourceAttributes.fieldSelector, resourceAttributes.labelSelector],
      [fieldSelector, labelSelector],
    )
  })

  test('T-H13 may have any key among its extras', async () => {
    answering({ allowed: true })
    const request = asked('ann')
    const extra = new Map([['__proto__', ['x']]])
    await open().authorize({ ...request, user: { ...request.user, extra } }, context())
    assert.match(server.seen[0]?.body ?? '', /"extra":\{"__proto__":\["x"\]\}/)
  })

  test('sends the credentials of its access and follows no redirect with them (T-H10)', async () => {
    server.script = (_, response) => response.writeHead(307, { location: `${server.url}/elsewhere` }).end()
    assert.equal((await open().authorize(asked('ann'), context())).kind, 'no-opinion')
    assert.equal(server.seen.length, 1)
    assert.equal(server.seen[0]?.headers.authorization, 'Bearer t0ken')
  })
})

describe('without an answer', () => {
  test('the failure policy decides: leave it to the next, or deny', async () => {
    failing()
    assert.deepEqual(await open({ name: 'hook' }).authorize(asked('ann'), context()), {
      kind: 'no-opinion',
      evaluationError: 'hook: HTTP 400',
    })
    assert.deepEqual(await open({ name: 'hook', failurePolicy: 'deny' }).authorize(asked('ann'), context()), {
      kind: 'deny',
      reason: 'hook: no answer, and without one nothing is allowed',
    })
    assert.equal(log.lines.filter(({ level }) => level === 'warn').length, 2)
  })

  test('T-W14 a webhook that hangs costs no more than the deadline', async () => {
    server.script = () => {}
    const decision = await open({ timeoutMs: 50 }).authorize(asked('ann'), context())
    assert.match(decision.kind === 'no-opinion' ? (decision.evaluationError ?? '') : '', /timeout/i)
    server.cut()
  })

  test('it is asked again after a pause that grows, as long as there is time', async () => {
    failing(500)
    await open().authorize(asked('ann'), context())
    assert.deepEqual(timing.slept.map(Math.round), [600, 900, 1350, 2025])
    timing.slept.splice(0)
    await open({ timeoutMs: 2000 }).authorize(asked('ann'), context())
    assert.deepEqual(timing.slept.map(Math.round), [600, 900])
  })

  test('it is asked again when it says when, with whatever status', async () => {
    let answers = 0
    server.script = (_, response) => {
      if (answers++ === 0) response.writeHead(503, { 'retry-after': '2' }).end()
      else json(response, { status: { allowed: true } })
    }
    assert.equal((await open().authorize(asked('ann'), context())).kind, 'allow')
    assert.deepEqual(timing.slept, [2000])
    assert.deepEqual(events, ['asked', 'retried'])
  })

  test('a connection that was lost is made anew', async () => {
    let answers = 0
    server.script = (_, response) => {
      if (answers++ === 0) response.destroy()
      else json(response, { status: { allowed: true } })
    }
    assert.equal((await open().authorize(asked('ann'), context())).kind, 'allow')
  })

  test('T-W15 an answer that is too long, or no SubjectAccessReview, is none', async () => {
    const bodies = [
      'x'.repeat(2 * 1024 * 1024),
      '[]',
      '{"status":[]}',
      '{"status":{"allowed":1}}',
      '{"status":{"reason":1}}',
      '{"status":{},"status":{"allowed":true}}',
      '{"status":{"evaluationError":{}}}',
    ]
    for (const body of bodies) {
      server.script = (_, response) => response.writeHead(200).end(body)
      const decision = await open().authorize(asked('ann'), context())
      assert.ok(decision.kind === 'no-opinion' && decision.evaluationError !== undefined, body.slice(0, 50))
    }
  })
})

describe('answers are remembered', () => {
  const allowedThenNot = async (options: Partial<WebhookAuthorizerOptions>, passMs: number) => {
    const webhook = open(options)
    answering({ allowed: true })
    await webhook.authorize(asked('ann'), context())
    answering({ allowed: false })
    await webhook.authorize(asked('bob'), context())
    timing.pass(passMs)
    answering({ allowed: true })
    return [await webhook.authorize(asked('ann'), context()), await webhook.authorize(asked('bob'), context())].map(
      ({ kind }) => kind,
    )
  }

  test('allowed ones and others each for their own time', async () => {
    assert.deepEqual(await allowedThenNot({}, 29_999), ['allow', 'no-opinion'])
    assert.equal(server.seen.length, 2)
    assert.deepEqual(await allowedThenNot({}, 30_000), ['allow', 'allow'])
    assert.equal(server.seen.length, 5)
    assert.deepEqual(events.filter((event) => event === 'cached').length, 3)
    await allowedThenNot({}, 300_000)
    assert.equal(server.seen.length, 9)
    await allowedThenNot({ allowedTtlMs: 0, otherTtlMs: 0 }, 0)
    assert.equal(server.seen.length, 13)
  })

  test('for one question, which user, groups, extras and every attribute belong to', async () => {
    answering({ allowed: true })
    const webhook = open()
    const base = asked('ann')
    const other: readonly Attributes[] = [
      asked('bob'),
      asked('ann', { verb: 'list' }),
      asked('ann', { resourceName: 'x' }),
      asked('ann', { user: { name: 'ann', groups: ['g'] } }),
      { ...base, user: { ...base.user, uid: '1' } },
      { ...base, user: { ...base.user, extra: new Map([['k', ['v']]]) } },
      { ...base, fieldSelector: {} } as Attributes,
    ]
    for (const request of [base, ...other]) await webhook.authorize(request, context())
    assert.equal(server.seen.length, 1 + other.length)
    assert.equal(webhook.cacheSize, 1 + other.length)
  })

  test('not when whoever asks chose a very long question', async () => {
    answering({ allowed: true })
    const webhook = open()
    await webhook.authorize(asked('ann', { resourceName: 'x'.repeat(10_000) }), context())
    await webhook.authorize(asked('x'.repeat(10_000)), context())
    assert.equal(webhook.cacheSize, 1)
  })

  test('of each kind no more than a bound, so that refusals do not push out what is allowed', () => {
    const cache = decisionCache<{ n: number }>({ allowedTtlMs: 1, otherTtlMs: 1, entries: 2, now: () => 0 })
    cache.set('a', true, { n: 0 })
    for (let n = 1; n < 10; n++) cache.set(`r${n}`, false, { n })
    assert.deepEqual(cache.get('a'), { n: 0 })
    assert.equal(cache.get('r7'), undefined)
    assert.equal(cache.size, 3)
  })
})

describe('the circuit breaker', () => {
  test('opens after failures in a row, lets one through after a while, and closes when that one is answered', async () => {
    failing()
    const states: string[] = []
    const webhook = open({ breaker: { failures: 2, openMs: 1000 }, onBreaker: (state) => states.push(state) })
    const ask = () => webhook.authorize(asked('ann'), context())
    await ask()
    answering({ allowed: false })
    await webhook.authorize(asked('bob'), context())
    failing()
    await ask()
    assert.equal(webhook.breakerState(), 'closed', 'an answer in between starts the count anew')
    await ask()
    assert.equal(webhook.breakerState(), 'open')
    const before = server.seen.length
    assert.deepEqual(await ask(), { kind: 'no-opinion', evaluationError: 'webhook: not asked, it failed too often' })
    assert.equal(
      (await webhook.authorize(asked('bob'), context())).kind,
      'no-opinion',
      'what is remembered still counts',
    )
    assert.equal(server.seen.length, before)
    timing.pass(1000)
    await ask()
    assert.equal(server.seen.length, before + 1)
    assert.equal(webhook.breakerState(), 'open', 'the one that was let through failed')
    timing.pass(1000)
    answering({ allowed: true })
    assert.equal((await ask()).kind, 'allow')
    assert.deepEqual(states, ['open', 'half-open', 'open', 'half-open', 'closed'])
  })

  test('denies while open where failure means deny', async () => {
    failing()
    const webhook = open({ breaker: { failures: 1, openMs: 1000 }, failurePolicy: 'deny' })
    await webhook.authorize(asked('ann'), context())
    assert.equal((await webhook.authorize(asked('ann'), context())).kind, 'deny')
    assert.deepEqual(events, ['asked', 'failed', 'not-asked'])
  })

  test('lets through one at a time while half open, and forgets one that was given up', () => {
    let now = 0
    const circuit = breaker({ failures: 1, openMs: 10, now: () => now })
    assert.equal(circuit.enter(), true)
    circuit.failed()
    now = 10
    assert.deepEqual([circuit.enter(), circuit.enter()], [true, false])
    circuit.abandoned()
    assert.equal(circuit.enter(), true)
    circuit.succeeded()
    assert.equal(circuit.state(), 'closed')
  })

  test('an asker who goes away is no failure of the webhook; one who waited for long is', async () => {
    const webhook = open({ breaker: { failures: 1, openMs: 1000 }, timeoutMs: 30_000 })
    for (const [waited, state] of [
      [0, 'closed'],
      [20_000, 'open'],
    ] as const) {
      const gone = new AbortController()
      server.script = () => {
        timing.pass(waited)
        gone.abort()
      }
      await webhook.authorize(asked('ann'), context(gone.signal))
      assert.equal(webhook.breakerState(), state)
    }
  })
})
