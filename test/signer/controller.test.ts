import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { afterEach, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { ArchwayError } from '../../src/errors.ts'
import { KubeApiError } from '../../src/kube/api-client/error.ts'
import { stateOf } from '../../src/kube/certificate-signing-request.ts'
import type { SignerEvent } from '../../src/signer/answering.ts'
import { signerController } from '../../src/signer/controller.ts'
import { parsePolicy } from '../../src/signer/policy-file.ts'
import { testTiming } from '../kube/api-client/support.ts'
import { recordingLog } from '../reload/support.ts'
import { fakeApi } from './fake-api.ts'
import { HOSTILE } from './hostile.ts'
import { NOW, type TestCsr, testAuthority, testCsr } from './support.ts'

function policyText(approval: string, group = 'people'): string {
  return `
signers:
  example.com/people:
    approval: ${approval}
    lifetime: {default: 8h, most: 24h}
    rules: [{name: themselves, requester: {groups: [${group}]}, commonName: "{username}"}]
`
}

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

async function site(approval = 'automatic') {
  const api = fakeApi()
  const events: SignerEvent[] = []
  const log = recordingLog()
  const state = {
    policy: parsePolicy(policyText(approval), 'policy.yaml'),
    authority: { authority: await testAuthority(), intermediates: '' },
    failures: 0,
  }
  const controller = signerController({
    client: api.client,
    policy: () => state.policy,
    authority: () => state.authority,
    audit: (event) => void events.push(event),
    failed: () => {
      state.failures++
    },
    log,
    now: () => NOW,
    timing: testTiming(),
  })
  const start = (): (() => Promise<void>) => {
    const end = new AbortController()
    const done = controller.run(end.signal)
    const stop = async (): Promise<void> => {
      end.abort()
      await done
    }
    stops.push(stop)
    return stop
  }
  return { api, events, log, state, controller, start }
}

/** Turns until something holds; a test that waits for ever is ended by the runner. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await setImmediate()
}

/** Long enough for everything that is going to happen. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await setImmediate()
}

const kinds = (events: readonly SignerEvent[]): readonly string[] => events.map(({ kind }) => kind)

describe('a signer that approves by itself', () => {
  test('approves and signs what is there, and what comes', async () => {
    const { api, events, start } = await site()
    api.add(await testCsr({ name: 'before' }))
    start()
    await until(() => events.length === 2)
    api.add(await testCsr({ name: 'after' }))
    await until(() => events.length === 4)
    assert.deepEqual(kinds(events), ['approved', 'issued', 'approved', 'issued'])
    assert.deepEqual(api.writes, ['approval before', 'status before', 'approval after', 'status after'])
    const { certificate = '' } = api.get('after')
    assert.match(new X509Certificate(certificate).subject, /CN=jane/)
    await quiet()
    assert.equal(api.writes.length, 4, 'its own writes are nothing new to it')
  })

  for (const { title, csr } of HOSTILE) {
    test(`T-S10 denies: ${title}`, async () => {
      const { api, events, start } = await site()
      api.add(await testCsr({ name: 'hostile', ...(await csr()) }))
      start()
      await until(() => events.length === 1)
      assert.deepEqual(kinds(events), ['denied'])
      assert.equal(stateOf(api.get('hostile')), 'Denied')
      assert.ok((api.get('hostile').conditions[0]?.message.length ?? 0) > 0)
    })
  }

  test('leaves alone what is decided, has a certificate, or is for another', async () => {
    const { api, events, start } = await site()
    for (const type of ['Denied', 'Failed']) api.add(await testCsr({ name: type.toLowerCase(), conditions: [type] }))
    api.add(await testCsr({ name: 'other', signerName: 'example.com/other' }))
    api.add(await testCsr({ name: 'both', conditions: ['Approved', 'Denied'] }))
    start()
    await until(() => api.watches() === 1)
    await quiet()
    assert.deepEqual([events.length, api.writes.length], [0, 0])
  })

  test('a request that cannot be read is nobody’s to approve; once approved it has failed', async () => {
    const { api, events, start } = await site()
    api.add(await testCsr({ name: 'junk', request: 'junk' }))
    start()
    await quiet()
    assert.equal(events.length, 0)
    api.decide('junk', 'Approved')
    await until(() => events.length === 1)
    assert.equal(api.get('junk').conditions[1]?.reason, 'InvalidRequest')
  })
})

describe('a signer for what others approve', () => {
  test('waits for the approval', async () => {
    const { api, events, start } = await site('manual')
    api.add(await testCsr())
    start()
    await until(() => api.watches() === 1)
    await quiet()
    assert.equal(events.length, 0)
    api.decide('jane-1', 'Approved')
    await until(() => events.length === 1)
    assert.deepEqual(kinds(events), ['issued'])
  })

  test('T-S10 fails what was approved in spite of the policy, once and for all', async () => {
    const { api, events, start } = await site('manual')
    api.add(await testCsr({ organizations: ['system:masters'], conditions: ['Approved'] }))
    start()
    await until(() => events.length === 1)
    assert.equal(stateOf(api.get('jane-1')), 'Approved,Failed')
    assert.equal(api.get('jane-1').conditions[1]?.reason, 'PolicyBreach')
    await quiet()
    assert.equal(api.writes.length, 1)
  })

  test('looks at everything again when the policy is another one', async () => {
    const { api, events, state, controller, start } = await site('manual')
    const csr: TestCsr = { name: 'mallory-1', username: 'mallory', groups: ['strangers'] }
    api.add(await testCsr(csr))
    start()
    await until(() => api.watches() === 1)
    state.policy = parsePolicy(policyText('automatic', 'strangers'), 'policy.yaml')
    controller.policyChanged()
    await until(() => events.length === 2)
    assert.deepEqual(kinds(events), ['approved', 'issued'])
  })

  test('follows the signers of the policy in force', async () => {
    const { api, events, state, controller, start } = await site()
    start()
    await until(() => api.watches() === 1)
    state.policy = parsePolicy(policyText('automatic').replace('example.com/people', 'example.com/others'), 'p.yaml')
    controller.policyChanged()
    api.add(await testCsr({ name: 'old' }))
    api.add(await testCsr({ name: 'new', signerName: 'example.com/others' }))
    await until(() => events.length === 2)
    assert.equal(stateOf(api.get('old')), 'Pending')
    assert.deepEqual(controller.status(), { watched: 1, signers: 1 })
  })
})

describe('trouble on the way', () => {
  test('an authority that cannot sign is waited for, and fails nobody', async () => {
    const { api, events, state, log, start } = await site()
    const good = state.authority
    const expired = new ArchwayError('certificate_not_issued', '"test-ca" has expired')
    state.authority = { ...good, authority: { ...good.authority, issue: () => Promise.reject(expired) } }
    api.add(await testCsr())
    start()
    await until(() => state.failures >= 3)
    assert.equal(stateOf(api.get('jane-1')), 'Approved')
    state.authority = good
    await until(() => events.some(({ kind }) => kind === 'issued'))
    assert.deepEqual(kinds(events), ['approved', 'issued'])
    assert.ok(log.lines.some(({ fields }) => JSON.stringify(fields).includes('has expired')))
  })

  test('somebody who writes at the same time: the request is looked at again, and decided as it is then', async () => {
    const { api, events, start } = await site()
    let once = true
    api.before = (method, path) => {
      if (method !== 'PUT' || !path.endsWith('/approval') || !once) return
      once = false
      api.decide('jane-1', 'Denied')
    }
    api.add(await testCsr())
    start()
    await until(() => !once)
    await quiet()
    assert.equal(events.length, 0)
    assert.equal(stateOf(api.get('jane-1')), 'Denied')
  })

  test('a certificate that another replica has written meanwhile stays', async () => {
    const { api, events, start } = await site()
    api.add(await testCsr({ conditions: ['Approved'] }))
    let once = true
    api.before = async (method, path) => {
      if (method !== 'PUT' || !path.endsWith('/status') || !once) return
      once = false
      const theirs = { ...api.get('jane-1').object }
      const status = { ...(theirs['status'] as object), certificate: Buffer.from('theirs').toString('base64') }
      await api.client.replace(path, { ...theirs, status })
    }
    start()
    await until(() => !once)
    await quiet()
    assert.equal(api.get('jane-1').certificate, 'theirs')
    assert.equal(events.length, 0)
  })

  test('a request that is removed midway is no trouble', async () => {
    const { api, events, state, start } = await site()
    api.before = (method, path) => {
      if (method === 'PUT' && path.endsWith('/gone/approval')) api.remove('gone')
    }
    api.add(await testCsr({ name: 'gone' }))
    start()
    await until(() => api.watches() === 1)
    api.add(await testCsr({ name: 'stays' }))
    await until(() => events.length === 2)
    assert.deepEqual(
      events.map(({ csr }) => csr.name),
      ['stays', 'stays'],
    )
    assert.equal(state.failures, 0)
  })

  test('an API server that is away is asked again, and no request is lost', async () => {
    const { api, events, start } = await site()
    let calls = 0
    api.before = () => {
      calls++
      if (calls < 20 && calls % 3 !== 0) throw new KubeApiError('unreachable', 'connection refused')
    }
    for (const name of ['one', 'two', 'three']) api.add(await testCsr({ name }))
    start()
    await until(() => events.filter(({ kind }) => kind === 'issued').length === 3)
  })

  test('a write whose answer got lost has its line in the record, once', async () => {
    const { api, events, start } = await site()
    const { replace } = api.client
    const lost = new Set<string>()
    Object.assign(api.client, {
      async replace(path: string, object: object) {
        const answer = await replace(path, object)
        if (lost.has(path)) return answer
        lost.add(path)
        throw new KubeApiError('timeout', 'no answer')
      },
    })
    api.add(await testCsr())
    start()
    await until(() => events.length === 2)
    assert.deepEqual(kinds(events), ['approved', 'issued'])
    assert.deepEqual(api.writes, ['approval jane-1', 'status jane-1'])
    const [, issued] = events
    assert.ok(issued?.kind === 'issued')
    const { certificate = '' } = api.get('jane-1')
    assert.equal(issued.issued.serial, new X509Certificate(certificate).serialNumber.toLowerCase())
    await quiet()
    assert.equal(events.length, 2)
  })

  for (const [what, thrown] of [
    ['a server that gave up waiting for its storage', new KubeApiError('status', 'HTTP 504 Timeout', { status: 504 })],
    ['an answer that cannot be read', new ArchwayError('body_invalid', 'spec is missing')],
  ] as const) {
    test(`${what} may have written all the same: the record has it, once`, async () => {
      const { api, events, start } = await site()
      const { replace } = api.client
      let times = 0
      Object.assign(api.client, {
        async replace(path: string, object: object) {
          const answer = await replace(path, object)
          times++
          if (times === 1) throw thrown
          return answer
        },
      })
      api.add(await testCsr({ conditions: ['Approved'] }))
      start()
      await until(() => times === 1 && events.length === 1)
      await quiet()
      assert.deepEqual(kinds(events), ['issued'])
      assert.deepEqual(api.writes, ['status jane-1'])
    })
  }

  test('one who is stopped between signing and writing writes nothing; the next writes once', async () => {
    const { api, events, start } = await site()
    api.add(await testCsr({ conditions: ['Approved'] }))
    let stopped = false
    const stop = start()
    api.before = (method) => {
      if (method !== 'PUT' || stopped) return
      stopped = true
      throw new KubeApiError('timeout', 'aborted')
    }
    await until(() => stopped)
    await stop()
    assert.deepEqual(api.writes, [])
    start()
    await until(() => events.length === 1)
    assert.deepEqual(api.writes, ['status jane-1'])
  })
})
