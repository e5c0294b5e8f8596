import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { type KubeClient, kubeClient } from '../../../src/kube/api-client/client.ts'
import { KubeApiError } from '../../../src/kube/api-client/error.ts'
import { createEvent } from '../../../src/kube/api-client/events.ts'
import { type Transport, transport } from '../../../src/kube/api-client/transport.ts'
import { Secret } from '../../../src/secret.ts'
import { recordingLog } from '../../reload/support.ts'
import { accessTo, json, line, listOf, object, type ScriptedServer, startServer, status } from './support.ts'

let server: ScriptedServer
let wire: Transport
let client: KubeClient
before(async () => {
  server = await startServer()
  wire = transport({ access: accessTo(server, recordingLog()) })
  client = kubeClient({ transport: wire })
})
after(async () => {
  await wire.close()
  await server.close()
})
beforeEach(() => server.seen.splice(0))

async function failure(promise: Promise<unknown>): Promise<KubeApiError> {
  try {
    await promise
  } catch (thrown) {
    assert.ok(thrown instanceof KubeApiError, String(thrown))
    return thrown
  }
  assert.fail('it came to a good end')
}

describe('get', () => {
  test('sends the token and gives the object', async () => {
    server.script = (_, response) => json(response, object('a', 1))
    assert.deepEqual(await client.get('/api/v1/namespaces/app/configmaps/a'), object('a', 1))
    assert.equal(server.seen[0]?.headers.authorization, 'Bearer t0ken')
    assert.equal(server.seen[0]?.headers.accept, 'application/json')
  })

  test('asks below the path of the address, with or without a slash at its end', async () => {
    for (const base of ['/base', '/base/']) {
      const below = transport({ access: accessTo(server, recordingLog(), { server: server.url + base }) })
      server.script = (_, response) => json(response, {})
      await kubeClient({ transport: below }).get('/api')
      await below.close()
    }
    assert.deepEqual(
      server.seen.map(({ path }) => path),
      ['/base/api', '/base/api'],
    )
  })

  test('tells what the server says no with, and how long it asks to wait', async () => {
    server.script = (_, response) => status(response, 429, 'TooManyRequests', { 'retry-after': '3' })
    const error = await failure(client.get('/api/v1/pods'))
    assert.equal(error.message, 'GET /api/v1/pods: HTTP 429 told TooManyRequests')
    const { failure: kind, status: code, reason, retryAfterMs } = error
    assert.deepEqual(
      { kind, code, reason, retryAfterMs },
      { kind: 'status', code: 429, reason: 'TooManyRequests', retryAfterMs: 3000 },
    )
  })

  test('T-H10 never follows a redirect, and sends the token nowhere else', async () => {
    server.script = (_, response) => response.writeHead(302, { location: `${server.url}/elsewhere` }).end()
    assert.equal((await failure(client.get('/api'))).failure, 'answer')
    assert.equal(server.seen.length, 1)
  })

  test('anything but a JSON object is no answer', async () => {
    for (const body of ['', 'hello', '[]', 'null', '{"a":']) {
      server.script = (_, response) => response.writeHead(200).end(body)
      assert.equal((await failure(client.get('/api'))).failure, 'answer', body)
    }
  })

  test('T-W15 an answer that is too long is not read to its end', async () => {
    const small = kubeClient({ transport: wire, maxBodyBytes: 1000 })
    server.script = (_, response) => {
      response.writeHead(200)
      const fill = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      }
      response.on('drain', fill)
      fill()
    }
    const error = await failure(small.get('/api'))
    assert.equal(error.failure, 'answer')
    assert.match(error.message, /longer than 1000 bytes/)
  })

  test('a server that does not answer, or stops in the middle, is given up at the deadline', async () => {
    const hasty = kubeClient({ transport: wire, timeoutMs: 50 })
    server.script = () => {}
    assert.equal((await failure(hasty.get('/api'))).failure, 'timeout')
    server.script = (_, response) => response.writeHead(200).write('{"a":')
    assert.equal((await failure(hasty.get('/api'))).failure, 'timeout')
    server.cut()
  })

  test('a connection that is cut is unreachable, and so is a port nobody listens on', async () => {
    server.script = (_, response) => response.destroy()
    assert.equal((await failure(client.get('/api'))).failure, 'unreachable')
    const nowhere = transport({ access: accessTo(server, recordingLog(), { server: 'https://127.0.0.1:1' }) })
    assert.equal((await failure(kubeClient({ transport: nowhere }).get('/api'))).failure, 'unreachable')
    await nowhere.close()
  })

  test('a server whose certificate is for another name, or of another authority, is not talked to', async () => {
    const tls = { ca: server.ca, cert: undefined, key: undefined, serverName: undefined }
    for (const wrong of [
      { ...tls, serverName: 'other.test' },
      { ...tls, ca: undefined },
    ]) {
      const careful = transport({ access: accessTo(server, recordingLog(), { tls: wrong }) })
      assert.equal((await failure(kubeClient({ transport: careful }).get('/api'))).failure, 'unreachable')
      await careful.close()
    }
    assert.equal(server.seen.length, 0)
    const named = transport({ access: accessTo(server, recordingLog(), { tls: { ...tls, serverName: 'api.test' } }) })
    server.script = (_, response) => json(response, {})
    await kubeClient({ transport: named }).get('/api')
    await named.close()
  })

  test('a 401 makes the credentials be read again', async () => {
    let reads = 0
    const tls = { ca: server.ca, cert: undefined, key: undefined, serverName: undefined }
    const rotating = {
      async current() {
        reads++
        return { server: server.url, tls, token: new Secret(`token-${reads}`), namespace: '' }
      },
      refreshed: 0,
      refresh() {
        this.refreshed++
      },
    }
    const own = transport({ access: rotating })
    server.script = (_, response) => status(response, 401, 'Unauthorized')
    assert.equal((await failure(kubeClient({ transport: own }).get('/api'))).status, 401)
    assert.equal(rotating.refreshed, 1)
    await own.close()
  })
})

describe('list', () => {
  test('reads page after page', async () => {
    const pages: Readonly<Record<string, object>> = {
      '': { metadata: { resourceVersion: '7', continue: 'two' }, items: [object('a', 1)] },
      two: { metadata: { resourceVersion: '7', continue: '' }, items: [object('b', 2)] },
    }
    server.script = ({ query }, response) => json(response, pages[query.get('continue') ?? ''])
    const list = await client.list({ path: '/api/v1/pods', fieldSelector: 'spec.nodeName=n' })
    assert.deepEqual(list, { items: [object('a', 1), object('b', 2)], resourceVersion: '7' })
    assert.deepEqual(
      server.seen.map(({ query }) => query.toString()),
      ['fieldSelector=spec.nodeName%3Dn&limit=500', 'fieldSelector=spec.nodeName%3Dn&limit=500&continue=two'],
    )
  })

  test('asks for everything at once when the next page is gone', async () => {
    server.script = ({ query }, response) => {
      if (query.get('continue') === 'old') status(response, 410, 'Expired')
      else if (query.has('limit')) json(response, { metadata: { resourceVersion: '7', continue: 'old' }, items: [] })
      else json(response, listOf(9, object('a', 1)))
    }
    assert.equal((await client.list({ path: '/api/v1/pods' })).resourceVersion, '9')
  })

  test('what is no list is no answer', async () => {
    for (const body of [
      {},
      { metadata: {} },
      { metadata: { resourceVersion: '1' }, items: 'x' },
      { metadata: { resourceVersion: '1' }, items: [1] },
    ]) {
      server.script = (_, response) => json(response, body)
      assert.equal((await failure(client.list({ path: '/api/v1/pods' }))).failure, 'answer', JSON.stringify(body))
    }
  })
})

describe('watch', () => {
  const watching = (signal = new AbortController().signal, idleMs = 10_000) =>
    client.watch({ path: '/api/v1/pods', resourceVersion: '5', timeoutSeconds: 60, idleMs, signal })

  async function eventsOf(stream: Promise<AsyncIterable<{ readonly type: string; readonly resourceVersion: string }>>) {
    const events: string[] = []
    try {
      for await (const { type, resourceVersion } of await stream) events.push(`${type} ${resourceVersion}`)
      return { events }
    } catch (thrown) {
      assert.ok(thrown instanceof KubeApiError, String(thrown))
      return { events, error: thrown }
    }
  }

  test('gives events as they come, however they are cut into pieces', async () => {
    const text = `${line('ADDED', object('ä', 6))}\n${line('MODIFIED', object('ä', 7))}${line('BOOKMARK', { metadata: { resourceVersion: '8' } })}${line('DELETED', object('ä', 9))}`
    server.script = (_, response) => {
      response.writeHead(200)
      for (const byte of Buffer.from(text)) response.write(Buffer.from([byte]))
      response.end()
    }
    assert.deepEqual(await eventsOf(watching()), { events: ['ADDED 6', 'MODIFIED 7', 'BOOKMARK 8', 'DELETED 9'] })
    assert.equal(
      server.seen[0]?.query.toString(),
      'watch=1&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=60',
    )
  })

  test('a line that is cut in the middle is dropped, and the cut is told', async () => {
    server.script = (_, response) => {
      response.writeHead(200)
      response.write(`${line('ADDED', object('a', 6))}{"type":"ADD`, () => response.destroy())
    }
    const { events, error } = await eventsOf(watching())
    assert.deepEqual(events, ['ADDED 6'])
    assert.equal(error?.failure, 'unreachable')
    assert.match(error?.message ?? '', /^watch \/api\/v1\/pods: /)
  })

  test('a line that is no event ends it', async () => {
    const garbage = [
      'garbage\n',
      '[]\n',
      '{"type":"ADDED"}\n',
      line('ADDED', {}),
      line('NEW', object('a', 6)),
      '{"type":"ADDED","object":{"metadata":[]}}\n',
    ]
    for (const text of garbage) {
      server.script = (_, response) => response.writeHead(200).end(text + line('ADDED', object('a', 6)))
      const { events, error } = await eventsOf(watching())
      assert.deepEqual([events, error?.failure], [[], 'answer'], text)
    }
  })

  test('an error event ends it, and tells whether the state is too old', async () => {
    for (const [code, expired] of [
      [410, true],
      [500, false],
    ] as const) {
      server.script = (_, response) =>
        response.writeHead(200).end(line('ERROR', { kind: 'Status', code, message: 'no' }))
      assert.equal((await eventsOf(watching())).error?.expired, expired)
    }
    server.script = (_, response) => status(response, 410, 'Expired')
    assert.equal((await failure(watching())).expired, true)
  })

  test('T-W15 a line without an end is not collected for ever', async () => {
    server.script = (_, response) => {
      response.writeHead(200)
      const fill = (): void => {
        while (!response.destroyed && response.write('x'.repeat(1_000_000)));
      }
      response.on('drain', fill)
      fill()
    }
    const { error } = await eventsOf(watching())
    assert.match(error?.message ?? '', /an event is longer than/)
  })

  test('silence ends it', async () => {
    server.script = (_, response) => response.writeHead(200).write(line('ADDED', object('a', 6)))
    const { events, error } = await eventsOf(watching(undefined, 50))
    assert.deepEqual([events, error?.failure], [['ADDED 6'], 'timeout'])
  })

  test('a server that does not begin is given up at the deadline; a watch that stands is not', async () => {
    const ask = (timeoutMs: number) =>
      kubeClient({ transport: wire, timeoutMs }).watch({
        path: '/x',
        resourceVersion: '5',
        timeoutSeconds: 60,
        idleMs: 10_000,
        signal: new AbortController().signal,
      })
    server.script = () => {}
    assert.equal((await failure(ask(50))).failure, 'timeout')
    server.script = (_, response) => {
      response.writeHead(200).flushHeaders()
      setTimeout(() => response.end(line('ADDED', object('a', 6))), 1200)
    }
    assert.deepEqual(await eventsOf(ask(1000)), { events: ['ADDED 6'] })
  })

  test('ends when we are done with it, and lets go of the connection', async () => {
    let closed: Promise<unknown> | undefined
    server.script = (_, response) => {
      closed = new Promise((resolve) => response.on('close', resolve))
      response.writeHead(200).write(line('ADDED', object('a', 6)))
    }
    const stream = await watching()
    for await (const { type } of stream) {
      assert.equal(type, 'ADDED')
      break
    }
    await closed
    assert.equal((await eventsOf(watching(AbortSignal.abort()))).error?.failure, 'timeout')
  })
})

test('an event is created where the object is that it is about', async () => {
  server.script = (_, response) => json(response, {}, 201)
  await createEvent(
    client,
    {
      type: 'Warning',
      reason: 'PolicyRejected',
      message: `${'😀'.repeat(2000)}`,
      about: { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'kube-system', name: 'policy', uid: 'u' },
      instance: 'archway-0',
    },
    { now: () => new Date('2026-01-02T03:04:05.678Z') },
  )
  const [seen] = server.seen
  assert.equal(`${seen?.method} ${seen?.path}`, 'POST /api/v1/namespaces/kube-system/events')
  const { message, ...rest } = JSON.parse(seen?.body ?? '')
  assert.equal([...message].length, 1024)
  assert.deepEqual(rest, {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { generateName: 'archway-', namespace: 'kube-system' },
    involvedObject: { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'kube-system', name: 'policy', uid: 'u' },
    type: 'Warning',
    reason: 'PolicyRejected',
    source: { component: 'archway', host: 'archway-0' },
    firstTimestamp: '2026-01-02T03:04:05Z',
    lastTimestamp: '2026-01-02T03:04:05Z',
    count: 1,
  })
})

describe('replace and remove', () => {
  test('put the whole object, and say no where another was faster', async () => {
    server.script = ({ body }, response) => json(response, JSON.parse(body))
    const path = '/api/v1/namespaces/app/configmaps/a'
    assert.deepEqual(await client.replace(path, object('a', 1)), object('a', 1))
    assert.equal(server.seen[0]?.method, 'PUT')
    server.script = (_, response) => status(response, 409, 'Conflict')
    assert.equal((await failure(client.replace(path, object('a', 1)))).status, 409)
  })

  test('remove the object that is meant and no other of its name', async () => {
    server.script = (_, response) => json(response, { kind: 'Status', status: 'Success' })
    await client.remove('/api/v1/namespaces/app/configmaps/a', { uid: 'uid-a' })
    const [seen] = server.seen
    assert.equal(seen?.method, 'DELETE')
    assert.deepEqual(JSON.parse(seen?.body ?? '').preconditions, { uid: 'uid-a' })
  })
})
