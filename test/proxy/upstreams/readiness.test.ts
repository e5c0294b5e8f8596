/** What an API server's answer to a health check means. */
import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { UpstreamFailure } from '../../../src/proxy/upstream/upstream.ts'
import { readinessCheck } from '../../../src/proxy/upstreams/readiness.ts'
import { type FakePool, fakePool } from './support.ts'

let pool: FakePool
beforeEach(() => {
  pool = fakePool()
})

const check = (signal = new AbortController().signal) =>
  readinessCheck({ name: 'one:6443', pool, commonName: () => 'front-proxy-client' })(signal)

describe('a check', () => {
  test('is a GET on a new connection, as a user without groups, and leaves no connection behind', async () => {
    pool.answer = () => ({ status: 200, body: 'ok' })
    assert.deepEqual(await check(), { kind: 'ready' })
    assert.deepEqual(pool.needs, ['fresh'])
    const { request, aborted } = pool.exchanges[0] ?? assert.fail()
    assert.deepEqual([request.method, request.target, request.framing.kind, aborted], ['GET', '/readyz', 'none', true])
    const lines = request.headers.filter(([name]) => /^(host|x-remote-)/i.test(name))
    assert.deepEqual(lines, [
      ['Host', 'one:6443'],
      ['X-Remote-User', 'archway-health-check'],
    ])
  })

  test('asks servers before 1.16 for /healthz', async () => {
    pool.answer = ({ target }) => ({ status: target === '/healthz' ? 200 : 404 })
    assert.deepEqual(await check(), { kind: 'ready' })
    pool.answer = () => ({ status: 404 })
    assert.equal((await check()).kind, 'unready')
  })

  test('ends when its time is over', async () => {
    const controller = new AbortController()
    const checking = check(controller.signal)
    await new Promise(setImmediate)
    controller.abort(new Error('no answer in time'))
    assert.deepEqual(await checking, { kind: 'unready', reason: 'no answer in time' })
    assert.equal(pool.exchanges[0]?.aborted, true)
  })

  test('takes no answer without end', async () => {
    pool.answer = () => ({ status: 500, body: 'x'.repeat(100_000) })
    assert.equal((await check()).kind, 'unready')
    assert.equal(pool.exchanges[0]?.aborted, true)
  })
})

describe('the answer', () => {
  for (const [status, body, readiness] of [
    [403, '', { kind: 'silent' }],
    [500, 'internal error', { kind: 'unready', reason: 'it says that it is not ready (500)' }],
    [
      500,
      '[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/rbac/bootstrap-roles failed: not finished\n',
      { kind: 'unready', reason: 'it says that it is not ready (500): etcd, poststarthook/rbac/bootstrap-roles' },
    ],
    [302, '', { kind: 'unready', reason: 'it says that it is not ready (302)' }],
    [429, '', { kind: 'unready', reason: 'it says that it is not ready (429)' }],
    [204, '', { kind: 'unready', reason: 'it says that it is not ready (204)' }],
  ] as const) {
    test(`${status} ${JSON.stringify(body.slice(0, 30))} is ${readiness.kind}`, async () => {
      pool.answer = () => ({ status, body })
      assert.deepEqual(await check(), readiness)
    })
  }

  test('401 means that nobody would be let in, and says what to do', async () => {
    pool.answer = () => ({ status: 401 })
    const found = await check()
    assert(found.kind === 'unready')
    assert.match(found.reason, /does not trust this front-proxy certificate: .*allowed-names .*CN=front-proxy-client/)
  })
})

describe('no answer', () => {
  test('is a server that is not ready', async () => {
    pool.failure = new UpstreamFailure('unreachable', 'one:6443: nothing listens there')
    assert.deepEqual(await check(), { kind: 'unready', reason: 'one:6443: nothing listens there' })
  })

  test('for want of descriptors here says nothing of it', async () => {
    const cause = Object.assign(new Error('EMFILE'), { code: 'EMFILE' })
    pool.failure = new UpstreamFailure('unreachable', 'no descriptors', { cause })
    assert.deepEqual(await check(), { kind: 'unknown', reason: 'no descriptors' })
  })

  test('after the handshake is explained where TLS says why', async () => {
    const checking = check()
    await new Promise(setImmediate)
    const cause = Object.assign(new Error('alert'), { code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' })
    pool.exchanges[0]?.sink.failed(new UpstreamFailure('lost', 'lost', { cause }))
    const found = await checking
    assert(found.kind === 'unready')
    assert.match(found.reason, /does not take the front-proxy certificate/)
  })
})
