/** Several API servers as one: who is asked, what is sent again and what never is. */
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { beforeEach, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { type FailureKind, UpstreamFailure, type UpstreamRequest } from '../../../src/proxy/upstream/upstream.ts'
import { balanced } from '../../../src/proxy/upstreams/balanced.ts'
import type { Health } from '../../../src/proxy/upstreams/health.ts'
import type { Upstreams } from '../../../src/proxy/upstreams/upstreams.ts'
import { type FakeExchange, type FakePool, fakePool, GET, headOf, recordingSink, reply } from './support.ts'

interface FakeServer {
  readonly name: string
  readonly pool: FakePool
  readonly health: Health & { ready: boolean; doubtful: boolean; nextCheckAt: number }
  doubts: number
}

const NOW = 1_000_000

let one: FakeServer
let two: FakeServer
let upstreams: Upstreams
let events: string[]

function fakeServer(name: string): FakeServer {
  const server: FakeServer = {
    name,
    pool: fakePool(),
    doubts: 0,
    health: {
      ready: true,
      doubtful: false,
      reason: undefined,
      epoch: 0,
      nextCheckAt: NOW + 5000,
      checked: Promise.resolve(),
      unreachable: () => {
        server.health.ready = false
      },
      doubt: () => void server.doubts++,
      checkNow: () => {},
      close: () => {},
    },
  }
  return server
}

function balance(...servers: FakeServer[]): Upstreams {
  const observe = (server: string, event: string): void => void events.push(`${event} ${server}`)
  return balanced({ servers, clock: { now: () => NOW }, observe })
}

beforeEach(() => {
  events = []
  one = fakeServer('one')
  two = fakeServer('two')
  upstreams = balance(one, two)
})

const failure = (kind: FailureKind, answered = false) => new UpstreamFailure(kind, 'as the test says', { answered })

const WITH_BODY: UpstreamRequest = { ...GET, method: 'POST', framing: { kind: 'length', bytes: 4 } }
const UPGRADE: UpstreamRequest = { ...GET, upgrade: 'websocket' }

const all = (): FakeExchange[] => [...one.pool.exchanges, ...two.pool.exchanges]

/** Sends and waits until it is with a server. */
async function send(request: UpstreamRequest = GET, duration?: 'short' | 'long') {
  const sink = recordingSink()
  const exchange = upstreams.exchange(request, sink, duration)
  await turn()
  return { sink, exchange }
}

function only(exchanges: readonly FakeExchange[]): FakeExchange {
  const [first, ...others] = exchanges
  assert(first !== undefined && others.length === 0, `${exchanges.length} exchanges`)
  return first
}

describe('who is asked', () => {
  test('is the server with the fewest, in turn where they are even', async () => {
    for (let round = 0; round < 10; round++) await send()
    assert.deepEqual([one.pool.exchanges.length, two.pool.exchanges.length], [5, 5])
    for (const exchange of one.pool.exchanges) reply(exchange, 200)
    for (let round = 0; round < 5; round++) await send()
    assert.deepEqual([one.pool.exchanges.length, two.pool.exchanges.length], [10, 5])
  })

  test('counts those that wait for a connection', async () => {
    one.pool.held = two.pool.held = true
    for (let round = 0; round < 10; round++) await send()
    assert.deepEqual([one.pool.needs.length, two.pool.needs.length], [5, 5])
  })

  test('counts watches apart: a server that came back is not drowned in short requests', async () => {
    two.health.ready = false
    for (let round = 0; round < 20; round++) await send(GET, 'long')
    two.health.ready = true
    for (let round = 0; round < 10; round++) await send()
    const short = (server: FakeServer) => server.pool.exchanges.slice(server === one ? 20 : 0)
    assert.deepEqual([short(one).length, short(two).length], [5, 5])
    await send(GET, 'long')
    assert.equal(two.pool.exchanges.length, 6, 'the next watch goes there')
  })

  test('is one in doubt only where there is no other', async () => {
    one.health.doubtful = true
    for (let round = 0; round < 4; round++) await send()
    assert.deepEqual([one.pool.exchanges.length, two.pool.exchanges.length], [0, 4])
    two.health.ready = false
    await send()
    assert.equal(one.pool.exchanges.length, 1)
  })

  test('is never one that is not ready, one that became so while its connection was made included', async () => {
    two.health.ready = false
    one.pool.held = true
    const { sink } = await send()
    one.health.ready = false
    two.health.ready = true
    one.pool.letThrough()
    await turn()
    assert.deepEqual([one.pool.exchanges.length, one.pool.released, two.pool.exchanges.length], [0, 1, 1])
    reply(only(two.pool.exchanges), 200, 'hello')
    assert.deepEqual(sink.told, ['head 200 two', 'data hello', 'end'])
  })
})

describe('where nobody is ready', () => {
  beforeEach(() => {
    one.health.ready = two.health.ready = false
    one.health.nextCheckAt = NOW + 8100
    two.health.nextCheckAt = NOW + 2100
  })

  test('that is said after the call, with the seconds until the next check', async () => {
    const sink = recordingSink()
    upstreams.exchange(GET, sink)
    assert.deepEqual(sink.told, [])
    await turn()
    assert.deepEqual(sink.failure, { kind: 'none-ready', retryAfter: 3 })
    assert.deepEqual(sink.told, ['failed none-ready -'])
  })

  test('and a check is under way, a second is said', async () => {
    two.health.nextCheckAt = NOW - 10
    assert.deepEqual((await send()).sink.failure, { kind: 'none-ready', retryAfter: 1 })
  })

  test('nothing is said to who has left', async () => {
    const sink = recordingSink()
    upstreams.exchange(GET, sink).abort()
    await turn()
    assert.deepEqual(sink.told, [])
  })
})

describe('a server that cannot be reached', () => {
  test('is ejected, and the next is asked: nothing was sent, so whatever it is may be', async () => {
    for (const request of [GET, WITH_BODY, UPGRADE]) {
      one.health.ready = two.health.ready = true
      one.pool.failure = failure('unreachable')
      two.health.doubtful = true // so that `one` comes first
      const before = two.pool.exchanges.length
      const { sink } = await send(request)
      assert.deepEqual([one.health.ready, two.pool.exchanges.length, sink.told], [false, before + 1, []])
    }
    assert.deepEqual(new Set(events), new Set(['connect_failed one']))
  })

  test('and no other either: 503, not the failure of one', async () => {
    one.pool.failure = two.pool.failure = failure('unreachable')
    const { sink } = await send(WITH_BODY)
    assert.deepEqual(sink.told, ['failed none-ready -'])
    assert.equal(events.length, 2)
  })

  test('for a fault of this machine is not ejected, and each is tried once', async () => {
    const cause = Object.assign(new Error('too many open files'), { code: 'EMFILE', syscall: 'connect' })
    one.pool.failure = two.pool.failure = new UpstreamFailure('unreachable', 'no descriptors', { cause })
    const { sink } = await send()
    assert.deepEqual([one.health.ready, two.health.ready, events.length], [true, true, 2])
    assert.match(sink.told.join(), /^failed unreachable (one|two)$/)
  })
})

describe('a body', () => {
  beforeEach(() => {
    two.health.ready = false
    one.pool.held = true
  })

  test('that comes before there is a connection waits, and is told when it may go on', async () => {
    const { sink, exchange } = await send(WITH_BODY)
    assert.equal(exchange.write(Buffer.from('ab')), false)
    assert.equal(exchange.write(Buffer.from('cd')), false)
    one.pool.letThrough()
    await turn()
    const sent = only(one.pool.exchanges)
    assert.deepEqual([sent.written, sent.ended, sink.told], [['ab', 'cd'], false, ['drained']])
    assert.equal(exchange.write(Buffer.from('e')), true)
    exchange.end()
    assert.deepEqual([sent.written.join(''), sent.ended], ['abcde', true])
  })

  test('that is whole before there is a connection is sent whole', async () => {
    const { sink, exchange } = await send(WITH_BODY)
    exchange.write(Buffer.from('abcd'))
    exchange.end()
    one.pool.letThrough()
    await turn()
    const sent = only(one.pool.exchanges)
    assert.deepEqual([sent.written, sent.ended, sink.told], [['abcd'], true, []])
  })

  test('goes on only when the connection has room', async () => {
    const { sink, exchange } = await send(WITH_BODY)
    exchange.write(Buffer.from('ab'))
    one.pool.roomy = false
    one.pool.letThrough()
    await turn()
    assert.deepEqual(sink.told, [])
    only(one.pool.exchanges).sink.drained()
    assert.deepEqual(sink.told, ['drained'])
  })

  test('is kept for the server that is asked in place of one that cannot be reached', async () => {
    const { exchange } = await send(WITH_BODY)
    exchange.write(Buffer.from('abcd'))
    exchange.end()
    two.health.ready = true
    one.pool.failure = failure('unreachable')
    one.pool.letThrough()
    await turn()
    const sent = only(two.pool.exchanges)
    assert.deepEqual([sent.written, sent.ended], [['abcd'], true])
  })
})

describe('asking again', () => {
  beforeEach(() => {
    two.health.ready = false
    one.pool.reused = true
  })

  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    test(`happens once for ${method} on a kept connection that was dead, on a new one`, async () => {
      const { sink } = await send({ ...GET, method })
      only(one.pool.exchanges).sink.failed(failure('lost'))
      await turn()
      assert.deepEqual([one.pool.needs, events, one.doubts], [['any', 'fresh'], ['retried one'], 1])
      const second = one.pool.exchanges[1]
      assert(second !== undefined)
      second.sink.failed(failure('lost'))
      await turn()
      assert.deepEqual(sink.told, ['failed lost one'])
      assert.equal(one.pool.exchanges.length, 2)
    })
  }

  test('gives the answer as if nothing had been', async () => {
    const { sink } = await send()
    only(one.pool.exchanges).sink.failed(failure('lost'))
    await turn()
    const second = one.pool.exchanges[1]
    assert(second !== undefined)
    reply(second, 200)
    assert.deepEqual(sink.told, ['head 200 one', 'end'])
  })

  const never: readonly (readonly [string, UpstreamRequest, (exchange: FakeExchange) => void])[] = [
    ['a POST', { ...GET, method: 'POST' }, ({ sink }) => sink.failed(failure('lost'))],
    ['a DELETE', { ...GET, method: 'DELETE' }, ({ sink }) => sink.failed(failure('lost'))],
    ['a method nobody knows', { ...GET, method: 'get' }, ({ sink }) => sink.failed(failure('lost'))],
    ['a GET with a body', { ...WITH_BODY, method: 'GET' }, ({ sink }) => sink.failed(failure('lost'))],
    ['a chunked GET', { ...GET, framing: { kind: 'chunked' } }, ({ sink }) => sink.failed(failure('lost'))],
    ['an upgrade', UPGRADE, ({ sink }) => sink.failed(failure('lost'))],
    ['one of which bytes came', GET, ({ sink }) => sink.failed(failure('lost', true))],
    ['one that took too long', GET, ({ sink }) => sink.failed(failure('timeout'))],
    ['one whose answer is nonsense', GET, ({ sink }) => sink.failed(failure('invalid'))],
    [
      'one whose head is out',
      GET,
      ({ sink }) => {
        sink.head(headOf(200))
        sink.failed(failure('lost'))
      },
    ],
    [
      'one that was told to go on',
      GET,
      ({ sink }) => {
        sink.continued()
        sink.failed(failure('lost'))
      },
    ],
  ]
  for (const [what, request, breaking] of never) {
    test(`never happens for ${what}`, async () => {
      const { sink } = await send(request)
      breaking(only(one.pool.exchanges))
      await turn()
      assert.match(sink.told.at(-1) ?? '', /^failed (lost|timeout|invalid) one$/)
      assert.deepEqual([one.pool.exchanges.length, events], [1, []])
    })
  }

  test('never happens on a connection that was new', async () => {
    one.pool.reused = false
    const { sink } = await send()
    only(one.pool.exchanges).sink.failed(failure('lost'))
    await turn()
    assert.deepEqual([sink.told, one.pool.exchanges.length], [['failed lost one'], 1])
    assert.equal(one.doubts, 1, 'the server is asked whether it lives')
  })

  test('goes to another server where this one is in doubt', async () => {
    two.health.ready = true
    two.health.doubtful = true
    await send()
    one.health.doubtful = true
    two.health.doubtful = false
    only(one.pool.exchanges).sink.failed(failure('lost'))
    await turn()
    assert.deepEqual([one.pool.exchanges.length, two.pool.needs], [1, ['fresh']])
  })

  test('finds nobody where the server is gone: 503', async () => {
    const { sink } = await send()
    one.pool.failure = failure('unreachable')
    only(one.pool.exchanges).sink.failed(failure('lost'))
    await turn()
    assert.deepEqual(sink.told, ['failed none-ready -'])
  })
})

describe('a client that leaves', () => {
  test('ends the exchange at the server', async () => {
    const { sink, exchange } = await send()
    exchange.abort()
    exchange.abort()
    const sent = only(all())
    assert.equal(sent.aborted, true)
    assert.deepEqual(sink.told, [])
  })

  test('before there is a connection leaves it to the next, and nothing is sent', async () => {
    one.pool.held = two.pool.held = true
    const { sink, exchange } = await send()
    exchange.abort()
    assert.equal(exchange.write(Buffer.from('late')), true)
    one.pool.letThrough()
    two.pool.letThrough()
    await turn()
    assert.deepEqual([all(), one.pool.released + two.pool.released, sink.told], [[], 1, []])
  })

  test('while an unreachable server is tried: that is noted, and no other asked', async () => {
    two.health.doubtful = true
    one.pool.held = true
    one.pool.failure = failure('unreachable')
    const { exchange } = await send()
    exchange.abort()
    one.pool.letThrough()
    await turn()
    assert.deepEqual([one.health.ready, two.pool.needs], [false, []])
  })
})

describe('what is over', () => {
  const endings: readonly (readonly [string, (sent: FakeExchange | undefined, abort: () => void) => void])[] = [
    ['answered', (sent) => sent && reply(sent, 200)],
    ['broken', (sent) => sent?.sink.failed(failure('invalid', true))],
    ['abandoned', (_, abort) => abort()],
  ]
  for (const [how, end] of endings) {
    test(`is counted no more, ${how}`, async () => {
      two.health.ready = false
      for (let round = 0; round < 6; round++) {
        const { exchange } = await send()
        end(one.pool.exchanges.at(-1), () => exchange.abort())
      }
      two.health.ready = true
      for (let round = 0; round < 6; round++) await send()
      assert.deepEqual([one.pool.exchanges.length - 6, two.pool.exchanges.length], [3, 3])
    })
  }

  test('is counted no more, abandoned before there was a connection', async () => {
    two.health.ready = false
    one.pool.held = true
    for (let round = 0; round < 6; round++) (await send()).exchange.abort()
    one.pool.letThrough()
    two.health.ready = true
    for (let round = 0; round < 6; round++) await send()
    assert.deepEqual([one.pool.exchanges.length, two.pool.exchanges.length], [3, 3])
  })
})

describe('a tunnel', () => {
  test('counts as long until it closes', async () => {
    two.health.ready = false
    const { sink } = await send(UPGRADE)
    const socket = new PassThrough()
    only(one.pool.exchanges).sink.upgraded(headOf(101), socket, Buffer.from('early'))
    assert.deepEqual(sink.told, ['upgraded one early'])
    two.health.ready = true
    for (let round = 0; round < 2; round++) await send(UPGRADE)
    assert.equal(two.pool.exchanges.length, 1 + Number(one.pool.exchanges.length === 1))
    socket.destroy()
  })
})

describe('a request that cannot be put on the wire', () => {
  test('fails for its sender too where its body, sent ahead, breaks its own framing', async () => {
    one.pool.held = true
    two.health.ready = false
    const { sink, exchange } = await send(WITH_BODY)
    exchange.write(Buffer.from('more than was announced'))
    Object.defineProperty(one.pool, 'roomy', {
      get() {
        throw new Error('longer than announced')
      },
    })
    one.pool.letThrough()
    await turn()
    assert.deepEqual(
      sink.told.map((what) => what.split(' ')[0]),
      ['failed'],
    )
    assert(one.health.ready)
  })

  test('fails for its sender, and is nobody else’s fault', async () => {
    const acquire = one.pool.acquire
    one.pool.acquire = async (signal) => ({
      ...(await acquire(signal)),
      exchange: () => {
        throw new Error('a line cannot hold that')
      },
    })
    two.health.ready = false
    const { sink } = await send()
    assert.deepEqual([sink.told, one.health.ready, events], [['failed unreachable -'], true, []])
    assert(sink.failure instanceof UpstreamFailure && sink.failure.cause instanceof Error)
  })
})

describe('closing', () => {
  test('closes the pools; who waits is told, and no server is blamed', async () => {
    one.pool.held = two.pool.held = true
    const { sink } = await send()
    upstreams.close()
    await turn()
    assert.match(sink.told.join(), /^failed unreachable -$/)
    assert.deepEqual([one.pool.closed, two.pool.closed, events], [true, true, []])
    assert.deepEqual([one.health.ready, two.health.ready], [true, true])
  })
})

test('states name the servers, with the reason of those that are not ready', () => {
  one.health.ready = false
  Object.assign(one.health, { reason: 'nothing listens there' })
  assert.deepEqual(upstreams.states(), [
    { name: 'one', ready: false, reason: 'nothing listens there', busy: 0, idle: 0 },
    { name: 'two', ready: true, busy: 0, idle: 0 },
  ])
})

test('whatever happens: each request ends at most once, nothing unsafe is sent twice, and no count is left over', async () => {
  const happening = fc.record({
    what: fc.constantFrom('send', 'answer', 'lose', 'abort', 'hold', 'let', 'break', 'mend', 'upgrade'),
    which: fc.nat(30),
    method: fc.constantFrom('GET', 'POST'),
    reused: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 60 }), async (happenings) => {
      one = fakeServer('one')
      two = fakeServer('two')
      upstreams = balance(one, two)
      const sent: { method: string; sink: ReturnType<typeof recordingSink>; target: string; abort(): void }[] = []
      const tunnels: PassThrough[] = []
      const settled = new Set<FakeExchange>()
      const running = () => all().filter((exchange) => !settled.has(exchange) && !exchange.aborted)
      const end = (exchange: FakeExchange | undefined, how: (sink: FakeExchange['sink']) => void): void => {
        if (exchange === undefined) return
        settled.add(exchange)
        how(exchange.sink)
      }
      for (const { what, which, method, reused } of happenings) {
        const server = which % 2 === 0 ? one : two
        const exchange = running()[which % Math.max(1, running().length)]
        if (what === 'send') {
          const sink = recordingSink()
          const target = `/${sent.length}`
          const exchange = upstreams.exchange({ ...GET, method, target }, sink)
          sent.push({ method, sink, target, abort: () => exchange.abort() })
        } else if (what === 'upgrade' && exchange !== undefined) {
          const socket = new PassThrough()
          tunnels.push(socket)
          end(exchange, (sink) => sink.upgraded(headOf(101), socket, Buffer.alloc(0)))
        } else if (what === 'answer') end(exchange, () => exchange && reply(exchange, 200))
        else if (what === 'lose') end(exchange, (sink) => sink.failed(failure('lost', which > 15)))
        else if (what === 'abort') sent[which % Math.max(1, sent.length)]?.abort()
        else if (what === 'hold') server.pool.held = true
        else if (what === 'let') server.pool.letThrough()
        else if (what === 'break') server.pool.failure = failure('unreachable')
        else if (what === 'mend') {
          server.pool.failure = undefined
          server.health.ready = true
        }
        one.pool.reused = two.pool.reused = reused
        await turn()
      }
      for (const server of [one, two]) server.pool.letThrough()
      await turn()
      for (const exchange of running()) end(exchange, () => reply(exchange, 200))
      for (const tunnel of tunnels) tunnel.destroy()
      await turn()
      for (const { method, sink, target } of sent) {
        assert(sink.told.filter((what) => /^(end|failed|upgraded)/.test(what)).length <= 1, sink.told.join())
        const times = all().filter(({ request }) => request.target === target).length
        assert(times <= (method === 'GET' ? 2 : 1), `${method} was sent ${times} times`)
      }
      // Even again: the next requests are divided evenly.
      for (const server of [one, two]) {
        server.pool.failure = undefined
        server.health.ready = true
      }
      const before = [one.pool.exchanges.length, two.pool.exchanges.length]
      for (let round = 0; round < 8; round++) await send(GET, round % 2 === 0 ? 'short' : 'long')
      const more = [one.pool.exchanges.length - (before[0] ?? 0), two.pool.exchanges.length - (before[1] ?? 0)]
      assert.deepEqual(more, [4, 4])
    }),
    { numRuns: 80 },
  )
})
