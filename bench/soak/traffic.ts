/**
 * All clients at once, each in a loop of its own: a round, a rest. Owns how many there are of each kind, and the books
 * on what went wrong; leaves what a round is to the kinds.
 *
 * @module
 */
import { setTimeout as passed } from 'node:timers/promises'
import type { Client, Place } from './client.ts'
import { keptAlive, manyStreams } from './requests.ts'
import { dropper, hostile, newcomer, unknown } from './strangers.ts'
import { slowReader, tunneller, uploader, watcher } from './streams.ts'

interface Kind {
  readonly name: string
  readonly count: number
  readonly make: (place: Place, n: number) => Client
  /** Between two rounds, milliseconds; half as much more or less. */
  readonly restMs: number
}

const KINDS: readonly Kind[] = [
  { name: 'HTTP/1.1, kept alive', count: 12, make: keptAlive, restMs: 700 },
  { name: 'HTTP/2 sessions', count: 6, make: manyStreams, restMs: 700 },
  { name: 'slow readers of 5 MB', count: 3, make: slowReader, restMs: 1500 },
  { name: 'watches', count: 10, make: watcher, restMs: 400 },
  { name: 'uploads', count: 4, make: uploader, restMs: 500 },
  { name: 'tunnels', count: 5, make: tunneller, restMs: 600 },
  { name: 'bad credentials', count: 2, make: unknown, restMs: 500 },
  { name: 'hostile heads', count: 2, make: hostile, restMs: 500 },
  { name: 'new client certificates', count: 2, make: newcomer, restMs: 500 },
  { name: 'dropped connections', count: 4, make: dropper, restMs: 400 },
]
export const CLIENTS = KINDS.reduce((sum, { count }) => sum + count, 0)

/** A round that takes longer hangs; the longest of them are watches of nine seconds. */
const LONGEST_ROUND_MS = 60_000

export interface Traffic {
  /** Rounds that ended well, by kind. */
  readonly rounds: ReadonlyMap<string, number>
  readonly failures: readonly string[]
  /** Lets every round come to its end. */
  stop(): Promise<void>
}

export function startTraffic(place: Place): Traffic {
  const rounds = new Map<string, number>()
  const failures: string[] = []
  let isOver = false

  async function live({ name, make, restMs }: Kind, n: number): Promise<void> {
    const client = make(place, n)
    while (!isOver) {
      await passed(restMs * (0.5 + Math.random()))
      try {
        await inTime(client.round())
        rounds.set(name, (rounds.get(name) ?? 0) + 1)
      } catch (error) {
        failures.push(`${name}: ${error instanceof Error ? error.message : error}`)
      }
    }
    client.close()
  }

  const lives = KINDS.flatMap((kind) => Array.from({ length: kind.count }, () => kind)).map(live)
  return {
    rounds,
    failures,
    async stop() {
      isOver = true
      await Promise.all(lives)
    },
  }
}

async function inTime(round: Promise<void>): Promise<void> {
  const over = new AbortController()
  const late = passed(LONGEST_ROUND_MS, undefined, { signal: over.signal }).then(
    () => Promise.reject(new Error('a round did not end')),
    () => {},
  )
  try {
    await Promise.race([round, late])
  } finally {
    over.abort()
  }
}
