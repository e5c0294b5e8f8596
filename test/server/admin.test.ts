/** Health and metrics. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { type AdminOptions, type AdminServer, createAdminServer, type ReadinessCheck } from '../../src/server/admin.ts'
import { canonical, createEstate, dial, type Estate, keepLog, type LogLine, start } from './support.ts'

let server: AdminServer
let base: string
let lines: LogLine[]

beforeEach(() => {
  lines = []
})
afterEach(() => server.close())

async function begin(readiness: readonly ReadinessCheck[], options: Partial<AdminOptions> = {}): Promise<void> {
  server = createAdminServer({
    listen: { host: '127.0.0.1', port: 0 },
    readiness,
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' }),
    log: keepLog(lines),
    ...options,
  })
  base = `http://127.0.0.1:${(await server.listen()).port}`
}

async function ask(path: string, method = 'GET'): Promise<{ status: number; body: string; headers: Headers }> {
  const response = await fetch(`${base}${path}`, { method, headers: { connection: 'close' } })
  return { status: response.status, body: await response.text(), headers: response.headers }
}

const good = { name: 'tls', check: () => ({ ok: true }) }

test('live is whoever answers; ready when every check passes', async () => {
  await begin([good, { name: 'keystone', check: async () => ({ ok: true, detail: 'fine' }) }])
  for (const path of ['/livez', '/readyz', '/readyz/tls', '/readyz?x=1']) {
    const { status, body, headers } = await ask(path)
    assert.equal(status, 200, path)
    assert.equal(body, 'ok', path)
    assert.equal(headers.get('content-type'), 'text/plain; charset=utf-8')
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
  }
  assert.equal((await ask('/readyz?verbose')).body, '[+]tls ok\n[+]keystone ok: fine\nreadyz check passed\n')
  assert.equal((await ask('/readyz/keystone?verbose=1')).body, '[+]keystone ok: fine\nreadyz check passed\n')
  assert.equal((await ask('/livez?verbose')).body, '[+]ping ok\nlivez check passed\n')
})

test('a check that fails is 503 with the reason on one line, which is logged once', async () => {
  let ok = false
  await begin([
    good,
    { name: 'keystone', check: () => ({ ok, detail: 'not\nreachable' }) },
    { name: 'policy', check: () => assert.fail('thrown detail') },
  ])
  for (let round = 0; round < 2; round += 1) {
    const { status, body } = await ask('/readyz')
    assert.equal(status, 503)
    const expected = '[+]tls ok\n[-]keystone failed: not reachable\n[-]policy failed: thrown detail\n'
    assert.equal(body, `${expected}readyz check failed\n`)
  }
  assert.equal((await ask('/readyz/tls')).status, 200)
  assert.equal((await ask('/readyz/keystone')).status, 503)
  ok = true
  assert.equal((await ask('/readyz/keystone')).status, 200)
  assert.deepEqual(
    lines
      .filter(({ message }) => message.startsWith('readiness'))
      .map(({ level, fields }) => [level, fields] as const)
      .sort(([a, x], [b, y]) => b.localeCompare(a) || String(x['check']).localeCompare(String(y['check']))),
    [
      ['warn', { check: 'keystone', detail: 'not\nreachable' }],
      ['warn', { check: 'policy', detail: 'thrown detail' }],
      ['info', { check: 'keystone' }],
    ],
  )
})

test('a check that hangs is a failure in bounded time, is not asked twice, and does not make us dead', async () => {
  let asked = 0
  let release: () => void = () => {}
  const hanging = {
    name: 'keystone',
    check: () => {
      asked += 1
      return new Promise<{ ok: boolean }>((resolve) => {
        release = () => resolve({ ok: true })
      })
    },
  }
  await begin([good, hanging], { checkTimeoutMs: 20 })
  for (let round = 0; round < 2; round += 1) {
    const { status, body } = await ask('/readyz')
    assert.equal(status, 503)
    assert(body.startsWith('[+]tls ok\n[-]keystone failed'))
  }
  assert.equal(asked, 1)
  assert.equal((await ask('/livez')).status, 200)
  assert(lines.some(({ fields }) => fields['detail'] === 'timed out'))
  hanging.check = () => Promise.resolve({ ok: true })
  release()
  await new Promise(setImmediate)
  assert.equal((await ask('/readyz')).status, 200)
})

test('metrics come as they are; their failure is a 500 without a reason', async () => {
  let broken = false
  await begin([], {
    metrics: async () => {
      if (broken) throw new Error('secret detail')
      return { contentType: 'text/plain; version=0.0.4', body: 'up 1\n' }
    },
  })
  const metrics = await ask('/metrics')
  assert.equal(metrics.body, 'up 1\n')
  assert.equal(metrics.headers.get('content-type'), 'text/plain; version=0.0.4')
  broken = true
  const failed = await ask('/metrics')
  assert.equal(failed.status, 500)
  assert.equal(failed.body, 'internal error\n')
  assert(lines.some(({ level }) => level === 'error'))
})

test('HEAD has the head only; other methods and paths are refused', async () => {
  await begin([good])
  const head = await ask('/readyz', 'HEAD')
  assert.equal(head.status, 200)
  assert.equal(head.headers.get('content-length'), '2')
  const posted = await ask('/livez', 'POST')
  assert.equal(posted.status, 405)
  assert.equal(posted.headers.get('allow'), 'GET, HEAD')
  for (const path of ['/', '/healthz', '/readyz/', '/readyz/none', '/readyz/tls/x', '/debug/pprof/', '/webhook'])
    assert.equal((await ask(path)).status, 404, path)
})

let estate: Estate
before(async () => {
  estate = await createEstate()
})
after(() => estate.folder.remove())

test('T-S2 the public listener knows none of these paths', async () => {
  await begin([good])
  const seen: string[] = []
  const running = await start(estate, {
    handler: ({ path }) => {
      seen.push(path)
      return { status: 404, body: '' }
    },
  })
  const client = await dial(estate, running.port)
  for (const path of ['/livez', '/readyz', '/metrics', '/debug/pprof']) {
    client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    assert.equal((await client.next()).status, 404)
  }
  client.send(canonical('{}', { path: '/metrics' }))
  assert.equal((await client.next()).status, 404)
  assert.deepEqual(seen, ['/livez', '/readyz', '/metrics', '/debug/pprof', '/metrics']) // the handler's to refuse
  client.destroy()
  await running.server.close({ drainMs: 0 })
})
