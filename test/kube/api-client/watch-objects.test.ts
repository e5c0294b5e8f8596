import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { kubeClient } from '../../../src/kube/api-client/client.ts'
import { type Transport, transport } from '../../../src/kube/api-client/transport.ts'
import {
  type WatchedObjects,
  type WatchObjectsOptions,
  watchObjects,
} from '../../../src/kube/api-client/watch-objects.ts'
import { type RecordingLog, recordingLog } from '../../reload/support.ts'
import {
  accessTo,
  json,
  line,
  listOf,
  object,
  type ScriptedServer,
  type Seen,
  startServer,
  status,
  type TestTiming,
  testTiming,
} from './support.ts'

let server: ScriptedServer
let wire: Transport
let log: RecordingLog
let timing: TestTiming
let stop: AbortController
let watched: WatchedObjects<number> | undefined
let heard: string[]
/** Streams of watches that stand, oldest first. */
let streams: ServerResponse[]
/** What lists and watches answer; a test changes it as it goes. */
let onList: (seen: Seen, response: ServerResponse) => void
let onWatch: (seen: Seen, response: ServerResponse) => void

before(async () => {
  server = await startServer()
  wire = transport({ access: accessTo(server, recordingLog()) })
})
after(async () => {
  await wire.close()
  await server.close()
})
beforeEach(() => {
  log = recordingLog()
  timing = testTiming()
  stop = new AbortController()
  heard = []
  streams = []
  server.seen.splice(0)
  onList = (_, response) => json(response, listOf(10, value('a', 1, 1), value('b', 2, 2)))
  onWatch = (_, response) => stand(response)
  server.script = (seen, response) => (seen.query.has('watch') ? onWatch : onList)(seen, response)
})
afterEach(async () => {
  stop.abort()
  await watched?.done
  watched = undefined
})

const value = (name: string, version: number, number: unknown) => object(name, version, { value: number })

function stand(response: ServerResponse): void {
  response.writeHead(200).flushHeaders()
  streams.push(response)
}

function start(options: Partial<WatchObjectsOptions<number>> = {}): WatchedObjects<number> {
  watched = watchObjects<number>({
    client: kubeClient({ transport: wire, timeoutMs: 2000 }),
    path: '/api/v1/things',
    parse(thing) {
      if (typeof thing['value'] !== 'number') throw new Error('value is no number')
      return thing['value']
    },
    onChange: (changes) => {
      heard.push(changes.map(({ kind, key, object: number }) => `${kind} ${key}=${number}`).join(', '))
    },
    log,
    signal: stop.signal,
    timing,
    ...options,
  })
  return watched
}

/** Waits, without a clock, until something has come about. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await setImmediate()
}

const known = () => Object.fromEntries(watched?.current() ?? [])
const watches = () => server.seen.filter(({ query }) => query.has('watch'))
const lists = () => server.seen.filter(({ query }) => !query.has('watch'))
const lastStream = (): ServerResponse => {
  const last = streams.at(-1)
  assert.ok(last)
  return last
}

describe('objects of the cluster', () => {
  test('are listed, then watched from there', async () => {
    const things = start({ fieldSelector: 'metadata.name=a' })
    assert.equal(things.current(), undefined)
    await things.synced
    await until(() => streams.length === 1)
    assert.deepEqual(known(), { 'app/a': 1, 'app/b': 2 })
    assert.deepEqual(heard, ['set app/a=1, set app/b=2'])
    assert.equal(watches()[0]?.query.get('resourceVersion'), '10')
    assert.equal(watches()[0]?.query.get('fieldSelector'), 'metadata.name=a')
    assert.equal(lists()[0]?.query.get('fieldSelector'), 'metadata.name=a')
    lastStream().write(line('ADDED', value('c', 11, 3)) + line('MODIFIED', value('a', 12, 4)))
    lastStream().write(line('DELETED', value('b', 13, 2)))
    await until(() => heard.length === 4)
    assert.deepEqual(heard.slice(1), ['set app/c=3', 'set app/a=4', 'deleted app/b=2'])
    assert.deepEqual(known(), { 'app/a': 4, 'app/c': 3 })
    assert.deepEqual(things.status(), { synced: true, watching: true, lists: 1, failures: 0 })
    assert.equal(things.version(), 5)
  })

  test('that are none are told once too, so that nothing is known from not known yet', async () => {
    onList = (_, response) => json(response, listOf(10))
    const things = start()
    await things.synced
    assert.deepEqual(heard, [''])
    assert.deepEqual(known(), {})
  })

  test('of the cluster go by their name', async () => {
    onList = (_, response) => json(response, listOf(10, object('n', 1, { value: 1 }, '')))
    await start().synced
    assert.deepEqual(known(), { n: 1 })
  })

  test('that cannot be used are left out and logged, earlier versions of them included', async () => {
    onList = (_, response) => json(response, listOf(10, value('a', 1, 1), value('b', 2, 'x')))
    await start().synced
    assert.deepEqual(known(), { 'app/a': 1 })
    await until(() => streams.length === 1)
    lastStream().write(line('MODIFIED', value('a', 11, 'x')))
    await until(() => heard.length === 2)
    assert.deepEqual(heard[1], 'deleted app/a=1')
    const warned = log.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields)
    assert.deepEqual(warned, [
      { path: '/api/v1/things', object: 'app/b', error: 'value is no number' },
      { path: '/api/v1/things', object: 'app/a', error: 'value is no number' },
    ])
  })

  test('go on where they were when the server ends the watch, bookmarks counted', async () => {
    await start().synced
    await until(() => streams.length === 1)
    timing.pass(300_000)
    lastStream().end(line('BOOKMARK', { metadata: { resourceVersion: '77' } }))
    await until(() => streams.length === 2)
    assert.equal(watches()[1]?.query.get('resourceVersion'), '77')
    assert.equal(lists().length, 1)
    assert.deepEqual(timing.slept, [])
  })

  test('a listener that throws is logged, and the next change still comes', async () => {
    let calls = 0
    await start({
      onChange() {
        calls++
        throw new Error('oops')
      },
    }).synced
    await until(() => streams.length === 1)
    lastStream().write(line('ADDED', value('c', 11, 3)))
    await until(() => calls === 2)
    assert.equal(log.lines.filter(({ level }) => level === 'error').length, 2)
  })

  test('are watched no more once the signal aborts', async () => {
    const things = start()
    await until(() => streams.length === 1)
    const closed = once(lastStream(), 'close')
    stop.abort()
    await things.done
    await closed
    assert.equal(things.status().watching, false)
  })
})

describe('while the API server is away', () => {
  test('what was known stays; the watch goes on where it was, after a pause that grows, up to a bound', async () => {
    const things = start()
    await until(() => streams.length === 1)
    lastStream().write(line('ADDED', value('c', 11, 3)))
    await until(() => heard.length === 2)
    onWatch = (_, response) => response.destroy()
    server.cut()
    await until(() => timing.slept.length === 9)
    assert.deepEqual(known(), { 'app/a': 1, 'app/b': 2, 'app/c': 3 })
    assert.equal(things.status().watching, false)
    assert.match(things.status().error ?? '', /watch \/api\/v1\/things/)
    assert.deepEqual(timing.slept.slice(0, 8), [200, 400, 800, 1600, 3200, 5000, 5000, 5000])
    onWatch = (_, response) => stand(response)
    await until(() => streams.length === 2)
    assert.equal(watches().at(-1)?.query.get('resourceVersion'), '11')
    assert.equal(lists().length, 1)
    await until(() => things.status().watching)
    assert.equal(things.status().error, undefined)
    assert.equal(log.lines.at(-1)?.message, 'the Kubernetes API is watched again')
  })

  test('it is said once for each cause, not at every try', async () => {
    onList = (_, response) => status(response, 503, 'ServiceUnavailable')
    start()
    await until(() => timing.slept.length > 5)
    assert.equal(log.lines.filter(({ level }) => level === 'warn').length, 1)
  })

  test('at start, nothing is known, and everything once it is there', async () => {
    onList = (_, response) => response.destroy()
    const things = start()
    await until(() => timing.slept.length > 2)
    assert.equal(things.current(), undefined)
    assert.equal(things.status().synced, false)
    onList = (_, response) => json(response, listOf(10, value('a', 1, 1)))
    await things.synced
    assert.deepEqual(known(), { 'app/a': 1 })
  })

  test('a server that asks to wait is given that time, within bounds', async () => {
    let answers = 0
    onList = (_, response) => {
      answers++
      status(response, 429, 'TooManyRequests', { 'retry-after': answers === 1 ? '7' : '100000' })
    }
    start()
    await until(() => timing.slept.length >= 2)
    assert.deepEqual(timing.slept.slice(0, 2), [7000, 60_000])
  })

  test('a watch that is refused (401, 403, 500) goes on where it was when it is taken again', async () => {
    for (const code of [401, 403, 500]) {
      onWatch = (_, response) => status(response, code)
      const things = start()
      await until(() => timing.slept.length >= 2)
      onWatch = (_, response) => stand(response)
      await until(() => things.status().watching)
      assert.equal(lists().length, 1)
      stop.abort()
      await things.done
      stop = new AbortController()
      timing = testTiming()
      server.seen.splice(0)
    }
  })

  test('a server that ends each watch at once does not make us spin', async () => {
    onWatch = (_, response) => response.writeHead(200).end()
    start()
    await until(() => timing.slept.length === 4)
    assert.deepEqual(timing.slept.slice(0, 4), [200, 400, 800, 1600])
  })

  test('silence beyond the time the server was to end the watch means that nobody is there', async () => {
    const things = start({ watchSeconds: 0.1, graceMs: -950 })
    await until(() => timing.slept.length === 1)
    assert.match(things.status().error ?? '', /timeout/i)
    assert.equal(watches()[0]?.query.get('timeoutSeconds'), '1')
  })

  test('a watch that ends in silence goes on with the next; after long silence a list makes sure', async () => {
    await start().synced
    for (const [ends, listed] of [
      [1, 1],
      [2, 1],
      [3, 2],
    ] as const) {
      await until(() => streams.length === ends)
      timing.pass(250_000)
      lastStream().end()
      await until(() => streams.length === ends + 1)
      assert.equal(lists().length, listed)
    }
    assert.deepEqual(timing.slept, [])
    assert.deepEqual(log.lines, [])
    assert.equal(watches()[0]?.query.get('timeoutSeconds'), '150')
  })
})

describe('when the state is lost', () => {
  test('410 lists again at once, and tells what changed meanwhile: what came, what went, what is another', async () => {
    await start().synced
    await until(() => streams.length === 1)
    const recreated = {
      ...value('b', 2, 5),
      metadata: { namespace: 'app', name: 'b', uid: 'other', resourceVersion: '2' },
    }
    onList = (_, response) => json(response, listOf(50, value('c', 30, 3), recreated))
    lastStream().write(line('ERROR', { kind: 'Status', code: 410, message: 'too old' }))
    await until(() => streams.length === 2)
    assert.deepEqual(timing.slept, [0])
    assert.deepEqual(heard[1], 'deleted app/a=1, set app/c=3, set app/b=5')
    assert.equal(watches()[1]?.query.get('resourceVersion'), '50')
    assert.deepEqual(known(), { 'app/b': 5, 'app/c': 3 })
  })

  test('410 as the answer to the watch does the same; a second in a row waits', async () => {
    let refused = 0
    onWatch = (_, response) => (refused++ < 3 ? status(response, 410, 'Expired') : stand(response))
    start()
    await until(() => streams.length === 1)
    assert.deepEqual(timing.slept, [0, 400, 800])
    assert.equal(lists().length, 4)
    assert.deepEqual(heard, ['set app/a=1, set app/b=2'], 'lists that bring nothing new are not told')
  })

  test('410 from a server that was away for long is followed by a list without a pause', async () => {
    await start().synced
    await until(() => streams.length === 1)
    onWatch = (_, response) => response.destroy()
    server.cut()
    await until(() => timing.slept.length === 8)
    onWatch = (_, response) => {
      onWatch = (__, next) => stand(next)
      status(response, 410, 'Expired')
    }
    await until(() => streams.length === 2)
    assert.equal(timing.slept.at(-1), 0)
  })

  test('a line of garbage is not built on: list again', async () => {
    await start().synced
    await until(() => streams.length === 1)
    lastStream().write(`${line('ADDED', value('c', 11, 3))}garbage\n${line('ADDED', value('d', 12, 4))}`)
    await until(() => streams.length === 2)
    assert.equal(lists().length, 2)
    assert.deepEqual(known(), { 'app/a': 1, 'app/b': 2 })
  })

  test('a line that was cut is not lost: it comes again', async () => {
    await start().synced
    await until(() => streams.length === 1)
    const text = line('ADDED', value('c', 11, 3))
    lastStream().write(text.slice(0, -10))
    lastStream().destroy()
    await until(() => streams.length === 2)
    assert.equal(watches()[1]?.query.get('resourceVersion'), '10')
    lastStream().write(text)
    await until(() => heard.length === 2)
    assert.deepEqual(known(), { 'app/a': 1, 'app/b': 2, 'app/c': 3 })
  })

  test('an API the server does not know is a failure, unless it may be missing: then there is nothing', async () => {
    onList = (_, response) => status(response, 404, 'NotFound')
    const needed = start()
    await until(() => timing.slept.length > 1)
    assert.equal(needed.current(), undefined)
    stop.abort()
    await needed.done
    stop = new AbortController()
    const optional = start({ optional: true })
    await optional.synced
    assert.deepEqual(known(), {})
    assert.equal(optional.status().synced, true)
  })
})
