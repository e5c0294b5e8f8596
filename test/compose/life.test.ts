import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { after, afterEach, before, beforeEach, describe, mock, test } from 'node:test'
import { closeAll } from '../../src/compose/part.ts'
import { recordingLog } from '../reload/support.ts'
import { asks, createSite, type LogLine, type Site, start } from './support.ts'

let site: Site
before(async () => {
  site = await createSite()
  await site.folder.write('policy.json', '[]')
  await site.folder.write('abac.jsonl', '')
})
after(() => site.remove())

/** Timers that go on; those that fire once end by themselves. */
const intervals = new Set<unknown>()
beforeEach(() => {
  const { setInterval: set, clearInterval: clear } = globalThis
  mock.method(globalThis, 'setInterval', (...args: Parameters<typeof setInterval>) => {
    const timer = set(...args)
    intervals.add(timer)
    return timer
  })
  mock.method(globalThis, 'clearInterval', (timer: NodeJS.Timeout | undefined) => {
    intervals.delete(timer)
    clear(timer)
  })
})
afterEach(() => {
  mock.restoreAll()
  intervals.clear()
})

/** Whether somebody listens at an address of a log line, `127.0.0.1:1234`. */
async function answers(address: unknown): Promise<boolean> {
  const [host = '', port = ''] = String(address).split(':')
  const socket = connect(Number(port), host)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

describe('a service that cannot start says why, and leaves nothing open', () => {
  const good = (): object[] => [
    { keystonePolicy: { files: [site.folder.path('policy.json')] } },
    { abac: { path: site.folder.path('abac.jsonl') } },
  ]
  const broken: readonly [name: string, config: () => Promise<object>, code: string, message: RegExp][] = [
    [
      'a policy that is broken',
      async () => {
        const path = await site.folder.write('broken.json', '[{"users": 5}]')
        return { authorizers: [...good(), { keystonePolicy: { name: 'second', files: [path] } }] }
      },
      'file_invalid',
      /broken\.json: line 1: \[0\]\.users/,
    ],
    [
      'a second file of a policy that is not there',
      async () => ({
        authorizers: [{ keystonePolicy: { files: [site.folder.path('policy.json'), site.folder.path('none.json')] } }],
      }),
      'file_invalid',
      /none\.json/,
    ],
    [
      'RBAC manifests that are not there',
      async () => ({ authorizers: [...good(), { rbac: { manifests: site.folder.path('none') } }] }),
      'file_invalid',
      /none/,
    ],
    [
      'an ABAC file that is broken',
      async () => {
        const path = await site.folder.write('broken.jsonl', '{"spec"')
        return { authorizers: [...good(), { abac: { name: 'second', path } }] }
      },
      'file_invalid',
      /broken\.jsonl/,
    ],
    [
      'an authorization webhook whose kubeconfig is broken',
      async () => {
        const kubeconfig = await site.folder.write('broken.kubeconfig', '{}')
        return { authorizers: [...good(), { webhook: { kubeconfig } }] }
      },
      'file_invalid',
      /broken\.kubeconfig/,
    ],
    [
      'a recording that is there already',
      async () => ({ authorizers: good(), recorder: { files: 1, path: await site.folder.write('old.jsonl', 'old') } }),
      'file_invalid',
      /old\.jsonl/,
    ],
    [
      'a source of identities that is not there',
      async () => ({ authenticators: [{ tokenFile: { path: site.folder.path('none.csv') } }], authorizers: good() }),
      'file_invalid',
      /none\.csv/,
    ],
    [
      'a certificate that is not there',
      async () => ({
        server: {
          listen: '127.0.0.1:0',
          tls: { certFile: site.folder.path('none.crt'), keyFile: site.folder.path('none.key') },
        },
        authorizers: good(),
      }),
      'file_invalid',
      /none\.crt/,
    ],
  ]
  for (const [name, config, code, message] of broken) {
    test(name, async () => {
      const lines: LogLine[] = []
      await assert.rejects(start(site, await config(), { lines }), (thrown: Error & { code?: string }) => {
        assert.equal(thrown.code, code, thrown.stack)
        assert.match(thrown.message, message)
        return true
      })
      assert.equal(intervals.size, 0)
      assert.deepEqual(
        lines.filter((line) => /listening$/.test(line.message)),
        [],
      )
      assert.equal(site.keystone.open, 0)
    })
  }
})

describe('an admin port that is taken', () => {
  let taken: Server
  let listen: string
  before(async () => {
    taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    listen = `127.0.0.1:${(taken.address() as AddressInfo).port}`
  })
  after(() => taken.close())

  test('ends the start where it is required, and nothing listens', async () => {
    const lines: LogLine[] = []
    await assert.rejects(start(site, { admin: { listen } }, { lines, adminRequired: true }), {
      code: 'config_invalid',
    })
    const listening = lines.filter(({ message }) => message === 'listening')
    assert.equal(listening.length, 1)
    assert.equal(await answers(listening[0]?.['address']), false)
    assert.equal(intervals.size, 0)
  })

  test('is a warning where it is not, and everything else works', async () => {
    await using service = await start(
      site,
      { admin: { listen }, authorizers: [{ alwaysAllow: {} }] },
      { adminRequired: false },
    )
    assert.equal(service.adminUrl, undefined)
    assert.equal((await service.access(asks({ user: 'alice' }, 'get'))).allowed, true)
    const warnings = service.lines.filter(({ level }) => level === 'warn')
    assert.ok(warnings.some(({ message }) => message.startsWith('no health and metrics')))
  })
})

describe('the end', () => {
  test('leaves nothing open: no port, no timer, no connection', async () => {
    const service = await start(site, {
      authorizers: [
        { keystonePolicy: { files: [site.folder.path('policy.json')] } },
        { abac: { path: site.folder.path('abac.jsonl') } },
      ],
      recorder: { path: site.folder.path('end.jsonl') },
    })
    await service.login(site.keystone.issue({ user: 'alice', project: 'demo' }))
    assert.ok(intervals.size > 0)
    const ports = [service.url, service.adminUrl].map((url) => new URL(url ?? '').host)
    for (const port of ports) assert.equal(await answers(port), true)
    await service.stop()
    for (const port of ports) assert.equal(await answers(port), false)
    assert.equal(intervals.size, 0)
    assert.equal(service.lines.filter(({ level }) => level === 'error').length, 0)
  })

  test('may come twice, one after the other and both at once', async () => {
    const service = await start(site, {})
    const { stop } = service
    await stop()
    await service[Symbol.asyncDispose]()
    const other = await start(site, {})
    await Promise.all([other[Symbol.asyncDispose](), other[Symbol.asyncDispose]()])
    await other[Symbol.asyncDispose]()
    assert.equal(await answers(new URL(other.url).host), false)
  })

  test('of one part that fails keeps no other open', async () => {
    const closed: string[] = []
    const log = recordingLog()
    const boom = new Error('boom')
    const closers = [
      () => void closed.push('first'),
      () => Promise.reject(boom),
      () => {
        throw boom
      },
      async () => void closed.push('last'),
    ]
    await closeAll(closers, log)
    assert.deepEqual(closed, ['last', 'first'])
    assert.deepEqual(
      log.lines.map(({ level, fields }) => [level, fields]),
      [
        ['error', { error: boom }],
        ['error', { error: boom }],
      ],
    )
    await closeAll(closers, log)
    assert.equal(closed.length, 2)
  })
})
