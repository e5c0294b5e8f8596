/** Whatever both sides do, and in whatever order: an exchange has one end, and the pool's counts come out right. */
import assert from 'node:assert/strict'
import { type Duplex, duplexPair } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { serverPool } from '../../../src/proxy/upstream/pool.ts'
import type { ServerPool, UpstreamExchange } from '../../../src/proxy/upstream/upstream.ts'
import { type Notes, notes, request } from './support.ts'

const NEVER = new AbortController().signal
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** What may happen, one thing a turn. */
type Step =
  | { readonly does: 'server writes'; readonly text: string }
  | { readonly does: 'client writes'; readonly bytes: number }
  | {
      readonly does:
        | 'server ends'
        | 'server breaks'
        | 'client ends'
        | 'client takes'
        | 'client holds'
        | 'client leaves'
        | 'pool retires'
        | 'nothing'
    }

const WORDS = [
  'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc',
  'HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  'HTTP/1.1 200 OK\r\n\r\n',
  'HTTP/1.1 200',
  ' OK\r\n\r\n',
  '1\r\na\r\n2\r\nbc\r\n',
  '0\r\n\r\n',
  '\r\n',
  'x',
]
const word = fc.constantFrom(...WORDS)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: word.map((text) => ({ does: 'server writes', text }) as const) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 0, max: 40_000 }).map((bytes) => ({ does: 'client writes', bytes }) as const),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Step>(
      { does: 'server ends' },
      { does: 'server breaks' },
      { does: 'client ends' },
      { does: 'client takes' },
      { does: 'client holds' },
      { does: 'client leaves' },
      { does: 'pool retires' },
      { does: 'nothing' },
    ),
  },
)

interface Scene {
  readonly pool: ServerPool
  readonly far: Duplex
  readonly exchange: UpstreamExchange
  readonly client: { takes: boolean; ended: boolean; left: boolean }
}

function play(one: Step, { pool, far, exchange, client }: Scene): void {
  switch (one.does) {
    case 'server writes':
      if (far.writable) far.write(one.text, 'latin1')
      break
    case 'server ends':
      far.end()
      break
    case 'server breaks':
      far.destroy()
      break
    case 'client writes':
      if (!client.ended) exchange.write(Buffer.alloc(one.bytes))
      break
    case 'client ends':
      client.ended = true
      exchange.end()
      break
    case 'client holds':
      client.takes = false
      break
    case 'client takes':
      client.takes = true
      exchange.resume()
      break
    case 'client leaves':
      client.left = true
      exchange.abort()
      break
    case 'pool retires':
      pool.retire()
      break
  }
}

/** In the order of the contract: at most one `continued`, one `head` before `data`, and one last event. */
function checkOrder({ events }: Notes): void {
  const text = events.filter((event) => event !== 'drained').join(' ')
  assert.match(text, /^(continued ?)?(head( data)?( end| failed)?|upgraded|failed)?$/)
}

test('H8 H9 an exchange ends once, in order, whatever happens in between', async () => {
  const upgrade = fc.constantFrom('websocket' as const, undefined)
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), upgrade, async (steps, protocol) => {
      const [near, far] = duplexPair()
      far.on('error', () => {})
      far.resume()
      const pool = serverPool({ name: 'server', connect: async () => near, every: () => () => {} })
      const client = { takes: true, ended: false, left: false }
      const sink = notes(() => client.takes)
      const parts = protocol === undefined ? { framing: { kind: 'chunked' } as const } : { upgrade: protocol }
      const connection = await pool.acquire(NEVER)
      const exchange = connection.exchange(request({ ...parts, expectContinue: protocol === undefined }), sink)
      client.ended = protocol !== undefined
      for (const one of steps) {
        const told = client.left ? sink.events.length : undefined
        play(one, { pool, far, exchange, client })
        await turn()
        if (told !== undefined) assert.equal(sink.events.length, told)
      }
      checkOrder(sink)
      assert(pool.busy() + pool.idle() <= 1)
      assert.equal(
        sink.tunnel === undefined || steps.some(({ does }) => does === 'server breaks') || !near.destroyed,
        true,
      )
      pool.close()
      await turn()
      checkOrder(sink)
      const last = sink.events.filter((event) => ['end', 'failed', 'upgraded'].includes(event))
      assert.equal(last.length, client.left && last.length === 0 ? 0 : 1)
      assert.deepEqual([pool.busy(), pool.idle(), near.destroyed], [0, 0, true])
    }),
    { numRuns: 300 },
  )
})
