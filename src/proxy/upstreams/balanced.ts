/**
 * Several API servers as one: the least busy one that is ready is asked. Owns the choice; leaves one exchange, and
 * asking again, to `balanced-exchange.ts`, and who is ready to `health.ts`.
 *
 * @module
 */
import { setMaxListeners } from 'node:events'
import type { UpstreamRequest } from '../upstream/upstream.ts'
import { BalancedExchange, type Board } from './balanced-exchange.ts'
import type { Clock } from './clock.ts'
import type { ObserveUpstream } from './events.ts'
import { type BalancedServer, Member } from './member.ts'
import type { BalancedSink, NoneReady, Upstreams } from './upstreams.ts'

export interface BalancedOptions {
  readonly servers: readonly BalancedServer[]
  readonly clock: Pick<Clock, 'now'>
  readonly observe: ObserveUpstream
}

/** See {@link Upstreams}. Closing it closes the pools, and ends the checks. */
export function balanced({ servers, clock, observe }: BalancedOptions): Upstreams {
  const members = servers.map((server) => new Member(server))
  const closing = new AbortController()
  setMaxListeners(0, closing.signal) // one for each connection being made
  let turn = 0

  const board: Board = {
    signal: closing.signal,
    observe,
    noneReady,
    anyReady: () => members.some(({ health }) => health.ready),
    pick(long, tried) {
      turn = (turn + 1) % members.length
      let best: Member | undefined
      for (let step = 0; step < members.length; step++) {
        const member = members[(turn + step) % members.length]
        if (member === undefined || !member.health.ready || tried?.has(member)) continue
        if (best === undefined || member.isFreerThan(best, long)) best = member
      }
      return best
    },
  }

  function noneReady(): NoneReady {
    const next = Math.min(...members.map(({ health }) => health.nextCheckAt))
    return { kind: 'none-ready', retryAfter: Math.max(1, Math.ceil((next - clock.now()) / 1000)) }
  }

  return {
    exchange(request: UpstreamRequest, sink: BalancedSink, duration = 'short') {
      const long = duration === 'long' || request.upgrade !== undefined
      return new BalancedExchange(board, request, sink, long)
    },
    states: () => members.map((member) => member.state()),
    close() {
      closing.abort()
      for (const { health, pool } of members) {
        health.close()
        pool.close()
      }
    },
  }
}
