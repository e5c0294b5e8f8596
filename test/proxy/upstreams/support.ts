/**
 * A clock that is moved by hand, pools whose every answer the test gives, and a sink that remembers.
 *
 * @module
 */
import { setImmediate as turn } from 'node:timers/promises'
import {
  type ResponseSink,
  type ServerPool,
  UpstreamFailure,
  type UpstreamHead,
  type UpstreamRequest,
} from '../../../src/proxy/upstream/upstream.ts'
import type { Clock } from '../../../src/proxy/upstreams/clock.ts'
import type { BalancedSink, NoneReady } from '../../../src/proxy/upstreams/upstreams.ts'

export { recordingLog } from '../../reload/support.ts'

export interface HandClock extends Clock {
  /** Lets time pass; what is due runs in its order, and all that follows from it at once. */
  pass(ms: number): Promise<void>
  /** What is ordered, in milliseconds from now. */
  due(): number[]
}

export function handClock(): HandClock {
  const tasks = new Set<{ readonly at: number; readonly task: () => void }>()
  let time = 1_000_000
  const next = (until: number) => [...tasks].filter(({ at }) => at <= until).sort((one, two) => one.at - two.at)[0]
  return {
    now: () => time,
    later(ms, task) {
      const entry = { at: time + ms, task }
      tasks.add(entry)
      return () => tasks.delete(entry)
    },
    async pass(ms) {
      const until = time + ms
      await turn()
      for (let entry = next(until); entry !== undefined; entry = next(until)) {
        tasks.delete(entry)
        time = Math.max(time, entry.at)
        entry.task()
        await turn()
      }
      time = until
    },
    due: () => [...tasks].map(({ at }) => at - time).sort((one, two) => one - two),
  }
}

/** One exchange as the far side sees it. */
export interface FakeExchange {
  readonly request: UpstreamRequest
  readonly sink: ResponseSink
  readonly written: string[]
  ended: boolean
  aborted: boolean
  resumed: number
}

export interface FakePool extends ServerPool {
  readonly exchanges: FakeExchange[]
  /** What was asked for, in order. */
  readonly needs: ('any' | 'fresh')[]
  released: number
  retired: number
  closed: boolean
  /** Of the next connections, unless a fresh one is asked for. */
  reused: boolean
  /** While set, no connection can be made. */
  failure: UpstreamFailure | undefined
  /** While set, whoever asks waits for {@link letThrough}. */
  held: boolean
  /** What `write` answers. */
  roomy: boolean
  letThrough(): void
  /** Answers each exchange by itself, as soon as its body is whole. */
  answer: ((request: UpstreamRequest, body: string) => { status: number; body?: string }) | undefined
}

export function fakePool(): FakePool {
  const waiting: (() => void)[] = []
  let busy = 0
  const pool: FakePool = {
    exchanges: [],
    needs: [],
    released: 0,
    retired: 0,
    closed: false,
    reused: false,
    failure: undefined,
    held: false,
    roomy: true,
    answer: undefined,
    letThrough() {
      pool.held = false
      for (const go of waiting.splice(0)) go()
    },
    async acquire(signal, need = 'any') {
      pool.needs.push(need)
      if (pool.held && !signal.aborted) {
        await new Promise<void>((resolve) => {
          waiting.push(resolve)
          signal.addEventListener('abort', () => resolve())
        })
      }
      if (signal.aborted) throw new UpstreamFailure('unreachable', String(signal.reason))
      if (pool.failure !== undefined) throw pool.failure
      busy++
      return {
        reused: pool.reused && need === 'any',
        release() {
          busy--
          pool.released++
        },
        exchange(request, sink) {
          const exchange: FakeExchange = { request, sink, written: [], ended: false, aborted: false, resumed: 0 }
          pool.exchanges.push(exchange)
          const respond = (): void => {
            if (pool.answer === undefined) return
            const { status, body = '' } = pool.answer(request, exchange.written.join(''))
            setImmediate(() => reply(exchange, status, body))
          }
          if (request.framing.kind === 'none') respond()
          return {
            write(chunk) {
              exchange.written.push(chunk.toString())
              return pool.roomy
            },
            end() {
              exchange.ended = true
              respond()
            },
            resume: () => void exchange.resumed++,
            abort: () => {
              exchange.aborted = true
            },
          }
        },
      }
    },
    busy: () => busy,
    idle: () => 0,
    retire: () => void pool.retired++,
    close: () => {
      pool.closed = true
    },
  }
  return pool
}

export function headOf(status: number): UpstreamHead {
  return { status, headers: [], framing: { kind: 'chunked' } }
}

/** A whole answer, for as long as somebody wants it. */
export function reply(exchange: FakeExchange, status: number, body = ''): void {
  if (!exchange.aborted) exchange.sink.head(headOf(status))
  if (!exchange.aborted && body !== '') exchange.sink.data(Buffer.from(body))
  if (!exchange.aborted) exchange.sink.end()
}

export interface RecordingSink extends BalancedSink {
  /** What was told, in order: `head 200 one`, `data …`, `failed lost one`, `failed none-ready`. */
  readonly told: string[]
  failure: UpstreamFailure | NoneReady | undefined
}

export function recordingSink(): RecordingSink {
  const told: string[] = []
  const sink: RecordingSink = {
    told,
    failure: undefined,
    continued: () => void told.push('continued'),
    head: ({ status }, server) => void told.push(`head ${status} ${server}`),
    data(chunk) {
      told.push(`data ${chunk}`)
      return true
    },
    end: () => void told.push('end'),
    upgraded: (_head, _socket, early, server) => void told.push(`upgraded ${server} ${early}`),
    drained: () => void told.push('drained'),
    failed(failure, server) {
      sink.failure = failure
      told.push(`failed ${failure.kind} ${server ?? '-'}`)
    },
  }
  return sink
}

export const GET: UpstreamRequest = { method: 'GET', target: '/', headers: [], framing: { kind: 'none' } }
