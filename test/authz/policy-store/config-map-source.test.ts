import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { afterEach, describe, test } from 'node:test'
import { type ConfigMapSource, configMapSource } from '../../../src/authz/policy-store/config-map-source.ts'
import { KubeApiError } from '../../../src/kube/api-client/error.ts'
import { testTiming } from '../../kube/api-client/support.ts'
import { type RecordingLog, recordingLog } from '../../reload/support.ts'
import {
  AWAY,
  allowed,
  example,
  type FakeApi,
  fakeApi,
  quiet,
  rules,
  type TestStore,
  testStore,
  text,
  until,
} from './support.ts'

const VERBS = ['get', 'list', 'watch', 'delete'] as const
const WHERE = 'auth/policy'

interface Following {
  readonly api: FakeApi
  readonly store: TestStore
  readonly source: ConfigMapSource
  readonly log: RecordingLog
  /** Resolves when a line with this message was written, counted from 1. */
  said(message: string, times?: number): Promise<void>
  may(verbs: string): Promise<void>
}

const ending: AbortController[] = []
afterEach(() => {
  for (const each of ending.splice(0)) each.abort()
})

function follow(options: { readonly api?: FakeApi; readonly sources?: readonly string[] } = {}): Following {
  const { api = fakeApi(), sources = [WHERE] } = options
  const controller = new AbortController()
  ending.push(controller)
  const store = testStore(sources)
  const log = recordingLog()
  const source = configMapSource({
    namespace: 'auth',
    name: 'policy',
    client: api.client,
    store,
    log,
    signal: controller.signal,
    instance: 'archway-0',
    timing: testTiming(),
    now: () => new Date('2026-01-01T00:00:00Z'),
  })
  const count = (message: string): number => log.lines.filter((line) => line.message === message).length
  return {
    api,
    store,
    source,
    log,
    said: (message, times = 1) => until(() => count(message) >= times, `${times}: ${message}`),
    may: (verbs) => until(() => allowed(store, ...VERBS) === verbs, `may ${verbs}`),
  }
}

function withPolicy(content: string): FakeApi {
  const api = fakeApi()
  api.put({ policies: content })
  return api
}

const IN_FORCE = 'policy in force'
const REFUSED = 'policy refused, the last good one stays in force'
const ABSENT = 'the ConfigMap does not exist: it allows nothing'

describe('the first list', () => {
  test('T-W13 until it comes the source is missing, and not good', async () => {
    const api = withPolicy(text(rules('get')))
    api.refuse(AWAY)
    const { store, source, may } = follow({ api })
    await until(() => source.watched.status().failures > 2, 'tries')
    assert.deepEqual(store.missing(), [WHERE])
    assert.equal(source.status().ok, false)
    assert.equal(allowed(store, ...VERBS), '')
    api.refuse(undefined)
    await may('get')
    await until(() => source.status().ok, 'a watch')
    assert.deepEqual(store.missing(), [])
  })

  test('with the ConfigMap puts its policy in force', async () => {
    const content = text(rules('get'), example('get', 'allow'))
    const { source, may, said } = follow({ api: withPolicy(content) })
    await may('get')
    await said(IN_FORCE)
    const status = source.status()
    assert.deepEqual(
      { ...status, ok: true },
      {
        name: WHERE,
        ok: true,
        digest: createHash('sha256').update(content).digest('hex'),
        loadedAt: new Date('2026-01-01T00:00:00Z'),
        reloads: 0,
        failures: 0,
      },
    )
  })

  test('without it allows nothing, and is not missing', async () => {
    const { api, store, said, may, log } = follow()
    await said(ABSENT)
    assert.deepEqual(store.missing(), [])
    assert.deepEqual(
      log.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields),
      [{ policy: WHERE }],
    )
    api.put({ policies: text(rules('list')) })
    await may('list')
    assert.deepEqual(api.created, [])
  })

  test('asks for the one object only, so that a Role in its namespace is enough', async () => {
    const { api, said } = follow({ api: withPolicy(text(rules('get'))) })
    await said(IN_FORCE)
    await until(() => api.selections.length >= 2, 'list and watch')
    for (const { path, fieldSelector } of api.selections) {
      assert.equal(path, '/api/v1/namespaces/auth/configmaps')
      assert.equal(fieldSelector, 'metadata.name=policy')
    }
  })

  test('with another object beside it, or alone, takes nothing of that', async () => {
    const api = fakeApi()
    api.putOther({ policies: text(rules('delete')) })
    const { said, store, may } = follow({ api })
    await said(ABSENT)
    api.put({ policies: text(rules('get')) })
    await may('get')
    api.putOther({ policies: text(rules('watch')) })
    await quiet()
    assert.equal(allowed(store, ...VERBS), 'get')
  })

  test('with a policy that cannot be used leaves the source missing', async () => {
    const { store, source, said, may, api } = follow({ api: withPolicy('{') })
    await said(REFUSED)
    assert.deepEqual(store.missing(), [WHERE])
    assert.equal(source.status().ok, false)
    api.put({ policies: text(rules('get')) })
    await may('get')
    assert.deepEqual(store.missing(), [])
  })
})

describe('T-W13 a change that cannot be used leaves the last good policy in force', () => {
  const broken: readonly [name: string, data: object | undefined, cause: RegExp][] = [
    ['broken text', { policies: '{"a": ' }, /^auth\/policy: line 1: /],
    ['a wrong type', { policies: '[{"users": ["alice"]}]' }, /\[0\]\.users: expected/],
    ['an empty text', { policies: '' }, /is empty/],
    ['text after its end, which is refused here', { policies: `${text(rules('list'))} x` }, /goes on after its end/],
    ['a failing example', { policies: text(rules('list'), example('get', 'allow')) }, /examples\[0\]: expects allow/],
    ['no rule any more', { policies: '[]' }, /takes every rule away/],
    ['another key', { policy: text(rules('list')) }, /^auth\/policy: the key policies is missing$/],
    ['no data', undefined, /the key policies is missing/],
    ['data that is no object', ['x'], /the key policies is missing/],
    ['a key that is no text', { policies: 5 }, /the key policies is missing/],
    ['a key that is null', { policies: null }, /the key policies is missing/],
  ]
  for (const [name, data, cause] of broken) {
    test(name, async () => {
      const { api, store, source, log, said, may } = follow({ api: withPolicy(text(rules('get'))) })
      await may('get')
      const digest = store.digest()
      api.put(data)
      await said(REFUSED)
      assert.equal(allowed(store, ...VERBS), 'get')
      assert.equal(store.digest(), digest)
      const { ok, error = '', failures } = source.status()
      assert.equal(ok, false)
      assert.equal(failures, 1)
      assert.match(error, cause)
      assert.deepEqual(log.lines.find(({ message }) => message === REFUSED)?.fields, { policy: WHERE, error })
      api.put({ policies: text(rules('watch')) })
      await may('watch')
      await until(() => source.status().ok, 'recovery')
      assert.equal(source.status().reloads, 1)
    })
  }
})

describe('deletion and re-creation', () => {
  test('deletion allows nothing; what is created anew is in force', async () => {
    const { api, store, source, said, may } = follow({ api: withPolicy(text(rules('get'))) })
    await may('get')
    api.remove()
    await said(ABSENT)
    assert.equal(allowed(store, ...VERBS), '')
    assert.deepEqual(store.missing(), [])
    assert.equal(source.status().ok, true)
    api.put({ policies: text(rules('get', 'list')) })
    await may('get list')
  })

  test('what is created anew and cannot be used allows nothing', async () => {
    const { api, store, said, may } = follow({ api: withPolicy(text(rules('get'))) })
    await may('get')
    api.remove()
    api.put({ policies: '{' })
    await said(REFUSED)
    assert.equal(allowed(store, ...VERBS), '')
  })

  test('deletion takes away its own rules only', async () => {
    const { api, store, may, said } = follow({ api: withPolicy(text(rules('get'))), sources: ['a.json', WHERE] })
    store.take('a.json', text(rules('list')))
    await may('get list')
    api.remove()
    await said(ABSENT)
    assert.equal(allowed(store, ...VERBS), 'list')
  })

  test('deletion while nobody watched is seen by the next list', async () => {
    const { api, may, said } = follow({ api: withPolicy(text(rules('get'))) })
    await may('get')
    await until(() => api.watches() === 1, 'a watch')
    api.refuse(AWAY)
    api.cut(new KubeApiError('status', 'HTTP 410', { status: 410, reason: 'Expired' }))
    await until(() => api.watches() === 0, 'the end of it')
    api.remove()
    api.refuse(undefined)
    await said(ABSENT)
    await may('')
  })
})

describe('while the API server is away', () => {
  for (const [name, error] of [
    ['the connection is lost', AWAY],
    ['the server ends the watch', undefined],
    ['the server forgot where we were', new KubeApiError('status', 'HTTP 410', { status: 410, reason: 'Expired' })],
    ['the server takes the right away', new KubeApiError('status', 'HTTP 403', { status: 403, reason: 'Forbidden' })],
  ] as const) {
    test(`T-W13 the policy stays, and is followed again afterwards: ${name}`, async () => {
      const { api, store, source, may, said } = follow({ api: withPolicy(text(rules('get'))) })
      await may('get')
      await until(() => api.watches() === 1, 'a watch')
      const digest = store.digest()
      api.refuse(error ?? AWAY)
      api.cut(error)
      await until(() => source.watched.status().failures > 1, 'tries')
      assert.equal(allowed(store, ...VERBS), 'get')
      assert.equal(store.digest(), digest)
      const { ok, error: cause = '' } = source.status()
      assert.equal(ok, false)
      assert.notEqual(cause, '')
      api.refuse(undefined)
      await until(() => source.status().ok, 'a watch again')
      await said(IN_FORCE) // once: nothing has changed
      api.put({ policies: text(rules('list')) })
      await may('list')
    })
  }
})

describe('together with other sources', () => {
  test('what was refused for the sake of another source is taken when that one has changed', async () => {
    const { api, store, said, may, source } = follow({
      api: withPolicy(text(rules('get'))),
      sources: ['a.json', WHERE],
    })
    store.take('a.json', text(rules('watch'), example('list', 'no-opinion')))
    await may('get watch')
    api.put({ policies: text(rules('list')) })
    await said(REFUSED)
    assert.equal(allowed(store, ...VERBS), 'get watch')
    store.take('a.json', text(rules('watch'), example('delete', 'no-opinion')))
    assert.equal(allowed(store, ...VERBS), 'list watch')
    await until(() => source.status().ok, 'recovery')
  })

  test('two that wait for one another come to an end', async () => {
    const api = withPolicy(text(rules('get')))
    const { store, may, said } = follow({ api, sources: [WHERE, 'a.json'] })
    let tries = 0
    // Another source that tries again whenever something was taken, as this one does.
    store.onTaken((source) => {
      if (source === 'a.json' || ++tries > 100) return
      try {
        store.take('a.json', text(rules('watch')))
      } catch {}
    })
    store.take('a.json', text(rules('list'), example('delete', 'no-opinion')))
    await may('get watch')
    api.put({ policies: text(rules('delete')) })
    await said(IN_FORCE, 2)
    await may('watch delete')
    assert.ok(tries < 10)
  })
})

describe('the Event at the ConfigMap', () => {
  test('says why its content was refused', async () => {
    const { api, said } = follow({ api: withPolicy(text(rules('get'))) })
    await said(IN_FORCE)
    api.put({ policies: '[{"users": 5}]' })
    await until(() => api.created.length === 1, 'the Event')
    const [{ path, object } = { path: '', object: {} }] = api.created
    assert.equal(path, '/api/v1/namespaces/auth/events')
    const { message, ...event } = object as { readonly message: string; readonly [field: string]: unknown }
    assert.match(message, /^auth\/policy: line 1: \[0\]\.users: expected/)
    assert.deepEqual(event, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: 'archway-', namespace: 'auth' },
      involvedObject: { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'auth', name: 'policy', uid: 'uid-1' },
      type: 'Warning',
      reason: 'PolicyRefused',
      source: { component: 'archway', host: 'archway-0' },
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
      count: 1,
    })
  })

  test('is made once for each content that is refused, however often that is seen', async () => {
    const { api, said, store } = follow({ api: withPolicy(text(rules('get'))), sources: ['a.json', WHERE] })
    store.take('a.json', text(rules('list')))
    await said(IN_FORCE)
    api.put({ policies: '{' })
    await said(REFUSED, 1)
    api.put({ policies: '{' }, { metadata: { annotations: { touched: 'yes' } } })
    await said(REFUSED, 2)
    store.take('a.json', text(rules('watch'))) // makes it try again
    await said(REFUSED, 3)
    await quiet()
    assert.equal(api.created.length, 1)
    api.put({ policies: '[' })
    await said(REFUSED, 4)
    assert.equal(api.created.length, 2)
    api.put({ policies: text(rules('get')) })
    await said(IN_FORCE, 2)
    api.put({ policies: '[' })
    await said(REFUSED, 5)
    await quiet()
    assert.equal(api.created.length, 3) // it was mended in between
  })

  test('that cannot be made is harmless', async () => {
    const { api, said, may, log } = follow({ api: withPolicy('{') })
    api.refuseCreate(new KubeApiError('status', 'HTTP 403 told Forbidden', { status: 403 }))
    await said('no Event could be made: it needs create on events')
    assert.deepEqual(
      log.lines.filter(({ message }) => message.startsWith('no Event')).map(({ level }) => level),
      ['debug'],
    )
    api.put({ policies: text(rules('get')) })
    await may('get')
  })

  test('is no longer than the API takes', async () => {
    const many = JSON.stringify(Array.from({ length: 200 }, () => ({ users: 5 })))
    const { api } = follow({ api: withPolicy(many) })
    await until(() => api.created.length === 1, 'the Event')
    const [length] = api.created.map(({ object }) => Reflect.get(object, 'message').length)
    assert.equal(length, 1024)
  })
})

test('of what the policy says, nothing is in log, status and Events', async () => {
  const canary = 'canary-5ca1ab1e'
  const user = { name: canary, roles: [canary] }
  const good = [{ users: { roles: [canary] }, resource_permissions: { 'default/pods': ['get', canary] } }]
  const { api, said, log, source } = follow({ api: withPolicy(text(good)) })
  await said(IN_FORCE)
  const broken = [
    `[{"users": {"roles": "${canary}"}}]`,
    `"${canary}"`,
    canary,
    `[] ${canary}`,
    text(good, { name: canary, user, verb: 'delete', resource: 'pods', namespace: canary, expect: 'allow' }),
  ]
  for (const [index, content] of broken.entries()) {
    api.put({ policies: content, other: canary })
    await said(REFUSED, index + 1)
    assert.equal(JSON.stringify(source.status()).includes(canary), false)
  }
  assert.equal(api.created.length, broken.length)
  assert.equal(JSON.stringify([log.lines, api.created]).includes(canary), false)
})

test('its end ends the watch', async () => {
  const { api, source, said } = follow({ api: withPolicy(text(rules('get'))) })
  await said(IN_FORCE)
  await until(() => api.watches() === 1, 'a watch')
  for (const each of ending.splice(0)) each.abort()
  await source.watched.done
  assert.equal(api.watches(), 0)
})
