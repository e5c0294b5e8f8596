import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { KubeApiError } from '../../src/kube/api-client/error.ts'
import { stateOf } from '../../src/kube/certificate-signing-request.ts'
import { certificateRequests } from '../../src/kube/certificates-client.ts'
import { awaitCertificate } from '../../src/signer/await-certificate.ts'
import { decideRequest, digestOf } from '../../src/signer/decision.ts'
import { testTiming } from '../kube/api-client/support.ts'
import { fakeApi } from './fake-api.ts'
import { testCsr } from './support.ts'

const APPROVE = { type: 'Approved', reason: 'Test', message: 'for a test' } as const
const DENY = { type: 'Denied', reason: 'Test', message: 'for a test' } as const

async function site() {
  const api = fakeApi()
  api.add(await testCsr())
  return { api, requests: certificateRequests(api.client), shown: api.get('jane-1') }
}

describe('a decision', () => {
  test('is written with its reason', async () => {
    const { api, requests, shown } = await site()
    assert.equal((await decideRequest(requests, shown, APPROVE)).kind, 'written')
    assert.deepEqual(api.get('jane-1').conditions, [{ ...APPROVE, status: 'True' }])
  })

  test('is tried again where somebody else has written, and then it is the opposite', async () => {
    const { api, requests, shown } = await site()
    let changes = 0
    api.before = (method) => {
      if (method === 'PUT' && changes++ === 0) api.decide('jane-1', 'Noted')
    }
    assert.equal((await decideRequest(requests, shown, APPROVE)).kind, 'written')
    assert.equal((await decideRequest(requests, shown, APPROVE)).kind, 'already')
    assert.equal((await decideRequest(requests, shown, DENY)).kind, 'opposite')
  })

  test('that somebody else takes at the same moment is not overruled', async () => {
    const { api, requests, shown } = await site()
    let changes = 0
    api.before = (method) => {
      if (method === 'PUT' && changes++ === 0) api.decide('jane-1', 'Denied')
    }
    assert.equal((await decideRequest(requests, shown, APPROVE)).kind, 'opposite')
    assert.equal(stateOf(api.get('jane-1')), 'Denied')
  })

  test('gives up where others write without end', async () => {
    const { api, requests, shown } = await site()
    api.before = (method) => {
      if (method === 'PUT') api.decide('jane-1', 'Noted')
    }
    await assert.rejects(
      decideRequest(requests, shown, APPROVE),
      (thrown) => thrown instanceof KubeApiError && thrown.status === 409,
    )
  })

  test('S10 is about what was shown: another request of that name is another', async () => {
    const { api, requests, shown } = await site()
    api.remove('jane-1')
    assert.equal((await decideRequest(requests, shown, APPROVE)).kind, 'gone')
    const other = await testCsr({ organizations: ['system:masters'] })
    api.add(other)
    assert.equal((await decideRequest(requests, shown, APPROVE)).kind, 'changed')
    assert.deepEqual(api.writes, [])
  })

  test('S10 is for one object: the same content under another uid is another', async () => {
    const { shown } = await site()
    assert.notEqual(digestOf(shown), digestOf({ ...shown, uid: 'other' }))
    for (const over of [
      { request: 'x' },
      { usages: ['any'] },
      { expirationSeconds: 600 },
      { requester: { ...shown.requester, groups: ['other'] } },
    ]) {
      assert.notEqual(digestOf(shown), digestOf({ ...shown, ...over }))
    }
    assert.equal(digestOf(shown), digestOf({ ...shown, resourceVersion: '99', conditions: [] }))
  })
})

describe('versions of the API', () => {
  test('v1beta1 is spoken where there is no v1, and found out once', async () => {
    const api = fakeApi({ versions: ['v1beta1'] })
    api.add(await testCsr())
    const paths: string[] = []
    api.before = (method, path) => void paths.push(`${method} ${path}`)
    const requests = certificateRequests(api.client)
    assert.equal((await requests.list()).length, 1)
    assert.equal((await decideRequest(requests, api.get('jane-1'), APPROVE)).kind, 'written')
    assert.ok(paths.includes('PUT /apis/certificates.k8s.io/v1beta1/certificatesigningrequests/jane-1/approval'))
    assert.equal(paths.filter((path) => path === 'GET /apis/certificates.k8s.io/v1').length, 1)
  })

  test('that could not be asked for is asked again', async () => {
    const api = fakeApi()
    let down = true
    api.before = () => {
      if (down) throw new KubeApiError('unreachable', 'connection refused')
    }
    const requests = certificateRequests(api.client)
    await assert.rejects(requests.list(), /connection refused/)
    down = false
    assert.deepEqual(await requests.list(), [])
  })
})

describe('waiting for a certificate', () => {
  async function waiting(signal = new AbortController().signal) {
    const { api, requests } = await site()
    const timing = testTiming()
    const start = () => awaitCertificate({ client: api.client, requests, name: 'jane-1', signal, timing })
    const write = async (status: object): Promise<void> => {
      const { object } = api.get('jane-1')
      const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests/jane-1/status'
      await api.client.replace(path, { ...object, status: { ...(object['status'] as object), ...status } })
    }
    return { api, timing, start, write }
  }
  const CERTIFICATE = { certificate: Buffer.from('PEM').toString('base64') }

  test('ends with it, by the watch and without a pause', async () => {
    const { api, timing, start, write } = await waiting()
    const outcome = start()
    while (api.watches() === 0) await new Promise(setImmediate)
    api.decide('jane-1', 'Approved')
    await write(CERTIFICATE)
    const { kind } = await outcome
    assert.deepEqual([kind, timing.slept], ['issued', []])
  })

  for (const type of ['Denied', 'Failed']) {
    test(`ends with ${type} and its reason`, async () => {
      const { api, start } = await waiting()
      const outcome = start()
      while (api.watches() === 0) await new Promise(setImmediate)
      api.decide('jane-1', type)
      assert.equal((await outcome).kind, type.toLowerCase())
    })
  }

  test('ends when the request is removed', async () => {
    const { api, start } = await waiting()
    const outcome = start()
    while (api.watches() === 0) await new Promise(setImmediate)
    api.remove('jane-1')
    assert.equal((await outcome).kind, 'gone')
  })

  test('asks again and again where it may read and not watch', async () => {
    const { api, timing, start, write } = await waiting()
    api.before = async (method) => {
      if (method === 'LIST') throw new KubeApiError('status', 'HTTP 403', { status: 403 })
      if (method === 'GET' && timing.slept.length === 3) {
        api.before = () => {}
        await write(CERTIFICATE)
      }
    }
    assert.equal((await start()).kind, 'issued')
    assert.equal(timing.slept.length, 3)
  })

  test('a list that does not have it is no reason to ask without a pause', async () => {
    const { api, timing, start, write } = await waiting()
    let asked = 0
    Object.assign(api.client, { list: async () => ({ items: [], resourceVersion: '1' }) })
    api.before = async (method, path) => {
      if (method !== 'GET' || !path.endsWith('/jane-1')) return
      asked++
      if (asked !== 20) return
      api.before = () => {}
      await write(CERTIFICATE)
    }
    assert.equal((await start()).kind, 'issued')
    assert.ok(timing.slept.length >= 9, `${timing.slept.length} pauses`)
  })

  test('throws where it may not even read', async () => {
    const { api, start } = await waiting()
    api.before = () => {
      throw new KubeApiError('status', 'HTTP 403', { status: 403 })
    }
    await assert.rejects(start(), /403/)
  })

  test('goes on while the API server is away', async () => {
    const { api, timing, start, write } = await waiting()
    await write(CERTIFICATE)
    api.before = () => {
      if (timing.slept.length < 5) throw new KubeApiError('unreachable', 'connection refused')
    }
    assert.equal((await start()).kind, 'issued')
  })

  test('ends at its end', async () => {
    const end = new AbortController()
    const { api, start } = await waiting(end.signal)
    const outcome = start()
    while (api.watches() === 0) await new Promise(setImmediate)
    end.abort()
    assert.equal((await outcome).kind, 'late')
  })
})
